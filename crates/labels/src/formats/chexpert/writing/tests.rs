use proptest::prelude::*;

use super::*;
use crate::formats::chexpert::{read, recognize};
use crate::formats::options::{Options, Unlisted};
use crate::formats::samples::samples;
use crate::labels::LabelMatrix;

/// Labels of images below a folder.
fn annotations(folder: &Path, images: &[&str], categories: &[&str], values: &[i8]) -> Annotations {
    Annotations {
        images: images.iter().map(|image| folder.join(image)).collect(),
        labels: LabelMatrix::from_values(categories.len(), values),
        categories: categories.iter().map(|&name| name.to_owned()).collect(),
        source: folder.join("labels.csv"),
    }
}

fn read_back(path: &Path) -> Annotations {
    read(path, &Options { unlisted: Some(Unlisted::Unknown), ..Options::default() }).unwrap().annotations
}

fn problems(image: &str, categories: &[&str], value: i8) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    let values = vec![value; categories.len()];
    let error = write(&path, &annotations(folder.path(), &[image], categories, &values)).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Data);
    assert!(!path.exists());
    let strip = |line: &str| line.split_once("train.csv: ").unwrap().1.to_owned();
    error.to_string().lines().map(strip).collect()
}

#[test]
fn all_three_states_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let categories = ["Edema", "Fracture", "Lung Opacity", "a,b"];
    let written = annotations(folder.path(), &["x/1.jpg", "2.jpg"], &categories, &[1, -1, 0, 1, 0, 1, 0, -1]);
    let path = folder.path().join("train.csv");
    let lost = write(&path, &written).unwrap();
    let expected = "what a blank cell means, which 3 unknown labels are: read back with --unlisted unknown";
    assert_eq!(lost, [expected]);
    let text = std::fs::read_to_string(&path).unwrap();
    let expected = "Path,Edema,Fracture,Lung Opacity,\"a,b\"\nx/1.jpg,1.0,0.0,,1.0\n2.jpg,,1.0,,0.0\n";
    assert_eq!(text, expected);
    assert!(recognize(&path, text.as_bytes()).is_some());
    let back = read_back(&path);
    assert_eq!(
        (back.categories, back.images, back.labels),
        (written.categories, written.images, written.labels)
    );
    let known = annotations(folder.path(), &["1.jpg"], &["cat"], &[-1]);
    assert!(write(&path, &known).unwrap().is_empty());
}

#[test]
fn columns_that_show_no_label_are_said_to_be_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    // CheXpert's own are known by their names.
    let written = annotations(folder.path(), &["1.jpg"], &["cat", "dog", "Edema"], &[0, 1, 0]);
    let lost = write(&path, &written).unwrap();
    assert_eq!(lost[1], "1 categories of which nothing is known: a blank column is read as no finding");
    assert_eq!(read_back(&path).categories, ["dog", "Edema"]);
    let nothing = problems("1.jpg", &["cat", "dog"], 0);
    let expected = "no label is known and no category is one of CheXpert's; its CSV would have no findings";
    assert_eq!(nothing, [expected]);
}

#[test]
fn categories_whose_columns_are_taken_for_something_else_are_named() {
    assert_eq!(
        problems("1.jpg", &["Path", "Sex", "cat", "study id", "Subset", "+/-"], 1),
        [
            r#"category "Path" is the name of the column of image paths; call it otherwise"#,
            r#"category "Sex" is the name of a column that is never read as a finding; call it otherwise"#,
            r#"category "study id" is the name of a column that is never read as a finding; call it otherwise"#,
            r#"category "Subset" is the name of a column of splits; call it otherwise"#,
            r#"category "+/-" has neither letter nor digit, so that its column would not be read; call it otherwise"#,
        ]
    );
    assert!(problems("1.jpg", &[" cat"], 1)[0].ends_with("CheXpert's CSV cannot hold it"));
    assert!(problems("1.jpg ", &["cat"], 1)[0].ends_with("CheXpert's CSV cannot hold it"));
    // The first column is called Path, so other names of such columns are free.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.csv");
    let written = annotations(folder.path(), &["1.jpg"], &["image", "file"], &[1, -1]);
    write(&path, &written).unwrap();
    assert_eq!(read_back(&path).categories, written.categories);
}

#[test]
fn a_path_that_begins_with_the_name_of_the_files_folder_stays_below_it() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("train");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("train.csv");
    let written =
        annotations(&folder, &["train/1.jpg", "1.jpg", "../train/2.jpg", "../3.jpg"], &["cat"], &[1; 4]);
    write(&path, &written).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, "Path,cat\n./train/1.jpg,1.0\n1.jpg,1.0\n2.jpg,1.0\n../3.jpg,1.0\n");
    let expected = ["train/1.jpg", "1.jpg", "2.jpg", "../3.jpg"].map(|image| folder.join(image));
    assert_eq!(read_back(&path).images, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn all_three_states_come_back(mut sample in samples(), own in prop::collection::vec(any::<bool>(), 5)) {
        for (number, name) in sample.categories.iter_mut().enumerate() {
            if taken_for(name).is_some() {
                *name += "x";
            }
            if own[number] {
                *name = ["Edema", "no finding", "FRACTURE", "Pneumonia", "Lung_Lesion"][number].into();
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let written = sample.at(folder.path(), folder.path(), "");
        let path = folder.path().join("train.csv");
        let counts = written.labels.counts();
        let kept: Vec<usize> =
            (0..counts.len()).filter(|&column| own[column] || counts[column] != (0, 0)).collect();
        if kept.is_empty() {
            prop_assert!(write(&path, &written).is_err());
            return Ok(());
        }
        let lost = write(&path, &written).unwrap();
        let back = read_back(&path);
        prop_assert_eq!(&back.images, &written.images);
        let names: Vec<String> = kept.iter().map(|&column| written.categories[column].clone()).collect();
        prop_assert_eq!(&back.categories, &names);
        prop_assert_eq!(&back.labels, &written.labels.select_categories(&kept));
        let says = |what: &str| lost.iter().any(|it| it.contains(what));
        prop_assert_eq!(says("what a blank cell means"), written.labels.count(Label::Unknown) > 0);
        prop_assert_eq!(says("categories of which nothing"), kept.len() < counts.len());
    }
}
