use super::*;
use crate::error::Kind;
use crate::formats::options::Unlisted;
use crate::formats::samples::{folder_with, rows_below};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/class_folders");

fn with(unlisted: Unlisted, set: &str) -> Options {
    let set = (!set.is_empty()).then(|| set.to_owned());
    Options { unlisted: Some(unlisted), set, ..Options::default() }
}

/// Rows and notes of a folder, with what is not listed negative.
fn rows(folder: &Path, set: &str) -> (Vec<String>, Vec<String>) {
    let Reading { annotations, notes } = FORMAT.read(folder, &with(Unlisted::Negative, set)).unwrap();
    (rows_below(folder, &annotations), notes)
}

fn error(folder: &Path, options: &Options) -> (Kind, String) {
    let error = FORMAT.read(folder, options).unwrap_err();
    (error.kind(), error.to_string().replace(&folder.display().to_string(), "SOURCE"))
}

#[test]
fn every_cell_of_the_fixture_is_read_and_copies_are_one_image() {
    let folder = Path::new(FIXTURE);
    let Reading { annotations, notes } = FORMAT.read(folder, &with(Unlisted::Negative, "train")).unwrap();
    assert_eq!(annotations.categories, ["cat", "dog", "owl"]);
    // 1.jpg has other bytes in each of its folders, 2.jpg the same.
    let expected =
        ["train/cat/1.jpg +--", "train/cat/2.jpg ++-", "train/dog/1.jpg -+-", "train/owl/3.PNG --+"];
    assert_eq!(rows_below(folder, &annotations), expected);
    let copies = "1 images are copies of one, in folders of several classes: one image with all their labels";
    assert_eq!(notes, [copies, "1 files are no images: left out"]);
    // The owl is a category of the other set too.
    let val = FORMAT.read(folder, &with(Unlisted::Unknown, "val")).unwrap();
    assert_eq!(rows_below(folder, &val.annotations), ["val/cat/4.jpg +??", "val/dog/5.jpg ?+?"]);
    assert!(val.notes.is_empty());
    let single = rows(&folder.join("train"), "");
    assert_eq!(single.0.len(), 4);
    let images = Some("/photos".into());
    let reading = FORMAT.read(folder, &Options { images, ..with(Unlisted::Unknown, "val") }).unwrap();
    assert_eq!(reading.annotations.images[0], Path::new("/photos/val/cat/4.jpg"));
}

#[test]
fn a_policy_and_a_set_must_be_chosen() {
    let folder = Path::new(FIXTURE);
    let (kind, text) = error(folder, &Options { set: Some("train".into()), ..Options::default() });
    assert_eq!(kind, Kind::Usage);
    let expected =
        "a folder says what its images show, not what else was looked for; pass --unlisted unknown";
    assert!(text.starts_with(expected), "{text}");
    let (kind, text) = error(folder, &with(Unlisted::Unknown, ""));
    assert_eq!((kind, &*text), (Kind::Usage, "SOURCE: several sets; choose one with --set: train, val"));
    let (_, text) = error(&folder.join("train"), &with(Unlisted::Unknown, "val"));
    assert_eq!(text, "SOURCE has no sets such as train and val; remove --set");
}

#[test]
fn a_class_may_be_called_like_a_split_among_others() {
    let folder = folder_with(&[("bus/1.jpg", "a"), ("train/1.jpg", "b")]);
    assert_eq!(rows(folder.path(), "").0, ["bus/1.jpg +-", "train/1.jpg -+"]);
    // A test set without labels is no set.
    let folder = folder_with(&[("train/cat/1.jpg", ""), ("train/dog/1.jpg", ""), ("test/2.jpg", "")]);
    assert_eq!(rows(folder.path(), "").0.len(), 2);
    let (_, text) = error(folder.path(), &with(Unlisted::Unknown, "test"));
    assert_eq!(text, "SOURCE: no set \"test\"; choose one with --set: train");
}

