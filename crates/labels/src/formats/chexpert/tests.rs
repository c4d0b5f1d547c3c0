use proptest::prelude::*;

use super::super::options::Unlisted;
use super::*;
use crate::error::Kind;
use crate::formats::samples::{problems_of, read_bytes};

const FIXTURE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/chexpert/CheXpert-made-up/train.csv");

fn options(unlisted: Unlisted) -> Options {
    Options { unlisted: Some(unlisted), ..Options::default() }
}

fn table(text: impl AsRef<[u8]>) -> Result<Reading> {
    read_bytes("train.csv", text, |path| FORMAT.read(path, &options(Unlisted::Unknown)))
}

fn problems(text: impl AsRef<[u8]>) -> Vec<String> {
    problems_of("train.csv", Kind::Data, table(text))
}

/// The cells of the fixture that are not blank: row, finding, value.
const CELLS: [(usize, &str, i8); 13] = [
    (0, "No Finding", 1),
    (0, "Pneumothorax", 0),
    (0, "Support Devices", 1),
    (1, "Cardiomegaly", -1),
    (1, "Lung Opacity", 1),
    (1, "Edema", -1),
    (1, "Consolidation", -1),
    (1, "Atelectasis", -1),
    (1, "Pleural Effusion", -1),
    (1, "Fracture", 1),
    (2, "Lung Opacity", 1),
    (2, "Consolidation", -1),
    (2, "Fracture", 1),
];

#[test]
fn splits_of_a_column_are_never_read_as_one() {
    for (column, test, train) in [("split", "test", "train"), ("is_valid", "1", "0"), ("Partition", "b", "a")]
    {
        let text = format!("Path,Edema,{column}\n1.jpg,1,{train}\n2.jpg,0,{test}\n3.jpg,1,{test}\n");
        let error = table(&text).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        assert!(error.to_string().contains("images of several sets; choose one with --set: "), "{error}");
        let set = Some(if column == "is_valid" { "val" } else { test }.to_owned());
        let read = |path: &Path| FORMAT.read(path, &Options { set, ..options(Unlisted::Unknown) });
        let annotations = read_bytes("train.csv", &text, read).unwrap().annotations;
        assert_eq!(annotations.categories, ["Edema"], "{column}");
        assert_eq!(annotations.labels.to_floats(), [-1.0, 1.0], "{column}");
    }
}

#[test]
fn every_cell_is_what_it_says_and_blank_is_what_the_user_says() {
    for (blank, unlisted) in [(0.0, Unlisted::Unknown), (-1.0, Unlisted::Negative)] {
        for (doubt, uncertain) in
            [(0.0, None), (1.0, Some(Uncertain::Positive)), (-1.0, Some(Uncertain::Negative))]
        {
            let options = Options { uncertain, ..options(unlisted) };
            let Reading { annotations, notes } = FORMAT.read(Path::new(FIXTURE), &options).unwrap();
            assert_eq!(annotations.categories.len(), 14);
            let floats = annotations.labels.to_floats();
            for (cell, value) in floats.into_iter().enumerate() {
                let name = &annotations.categories[cell % 14];
                let written = CELLS.iter().find(|(row, finding, _)| (*row, *finding) == (cell / 14, name));
                let expected = match written.map(|cell| cell.2) {
                    None => blank,
                    Some(-1) => doubt,
                    Some(0) => -1.0,
                    Some(_) => 1.0,
                };
                assert_eq!(value, expected, "{name} of row {}", cell / 14);
            }
            let reading = ["negative", "unknown", "positive"][(doubt + 1.0) as usize];
            assert_eq!(notes[1], format!("6 uncertain labels (-1): {reading}"));
            assert!(notes[0].starts_with("14 columns are findings: No Finding, Enlarged"), "{}", notes[0]);
            assert!(notes[0].ends_with("; not read: Sex, Age, Frontal/Lateral, AP/PA"), "{}", notes[0]);
        }
    }
}

#[test]
fn blank_cells_have_no_default() {
    let error = FORMAT.read(Path::new(FIXTURE), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.to_string().contains("blank cell") && error.to_string().contains("--unlisted unknown"));
}

