use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::samples::{damaged, problems_of, read_bytes, samples};
use crate::labels::LabelMatrix;

const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/coco/annotations/instances_tiny.json");

fn parse(text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("a.json", text, |path| FORMAT.read(path, &Options::default()))
}

/// The problems, each without the folder.
fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of("a.json", Kind::Data, parse(text))
}

#[test]
fn annotations_are_positive_and_every_other_category_is_negative() {
    let reading = FORMAT.read(Path::new(FIXTURE), &Options::default()).unwrap();
    let Annotations { images, categories, labels, .. } = reading.annotations;
    // By id, not by place: ids have gaps, and the annotations stand first in this file.
    assert_eq!(categories, ["person", "car, \"big\"", "toothbrush"]);
    assert_eq!(labels.to_floats(), [-1.0, -1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0]);
    // annotations/instances_tiny.json: the images lie in tiny/ beside annotations/.
    let folder = Path::new(FIXTURE).parent().unwrap().parent().unwrap().join("tiny");
    assert_eq!(images, ["000000000042.jpg", "süd/7.jpg", "empty.jpg"].map(|name| folder.join(name)));
    let notes = [
        "1 crowd annotations: read as positive",
        "1 images have no annotation: kept, every category negative",
    ];
    assert_eq!(reading.notes, notes);
}

#[test]
fn the_user_may_say_that_unlisted_categories_are_unknown_and_where_the_images_are() {
    let options =
        Options { unlisted: Some(Unlisted::Unknown), images: Some("elsewhere".into()), ..Options::default() };
    let reading = FORMAT.read(Path::new(FIXTURE), &options).unwrap();
    assert_eq!(reading.annotations.labels.to_floats(), [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(reading.annotations.images[1], Path::new("elsewhere/süd/7.jpg"));
    assert_eq!(reading.notes[1], "1 images have no annotation: kept, every category unknown");
    let options = Options { set: Some("train".into()), ..Options::default() };
    assert_eq!(FORMAT.read(Path::new(FIXTURE), &options).unwrap_err().kind(), crate::error::Kind::Usage);
}

#[test]
fn all_problems_come_at_once_with_their_lines() {
    let text = r#"{"images": [
        {"id": 1, "file_name": "a.jpg"},
        {"id": 1, "file_name": "b.jpg"},
        {"file_name": "c.jpg"},
        {"id": [2], "file_name": 3},
        {"id": 5}],
      "annotations": [
        {"image_id": 1, "category_id": 93}, {"image_id": 1, "category_id": 93},
        {"image_id": 8, "category_id": 1},
        {"image_id": 1, "caption": "a cat"},
        {"image_id": 1.5, "category_id": null}],
      "categories": [
        {"id": 1, "name": "cat"},
        {"id": 1, "name": "dog"},
        {"id": 4, "name": "cat"},
        {"id": 7, "name": ""}]}"#;
    let found = problems(text);
    let expected = [
        "a.json:3: image id 1 already appears on line 2",
        "a.json:4: image without id",
        "a.json:5: id of image is an array; expected a whole number",
        "a.json:5: file_name of image is a number; expected text",
        "a.json:6: image without file_name",
        "a.json:10: annotation without category_id; expected instances (captions and panoptic segments are other files)",
        "a.json:11: image_id of annotation is a fraction; expected a whole number",
        "a.json:11: annotation without category_id; expected instances (captions and panoptic segments are other files)",
        "a.json:14: category id 1 already appears on line 13",
        "a.json:16: name of category is empty; expected text",
        "a.json:15: category \"cat\" already appears on line 13; names must differ",
        "a.json:8: category_id 93 is not among the categories (named 2 times); expected one of 2 ids from 1 to 4",
        "a.json:9: image_id 8 is not among the images (named 1 times)",
    ];
    assert_eq!(found, expected);
}