#[test]
fn a_split_beside_classes_is_no_class() {
    let folder = folder_with(&[("train/cat/1.jpg", "a"), ("train/dog/2.jpg", "b"), ("more/3.jpg", "c")]);
    let (kind, text) = error(folder.path(), &with(Unlisted::Unknown, ""));
    let what = "looks like a split, beside folders that look like classes; name one of the folders, or move the \
                others away";
    assert_eq!((kind, text), (Kind::Data, format!("SOURCE: train {what}")));
    // Also where an image of a class lies deeper.
    let folder = folder_with(&[("bus/1.jpg", "a"), ("bus/more/2.jpg", "b"), ("train/cat/3.jpg", "c")]);
    assert_eq!(
        error(folder.path(), &with(Unlisted::Unknown, "")),
        (Kind::Data, format!("SOURCE: train {what}"))
    );
    // Without images it is nothing but an empty class.
    let folder = folder_with(&[("bus/1.jpg", "a"), ("cat/2.jpg", "b"), ("val/notes.md", "")]);
    let (read, notes) = rows(folder.path(), "");
    assert_eq!(read, ["bus/1.jpg +--", "cat/2.jpg -+-"]);
    assert_eq!(notes[0], "1 class folders are without images");
}

#[test]
fn what_is_left_out_or_lies_deeper_is_counted() {
    let folder = folder_with(&[
        ("cat/1.jpg", "a"),
        ("cat/more/2.jpg", "b"),
        ("cat/.cache/3.jpg", ""),
        ("dog/Thumbs.db", ""),
        ("loose.jpg", ""),
        (".git/x/4.jpg", ""),
        ("__MACOSX/cat/._1.jpg", ""),
    ]);
    let (read, notes) = rows(folder.path(), "");
    assert_eq!(read, ["cat/1.jpg +-", "cat/more/2.jpg +-"]);
    let expected = [
        "1 images lie deeper than their class folder: they have its class",
        "1 class folders are without images",
        "1 images are in no class folder: left out",
        "1 files are no images: left out",
        "1 hidden folders and images: left out",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn copies_are_found_in_three_classes_but_not_within_one_alone_or_without_bytes() {
    let folder = folder_with(&[
        ("a/1.jpg", "same"),
        ("a/x/1.jpg", "same"),
        ("b/1.jpg", "same"),
        ("c/1.jpg", "same"),
        ("a/2.jpg", ""),
        ("b/2.jpg", ""),
        ("a/3.jpg", "one"),
        ("a/x/3.jpg", "one"),
        ("b/4.jpg", "one"),
    ]);
    let (read, notes) = rows(folder.path(), "");
    let expected =
        ["a/1.jpg +++", "a/2.jpg +--", "a/3.jpg +--", "a/x/3.jpg +--", "b/2.jpg -+-", "b/4.jpg -+-"];
    assert_eq!(read, expected);
    assert!(notes[0].starts_with("3 images are copies"), "{notes:?}");
}

#[cfg(unix)]
#[test]
fn links_make_one_image_of_two_classes_and_loops_end() {
    use std::os::unix::fs::symlink;
    let folder = folder_with(&[("cat/1.jpg", "a"), ("dog/2.jpg", "b")]);
    symlink("../cat/1.jpg", folder.path().join("dog/1.jpg")).unwrap();
    symlink("..", folder.path().join("dog/loop")).unwrap();
    symlink("gone.jpg", folder.path().join("cat/3.jpg")).unwrap();
    let (read, notes) = rows(folder.path(), "");
    // The loop would make a dog of every cat.
    assert_eq!(read, ["cat/1.jpg ++", "dog/2.jpg -+"]);
    let expected = [
        "1 images are copies of one, in folders of several classes: one image with all their labels",
        "1 links lead to folders that were read already: left out",
        "1 links lead nowhere: left out",
    ];
    assert_eq!(notes, expected);
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_no_text_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder_with(&[("cat/1.jpg", "a")]);
    std::fs::create_dir(folder.path().join(std::ffi::OsStr::from_bytes(b"d\xffg"))).unwrap();
    let (kind, text) = error(folder.path(), &with(Unlisted::Unknown, ""));
    assert_eq!((kind, &*text), (Kind::Data, "SOURCE/d\u{fffd}g: its name is no UTF-8 text; rename it"));
}

#[test]
fn folders_without_images_right_in_them_are_refused() {
    let folder = folder_with(&[("pets/cat/1.jpg", ""), ("pets/dog/2.jpg", "")]);
    let (kind, text) = error(folder.path(), &with(Unlisted::Unknown, ""));
    let expected = "SOURCE: the images are not right in the folders of this one; name the folder of the class \
                    folders (\"SOURCE/pets/cat/1.jpg\")";
    assert_eq!((kind, &*text), (Kind::Data, expected));
    let empty = folder_with(&[("1.jpg", "")]);
    let (_, text) = error(empty.path(), &with(Unlisted::Unknown, ""));
    assert_eq!(text, "SOURCE: no folders; expected a folder of images for each class");
    let bare = folder_with(&[("cat/a.txt", ""), ("dog/b.txt", "")]);
    let (_, text) = error(bare.path(), &with(Unlisted::Unknown, ""));
    assert_eq!(text, "SOURCE: no images; nothing to read");
    let (_, text) = error(&empty.path().join("1.jpg"), &with(Unlisted::Unknown, ""));
    assert_eq!(text, "SOURCE: a file; expected a folder with a folder of images for each class");
}

#[test]
fn only_folders_of_images_are_recognized() {
    let fixture = Path::new(FIXTURE);
    assert_eq!(recognize(fixture, b"").unwrap(), "3 folders of images in train");
    assert_eq!(recognize(&fixture.join("train"), b"").unwrap(), "3 folders of images");
    assert_eq!(crate::formats::detect(fixture).unwrap().0, FORMAT);
    for other in std::fs::read_dir(fixture.parent().unwrap()).unwrap() {
        let other = other.unwrap().path();
        assert_eq!(recognize(&other, b"").is_some(), other == fixture, "{}", other.display());
    }
    let two = [("cat/1.jpg", ""), ("dog/2.jpg", "")];
    assert!(recognize(folder_with(&two).path(), b"").is_some());
    for other in [
        vec![("cat/1.jpg", "")],
        vec![("1.jpg", "")],
        vec![("images/1.jpg", ""), ("labels/1.txt", "")],
        vec![("images/1.jpg", ""), ("masks/1.png", "")],
        vec![("Annotations/1.xml", ""), ("JPEGImages/1.jpg", "")],
        vec![("train/1.jpg", ""), ("valid/2.jpg", "")],
        vec![("train/images/1.jpg", ""), ("train/labels/1.txt", ""), ("val/images/2.jpg", "")],
        vec![("train/1.jpg", ""), ("train/1.xml", ""), ("valid/2.jpg", ""), ("valid/2.xml", "")],
        vec![two[0], two[1], ("train.csv", "")],
        vec![two[0], two[1], ("data.yaml", "")],
        vec![two[0], two[1], ("classes.txt", "")],
        vec![two[0], two[1], ("train.txt", "")],
        vec![two[0], two[1], ("train-0.parquet", "")],
        vec![two[0], two[1], ("0.tar", "")],
        vec![two[0], two[1], ("3.jpg", "")],
        vec![two[0], two[1], ("cat/labels.csv", "")],
        vec![("cat/1.txt", ""), ("dog/2.txt", "")],
    ] {
        assert_eq!(recognize(folder_with(&other).path(), b""), None, "{other:?}");
    }
    assert_eq!(recognize(&fixture.join("train/cat/1.jpg"), b""), None);
    assert_eq!(recognize(&fixture.join("none"), b""), None);
}
