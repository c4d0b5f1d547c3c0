use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::options::{Convention, Unlisted};
use crate::formats::samples::{damaged, lines_of, read_bytes, samples};
use crate::formats::vg;
use crate::labels::{Label, LabelMatrix};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/json_map")).join(name)
}

fn unlisted(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn convention(convention: Convention) -> Options {
    Options { convention: Some(convention), ..Options::default() }
}

fn parse(text: impl AsRef<[u8]>, options: &Options) -> Result<Reading> {
    read_bytes("a.json", text, |path| FORMAT.read(path, options))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    lines_of("a.json", Kind::Data, parse(text, &unlisted(Unlisted::Unknown)))
}

fn usage(text: &str, options: &Options) -> String {
    let error = parse(text, options).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    error.to_string()
}

#[test]
fn lists_of_labels_need_a_policy_which_holds_for_images_with_a_list() {
    let path = fixture("lists.json");
    let asked = FORMAT.read(&path, &Options::default()).unwrap_err();
    assert_eq!(asked.kind(), Kind::Usage);
    assert!(
        asked.to_string().starts_with("the map lists the labels that are there; pass --unlisted"),
        "{asked}"
    );
    let Reading { annotations, notes } = FORMAT.read(&path, &unlisted(Unlisted::Negative)).unwrap();
    assert_eq!(annotations.categories, ["cat", "traffic light", "dog"]);
    assert_eq!(annotations.images, ["a.jpg", "sub/b.PNG", "c.jpg", "d.jpg"].map(fixture));
    #[rustfmt::skip]
    assert_eq!(annotations.labels.to_floats(), [
        1.0, 1.0, -1.0,
        -1.0, -1.0, 1.0,
        -1.0, -1.0, -1.0,
        0.0, 0.0, 0.0,
    ]);
    assert_eq!(notes, ["1 images have null instead of labels: all unknown"]);
    let unknown = FORMAT.read(&path, &unlisted(Unlisted::Unknown)).unwrap().annotations.labels;
    assert_eq!((unknown.count(Label::Positive), unknown.count(Label::Negative)), (3, 0));
}

#[test]
fn objects_say_what_is_there_and_what_is_not() {
    let path = fixture("states.json");
    let Reading { annotations, notes } = FORMAT.read(&path, &Options::default()).unwrap();
    assert_eq!(annotations.categories, ["cat", "dog", "owl"]);
    assert_eq!(annotations.images, ["a.jpg", "b.jpg", "c.jpg"].map(fixture));
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(notes.is_empty());
    for (options, name) in
        [(unlisted(Unlisted::Negative), "unlisted"), (convention(Convention::Csl), "convention")]
    {
        let error = FORMAT.read(&path, &options).unwrap_err().to_string();
        assert_eq!(error, format!("--{name}: this JSON map has no use for it; remove the option"));
    }
}

#[test]
fn images_of_each_category_need_a_policy_for_all() {
    let path = fixture("categories.json");
    let asked = FORMAT.read(&path, &Options::default()).unwrap_err().to_string();
    assert!(
        asked.starts_with("the map lists the images in which a category is there; pass --unlisted"),
        "{asked}"
    );
    let reading = FORMAT.read(&path, &unlisted(Unlisted::Negative)).unwrap();
    assert_eq!(reading.annotations.categories, ["cat", "dog", "owl"]);
    assert_eq!(reading.annotations.images, ["a.jpg", "b.jpg"].map(fixture));
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, -1.0, 1.0, 1.0, -1.0]);
    let first = parse(r#"{"owl": [], "cat": ["a.jpg"]}"#, &unlisted(Unlisted::Unknown)).unwrap().annotations;
    assert_eq!(
        (first.categories, first.labels.to_floats()),
        (vec!["cat".into(), "owl".into()], vec![1.0, 0.0])
    );
}

