use proptest::prelude::*;

use super::*;
use crate::formats::options::Options;
use crate::formats::samples::{damaged, samples};
use crate::formats::voc;
use crate::labels::LabelMatrix;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/voc_lists");

fn options(difficult: Difficult) -> Options {
    Options { set: Some("val".into()), difficult: Some(difficult), ..Options::default() }
}

/// Lists of one category, `cat`.
fn folder(list: impl AsRef<[u8]>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("ImageSets/Main");
    std::fs::create_dir_all(&main).unwrap();
    std::fs::write(main.join("cat_trainval.txt"), list).unwrap();
    folder
}

#[test]
fn every_cell_of_the_fixture_is_read_and_zero_is_not_negative() {
    let Reading { annotations, notes } = voc::read(Path::new(FIXTURE), &options(Difficult::Unknown)).unwrap();
    assert_eq!(annotations.categories, ["boat", "traffic_light"]);
    let images = ["2008_000002.jpg", "2008_000003.jpg", "2008_000007.jpg"];
    assert_eq!(annotations.images, images.map(|image| Path::new(FIXTURE).join("JPEGImages").join(image)));
    assert_eq!(annotations.labels.to_floats(), [-1.0, 1.0, 1.0, 0.0, 0.0, -1.0]);
    assert_eq!(notes, ["2 labels of categories with only difficult objects: unknown"]);
}

#[test]
fn zeros_are_what_the_user_says() {
    let labels = |difficult| voc::read(Path::new(FIXTURE), &options(difficult)).unwrap().annotations.labels;
    assert_eq!(labels(Difficult::Negative).to_floats(), [-1.0, 1.0, 1.0, -1.0, -1.0, -1.0]);
    assert_eq!(labels(Difficult::Positive).to_floats(), [-1.0, 1.0, 1.0, 1.0, 1.0, -1.0]);
    assert_eq!(labels(Difficult::Dropped).to_floats(), [-1.0, 1.0]);
}

#[test]
fn without_a_list_of_trainval_the_user_is_told_what_there_is() {
    let error = voc::read(Path::new(FIXTURE), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    assert!(error.to_string().ends_with("Main has no trainval.txt; choose --set train or val"), "{error}");
}

#[test]
fn images_that_a_list_does_not_speak_of_are_unknown() {
    let folder = folder("a 1\nb c -1\n");
    std::fs::write(folder.path().join("ImageSets/Main/dog_trainval.txt"), "a -1\n").unwrap();
    let Reading { annotations, notes } = voc::read(folder.path(), &Options::default()).unwrap();
    assert!(annotations.images[1].ends_with("JPEGImages/b c.jpg"));
    assert_eq!(annotations.labels.to_floats(), [1.0, -1.0, -1.0, 0.0]);
    assert_eq!(notes, ["1 labels that no list speaks of: unknown"]);
}

#[test]
fn wrong_lines_are_found_all_at_once() {
    let folder = folder(b"a 1\nb 2\nc\nd\xff 1\na -1\ne 1\n");
    std::fs::write(folder.path().join("ImageSets/Main/trainval.txt"), "a\nb\nc\n").unwrap();
    let error = voc::read(folder.path(), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Data);
    let start = format!("{}/ImageSets/Main/cat_trainval.txt:", folder.path().display());
    let found = error.to_string().replace(&start, "");
    let expected = "2: \"b 2\"; expected an image and 1, -1 or 0\n\
                    3: \"c\"; expected an image and 1, -1 or 0\n\
                    4: no UTF-8 text (byte 0xFF at column 2); save the file as UTF-8\n\
                    5: image \"a\" is already in this list\n\
                    6: image \"e\" is not in trainval.txt";
    assert_eq!(found, expected);
}

#[test]
fn a_folder_without_annotations_and_lists_of_categories_is_refused() {
    let folder = folder("a 1\n");
    std::fs::rename(
        folder.path().join("ImageSets/Main/cat_trainval.txt"),
        folder.path().join("ImageSets/Main/trainval.txt"),
    )
    .unwrap();
    let error = voc::read(folder.path(), &Options::default()).unwrap_err().to_string();
    assert!(
        error.ends_with("no Annotations, and no lists of categories such as cat_trainval.txt"),
        "{error}"
    );
    std::fs::remove_file(folder.path().join("ImageSets/Main/trainval.txt")).unwrap();
    let error = voc::read(folder.path(), &Options::default()).unwrap_err().to_string();
    assert!(error.ends_with("Main has no list of images such as trainval.txt"), "{error}");
}

fn annotations(source: &Path, image: &str, category: &str) -> Annotations {
    Annotations {
        images: vec![source.join(image)],
        labels: LabelMatrix::from_values(1, &[1]),
        categories: vec![category.into()],
        source: source.join("train.csv"),
    }
}

#[test]
fn written_lists_lead_to_the_images_from_another_folder() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("a b.png"), "never opened").unwrap();
    let out = root.path().join("out");
    assert!(write(&out, &annotations(&data, "a b.png", "cat")).unwrap().is_empty());
    let list = std::fs::read_to_string(out.join("ImageSets/Main/cat_trainval.txt")).unwrap();
    assert_eq!(list, "../../data/a b.png  1\n");
    let back = voc::read(&out, &Options::default()).unwrap().annotations;
    assert!(back.images[0].exists());
    let error = write(&out, &annotations(&data, "a b.png", "cat")).unwrap_err();
    assert!(error.to_string().contains("there are lists already"), "{error}");
}

