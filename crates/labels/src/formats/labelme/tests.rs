use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::options::Unlisted;
use crate::formats::samples::{damaged, problems_of, read_bytes};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/labelme");

fn unlisted(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn parse(text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("a.json", text, |path| FORMAT.read(path, &unlisted(Unlisted::Unknown)))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of("a.json", Kind::Data, parse(text))
}

#[test]
fn ticked_flags_and_shapes_are_positive_and_the_rest_is_what_the_user_says() {
    let folder = Path::new(FOLDER);
    let reading = FORMAT.read(folder, &unlisted(Unlisted::Negative)).unwrap();
    let Annotations { images, categories, labels, .. } = reading.annotations;
    assert_eq!(categories, ["cat", "dog", "car"]);
    let names = ["1.jpg", "..\\images\\2.jpg", "3.jpg", "4.jpg"];
    assert_eq!(images, names.map(|name| folder.join(name)));
    let rows = [[1.0, -1.0, 1.0], [-1.0; 3], [0.0; 3], [-1.0, 1.0, -1.0]];
    assert_eq!(labels.to_floats(), rows.concat());
    let notes = [
        "4 flags are false, not ticked: read as if they were not there",
        "3 shapes: positive for their image",
        "1 shapes called __ignore__ or _background_ are not read",
        "1 ticked flags of shapes are not read",
        "1 images with the flag __ignore__: kept, every category unknown, whatever else they have",
        "1 images have no ticked flag and no shape: every category negative",
    ];
    assert_eq!(reading.notes, notes);
    let reading = FORMAT.read(folder, &unlisted(Unlisted::Unknown)).unwrap();
    let rows = [[1.0, 0.0, 1.0], [0.0; 3], [0.0; 3], [0.0, 1.0, 0.0]];
    assert_eq!(reading.annotations.labels.to_floats(), rows.concat());
    assert_eq!(reading.notes[0], "4 flags are false, not ticked: read as if they were not there");
    assert_eq!(reading.notes[1..], notes[1..5]);
}

#[test]
fn an_image_that_another_file_labels_or_ignores_is_not_counted_as_negative() {
    let file = |flags: &str, image: &str| {
        format!(r#"{{"flags": {{{flags}}}, "shapes": [], "imagePath": "{image}", "imageData": null}}"#)
    };
    let (no, yes, ignored) = (r#""cat": false"#, r#""cat": true"#, r#""__ignore__": true"#);
    let files =
        [(no, "a.jpg"), (yes, "a.jpg"), (no, "b.jpg"), (ignored, "b.jpg"), (no, "c.jpg"), (no, "c.jpg")];
    let folder = tempfile::tempdir().unwrap();
    for (number, (flags, image)) in files.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number}.json")), file(flags, image)).unwrap();
    }
    let Reading { annotations, notes } = FORMAT.read(folder.path(), &unlisted(Unlisted::Negative)).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0, -1.0]);
    let expected = [
        "4 flags are false, not ticked: read as if they were not there",
        "1 images with the flag __ignore__: kept, every category unknown, whatever else they have",
        "1 images have no ticked flag and no shape: every category negative",
        "3 files name an image again: labels joined",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn one_file_is_a_source_too() {
    let reading = FORMAT.read(&Path::new(FOLDER).join("1.json"), &unlisted(Unlisted::Negative)).unwrap();
    assert_eq!(reading.annotations.images, [Path::new(FOLDER).join("1.jpg")]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, 1.0]);
}

#[test]
fn what_is_unlisted_must_be_said() {
    let error = FORMAT.read(Path::new(FOLDER), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().starts_with("LabelMe writes a flag that nobody ticked as false"), "{error}");
}

#[test]
fn images_lie_where_the_user_says_without_the_way_up() {
    let options = Options { images: Some("photos".into()), ..unlisted(Unlisted::Unknown) };
    let images = FORMAT.read(Path::new(FOLDER), &options).unwrap().annotations.images;
    let names = ["1.jpg", "images\\2.jpg", "3.jpg", "4.jpg"];
    assert_eq!(images, names.map(|name| Path::new("photos").join(name)));
}