#[test]
fn numbers_are_read_by_a_convention_where_they_leave_it_open() {
    let full = r#"{"a.jpg": {"cat": 1, "dog": 0}, "b.jpg": {"cat": 0, "dog": 1.0}}"#;
    let asked = usage(full, &Options::default());
    assert!(
        asked.contains(
            "a.json: holds 1 and 0 but no -1: 0 may mean unknown or not there; pass --convention hcp"
        ),
        "{asked}"
    );
    let floats = |text: &str, options: &Options| parse(text, options).unwrap().annotations.labels.to_floats();
    assert_eq!(floats(full, &convention(Convention::Complete)), [1.0, -1.0, -1.0, 1.0]);
    assert_eq!(floats(full, &convention(Convention::Hcp)), [1.0, 0.0, 0.0, 1.0]);
    // What is missing or null is unknown, and so 0 is not there.
    let gaps = r#"{"a.jpg": {"cat": 1, "dog": 0}, "b.jpg": {"cat": 0, "dog": null}, "c.jpg": {"dog": 1}}"#;
    let Reading { annotations, notes } = parse(gaps, &Options::default()).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, -1.0, 0.0, 0.0, 1.0]);
    assert_eq!(notes, ["2 missing or null read as unknown, 2 of 0 as not there; if not, pass --convention"]);
    assert_eq!(floats(gaps, &convention(Convention::Csl)), [1.0, -1.0, -1.0, 0.0, 0.0, 1.0]);
    // An image with a list says nothing of what 0 means in the others.
    let mixed = full.replace("}}", "}, \"c.jpg\": [\"owl\"]}");
    assert!(usage(&mixed, &unlisted(Unlisted::Unknown)).contains("holds 1 and 0 but no -1"));
    // All three numbers.
    let three = r#"{"a.jpg": {"cat": 1, "dog": 1, "owl": -1}, "b.jpg": {"cat": 1, "dog": 0, "owl": 1}}"#;
    let Reading { annotations, notes } = parse(three, &Options::default()).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, 1.0, -1.0, 1.0, 0.0, 1.0]);
    assert_eq!(notes, ["1 of -1 read as not there, 1 of 0 as unknown; if not, pass --convention"]);
    assert_eq!(floats(three, &convention(Convention::Csl)), [1.0, 1.0, 0.0, 1.0, -1.0, 1.0]);
    let single = r#"{"a.jpg": {"cat": 1, "dog": -1}, "b.jpg": {"cat": -1, "dog": 1}}"#;
    let asked = usage(single, &Options::default());
    assert!(
        asked.contains("an image shows 1.00 of its 2 categories on average; -1 may mean unknown"),
        "{asked}"
    );
    assert_eq!(floats(single, &convention(Convention::Hcp)), [1.0, -1.0, -1.0, 1.0]);
    let error = parse(single, &convention(Convention::Complete));
    let found = lines_of("a.json", Kind::Data, error);
    assert_eq!(found[0], "1: \"a.jpg\": -1 with --convention complete; expected 1 and 0");
}

