use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::samples::{damaged, lines_of, read_bytes, samples};
use crate::labels::LabelMatrix;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/vg");

fn fixture(name: &str) -> PathBuf {
    Path::new(FIXTURE).join(name)
}

fn options(list: Option<&str>, names: Option<&str>) -> Options {
    Options { image_list: list.map(fixture), categories: names.map(fixture), ..Options::default() }
}

fn parse(json: impl AsRef<[u8]>, options: &Options) -> Result<Reading> {
    read_bytes("labels.json", json, |path| FORMAT.read(path, options))
}

fn problems(json: impl AsRef<[u8]>, options: &Options) -> Vec<String> {
    lines_of("labels.json", Kind::Data, parse(json, options))
}

#[test]
fn every_cell_of_the_fixture_is_read_in_the_order_of_the_list() {
    let options = options(Some("train_list.txt"), Some("categories.txt"));
    let Reading { annotations, notes } = FORMAT.read(&fixture("labels_index.json"), &options).unwrap();
    assert_eq!(annotations.categories, ["tree", "man", "sign", "wall"]);
    assert_eq!(annotations.images, ["1.jpg", "5.jpg", "2.jpg"].map(fixture));
    let expected = [-1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0];
    assert_eq!(annotations.labels.to_floats(), expected);
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn without_lists_all_images_come_in_order_and_categories_are_numbered() {
    let Reading { annotations, notes } =
        FORMAT.read(&fixture("labels_index.json"), &Options::default()).unwrap();
    assert_eq!(annotations.categories, ["category_0", "category_1", "category_2", "category_3"]);
    assert_eq!(annotations.images, ["2.jpg", "1.jpg", "9.jpg", "5.jpg"].map(fixture));
    assert_eq!(annotations.labels.count(Label::Positive), 4);
    assert_eq!(annotations.labels.count(Label::Unknown), 0);
    let expected = [
        "no --image-list: all 4 images of the file, which may hold the test images too",
        "4 categories without names: category_0 … ; give them with --categories FILE",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn all_wrong_entries_come_at_once_with_their_lines() {
    let options = options(Some("train_list.txt"), Some("categories.txt"));
    let found = problems("{\"1.jpg\": [4],\n\"5.jpg\": [],\n\"5.jpg\": [0],\n\"\": []}", &options);
    assert_eq!(found[0], "1: image \"1.jpg\": index 4; expected 0 … 3 of --categories");
    assert_eq!(found[1], "3: image \"5.jpg\" already appears on line 2");
    assert_eq!(found[2], "4: an image without a name");
    assert!(found[3].contains("train_list.txt:1: image \"1.jpg\" is not in "), "{found:?}");
    assert!(found[4].contains("train_list.txt:3: image \"2.jpg\" is not in "), "{found:?}");
}

#[test]
fn what_is_no_such_json_says_what_is_expected() {
    let expected = "; expected {\"IMAGE\": [INDEX, …], …}";
    for (json, what) in [
        (&b"{\"a.jpg\": [1,\n"[..], "EOF while parsing"),
        (b"{\n\"a.jpg\": \"cat\"}", "2: invalid type: string \"cat\", expected a sequence"),
        (b"{\"a.jpg\": [-1]}", "1: invalid value: integer `-1`, expected u64"),
        (b"[1]", "1: invalid type: sequence, expected an object of images"),
        (b"", "EOF while parsing"),
        (b"{\"\xff\": []}", "1: invalid unicode code point"),
        (b"{} x", "1: trailing characters"),
    ] {
        let found = &problems(json, &Options::default())[0];
        assert!(found.contains(what) && found.ends_with(expected), "{found}");
    }
    assert!(
        problems(format!("{{\"a\": {}", "[".repeat(100_000)), &Options::default())[0]
            .contains("invalid type")
    );
    assert!(problems("{}", &Options::default())[0].ends_with("no images; nothing to read"));
    let huge = problems("{\"a.jpg\": [4000000000]}", &Options::default());
    assert_eq!(
        huge[0],
        "1: image \"a.jpg\": index 4000000000; expected 0 … 9999 at most; more need --categories FILE"
    );
}

#[test]
fn lists_with_one_number_per_category_are_refused() {
    let found = problems(r#"{"a.jpg": [0, 1, 0, 1], "b.jpg": [1, 1, 7]}"#, &Options::default());
    let what =
        "in the list more than once, as where a list has one number per category; expected each label once";
    assert_eq!(
        found,
        [format!("1: image \"a.jpg\": 0 is {what}"), format!("1: image \"b.jpg\": 1 is {what}")]
    );
    let two = read_bytes("labels.json", r#"{"a.jpg": [0, 1], "b.jpg": [1, 0]}"#, |path| {
        FORMAT.read(path, &Options::default())
    });
    let two = two.unwrap_err().to_string();
    assert!(
        two.contains("labels.json: every list is 0 and 1 (2 lists), which may be one number per"),
        "{two}"
    );
    // Of four categories it is the numbers of the first two.
    let four = options(None, Some("categories.txt"));
    assert_eq!(parse(r#"{"a.jpg": [0, 1]}"#, &four).unwrap().annotations.labels.count(Label::Positive), 2);
    assert!(parse(r#"{"a.jpg": [0, 1], "b.jpg": [0]}"#, &Options::default()).is_ok());
}

#[test]
fn two_categories_in_every_image_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let annotations = Annotations {
        images: ["a.jpg", "b.jpg"].map(|name| folder.path().join(name)).to_vec(),
        labels: LabelMatrix::from_values(2, &[1, 1, 1, 1]),
        categories: vec!["cat".into(), "dog".into()],
        source: folder.path().join("train.csv"),
    };
    let error = write(&folder.path().join("vg.json"), &annotations).unwrap_err().to_string();
    assert!(
        error.ends_with("every image has both categories; a VG list cannot say so, write another format")
    );
    // One image of two may have both, and of labels that are all known only the names are lost.
    let labels = LabelMatrix::from_values(2, &[1, 1, -1, -1]);
    let lost = write(&folder.path().join("vg.json"), &Annotations { labels, ..annotations }).unwrap();
    assert_eq!(lost.len(), 1, "{lost:?}");
}

#[test]
fn it_is_recognized_by_its_first_image() {
    let path = Path::new("a.json");
    assert!(
        recognize(path, &std::fs::read(fixture("labels_index.json")).unwrap()).unwrap().contains("\"2.jpg\"")
    );
    assert_eq!(recognize(path, br#"{"info": {"a": 1}, "images": [{"id": 1}]}"#), None);
    assert_eq!(recognize(path, b"{"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn only_what_is_reported_is_lost(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let written = sample.at(folder.path(), folder.path(), "");
        let path = folder.path().join("labels.json");
        let both = written.categories.len() == 2 && sample.values.iter().all(|value| *value == 1);
        prop_assume!(!both);
        let lost = write(&path, &written).unwrap();
        let names = Options { categories: Some(path.with_extension("categories.txt")), ..Options::default() };
        let back = FORMAT.read(&path, &names).unwrap().annotations;
        prop_assert_eq!(&back.images, &written.images);
        prop_assert_eq!(&back.categories, &written.categories);
        let values: Vec<i8> = sample.values.iter().map(|&value| if value == 1 { 1 } else { -1 }).collect();
        prop_assert_eq!(&back.labels, &LabelMatrix::from_values(written.categories.len(), &values));
        let unknown = lost.iter().find_map(|it| it.split_once(" unknown labels")).map(|(count, _)| count);
        let expected = written.labels.count(Label::Unknown);
        prop_assert_eq!(unknown.map_or(0, |count| count.parse().unwrap()), expected);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(json in damaged(std::fs::read(fixture("labels_index.json")).unwrap())) {
        let _ = recognize(Path::new("a.json"), &json);
        let _ = parse(&json, &Options::default());
        let _ = parse(&json, &options(Some("train_list.txt"), Some("categories.txt")));
    }
}