#[test]
fn files_of_another_kind_are_named() {
    let found = problems(r#"{"info": {}, "images": [{"id": 1, "file_name": "a.jpg"}], "categories": []}"#);
    assert!(found[0].starts_with("a.json:1: no annotations; expected an object with images"), "{found:?}");
    let lvis = r#"{"images": [{"id": 1, "file_name": "a.jpg", "neg_category_ids": []}], "annotations": [],
                   "categories": [{"id": 1, "name": "cat"}]}"#;
    assert!(problems(lvis)[0].ends_with("read it with --from lvis"));
    let empty = r#"{"images": [], "annotations": [{"image_id": 1, "category_id": 1}], "categories": []}"#;
    assert!(problems(empty)[0].contains("categories is empty"));
    let none = r#"{"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}"#;
    assert_eq!(problems(none), ["a.json: no images; nothing to read"]);
    assert!(problems("image,cat\na.jpg,1\n")[0].starts_with("a.json:1: expected value"));
    assert!(problems("{\"images\": [3]}")[0].contains("expected an image: an object with id and file_name"));
    assert!(
        problems("{\"images\":[{\"id\":1,\"file_name\":\"a\"}],\n\"annotations\":[{\"image_id\"")[0]
            .starts_with("a.json:2: the file ends too early")
    );
    assert!(problems("{\"images\":[{\"id\":1e999}]}")[0].contains("number out of range"));
}

#[test]
fn lists_of_positive_categories_are_read_and_the_others_unknown() {
    let text = r#"{"images": [{"id": 1, "file_name": "a.jpg", "pos_category_ids": [1, 3]},
        {"id": 2, "file_name": "b.jpg", "pos_category_ids": [2]}], "annotations": [],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 3, "name": "owl"}]}"#;
    let Reading { annotations, notes } = parse(text).unwrap();
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    assert_eq!(notes, ["2 images list the categories that they show (pos_category_ids): others are unknown"]);
    let negative = Options { unlisted: Some(Unlisted::Negative), ..Options::default() };
    let labels = read_bytes("a.json", text, |path| read(path, &negative)).unwrap().annotations.labels;
    assert_eq!(labels.to_floats(), [1.0, -1.0, 1.0, -1.0, 1.0, -1.0]);
    let as_lvis = read_bytes("a.json", text, |path| lvis::read(path, &Options::default())).unwrap();
    assert_eq!(as_lvis.annotations.labels, annotations.labels);
}

#[test]
fn ids_may_be_text_and_an_image_under_two_ids_is_one_image() {
    // COCO Camera Traps: https://lila.science/coco-camera-traps
    let text = r#"{"images": [{"id": "x/1", "file_name": "a.jpg"}, {"id": "y", "file_name": "./a.jpg"}],
        "annotations": [{"id": "q", "image_id": "x/1", "category_id": 2},
                        {"image_id": "y", "category_id": 0}],
        "categories": [{"id": 2, "name": "deer"}, {"id": 1, "name": "fox"}, {"id": 0, "name": "empty"}]}"#;
    let reading = parse(text).unwrap();
    assert_eq!(reading.annotations.categories, ["empty", "fox", "deer"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, 1.0]);
    assert_eq!(
        reading.notes,
        ["1 images are listed again under another id: their annotations are put together"]
    );
}

