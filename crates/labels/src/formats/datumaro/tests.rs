use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::options::Unlisted;
use crate::formats::samples::{damaged, problems_of, read_bytes, samples};
use crate::labels::{Label, LabelMatrix};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/datumaro");

fn train() -> PathBuf {
    Path::new(FOLDER).join("annotations/train.json")
}

fn unlisted(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn set(set: &str) -> Options {
    Options { set: Some(set.into()), ..unlisted(Unlisted::Negative) }
}

fn parse(text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("train.json", text, |path| FORMAT.read(path, &unlisted(Unlisted::Unknown)))
}

fn problems(text: &str) -> Vec<String> {
    problems_of("train.json", Kind::Data, parse(text))
}

#[test]
fn annotations_with_a_label_are_positive_for_their_image() {
    let reading = FORMAT.read(&train(), &unlisted(Unlisted::Negative)).unwrap();
    let Annotations { images, categories, labels, source } = reading.annotations;
    assert_eq!(categories, ["cat", "dog", "wheel"]);
    assert_eq!(images, ["a.jpg", "sub/b", "c.png"].map(|name| Path::new(FOLDER).join(name)));
    assert_eq!(labels.to_floats(), [[1.0, 1.0, 1.0], [-1.0, 1.0, -1.0], [-1.0; 3]].concat());
    assert_eq!(source, train());
    let notes = [
        "1 bbox, 1 mask, 1 polygon annotations: positive for their image",
        "1 labels with a score between 0 and 1: positive",
        "1 attributes of labels are not read",
        "2 annotations without a label (label_id) are not read",
        "1 images have no label: every category negative",
        "1 labels have the name of another: read as one category",
        "1 items name an image again: labels joined",
    ];
    assert_eq!(reading.notes, notes);
    let reading = FORMAT.read(&train(), &unlisted(Unlisted::Unknown)).unwrap();
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(reading.notes, [&notes[..4], &notes[5..]].concat());
}

#[test]
fn an_image_whose_labels_another_item_has_is_not_counted_as_negative() {
    let text = r#"{"categories": {"label": {"labels": [{"name": "cat"}]}}, "items": [
        {"id": "a", "image": {"path": "a.jpg"}, "annotations": []},
        {"id": "b", "image": {"path": "a.jpg"}, "annotations": [{"type": "label", "label_id": 0}]},
        {"id": "c", "annotations": []}, {"id": "c", "annotations": []}]}"#;
    let read = |path: &Path| FORMAT.read(path, &unlisted(Unlisted::Negative));
    let Reading { annotations, notes } = read_bytes("train.json", text, read).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0]);
    let expected =
        ["1 images have no label: every category negative", "2 items name an image again: labels joined"];
    assert_eq!(notes, expected);
}

#[test]
fn of_several_subsets_one_must_be_chosen() {
    let folder = Path::new(FOLDER);
    for folder in [folder.to_owned(), folder.join("annotations")] {
        let reading = FORMAT.read(&folder, &set("validation")).unwrap();
        assert_eq!(reading.annotations.images, [Path::new(FOLDER).join("v.jpg")]);
        let error = FORMAT.read(&folder, &unlisted(Unlisted::Unknown)).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        let expected = ": several sets; choose one with --set: train, val";
        assert!(error.to_string().ends_with(expected), "{error}");
        let error = FORMAT.read(&folder, &set("test")).unwrap_err();
        let expected = ": no set \"test\"; choose one with --set: train, val";
        assert!(error.to_string().ends_with(expected), "{error}");
    }
    let error = FORMAT.read(&train(), &set("train")).unwrap_err();
    assert_eq!(error.to_string(), "--set: chooses among the subsets of a folder; leave the option out");
    let empty = tempfile::tempdir().unwrap();
    let error = FORMAT.read(empty.path(), &unlisted(Unlisted::Unknown)).unwrap_err();
    assert!(
        error.to_string().ends_with(": no annotations/*.json; expected an export of Datumaro"),
        "{error}"
    );
}

#[test]
fn what_is_unlisted_must_be_said() {
    let error = FORMAT.read(&train(), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().starts_with("Datumaro lists what an image shows"), "{error}");
}

