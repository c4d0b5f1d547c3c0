use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::samples::{damaged, problems_of, read_bytes, samples};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/fiftyone/samples.json");

fn parse(text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("samples.json", text, |path| FORMAT.read(path, &Options::default()))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of("samples.json", Kind::Data, parse(text))
}

#[test]
fn two_fields_hold_positive_and_negative_labels_and_the_rest_is_unknown() {
    let folder = Path::new(FIXTURE).parent().unwrap();
    for path in [Path::new(FIXTURE), folder] {
        let reading = FORMAT.read(path, &Options::default()).unwrap();
        let Annotations { images, categories, labels, .. } = reading.annotations;
        assert_eq!(categories, ["Cat", "Sofa bed", "Dog"]);
        // Detections are not read; Dog of the last sample is in both fields.
        let rows = [[1.0, 1.0, -1.0], [-1.0, 0.0, 0.0], [0.0; 3], [0.0; 3]];
        assert_eq!(labels.to_floats(), rows.concat());
        let names = ["data/1.jpg", "/far/away/2.jpg", "data/3.jpg", "data/4.jpg"];
        assert_eq!(images, names.map(|name| folder.join(name)));
        let notes = [
            "1 labels are positive in one place and negative in another: unknown",
            "1 labels with a confidence between 0 and 1: read as their field says",
        ];
        assert_eq!(reading.notes, notes);
    }
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = r#"{"samples": [
        {"positive_labels": null},
        {"filepath": 3},
        {"filepath": "a.jpg", "positive_labels": {"_cls": "Detections", "detections": []}},
        {"filepath": "b.jpg", "negative_labels": {"classifications": [{"label": "cat"}, {"label": 3}, 5]}},
        {"filepath": "c.jpg", "negative_labels": ["cat"]}], "classes": ["cat", 4]}"#;
    let expected = [
        "samples.json:2: filepath of a sample is missing; expected the path of an image",
        "samples.json:3: filepath of a sample is a number; expected the path of an image",
        "samples.json:4: positive_labels is \"Detections\"; expected Classifications",
        "samples.json:5: a classification of negative_labels without label; expected text",
        "samples.json:5: a classification of negative_labels without label; expected text",
        "samples.json:6: negative_labels is something else; expected Classifications",
        "samples.json:6: a number among the classes; expected text",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn other_files_are_named() {
    assert!(
        problems(r#"{"images": []}"#)[0].contains(":1: no samples; expected an object with an array samples")
    );
    let other = r#"{"samples": [{"filepath": "a.jpg", "ground_truth": {"_cls": "Classifications"}}]}"#;
    assert!(
        problems(other)[0].ends_with("no sample has positive_labels or negative_labels (Classifications)")
    );
    assert!(problems(r#"{"samples": [{"filepath": "a.jpg""#)[0].contains("ends too early"));
    assert!(
        problems(r#"{"samples": {"filepath": "a.jpg"}}"#)[0].contains("expected a JSON array of objects")
    );
    let nested = format!(r#"{{"samples": [{{"filepath": "a", "positive_labels": {}"#, "[".repeat(1000));
    assert!(problems(nested)[0].contains("recursion limit exceeded"));
    let error = FORMAT.read(Path::new("/nowhere/samples.json"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Missing);
}

#[test]
fn samples_and_their_folder_are_recognized() {
    let head = std::fs::read(FIXTURE).unwrap();
    assert!(recognize(Path::new(FIXTURE), &head).is_some());
    assert!(recognize(Path::new(FIXTURE).parent().unwrap(), b"").is_some());
    assert!(recognize(Path::new("a.json"), br#"{"images":[{"id":1}]}"#).is_none());
    assert!(recognize(tempfile::tempdir().unwrap().path(), b"").is_none());
}

#[test]
fn a_folder_is_written_as_the_file_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let annotations = FORMAT.read(Path::new(FIXTURE), &Options::default()).unwrap().annotations;
    assert!(write(folder.path(), &annotations).unwrap().is_empty());
    let back = FORMAT.read(folder.path(), &Options::default()).unwrap().annotations;
    assert_eq!((back.labels, back.categories), (annotations.labels, annotations.categories));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("samples.json");
        let annotations = sample.at(folder.path(), &folder.path().join("data"), ".jpg");
        prop_assert!(write(&path, &annotations).unwrap().is_empty());
        let back = FORMAT.read(&path, &Options::default()).unwrap().annotations;
        prop_assert_eq!((&back.images, &back.categories), (&annotations.images, &annotations.categories));
        prop_assert_eq!(back.labels, annotations.labels);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(text in damaged(std::fs::read(FIXTURE).unwrap())) {
        let _ = parse(&text);
    }
}