#[test]
fn paths_that_begin_with_the_folder_of_the_file_lead_from_the_folder_above() {
    let annotations = FORMAT.read(Path::new(FIXTURE), &options(Unlisted::Unknown)).unwrap().annotations;
    let folder = Path::new(FIXTURE).parent().unwrap();
    assert_eq!(annotations.images[0], folder.join("train/patient00001/study1/view1_frontal.jpg"));
    let options = Options { images: Some("/data".into()), ..options(Unlisted::Unknown) };
    let annotations = FORMAT.read(Path::new(FIXTURE), &options).unwrap().annotations;
    assert!(annotations.images[0].starts_with("/data/CheXpert-made-up/train"));
    // From within the folder, its name is not in the path of the file.
    assert_eq!(Folders::new(Path::new("train.csv"), None).above.unwrap().0, Path::new("./.."));
}

#[test]
fn other_tables_of_the_kind_have_their_path_column_and_findings_found() {
    let text = "subject_id,study_id,Atelectasis,nodule,image_path,comment,n_views,empty\n\
                10000032,50414267,1.0,0,files/a.jpg,1 of 2,1,\n10000032,50414267,,-1,files/b.jpg,,2,\n";
    let Reading { annotations, notes } = table(text).unwrap();
    assert_eq!(annotations.categories, ["Atelectasis", "nodule"]);
    assert!(annotations.images[1].ends_with("files/b.jpg"));
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, 0.0, 0.0]);
    let expected = "2 columns are findings: Atelectasis, nodule; \
                    not read: subject_id, study_id, comment, n_views, empty";
    assert_eq!(notes, [expected, "1 uncertain labels (-1): unknown"]);
    let plain = problems("subject_id,Atelectasis\n1,1.0\n");
    assert!(plain[0].ends_with("expected one called Path, image_path, filename, file or image"), "{plain:?}");
    // A column may be a finding by its doubts alone, and nothing is said of doubts that are not there.
    let Reading { annotations, notes } = table("Path,nodule,mass\na.jpg,-1,1\nb.jpg,,0\n").unwrap();
    assert_eq!(annotations.categories, ["nodule", "mass"]);
    assert_eq!(annotations.labels.to_floats(), [0.0, 1.0, 0.0, -1.0]);
    assert_eq!(notes[1], "1 uncertain labels (-1): unknown");
    let certain = table("Path,nodule\na.jpg,1\nb.jpg,0\n").unwrap().notes;
    assert_eq!(certain, ["1 columns are findings: nodule"]);
    let study = problems("subject_id,study_id,Atelectasis\n1,2,1.0\n");
    assert!(
        study[0].starts_with(
            "train.csv:1: no column of image paths in \"subject_id,study_id,Atelectasis\"; \
                                  expected one called Path, image_path"
        ),
        "{study:?}"
    );
    assert!(study[0].ends_with("join it with the table of its images"));
}

#[test]
fn a_column_that_is_mostly_labels_is_not_dropped_in_silence() {
    let found = problems("Path,Edema,nodule\na.jpg,1,1\nb.jpg,2,0\nc.jpg,0.5,\nd.jpg,,O\ne.jpg,,1\n");
    assert_eq!(
        found,
        [
            format!("train.csv:3: \"2\" for finding \"Edema\"; {ACCEPTED}"),
            format!("train.csv:4: \"0.5\" for finding \"Edema\"; {ACCEPTED}"),
            format!(
                "train.csv:5: \"O\" in column \"nodule\", where 3 cells are labels; {ACCEPTED}; \
                 take the column out if it is not a finding"
            ),
        ]
    );
}