#[test]
fn images_lie_in_the_folder_of_their_subset_or_in_images_or_where_the_user_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("annotations/train.json");
    std::fs::create_dir_all(folder.path().join("annotations")).unwrap();
    std::fs::copy(train(), &file).unwrap();
    let first = |options: &Options| FORMAT.read(&file, options).unwrap().annotations.images[0].clone();
    let options = unlisted(Unlisted::Unknown);
    assert_eq!(first(&options), folder.path().join("a.jpg"));
    std::fs::create_dir_all(folder.path().join("images")).unwrap();
    assert_eq!(first(&options), folder.path().join("images/a.jpg"));
    std::fs::create_dir_all(folder.path().join("images/train")).unwrap();
    assert_eq!(first(&options), folder.path().join("images/train/a.jpg"));
    let images = Some(folder.path().join("annotations"));
    assert_eq!(first(&Options { images, ..options.clone() }), folder.path().join("annotations/a.jpg"));
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = r#"{"items": [{"annotations": []},
        {"id": "", "annotations": []},
        {"id": "v", "video": {"path": "v.mp4"}, "annotations": []},
        {"id": "a", "annotations": [{"type": "label", "label_id": 2}, {"type": "label", "label_id": -1}]},
        {"id": 7, "annotations": [{"type": "label", "label_id": "0"}, {"label_id": 0}]}],
        "categories": {"label": {"labels": [{"name": "cat"}, {"name": 5}, {"name": "dog"}]}}}"#;
    let expected = [
        "train.json:1: the id of an item is missing; expected text",
        "train.json:2: the id of an item is empty; expected text",
        "train.json:3: item \"v\" has a video; expected an image",
        "train.json:5: label_id is text; expected a whole number",
        "train.json:5: the type of an annotation is missing; expected text",
        "train.json:6: the name of a label is a number; expected text",
        "train.json:4: label_id is 2; expected 0 to 1",
        "train.json:4: label_id is -1; expected 0 to 1",
    ];
    assert_eq!(problems(text), expected);
    let none =
        r#"{"categories": {}, "items": [{"id": "a", "annotations": [{"type": "label", "label_id": 0}]}]}"#;
    assert_eq!(problems(none), ["train.json:1: label_id is 0, but the file lists no labels"]);
    assert_eq!(problems("{}"), ["train.json:1: no items; expected an object with an array items"]);
    assert!(problems(r#"{"items": [{"id": "a""#)[0].contains("ends too early"));
    let empty =
        parse(r#"{"categories": {"label": {"labels": [{"name": "cat"}]}}, "items": []}"#).unwrap_err();
    assert!(empty.to_string().ends_with("no images; nothing to read"), "{empty}");
}

#[test]
fn scores_of_a_model_and_attributes_are_counted() {
    let label =
        |attributes: &str| format!(r#"{{"type": "label", "label_id": 0, "attributes": {{{attributes}}}}}"#);
    let labels =
        [r#""score": 0"#, r#""score": 0.5, "a": 1, "b": 2"#, r#""score": 1, "c": 3, "d": 4"#].map(label);
    let text = format!(
        r#"{{"categories": {{"label": {{"labels": [{{"name": "cat"}}]}}}},
            "items": [{{"id": "a", "annotations": [{}]}}]}}"#,
        labels.join(", ")
    );
    let notes = parse(text).unwrap().notes;
    let expected = ["1 labels with a score between 0 and 1: positive", "4 attributes of labels are not read"];
    assert_eq!(notes, expected);
}

#[test]
fn categories_may_come_last() {
    let text = r#"{"items": [{"id": "a", "annotations": [{"type": "label", "label_id": 1}]}],
        "categories": {"label": {"labels": [{"name": "cat"}, {"name": "dog"}]}}}"#;
    assert_eq!(parse(text).unwrap().annotations.labels.to_floats(), [0.0, 1.0]);
}

#[test]
fn ids_of_items_are_names_without_their_ending_where_that_tells_them_apart() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["b.c/a.jpg", ".x", "d/.y", "e", "f.jpg", "f.png", "g.h.jpg", "g.h.png", "g.h"];
    let annotations = Annotations {
        images: names.map(|name| folder.path().join(name)).to_vec(),
        labels: LabelMatrix::unknown(names.len(), 1),
        categories: vec!["cat".into()],
        source: folder.path().join("train.csv"),
    };
    let path = folder.path().join("a.json");
    write(&path, &annotations).unwrap();
    let written: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let ids: Vec<&str> =
        written["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["b.c/a", ".x", "d/.y", "e", "f.jpg", "f.png", "g.h.jpg", "g.h.png", "g"]);
}

#[test]
fn subsets_and_exports_are_recognized() {
    let head = std::fs::read(train()).unwrap();
    let why = "a JSON object with categories of labels and items";
    assert_eq!(recognize(&train(), &head).as_deref(), Some(why));
    let folder = "a folder with Datumaro's annotations/*.json";
    assert_eq!(recognize(Path::new(FOLDER), b"").as_deref(), Some(folder));
    let recognized = |text: &str| recognize(Path::new("a.json"), text.as_bytes()).is_some();
    assert!(recognized(r#"{"info": {}, "categories": {}, "items": [{"id": "a", "annotations": []"#));
    assert!(recognized(FORMAT.example) && parse(FORMAT.example).is_ok());
    assert!(recognized(r#"{"dm_format_version": "1.0", "categories": {"mask": {}"#));
    assert!(recognized(r#"{"categories": {"label": {"labels": [{"name": "cat"}"#));
    assert!(!recognized(r#"{"dm_format_version": "1.0", "items": []}"#));
    // COCO's categories are an array; other files have items as well.
    assert!(!recognized(r#"{"images": [], "categories": [{"id": 1, "name": "cat"}], "annotations": []}"#));
    assert!(!recognized(r#"{"items": [{"id": "a", "annotations": []}]}"#));
    let coco = tempfile::tempdir().unwrap();
    std::fs::create_dir(coco.path().join("annotations")).unwrap();
    let instances = coco.path().join("annotations/instances_val.json");
    std::fs::write(instances, r#"{"images": [{"id": 1}], "annotations": [], "categories": []}"#).unwrap();
    assert!(recognize(coco.path(), b"").is_none());
}

#[test]
fn a_folder_is_written_as_an_export_with_one_subset() {
    let folder = tempfile::tempdir().unwrap();
    let annotations = Annotations {
        images: ["a.jpg", "a.png", "b.jpg"].map(|name| folder.path().join(name)).to_vec(),
        labels: LabelMatrix::from_values(2, &[1, -1, 0, 1, -1, 0]),
        categories: vec!["cat".into(), "dog".into()],
        source: folder.path().join("train.csv"),
    };
    let notes = write(folder.path(), &annotations).unwrap();
    assert_eq!(notes, ["2 negative labels: Datumaro cannot tell them from unknown ones"]);
    let text = std::fs::read_to_string(folder.path().join("annotations/default.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    // Two images would have the same id.
    let ids: Vec<&str> =
        value["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["a.jpg", "a.png", "b"]);
    let back = FORMAT.read(folder.path(), &unlisted(Unlisted::Unknown)).unwrap().annotations;
    assert_eq!(back.images, annotations.images);
    assert_eq!(back.labels.to_floats(), [1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
}

proptest! {
    #[test]
    fn what_is_positive_is_read_back(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train.json");
        let annotations = sample.at(folder.path(), &folder.path().join("data"), ".jpg");
        let notes = write(&path, &annotations).unwrap();
        prop_assert_eq!(notes.is_empty(), annotations.labels.count(Label::Negative) == 0);
        let back = FORMAT.read(&path, &unlisted(Unlisted::Unknown)).unwrap().annotations;
        prop_assert_eq!((&back.images, &back.categories), (&annotations.images, &annotations.categories));
        let positive: Vec<i8> = sample.values.iter().map(|&value| value.max(0)).collect();
        prop_assert_eq!(back.labels, LabelMatrix::from_values(sample.categories.len(), &positive));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(text in damaged(std::fs::read(train()).unwrap())) {
        let _ = parse(&text);
    }
}
