use proptest::prelude::*;

use super::*;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::samples::{problems_of, read_bytes};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/open_images");

fn fixture(hierarchy: bool, categories: Option<&str>) -> Reading {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("names.txt");
    std::fs::write(&list, categories.unwrap_or_default()).unwrap();
    let options = Options {
        images: Some("photos".into()),
        hierarchy: hierarchy.then(|| Path::new(FIXTURES).join("bbox_labels_hierarchy.json")),
        categories: categories.map(|_| list),
        ..Options::default()
    };
    read(&Path::new(FIXTURES).join("validation-annotations-human-imagelabels.csv"), &options).unwrap()
}

fn table(text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("labels.csv", text, |path| FORMAT.read(path, &Options::default()))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of("labels.csv", Kind::Data, table(text))
}

#[test]
fn verified_labels_are_known_and_everything_else_is_unknown() {
    let Reading { annotations: Annotations { images, labels, categories, .. }, notes } = fixture(false, None);
    assert_eq!(categories, ["Dog", "Cat, domestic", "Animal", "Car", "/m/0zzz"]);
    let ids = ["0001eeaf4aed83f9", "000595fe6fee6369", "00075905539074f2"];
    assert_eq!(images, ids.map(|id| Path::new("photos").join(format!("{id}.jpg"))));
    #[rustfmt::skip]
    assert_eq!(labels.to_floats(), [
        // The machine's 0.7 for a car does not count against the person's 0.
        1.0, -1.0, 0.0, -1.0, 0.0,
        0.0, 0.0, -1.0, 1.0, 1.0,
        // A machine's 1 is still a machine's.
        0.0, 0.0, 0.0, 0.0, 0.0,
    ]);
    assert_eq!(
        notes,
        [
            "2 labels were made by a machine (fractional Confidence or Source machine): unknown",
            "1 categories are called by their label ids: class-descriptions*.csv does not name them",
        ]
    );
}

#[test]
fn the_hierarchy_fills_in_what_the_labels_imply() {
    let Reading { annotations: Annotations { labels, categories, .. }, notes } = fixture(true, None);
    assert_eq!(categories, ["Dog", "Cat, domestic", "Animal", "Car", "/m/0zzz", "Poodle"]);
    #[rustfmt::skip]
    assert_eq!(labels.to_floats(), [
        1.0, -1.0, 1.0, -1.0, 0.0, 0.0,
        -1.0, -1.0, -1.0, 1.0, 1.0, -1.0,
        0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ]);
    // The wheel is a part of the car; no column, no label.
    assert!(notes[2].ends_with("bbox_labels_hierarchy.json filled in 4 unknown labels"), "{notes:?}");
}

#[test]
fn wanted_categories_keep_the_labels_that_imply_them() {
    let Annotations { labels, categories, images, .. } = fixture(true, Some("Poodle\n")).annotations;
    // A poodle is not there where no animal is.
    let poodle = categories.iter().position(|name| name == "Poodle").unwrap();
    assert_eq!(labels.column(poodle).collect::<Vec<_>>(), [Label::Unknown, Label::Negative, Label::Unknown]);
    assert!(!categories.contains(&"Car".to_owned()) && images.len() == 3);
    let plain = fixture(false, Some("Car\nCat, domestic\n")).annotations;
    assert_eq!(plain.categories, ["Cat, domestic", "Car"]);
}

#[test]
fn contradictions_with_the_hierarchy_are_unknown_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.csv");
    let hierarchy = folder.path().join("h.json");
    std::fs::write(&path, "LabelName,ImageID,Confidence\nanimal,a,0\ndog,a,1\ncar,a,1\n").unwrap();
    let tree = r#"{"LabelName": "entity", "Subcategory": [
        {"LabelName": "animal", "Subcategory": [{"LabelName": "dog"}]}]}"#;
    std::fs::write(&hierarchy, tree).unwrap();
    let options = Options { hierarchy: Some(hierarchy), ..Options::default() };
    let reading = FORMAT.read(&path, &options).unwrap();
    assert_eq!(reading.annotations.labels.to_floats(), [0.0, 0.0, 1.0]);
    assert_eq!(reading.annotations.images, [folder.path().join("a.jpg")]);
    let note = reading.notes.last().unwrap();
    assert!(
        note.ends_with("filled in 0 unknown labels; it contradicts 2 labels, which are unknown"),
        "{note}"
    );
}