#[test]
fn other_files_of_the_folder_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put("classes.json", "{\"classes\": []}");
    put("1.jpg", "");
    put("2.jpg", "");
    let error = FORMAT.read(folder.path(), &unlisted(Unlisted::Unknown)).unwrap_err();
    assert!(error.to_string().ends_with(": no JSON files of LabelMe"), "{error}");
    let text = r#"{"flags": {"cat": true}, "shapes": [], "imagePath": "1.jpg"}"#;
    put("1.json", text);
    put("1 again.json", text);
    put(
        "3.json",
        r#"{"flags": {"cat": true}, "shapes": [{"label": "cat", "points": []}], "imagePath": "3.jpg"}"#,
    );
    put("4.jpg", "");
    let notes = FORMAT.read(folder.path(), &unlisted(Unlisted::Unknown)).unwrap().notes;
    let other = folder.path().join("classes.json");
    let expected = [
        "1 shapes: positive for their image".to_owned(),
        "1 files name an image again: labels joined".to_owned(),
        format!("1 JSON files are not LabelMe's and not read, such as {}", other.display()),
        "2 images of the folder have no file of LabelMe: left out".to_owned(),
    ];
    assert_eq!(notes, expected);
}

#[test]
fn the_problems_of_all_files_come_at_once_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put(
        "1.json",
        "{\"flags\": {\"cat\": 1, \"\": true},\n\"shapes\": [{\"label\": \"\"},\n{}], \"imagePath\": \"1.jpg\"}",
    );
    put("2.json", "{\"shapes\": [], \"imageData\": null,\n\"imagePath\": null}");
    put("3.json", "{\"shapes\": [], \"imagePath\": \"3.jpg\"");
    let error = FORMAT.read(folder.path(), &unlisted(Unlisted::Unknown)).unwrap_err().to_string();
    let expected = [
        "1.json:1: flag \"cat\" is a number; expected true or false",
        "1.json:1: a flag without a name",
        "1.json:2: the label of a shape is empty; expected text",
        "1.json:3: the label of a shape is missing; expected text",
        "2.json:2: imagePath is null; expected the path of the image",
        "3.json:1: the file ends too early",
    ];
    assert_eq!(
        problems(r#"{"shapes": [], "imagePath": ""}"#),
        ["a.json:1: imagePath is empty; expected the path of the image"]
    );
    assert_eq!(error.lines().count(), expected.len(), "{error}");
    for (line, expected) in error.lines().zip(expected) {
        assert!(line.contains(expected), "{line}\n{expected}");
    }
}

#[test]
fn other_files_are_named() {
    assert_eq!(problems("{}"), ["a.json:1: imagePath is missing; expected the path of the image"]);
    assert!(problems("[1]")[0].contains("expected a JSON object"));
    let none = parse(r#"{"flags": {}, "shapes": [], "imagePath": "a.jpg"}"#).unwrap_err();
    assert!(none.to_string().ends_with("no categories; nothing to read"), "{none}");
}

#[test]
fn long_image_data_is_read_over() {
    let data = "QUJD".repeat(500_000);
    let text =
        format!(r#"{{"flags": {{"cat": true}}, "shapes": [], "imageData": "{data}", "imagePath": "a.jpg"}}"#);
    assert_eq!(parse(text).unwrap().annotations.labels.to_floats(), [1.0]);
}

#[test]
fn files_and_their_folder_are_recognized() {
    let why = Some("a JSON object with shapes and imagePath");
    for name in ["1.json", "2.json", "3.json", "4.json"] {
        let path = Path::new(FOLDER).join(name);
        assert_eq!(recognize(&path, &std::fs::read(&path).unwrap()).as_deref(), why);
    }
    assert_eq!(recognize(Path::new(FOLDER), b"").as_deref(), Some("a folder with JSON files of LabelMe"));
    let recognized = |text: &str| recognize(Path::new("a.json"), text.as_bytes()).is_some();
    assert!(recognized(FORMAT.example) && parse(FORMAT.example).is_ok());
    assert!(recognized(r#"{"version": "5.0.1", "flags": {}, "imageData": "QUJD"#));
    for key in [r#""imagePath": "a""#, r#""imageData": null"#] {
        assert!(recognized(&format!(r#"{{"shapes": [], {key}}}"#)), "{key}");
    }
    assert!(recognized(r#"{"shapes": [{"points": []}]"#) && !recognized(r#"{"imagePath": "a"}"#));
    assert!(!recognized(r#"{"flags": {"cat": true}}"#) && !recognized(r#"{"shapes": [], "name": "a"}"#));
    assert!(recognize(tempfile::tempdir().unwrap().path(), b"").is_none());
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        text in damaged(std::fs::read(Path::new(FOLDER).join("1.json")).unwrap())
    ) {
        let _ = parse(&text);
    }
}