#[test]
fn lists_of_numbers_are_class_numbers_unless_they_have_one_per_category() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("names.txt");
    std::fs::write(&list, "cat\ndog\nowl\n").unwrap();
    let named = Options { categories: Some(list), ..unlisted(Unlisted::Negative) };
    let reading = parse(r#"{"a.jpg": [2, 0], "b.jpg": 1}"#, &named).unwrap();
    assert_eq!(reading.annotations.categories, ["cat", "dog", "owl"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]);
    let found = problems(r#"{"a.jpg": [0, 1, 0, 1]}"#);
    assert!(found[0].starts_with("1: \"a.jpg\": 0 is in the list more than once, as where a list has one"));
    let two = problems(r#"{"a.jpg": [0, 1], "b.jpg": [1, 0]}"#);
    assert!(two[0].starts_with("every list is 0 and 1 (2 lists), which may be one number per category"));
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = "{\"a.jpg\": [\"cat\"],\n\"a.jpg\": [],\n\"b.jpg\": [\"c.jpg\"],\n\"c\": [\"cat\"],\n\"d\": [\"x.jpg\"],\n\
                \"e.jpg\": [true, {}],\n\"f.jpg\": {\"cat\": 2},\n\"g.jpg\": {\"cat\": \"yes\"},\n\"h.jpg\": \"cat,dog\",\n\
                \"i.jpg\": -1,\n\"j\": [],\n\"k.jpg\": {\"\": 1},\n\"l.jpg\": {\"cat\": true, \"cat\": false}}";
    let end = "expected true, false, 1, 0, -1 or null";
    let expected = [
        "2: \"a.jpg\": already appears on line 1",
        "3: \"b.jpg\" and all that it lists look like images; expected labels",
        "4: neither \"c\" nor what it lists look like images; expected names that end as .jpg or .png do",
        "5: \"d\" has images, where keys before are images",
        "6: \"e.jpg\": true or false among the labels; expected names or numbers from 0",
        &format!("7: \"f.jpg\": \"cat\" is 2; {end}"),
        &format!("8: \"g.jpg\": \"cat\" is \"yes\"; {end}"),
        "9: \"h.jpg\": \"cat,dog\" looks like several labels; expected one, or a list",
        "10: \"i.jpg\": -1 among the labels; expected names or numbers from 0",
        "12: \"k.jpg\": a category without a name",
        "13: \"l.jpg\": category \"cat\" twice",
        "11: \"j\" has no labels and does not look like an image; expected a name that ends as .jpg does",
    ];
    assert_eq!(problems(text), expected);
    let categories =
        "{\"cat\": [\"a.jpg\"],\n\"a.jpg\": [\"cat\"],\n\"cat\": [\"b.jpg\"],\n\"train\": [\"a.jpg\"]}";
    let expected = [
        "2: \"a.jpg\" looks like an image, where keys before are categories",
        "3: \"cat\": already appears on line 1",
        "4: \"train\" is a set of images; expected a category, or images with their labels",
    ];
    assert_eq!(problems(categories), expected);
}

#[test]
fn other_files_are_named() {
    assert_eq!(problems("{}")[0], "no images; nothing to read");
    assert!(problems("[]")[0].starts_with("1: invalid type: sequence, expected an object of images"));
    assert!(problems("{\"a.jpg\": [\"cat\"")[0].contains("the file ends too early"));
    let deep = format!("{{\"a.jpg\": {}", "[".repeat(100_000));
    assert!(problems(deep)[0].starts_with("1: "));
    let error = FORMAT.read(Path::new("/nowhere/a.json"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
}

#[test]
fn the_first_member_that_says_something_tells_the_format() {
    let is = |head: &str| recognize(Path::new("a.json"), head.as_bytes());
    assert_eq!(is("{\"a.jpg\": [\"cat\"").unwrap(), "a JSON object of images, the first \"a.jpg\"");
    assert_eq!(
        is("\u{feff} {\"owl\": [], \"cat\": [\"a.jpg\", \"b.jp").unwrap(),
        "a JSON object of categories and their images, the first \"cat\""
    );
    assert!(
        is("{\"a.jpg\": null, \"b.jpg\": {\"cat\": 1}").is_some() && is("{\"a.jpg\": \"cat\"}").is_some()
    );
    let many = format!("{{\"a.jpg\": {{{}\"ca", "\"cat, dog\": null, ".repeat(5000));
    assert!(is(&many).is_some() && is(&many.replace("a.jpg", "a")).is_none());
    for other in [
        r#"{"1.jpg": [0, 17]}"#,
        r#"{"images": ["a.jpg"], "categories": []}"#,
        r#"{"train": ["a.jpg", "b.jpg"], "test": ["c.jpg"]}"#,
        r#"{"info": {"year": 2014}, "images": [{"id": 1, "file_name": "a.jpg"}]}"#,
        r#"{"file_name": "a.jpg", "labels": ["cat"]}"#,
        r#"{"000001": ["cat"]}"#,
        r#"{"a.jpg": []}"#,
        r#"["a.jpg"]"#,
        "{",
        "",
    ] {
        assert_eq!(is(other), None, "{other}");
        // And none of ours is VG's.
        assert!(!other.contains("17") || vg::recognize(Path::new("a.json"), other.as_bytes()).is_some());
    }
    // A value of VGG Image Annotator's.
    assert_eq!(is(r#"{"a.jpg1234": {"filename": "a.jpg", "size": 1234, "regions": []}}"#), None);
}

#[test]
fn a_name_without_the_ending_of_an_image_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let annotations = Annotations {
        images: vec![folder.path().join("0001")],
        labels: LabelMatrix::from_values(1, &[1]),
        categories: vec!["cat".into()],
        source: folder.path().join("train.csv"),
    };
    let error = write(&folder.path().join("a.json"), &annotations).unwrap_err().to_string();
    assert!(
        error.ends_with("a.json: \"0001\" does not end as images do; a JSON map cannot hold it"),
        "{error}"
    );
}

#[test]
fn unknown_labels_are_written_once_so_that_no_category_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    let annotations = Annotations {
        images: ["1.jpg", "2.jpg"].map(|name| folder.path().join(name)).to_vec(),
        labels: LabelMatrix::from_values(2, &[0, 1, 0, -1]),
        categories: vec!["cat".into(), "dog".into()],
        source: folder.path().join("train.csv"),
    };
    FORMAT.write(&path, &annotations).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "{\n\"1.jpg\": {\"cat\":null,\"dog\":true},\n\"2.jpg\": {\"dog\":false}\n}\n");
    assert!(
        problems(r#"{"a.jpg": ["cat", ""]}"#)[0]
            .contains("among the labels; expected names or numbers from 0")
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.json");
        let annotations = sample.at(folder.path(), &folder.path().join("data"), ".jpg");
        prop_assert!(write(&path, &annotations).unwrap().is_empty());
        prop_assert!(recognize(&path, &std::fs::read(&path).unwrap()).is_some());
        let back = FORMAT.read(&path, &Options::default()).unwrap();
        prop_assert!(back.notes.is_empty());
        let back = back.annotations;
        prop_assert_eq!((&back.images, &back.categories), (&annotations.images, &annotations.categories));
        prop_assert_eq!(back.labels, annotations.labels);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        lists in damaged(std::fs::read(fixture("lists.json")).unwrap()),
        states in damaged(std::fs::read(fixture("states.json")).unwrap()),
        categories in damaged(std::fs::read(fixture("categories.json")).unwrap()),
    ) {
        for text in [lists, states, categories] {
            let _ = recognize(Path::new("a.json"), &text);
            let _ = parse(&text, &Options::default());
            let _ = parse(&text, &unlisted(Unlisted::Negative));
            let _ = parse(&text, &convention(Convention::Hcp));
        }
    }
}
