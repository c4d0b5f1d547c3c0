use proptest::prelude::*;

use super::*;
use crate::formats::samples::{damaged, read_bytes, samples};
use crate::labels::LabelMatrix;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/lvis/lvis_tiny.json");

fn parse(text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("a.json", text, |path| FORMAT.read(path, &Options::default()))
}

#[test]
fn only_annotated_and_negative_categories_are_known() {
    let reading = FORMAT.read(Path::new(FIXTURE), &Options::default()).unwrap();
    let Annotations { images, categories, labels, .. } = reading.annotations;
    assert_eq!(categories, ["armchair", "cat", "dog", "zebra"]);
    // 1: cat annotated though not exhaustively, dog negative, zebra not exhaustive and without annotation.
    // 2: armchair negative and not exhaustive, cat annotated and negative: unknown. 3: nobody looked.
    let row = [[0.0, 1.0, -1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0; 4]];
    assert_eq!(labels.to_floats(), row.concat());
    let folder = Path::new(FIXTURE).parent().unwrap();
    let names = ["train2017/000000000001.jpg", "train2017/000000000002.jpg", "val2017/000000000003.jpg"];
    assert_eq!(images, names.map(|name| folder.join(name)));
    let notes = [
        "1 images have no annotation: kept, every category unknown",
        "1 labels are positive in one place and negative in another: unknown",
    ];
    assert_eq!(reading.notes, notes);
}

#[test]
fn plain_coco_and_unknown_negative_ids_are_refused() {
    let error = parse(
        r#"{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [],
            "categories": [{"id": 1, "name": "cat"}]}"#,
    )
    .unwrap_err()
    .to_string();
    assert!(error.ends_with("no image has neg_category_ids; is it a COCO file (--from coco)?"), "{error}");
    let error = parse(
        "{\"categories\": [{\"id\": 1, \"name\": \"cat\"}], \"annotations\": [],\n\
         \"images\": [{\"id\": 1, \"file_name\": \"a.jpg\", \"neg_category_ids\": [1, 4, \"x\", true]}]}",
    )
    .unwrap_err()
    .to_string();
    let lines: Vec<&str> = error.lines().map(|line| &line[line.find("a.json").unwrap()..]).collect();
    let expected = [
        "a.json:2: neg_category_ids of image is true or false; expected a whole number",
        "a.json:2: category_id 4 is not among the categories (named 1 times); expected one of 1 ids from 1 to 1",
        "a.json:2: category_id \"x\" is not among the categories (named 1 times); expected one of 1 ids from 1 to 1",
    ];
    assert_eq!(lines, expected);
    let options = Options { unlisted: Some(super::super::options::Unlisted::Negative), ..Options::default() };
    assert_eq!(FORMAT.read(Path::new(FIXTURE), &options).unwrap_err().kind(), crate::error::Kind::Usage);
}

#[test]
fn frequencies_follow_the_number_of_images() {
    let frequency = |images| Category::new(1, "cat", images).frequency;
    assert_eq!([1, 10, 11, 100, 101].map(frequency), ["r", "r", "c", "c", "f"]);
}

#[test]
fn what_is_written_has_what_the_lvis_interface_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let annotations = Annotations {
        images: vec![folder.path().join("a.jpg")],
        labels: LabelMatrix::from_values(3, &[1, -1, 0]),
        categories: ["cat", "dog", "owl"].map(str::to_owned).to_vec(),
        source: folder.path().join("train.csv"),
    };
    let path = folder.path().join("a.json");
    let lost = write(&path, &annotations).unwrap();
    assert_eq!(lost, ["1 images are missing or no image: their width and height are 0"]);
    let written: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(written["images"][0]["neg_category_ids"], serde_json::json!([2]));
    assert_eq!(written["images"][0]["not_exhaustive_category_ids"], serde_json::json!([1]));
    assert_eq!(written["annotations"].as_array().unwrap().len(), 1);
    for field in ["id", "image_id", "category_id", "area", "bbox", "segmentation"] {
        assert!(written["annotations"][0].get(field).is_some(), "{field}");
    }
    for field in ["id", "name", "synset", "synonyms", "def", "image_count", "instance_count", "frequency"] {
        assert!(written["categories"][2].get(field).is_some(), "{field}");
    }
}

#[test]
fn lvis_is_recognized_by_what_coco_has_not() {
    let recognized = |head: &[u8]| recognize(Path::new("a.json"), head).is_some();
    assert!(recognized(&std::fs::read(FIXTURE).unwrap()));
    assert!(recognized(br#"{"categories":[{"frequency":"c","synset":"a.n.01","id":1"#));
    assert!(!recognized(br#"{"categories":[{"frequency":"c","id":1"#));
    assert!(!recognized(br#"{"categories":[{"synset":"a.n.01","id":1"#));
    let cut: [&[u8]; 2] =
        [br#"{"annotations":[{"category_id":1,"#, br#"{"annotations":[{"category_id":1,"iscrowd":0"#];
    for (name, head, own) in [
        ("LVIS_v1_val.json", cut[0], true),
        ("lvis_v1_val.json", cut[1], false),
        ("instances_val.json", cut[0], false),
        ("lvis_v1_val.json", br#"{"images":[{"id":1"#, false),
    ] {
        assert_eq!(recognize(Path::new(name), head).is_some(), own, "{name}");
    }
    assert!(!recognized(
        br#"{"images":[{"id":1,"file_name":"a.jpg"}],"categories":[{"id":1,"name":"cat"}]}"#
    ));
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        let annotations = sample.at(folder.path(), &folder.path().join("images"), ".jpg");
        write(&path, &annotations).unwrap();
        let back = FORMAT.read(&path, &Options::default()).unwrap().annotations;
        prop_assert_eq!((&back.images, &back.categories), (&annotations.images, &annotations.categories));
        prop_assert_eq!(back.labels, annotations.labels);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(text in damaged(std::fs::read(FIXTURE).unwrap())) {
        let _ = parse(&text);
    }
}