#[test]
fn names_that_no_list_can_hold_are_refused_and_nothing_is_left() {
    let root = tempfile::tempdir().unwrap();
    let cases = [("a.jpg", "a/b"), ("a.jpg", ""), ("a.jpg", " cat"), ("a.jpg", "a\nb"), ("a.tga", "cat")];
    for (image, category) in cases {
        let error = write(&root.path().join("out"), &annotations(root.path(), image, category)).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Data, "{error}");
        let left = std::fs::read_dir(root.path().join("out/ImageSets")).map(|entries| entries.count());
        assert_eq!(left.unwrap_or(0), 0, "{image} {category}");
    }
}

#[test]
fn names_of_images_and_categories_are_listed_as_the_devkit_does() {
    let listed = |image: &str| id(Path::new("voc"), image).ok();
    assert_eq!(listed("a.jpg").as_deref(), Some("a"));
    assert_eq!(listed("a.png").as_deref(), Some("a.png"));
    assert_eq!(listed("a.png.jpg").as_deref(), Some("a.png.jpg"));
    assert_eq!(listed("a.txt"), None);
    let named = |length: usize| class_name(Path::new("voc"), &"x".repeat(length)).is_ok();
    assert_eq!([199, 200, 201, 202].map(named), [true, true, false, false]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn lists_hold_all_three_states_and_every_name(sample in samples()) {
        let folder = tempfile::tempdir().unwrap();
        let mut sample = sample;
        for name in &mut sample.categories {
            *name = name.replace(|c: char| r#"/\:*?"<>|"#.contains(c), "_").trim().to_owned();
        }
        let distinct: std::collections::HashSet<_> = sample.categories.iter().collect();
        prop_assume!(distinct.len() == sample.categories.len());
        let written = sample.at(folder.path(), &folder.path().join("JPEGImages"), ".jpg");
        let lost = write(folder.path(), &written).unwrap();
        let back = voc::read(folder.path(), &Options::default()).unwrap().annotations;
        prop_assert_eq!(&back.images, &written.images);
        let columns: Vec<usize> = back
            .categories
            .iter()
            .map(|name| written.categories.iter().position(|it| it == name).unwrap())
            .collect();
        prop_assert_eq!(&back.labels, &written.labels.select_categories(&columns));
        prop_assert_eq!(columns.is_sorted(), lost.is_empty());
    }

    #[test]
    fn no_bytes_of_a_list_make_the_reader_panic(list in damaged(b"a 1\nb -1\nc  0\n".to_vec())) {
        let folder = folder(list);
        let _ = voc::read(folder.path(), &Options::default());
        let dropped = Options { difficult: Some(Difficult::Dropped), ..Options::default() };
        let _ = voc::read(folder.path(), &dropped);
    }
}