#[test]
fn a_size_is_written_where_an_image_is_there() {
    let folder = tempfile::tempdir().unwrap();
    image::RgbImage::new(5, 3).save(folder.path().join("a.png")).unwrap();
    let annotations = Annotations {
        images: vec![folder.path().join("a.png"), folder.path().join("none.png")],
        labels: LabelMatrix::from_values(2, &[1, -1, 0, 0]),
        categories: vec!["cat".into(), "dog".into()],
        source: folder.path().join("train.csv"),
    };
    let lost = write(&folder.path().join("a.json"), &annotations).unwrap();
    let text = std::fs::read_to_string(folder.path().join("a.json")).unwrap();
    assert!(text.contains(r#"{"id":1,"width":5,"height":3,"file_name":"a.png"}"#), "{text}");
    assert!(text.contains(r#""width":0,"height":0,"file_name":"none.png""#), "{text}");
    let expected = [
        "2 unknown labels: a category without annotation is negative in COCO; --to lvis keeps them apart",
        "1 images are missing or no image: their width and height are 0",
    ];
    assert_eq!(lost, expected);
}

#[test]
fn ids_are_whole_numbers_that_are_told_apart_or_text() {
    let said = |id: &str| {
        problems(format!(
            r#"{{"images": [{{"id": {id}, "file_name": "a.jpg"}}, {{"file_name": "b.jpg"}}], "annotations": [],
                "categories": [{{"id": 1, "name": "cat"}}]}}"#
        ))
    };
    for id in ["7", "7.0", "\"x\"", "9007199254740991.0"] {
        assert_eq!(said(id), ["a.json:1: image without id"], "{id}");
    }
    for (id, what) in [("9007199254740992.0", "a fraction"), ("7.5", "a fraction"), ("\"\"", "empty")] {
        assert_eq!(said(id)[0], format!("a.json:1: id of image is {what}; expected a whole number"));
    }
}

#[test]
fn nothing_is_said_to_be_lost_where_nothing_is() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("a.png");
    image::RgbImage::new(3, 2).save(&image).unwrap();
    let annotations = Annotations {
        images: vec![image],
        labels: LabelMatrix::from_values(2, &[1, -1]),
        categories: vec!["cat".into(), "dog".into()],
        source: folder.path().join("train.csv"),
    };
    assert_eq!(write(&folder.path().join("a.json"), &annotations).unwrap(), [""; 0]);
    let labels = LabelMatrix::from_values(2, &[1, 0]);
    let annotations = Annotations { labels, ..annotations };
    assert_eq!(super::super::cvat::write(&folder.path().join("a.xml"), &annotations).unwrap(), [""; 0]);
    assert_eq!(super::super::predictions::lost_sizes(0), None);
}

#[test]
fn instances_are_recognized_by_their_head() {
    let recognized = |head: &[u8]| recognize(Path::new("a.json"), head).is_some();
    assert!(recognized(&std::fs::read(FIXTURE).unwrap()));
    assert!(recognized(
        br#"{"info":{},"licenses":[],"images":[{"license":1,"file_name":"a.jpg","id":3},{"li"#
    ));
    assert!(!recognized(br#"{"images":[{"id":3,"file_name":"a.jpg","neg_category_ids":[]"#));
    for head in [
        r#"{"images":[{"id":3,"coco_url":"http://images/a.jpg"}]"#,
        r#"{"annotations":[{"image_id":3,"category_id":1}]"#,
        r#"{"categories":[{"id":1,"name":"cat"}],"images":[]"#,
        r#"{"categories":[{"id":1,"name":"cat"}],"annotations":[]"#,
    ] {
        assert!(recognized(head.as_bytes()), "{head}");
    }
    for head in [
        r#"{"images":[{"id":3,"name":"a.jpg"}]"#,
        r#"{"images":[{"file_name":"a.jpg"}]"#,
        r#"{"annotations":[{"image_id":3,"text":"a cat"}]"#,
        r#"{"annotations":[{"category_id":3}]"#,
        r#"{"categories":[{"id":1,"name":"cat"}],"items":[]"#,
        r#"{"categories":[{"id":1}],"images":[]"#,
    ] {
        assert!(!recognized(head.as_bytes()), "{head}");
    }
    assert!(!recognized(br#"{"samples":[{"filepath":"a.jpg"}]}"#) && !recognized(b"image,cat\n"));
}

proptest! {
    #[test]
    fn only_unknown_labels_are_lost_by_writing(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let annotations = sample.at(folder.path(), &folder.path().join("images"), ".jpg");
        let path = folder.path().join("a.json");
        let lost = write(&path, &annotations).unwrap();
        let back = FORMAT.read(&path, &Options::default()).unwrap().annotations;
        prop_assert_eq!((&back.images, &back.categories), (&annotations.images, &annotations.categories));
        let negative = |value: &i8| if *value == 0 { -1 } else { *value };
        let values: Vec<i8> = sample.values.iter().map(negative).collect();
        prop_assert_eq!(back.labels, LabelMatrix::from_values(annotations.categories.len(), &values));
        let unknown = annotations.labels.count(Label::Unknown);
        prop_assert_eq!(lost.iter().any(|lost| lost.starts_with(&format!("{unknown} unknown"))), unknown > 0);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(text in damaged(std::fs::read(FIXTURE).unwrap())) {
        let _ = parse(&text);
        let _ = recognize(Path::new("a.json"), &text);
    }
}