#[test]
fn categories_that_are_implied_become_columns_and_no_others_do() {
    let folder = tempfile::tempdir().unwrap();
    let [path, hierarchy] = ["labels.csv", "h.json"].map(|name| folder.path().join(name));
    std::fs::write(&path, "LabelName,ImageID,Confidence\ndog,a,1.0\ncar,a,0.0\ndog,b,0.5\n").unwrap();
    let tree = r#"{"LabelName": "entity", "Subcategory": [
        {"LabelName": "animal", "Subcategory": [{"LabelName": "dog", "Subcategory": [{"LabelName": "poodle"}]}]},
        {"LabelName": "vehicle", "Subcategory": [{"LabelName": "car", "Subcategory": [{"LabelName": "taxi"}]}]}]}"#;
    std::fs::write(&hierarchy, tree).unwrap();
    let options = Options { hierarchy: Some(hierarchy), ..Options::default() };
    let Annotations { categories, labels, .. } = FORMAT.read(&path, &options).unwrap().annotations;
    // Nobody says that there is a poodle, or no vehicle.
    assert_eq!(categories, ["dog", "car", "animal", "taxi"]);
    assert_eq!(labels.to_floats(), [1.0, -1.0, 1.0, -1.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn categories_that_share_a_name_keep_their_ids_in_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("oidv7-class-descriptions.csv"), "/m/1,Bat\n/m/2,Bat\n/m/3,Owl\n")
        .unwrap();
    let path = folder.path().join("labels.csv");
    std::fs::write(&path, "ImageID,Source,LabelName,Confidence\na,v,/m/1,1\na,v,/m/2,0\na,v,/m/3,1").unwrap();
    let reading = FORMAT.read(&path, &Options::default()).unwrap();
    assert_eq!(reading.annotations.categories, ["Bat (/m/1)", "Bat (/m/2)", "Owl"]);
    std::fs::write(folder.path().join("class-descriptions.csv"), "/m/1,Bat\n\n/m/2\n").unwrap();
    let error = FORMAT.read(&path, &Options::default()).unwrap_err().to_string();
    assert!(
        error.ends_with("class-descriptions.csv:3: 1 fields; expected a label id and its name"),
        "{error}"
    );
    let names = folder.path().join("class-descriptions.csv");
    for half in ["/m/3,\n", ",Owl\n", " , \n"] {
        std::fs::write(&names, half).unwrap();
        let error = FORMAT.read(&path, &Options::default()).unwrap_err().to_string();
        assert!(
            error.ends_with("class-descriptions.csv:1: 2 fields; expected a label id and its name"),
            "{error}"
        );
    }
    std::fs::write(&names, "LabelName,DisplayName,Also\n/m/1,Cat\n").unwrap();
    assert_eq!(FORMAT.read(&path, &Options::default()).unwrap().annotations.categories[0], "Cat");
}

#[test]
fn problems_are_named_with_their_lines() {
    let found = problems(
        b"ImageID,Source,LabelName,Confidence\na,v,/m/1\na,v,/m/1,yes\na,v,/m/1,-1\n,v,/m/1,1\na,v, ,1\n\
          a,v,/m/1,nan\nb\xe9,v,/m/1,1\na,v,/m/1,1e999\n",
    );
    let expected = "expected 1 (positive), 0 (negative) or a fraction (made by a machine)";
    assert_eq!(
        found,
        [
            "labels.csv:2: 3 fields; expected 4".to_owned(),
            format!("labels.csv:3: Confidence \"yes\"; {expected}"),
            format!("labels.csv:4: Confidence \"-1\"; {expected}"),
            "labels.csv:5: no ImageID".to_owned(),
            "labels.csv:6: no LabelName".to_owned(),
            format!("labels.csv:7: Confidence \"nan\"; {expected}"),
            "labels.csv:8: no UTF-8 text (byte 0xE9 at column 2); save the file as UTF-8".to_owned(),
            format!("labels.csv:9: Confidence \"1e999\"; {expected}"),
        ]
    );
    let header = "expected ImageID,Source,LabelName,Confidence";
    assert_eq!(
        problems("image,cat\na.jpg,1\n"),
        [format!("labels.csv:1: the header is \"image,cat\"; {header}")]
    );
    assert_eq!(
        problems("")[0],
        "labels.csv:1: an empty file; expected a first line ImageID,Source,LabelName,Confidence"
    );
    assert!(problems("ImageID,LabelName,Confidence\n")[0].ends_with("no images; nothing to read"));
    let machine = problems("ImageID,LabelName,Confidence\na,/m/1,0.5\n");
    assert!(machine[0].contains("all 1 labels were made by a machine; expected human-verified ones"));
}

