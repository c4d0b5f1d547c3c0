use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::options::Unlisted;
use crate::formats::samples::{damaged, problems_of, read_bytes, samples};
use crate::labels::Label;

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
        {"filepath": "c.jpg", "negative_labels": ["cat"]},
        {"filepath": ""},
        {"filepath": "d.jpg", "positive_labels": {"classifications": [{"label": ""}]}}], "classes": ["cat", 4]}"#;
    let expected = [
        "samples.json:2: filepath of a sample is missing; expected the path of an image",
        "samples.json:3: filepath of a sample is a number; expected the path of an image",
        "samples.json:4: positive_labels is \"Detections\"; expected Classifications",
        "samples.json:5: a classification of negative_labels without label; expected text",
        "samples.json:5: a classification of negative_labels without label; expected text",
        "samples.json:6: negative_labels is something else; expected Classifications",
        "samples.json:7: filepath of a sample is empty; expected the path of an image",
        "samples.json:8: a classification of positive_labels without label; expected text",
        "samples.json:8: a number among the classes; expected text",
    ];
    assert_eq!(problems(text), expected);
}

#[test]
fn other_files_are_named() {
    assert!(
        problems(r#"{"images": []}"#)[0].contains(":1: no samples; expected an object with an array samples")
    );
    let other = r#"{"samples": [{"filepath": "a.jpg", "ground_truth": {"_cls": "Classifications"}}]}"#;
    let expected = "no sample has positive_labels or negative_labels (Classifications)";
    assert!(problems(other)[0].ends_with(&format!(
        "{expected}; choose the field of the labels with --field: ground_truth (Classifications)"
    )));
    assert!(problems(r#"{"samples": [{"filepath": "a.jpg"}]}"#)[0].ends_with(expected));
    assert!(problems(r#"{"samples": [{"filepath": "a.jpg""#)[0].contains("ends too early"));
    assert!(
        problems(r#"{"samples": {"filepath": "a.jpg"}}"#)[0].contains("expected a JSON array of objects")
    );
    let nested = "[".repeat(1000);
    let nested = format!(r#"{{"samples": [{{"positive_labels": {{"classifications": {nested}"#);
    assert!(problems(nested)[0].contains("recursion limit exceeded"));
    let error = FORMAT.read(Path::new("/nowhere/samples.json"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Missing);
}

#[test]
fn one_detection_is_read_only_where_its_field_is_chosen() {
    let text =
        r#"{"samples": [{"filepath": "a.jpg", "positive_labels": {"_cls": "Detection", "label": "cat"}}]}"#;
    let expected = "samples.json:1: positive_labels is \"Detection\"; expected Classifications";
    assert_eq!(problems(text), [expected]);
    let field = Some("positive_labels".to_owned());
    let options = Options { field, unlisted: Some(Unlisted::Unknown), ..Options::default() };
    let annotations =
        read_bytes("samples.json", text, |path| FORMAT.read(path, &options)).unwrap().annotations;
    assert_eq!((annotations.categories, annotations.labels.to_floats()), (vec!["cat".to_owned()], vec![1.0]));
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

const LABELS_FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/fiftyone/labels/labels.json");
const FIELDS: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/fiftyone/fields/samples.json");

fn unlisted(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn field(name: &str, policy: Unlisted) -> Options {
    Options { field: Some(name.into()), ..unlisted(policy) }
}

#[test]
fn a_field_is_chosen_by_name_and_the_rest_is_what_the_user_says() {
    let read = |name, policy| FORMAT.read(Path::new(FIELDS), &field(name, policy)).unwrap();
    let reading = read("topics", Unlisted::Negative);
    assert_eq!(reading.annotations.categories, ["Cat", "Sofa"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 1.0, -1.0, -1.0, 0.0, 0.0]);
    let notes = [
        "1 images have no topics: kept, every category unknown",
        "1 images have no label in topics: every category negative",
        "1 labels with a confidence between 0 and 1: read as their field says",
    ];
    assert_eq!(reading.notes, notes);
    let reading = read("topics", Unlisted::Unknown);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(reading.notes, [notes[0], notes[2]]);
    let reading = read("weather", Unlisted::Negative);
    assert_eq!(reading.annotations.categories, ["sunny", "rain"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, 0.0, 0.0, -1.0, 1.0]);
    let reading = read("ground_truth", Unlisted::Negative);
    assert_eq!(reading.annotations.categories, ["Tree", "Car"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, -1.0, 1.0, 0.0, 0.0]);
    let expected = [
        "1 images have no ground_truth: kept, every category unknown",
        "3 objects: positive for their image",
    ];
    assert_eq!(reading.notes, expected);
}

#[test]
fn a_field_that_is_missing_or_must_be_chosen_is_named() {
    let problem = |options: &Options| {
        let result = FORMAT.read(Path::new(FIELDS), options);
        problems_of("samples.json", Kind::Data, result)
    };
    let fields = "topics (Classifications), weather (Classification), ground_truth (Detections)";
    let expected = "samples.json:1: no sample has positive_labels or negative_labels (Classifications); choose \
                    the field of the labels with --field:";
    assert_eq!(problem(&Options::default()), [format!("{expected} {fields}")]);
    let expected = "samples.json:1: no sample has labels in a field \"topic\"";
    let said = problem(&field("topic", Unlisted::Unknown));
    assert!(said[0].starts_with(expected) && said[0].ends_with(&format!("; there are {fields}")), "{said:?}");
    let said = problem(&field("metadata", Unlisted::Unknown));
    assert_eq!(
        said,
        ["samples.json:2: metadata is \"ImageMetadata\"; expected Classifications or Detections"]
    );
    let without = Options { field: Some("topics".into()), ..Options::default() };
    let error = FORMAT.read(Path::new(FIELDS), &without).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().starts_with("a field of FiftyOne lists what an image shows"), "{error}");
}

#[test]
fn two_fields_need_no_unlisted() {
    let error = FORMAT.read(Path::new(FIXTURE), &unlisted(Unlisted::Negative)).unwrap_err();
    let expected = "--unlisted: a file with positive_labels and negative_labels has no use for it; remove the \
                    option";
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Usage, expected));
}

#[test]
fn labels_json_lists_places_in_its_classes() {
    let folder = Path::new(LABELS_FIXTURE).parent().unwrap();
    let (cat, dog, bird) = ([1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, 1.0, 1.0]);
    let rows = [cat, bird, [0.0; 3], [-1.0; 3], dog, cat].concat();
    for path in [Path::new(LABELS_FIXTURE), folder] {
        let reading = FORMAT.read(path, &unlisted(Unlisted::Negative)).unwrap();
        let Annotations { images, categories, labels, .. } = reading.annotations;
        assert_eq!(categories, ["cat", "dog", "bird"]);
        assert_eq!(labels.to_floats(), rows);
        let names = ["000001", "000002", "sub/000003", "000004", "000005", "000006"];
        assert_eq!(images, names.map(|name| folder.join(name)));
        let notes = [
            "1 images are null, not labeled: kept, every category unknown",
            "1 images have an empty list of labels: every category negative",
            "2 objects with a bounding box: positive for their image",
            "1 labels with a confidence between 0 and 1: read as their field says",
        ];
        assert_eq!(reading.notes, notes);
    }
    let reading = FORMAT.read(Path::new(LABELS_FIXTURE), &unlisted(Unlisted::Unknown)).unwrap();
    let positive = rows.iter().map(|&label| f32::max(label, 0.0)).collect::<Vec<_>>();
    assert_eq!(reading.annotations.labels.to_floats(), positive);
}

fn parse_labels(text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("labels.json", text, |path| FORMAT.read(path, &unlisted(Unlisted::Unknown)))
}

#[test]
fn labels_json_without_classes_has_names_and_its_images_lie_in_data() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let path = folder.path().join("labels.json");
    std::fs::write(&path, r#"{"classes": null, "labels": {"a": "cat", "b": ["dog", "cat"]}}"#).unwrap();
    let annotations = FORMAT.read(&path, &unlisted(Unlisted::Unknown)).unwrap().annotations;
    assert_eq!(annotations.images, ["a", "b"].map(|name| folder.path().join("data").join(name)));
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0, 1.0, 1.0]);
    // Long classes hide the labels from who looks at the beginning.
    let names: Vec<String> = (0..10_000).map(|place| format!("\"class {place}\"")).collect();
    let long = parse_labels(format!(r#"{{"classes": [{}], "labels": {{"a": 9999}}}}"#, names.join(", ")));
    assert_eq!(long.unwrap().annotations.labels.count(Label::Positive), 1);
    // Classes may come last.
    let last = parse_labels(r#"{"labels": {"a": 1}, "classes": ["cat", "dog"]}"#).unwrap().annotations;
    assert_eq!(last.labels.to_floats(), [0.0, 1.0]);
}

#[test]
fn what_is_wrong_with_labels_json_is_said_with_its_line() {
    let text = r#"{"classes": ["cat", "dog", 3, ""], "labels": {
        "a": 4,
        "b": "dgo",
        "c": [null],
        "d": [0, 1, 0],
        "": 1,
        "e": -1,
        "f": ""}}"#;
    let expected = [
        "labels.json:1: a number among the classes; expected text",
        "labels.json:1: empty among the classes; expected text",
        "labels.json:4: a target is \"null\"; expected a class, as its place in classes or its name",
        "labels.json:5: 0 is in a list of targets more than once, as where a list has one number per category; \
         expected each label once",
        "labels.json:6: an empty name of an image",
        "labels.json:8: a target is \"\\\"\\\"\"; expected a class, as its place in classes or its name",
        "labels.json:3: label \"dgo\" is not among the classes; did you mean \"dog\"?",
        "labels.json:2: a target is 4; expected 0 to 3",
        "labels.json:7: a target is -1; expected 0 to 3",
    ];
    assert_eq!(problems_of("labels.json", Kind::Data, parse_labels(text)), expected);
    let none = parse_labels(r#"{"classes": null, "labels": {"a": 1}}"#);
    let expected = ["labels.json:1: a target is 1, but the file lists no labels"];
    assert_eq!(problems_of("labels.json", Kind::Data, none), expected);
}

#[test]
fn labels_json_asks_what_is_unlisted_and_takes_no_field() {
    let path = Path::new(LABELS_FIXTURE);
    let error = FORMAT.read(path, &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().starts_with("labels.json lists what an image shows"), "{error}");
    let error = FORMAT.read(path, &field("topics", Unlisted::Unknown)).unwrap_err();
    assert_eq!(error.to_string(), "--field: labels.json holds one field only; remove the option");
}

#[test]
fn labels_json_and_its_folder_are_recognized() {
    let head = std::fs::read(LABELS_FIXTURE).unwrap();
    let path = Path::new(LABELS_FIXTURE);
    let why = "a JSON object with classes and the labels of each image";
    assert_eq!(recognize(path, &head).as_deref(), Some(why));
    assert_eq!(recognize(path.parent().unwrap(), b"").as_deref(), Some("a folder with labels.json"));
    let both = tempfile::tempdir().unwrap();
    std::fs::copy(LABELS_FIXTURE, both.path().join("labels.json")).unwrap();
    std::fs::copy(FIXTURE, both.path().join("samples.json")).unwrap();
    assert_eq!(recognize(both.path(), b"").as_deref(), Some("a folder with samples.json"));
    assert_eq!(FORMAT.read(both.path(), &Options::default()).unwrap().annotations.images.len(), 4);
    let near = r#"{"classes": ["cat"], "labels": {"a": 0}, "info": {}}"#;
    assert!(recognize(Path::new("a.json"), near.as_bytes()).is_none());
    assert!(recognize(Path::new("a.json"), br#"{"labels": {"a": 0}}"#).is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_of_labels_panic(text in damaged(std::fs::read(LABELS_FIXTURE).unwrap())) {
        let _ = parse_labels(&text);
    }

    #[test]
    fn no_bytes_make_the_reader_of_a_field_panic(text in damaged(std::fs::read(FIELDS).unwrap())) {
        let options = field("topics", Unlisted::Negative);
        let _ = read_bytes("samples.json", &text, |path| FORMAT.read(path, &options));
    }
}