#[test]
fn problems_are_named_with_their_lines() {
    let found =
        problems(b"Path,Edema,Edema\na.jpg,1\n,1,1\nb.jpg,1,1\n./b.jpg,1,1\nc\xff.jpg,1,1\n\"d.jpg,1,1\n");
    assert_eq!(
        found[..5],
        [
            "train.csv:1: column 3 is called \"Edema\" as column 2",
            "train.csv:2: 2 fields; expected 3",
            "train.csv:3: no path in column \"Path\"",
            "train.csv:5: image \"./b.jpg\" already appears on line 4",
            "train.csv:6: no UTF-8 text (byte 0xFF at column 2); save the file as UTF-8",
        ]
    );
    assert!(found[5].starts_with("train.csv:7: a quoted field does not end"));
    assert!(problems("")[0].starts_with("train.csv:1: an empty file; expected a first line Path"));
    assert!(problems("Path,Edema\n")[0].contains("no images; expected a line for each image"));
    assert!(problems("Path,Sex\na.jpg,1\n")[0].contains("no column of findings; expected 1 (positive)"));
    assert_eq!(
        FORMAT.read(Path::new("/no.csv"), &options(Unlisted::Negative)).unwrap_err().kind(),
        crate::error::Kind::Missing
    );
}

#[test]
fn minus_one_in_a_table_without_blanks_is_asked_about() {
    let text = "image,cat,dog\na.jpg,-1,1\nb.jpg,0,-1\n";
    let error = table(text).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(
        error.to_string().contains("2 of -1 and no blank cell, so that -1 may mean not there"),
        "{error}"
    );
    let said = Options { uncertain: Some(Uncertain::Negative), ..options(Unlisted::Unknown) };
    let labels = read_bytes("a.csv", text, |path| FORMAT.read(path, &said)).unwrap().annotations.labels;
    assert_eq!(labels.to_floats(), [-1.0, 1.0, -1.0, -1.0]);
}

#[test]
fn the_header_tells_the_format() {
    let why = |head: &[u8]| recognize(Path::new("a.csv"), head);
    let head = std::fs::read(FIXTURE).unwrap();
    assert_eq!(why(&head).unwrap(), "a CSV file with 14 of CheXpert's findings as columns");
    assert_eq!(why(b"Path,Fracture,Edema\na.jpg,1,1"), None);
    // Our own file.
    assert_eq!(why(b"image,Fracture,Edema,Pneumonia\na.jpg,1,,0"), None);
    assert!(why(b"image,Fracture,Edema,Pneumonia\na.jpg,1.0,,-1.0").is_some());
    assert_eq!(why(b"\xff\xfe"), None);
}

proptest! {
    #[test]
    fn labels_come_back_whatever_the_names(
        names in prop::collection::hash_set("[a-z \"é,]{1,6}", 1..5),
        images in prop::collection::hash_set("[a-zA-Z0-9é ,\"'_]{1,8}", 1..8),
        values in prop::collection::vec(-1..=1i8, 40)
    ) {
        // A letter that no known column begins with, and no space that reading would trim.
        let names: Vec<String> = names.iter().map(|name| format!("x{name}x")).collect();
        let images: Vec<String> = images.iter().map(|image| format!("i{image}.jpg")).collect();
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record([&["Path".to_owned()], &names[..]].concat()).unwrap();
        let text = |value: i8| ["0.0", "", "1.0"][(value + 1) as usize].to_owned();
        for (row, image) in images.iter().enumerate() {
            let mut cells: Vec<String> = (0..names.len()).map(|cell| text(values[row * 5 + cell])).collect();
            // So that every column has a label.
            if row == 0 {
                cells.fill("1.0".into());
            }
            writer.write_record([std::slice::from_ref(image), &cells[..]].concat()).unwrap();
        }
        let annotations = table(writer.into_inner().unwrap()).unwrap().annotations;
        prop_assert_eq!(&annotations.categories, &names);
        for (row, image) in images.iter().enumerate() {
            prop_assert_eq!(annotations.images[row].file_name().unwrap().to_str().unwrap(), image);
            for column in 0..names.len() {
                let expected = if row == 0 { 1 } else { values[row * 5 + column] };
                prop_assert_eq!(annotations.labels.get(row, column) as i8, expected);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0..50usize) {
        let _ = table(&bytes);
        let mut mutated = b"Path,Sex,Edema,nodule\na.jpg,1,1.0,\nb.jpg,2,-1.0,0\n".to_vec();
        mutated.splice(at..at, bytes.into_iter().take(4));
        let _ = table(mutated);
    }
}