#[test]
fn options_of_other_formats_are_refused_and_missing_files_named() {
    let options = Options { set: Some("train".into()), ..Options::default() };
    assert_eq!(FORMAT.read(Path::new("a.csv"), &options).unwrap_err().kind(), crate::error::Kind::Usage);
    assert_eq!(
        FORMAT.read(Path::new("/nowhere/a.csv"), &Options::default()).unwrap_err().kind(),
        crate::error::Kind::Missing
    );
    let options = Options { hierarchy: Some("/nowhere.json".into()), ..Options::default() };
    let error = FORMAT.read(&Path::new(FIXTURES).join("no.csv"), &options).unwrap_err();
    assert!(error.to_string().contains("/nowhere.json"));
}

#[test]
fn boxes_are_positive_labels() {
    let text = "ImageID,Source,LabelName,Confidence,XMin\na,xclick,/m/1,1,0.5\na,xclick,/m/1,1,0.75\n";
    let annotations = table(text).unwrap().annotations;
    assert_eq!(annotations.labels.to_floats(), [1.0]);
}

#[test]
fn the_header_tells_the_format() {
    let why = |head: &str| recognize(Path::new("a.csv"), head.as_bytes());
    assert!(why("\u{feff}ImageID,Source,LabelName,Confidence\r\na,b").unwrap().contains("ImageID"));
    assert_eq!(why("image,cat\na.jpg,1"), None);
    assert_eq!(why(""), None);
}

proptest! {
    #[test]
    fn every_label_of_a_person_comes_back(
        cells in prop::collection::vec((0..9u8, 0..9u8, any::<bool>()), 1..60)
    ) {
        let mut truth = HashMap::new();
        let mut text = "ImageID,Source,LabelName,Confidence\n".to_owned();
        for (image, label, there) in &cells {
            text += &format!("i{image},verification,/m/{label},{}\n", u8::from(*there));
            truth.entry((*image, *label)).or_insert_with(Vec::new).push(*there);
        }
        let annotations = table(&text).unwrap().annotations;
        for (row, image) in annotations.images.iter().enumerate() {
            for (column, category) in annotations.categories.iter().enumerate() {
                let digit = |text: &str| text.trim_end_matches(".jpg").bytes().last().unwrap() - b'0';
                let cell = truth.get(&(digit(image.to_str().unwrap()), digit(category)));
                let expected = match cell.map(|cell| (cell.contains(&true), cell.contains(&false))) {
                    Some((true, false)) => Label::Positive,
                    Some((false, true)) => Label::Negative,
                    _ => Label::Unknown,
                };
                prop_assert_eq!(annotations.labels.get(row, column), expected);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..60usize) {
        let _ = table(&bytes);
        let mut mutated = b"ImageID,Source,LabelName,Confidence\na,v,/m/1,1\nb,v,/m/2,0\n".to_vec();
        let at = at.min(mutated.len());
        mutated.splice(at..at, bytes.into_iter().take(4));
        let _ = table(mutated);
    }
}

#[test]
fn labels_of_one_source_are_read_alone() {
    let text = "ImageID,Source,LabelName,Confidence\na,verification,/m/1,1\na,crowdsource-verification,/m/1,0\n\
                a,crowdsource-verification,/m/2,1\nb,machine,/m/1,0.7\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("labels.csv");
    std::fs::write(&path, text).unwrap();
    assert_eq!(annotators(&path).unwrap(), ["crowdsource-verification", "verification"]);
    let read = |annotator: &str| {
        FORMAT.read(&path, &Options { annotator: Some(annotator.into()), ..Options::default() })
    };
    let verified = read("verification").unwrap().annotations;
    assert_eq!((verified.images.len(), verified.categories.len()), (2, 1));
    assert_eq!(verified.labels.to_floats(), [1.0, 0.0]);
    let crowd = read("crowdsource-verification").unwrap().annotations;
    assert_eq!(crowd.labels.to_floats(), [-1.0, 1.0, 0.0, 0.0]);
    let error = read("verifcation").unwrap_err().to_string();
    assert!(error.contains("has this Source; did you mean \"verification\"?"), "{error}");
}
