use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::formats::options::Unlisted;
use crate::formats::samples::{damaged, folder_with, lines_of, rows_below};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/yolo");

fn with(unlisted: Unlisted, set: &str) -> Options {
    let set = (!set.is_empty()).then(|| set.to_owned());
    Options { unlisted: Some(unlisted), set, ..Options::default() }
}

/// Rows and notes of a folder, with what is not listed negative.
fn rows(folder: &Path, source: &str, set: &str) -> (Vec<String>, Vec<String>) {
    let Reading { annotations, notes } =
        FORMAT.read(&folder.join(source), &with(Unlisted::Negative, set)).unwrap();
    (rows_below(folder, &annotations), notes)
}

fn error(folder: &Path, options: &Options) -> (Kind, String) {
    let error = FORMAT.read(folder, options).unwrap_err();
    (error.kind(), error.to_string().replace(&format!("{}", folder.display()), "SOURCE"))
}

const BOX: &str = "0.5 0.5 0.1 0.1\n";

#[test]
fn every_cell_of_the_fixture_is_read_and_an_image_without_labels_is_unknown() {
    let folder = Path::new(FIXTURE);
    let Reading { annotations, notes } = FORMAT.read(folder, &with(Unlisted::Negative, "train")).unwrap();
    assert_eq!(annotations.categories, ["cat", "dog", "traffic light"]);
    let expected = [
        "train/images/1.jpg +-+",
        "train/images/2.jpg ---",
        "train/images/3.png -+-",
        "train/images/4.jpg ???",
    ];
    assert_eq!(rows_below(folder, &annotations), expected);
    let expected = [
        "test: \"../test/images\" is not there: no such set",
        "1 images have an empty label file: negative in every category",
        "1 images have no label file: unknown in every category; give those that were looked at and hold \
         nothing an empty one",
    ];
    assert_eq!(notes, expected);
    let unknown = FORMAT.read(folder, &with(Unlisted::Unknown, "val")).unwrap();
    assert_eq!(rows_below(folder, &unknown.annotations), ["valid/images/5.jpg ??+"]);
    // The file itself and a folder of labels are read too.
    assert_eq!(rows(folder, "data.yaml", "train").0.len(), 4);
    assert_eq!(rows(folder, "train/labels", "").0.len(), 4);
    assert_eq!(rows(folder, "valid", "").0, ["valid/images/5.jpg --+"]);
}

#[test]
fn a_policy_and_a_set_must_be_chosen() {
    let folder = Path::new(FIXTURE);
    let (kind, text) = error(folder, &Options { set: Some("train".into()), ..Options::default() });
    assert_eq!(kind, Kind::Usage);
    assert_eq!(
        text,
        "label files name what was found, not what was looked for; pass --unlisted unknown (nobody looked) or \
         --unlisted negative (all were looked for)"
    );
    let (kind, text) = error(folder, &with(Unlisted::Unknown, ""));
    assert_eq!((kind, &*text), (Kind::Usage, "SOURCE: several sets; choose one with --set: train, val"));
    let (_, text) = error(folder, &with(Unlisted::Unknown, "test"));
    assert_eq!(text, "SOURCE: no set \"test\"; choose one with --set: train, val");
    // Ultralytics' coco8 trains and validates on the same images.
    let same = folder_with(&[
        ("data.yaml", "names: [a]\ntrain: images/x\nval: images/x\n"),
        ("images/x/1.jpg", ""),
        ("labels/x/1.txt", "0 0.5 0.5 1 1"),
    ]);
    assert_eq!(rows(same.path(), "", "").0, ["images/x/1.jpg +"]);
}

#[test]
fn splits_deeper_in_a_folder_are_not_one_set() {
    let what =
        "SOURCE holds folders of several splits, or of a split and others; name the folder of one of them";
    let other = [("classes.txt", "cat\n"), ("a/train/labels/1.txt", ""), ("a/more/2.txt", "")];
    for images in [&[("a/train/images/1.jpg", ""), ("b/valid/images/2.jpg", "")][..], &[]] {
        let folder = folder_with(&[&other, images].concat());
        let (kind, text) = error(folder.path(), &with(Unlisted::Negative, ""));
        assert_eq!((kind, text.replace("SOURCE:", "SOURCE")), (Kind::Usage, what.to_owned()));
        let elsewhere = Options { images: Some(folder.path().join("a")), ..with(Unlisted::Negative, "") };
        assert_eq!(error(folder.path(), &elsewhere).0, Kind::Usage);
    }
    let folder = folder_with(&[("classes.txt", "cat\n"), ("a/images/1.jpg", ""), ("a/train/2.jpg", "")]);
    assert_eq!(error(folder.path(), &with(Unlisted::Negative, "")).0, Kind::Usage);
}

#[test]
fn a_line_of_a_list_that_means_two_images_is_an_error() {
    let folder = folder_with(&[
        ("data.yaml", "names: [a]\ntrain: lists/train.txt\n"),
        ("lists/train.txt", "images/1.jpg\nimages/2.jpg\n"),
        ("lists/images/1.jpg", ""),
        ("images/1.jpg", ""),
        ("images/2.jpg", ""),
    ]);
    let root = folder.path().display().to_string();
    let result = FORMAT.read(folder.path(), &with(Unlisted::Unknown, ""));
    let found = lines_of("train.txt", Kind::Data, result).into_iter().map(|line| line.replace(&root, "F"));
    let expected = "1: \"images/1.jpg\" may be F/lists/images/1.jpg or F/images/1.jpg, and both are there";
    assert_eq!(found.collect::<Vec<_>>(), [expected]);
}

#[test]
fn the_layout_of_cvat_and_darknet_is_read_from_its_lists() {
    let folder = folder_with(&[
        ("obj.names", "cat\ndog\n"),
        ("obj.data", "classes = 2\ntrain = data/train.txt\nnames = data/obj.names\n"),
        (
            "train.txt",
            "data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n\n./data\\obj_train_data/a.jpg\n",
        ),
        ("valid.txt", "data\\obj_valid_data\\c.jpg\n"),
        ("obj_train_data/a.txt", &format!("1 {BOX}")),
        ("obj_train_data/a.jpg", ""),
        ("obj_valid_data/c.txt", &format!("0 {BOX}")),
        ("obj_valid_data/c.jpg", ""),
    ]);
    let (train, notes) = rows(folder.path(), "", "train");
    // Nothing of b is there: the path is what the list says.
    assert_eq!(train, ["obj_train_data/a.jpg -+", "data/obj_train_data/b.jpg ??"]);
    assert_eq!(notes[0], "1 lines of lists repeat an image: read once");
    assert_eq!(rows(folder.path(), "", "val").0, ["obj_valid_data/c.jpg +-"]);
    let single = rows(folder.path(), "obj_train_data", "");
    assert_eq!(single.0, ["obj_train_data/a.jpg -+"]);
}

#[test]
fn the_layouts_of_label_studio_labelimg_and_roboflow_are_read() {
    let text = format!("0 {BOX}");
    let label_studio = folder_with(&[
        ("classes.txt", "cat\ndog\n"),
        ("notes.json", "{}"),
        ("images/a.jpg", ""),
        ("labels/a.txt", &text),
    ]);
    assert_eq!(rows(label_studio.path(), "", ""), (vec!["images/a.jpg +-".to_owned()], vec![]));
    let label_img = folder_with(&[
        ("classes.txt", "cat\ndog\n"),
        ("README.roboflow.txt", "about"),
        ("a.jpg", ""),
        ("b.jpg", ""),
        ("a.txt", &text),
        ("old.txt", &text),
    ]);
    let (read, notes) = rows(label_img.path(), "", "");
    assert_eq!(read, ["a.jpg +-", "b.jpg ??"]);
    let expected = "1 text files have no image of their name: left out; --images DIR looks elsewhere";
    assert_eq!(notes[0], expected);
    let darknet = folder_with(&[
        ("train/_darknet.labels", "cat\ndog\n"),
        ("valid/_darknet.labels", "cat\ndog\n"),
        ("train/a.jpg", ""),
        ("train/a.txt", &text),
        ("valid/b.jpg", ""),
        ("valid/b.txt", &text),
    ]);
    assert_eq!(rows(darknet.path(), "", "valid").0, ["valid/b.jpg +-"]);
    for folder in [&label_studio, &label_img, &darknet] {
        assert!(recognize(folder.path(), b"").is_some());
    }
}

#[test]
fn labels_without_any_image_keep_their_names() {
    let folder = folder_with(&[
        ("labels/train/x/a.b.txt", &format!("1 {BOX}")),
        ("labels/classes.txt", "cat\ndog\n"),
        ("labels/val/c.txt", ""),
    ]);
    assert_eq!(rows(folder.path(), "", "train").0, ["labels/train/x/a.b -+"]);
    let photos = folder_with(&[("deep/a.b.jpg", ""), ("train/x/a.b.jpg", ""), ("c.jpg", "")]);
    let images = Some(photos.path().to_owned());
    let options = Options { images: images.clone(), ..with(Unlisted::Negative, "val") };
    let reading = FORMAT.read(folder.path(), &options).unwrap();
    assert_eq!(rows_below(photos.path(), &reading.annotations), ["c.jpg --"]);
    assert_eq!(reading.notes[0], "2 images of --images have no label file in this set: left out");
    let (kind, text) = error(folder.path(), &Options { images, ..with(Unlisted::Negative, "train") });
    let expected = "a.b.txt:1: PHOTOS has several images of this name; give a folder that holds one of them";
    assert_eq!(kind, Kind::Data);
    assert!(text.replace(&photos.path().display().to_string(), "PHOTOS").ends_with(expected), "{text}");
}

#[test]
fn two_label_files_or_lines_never_share_an_image_of_the_users_folder() {
    let photos = folder_with(&[("1.jpg", "")]);
    let options = Options { images: Some(photos.path().to_owned()), ..with(Unlisted::Negative, "") };
    let image = photos.path().join("1.jpg").display().to_string();
    let labels = folder_with(&[("classes.txt", "cat\n"), ("labels/a/1.txt", ""), ("labels/b/1.txt", "")]);
    let (kind, text) = error(labels.path(), &options);
    let what = "is the image of another label file too; give a folder with an image for each";
    assert_eq!((kind, text), (Kind::Data, format!("SOURCE/labels/b/1.txt:1: {image} {what}")));
    let list = folder_with(&[("obj.names", "cat\n"), ("train.txt", "a/1.jpg\na/2.jpg\nb/1.jpg\nno text\n")]);
    let (_, text) = error(list.path(), &options);
    let what = "is the image of another line too; give a folder with an image for each";
    assert_eq!(
        text,
        format!(
            "SOURCE/train.txt:3: {image} {what}\nSOURCE/train.txt:4: \"no text\"; expected the path of an image"
        )
    );
}

#[test]
fn names_that_are_missing_or_numbered_are_said() {
    let labels = ("labels/a.txt", "1 0.5 0.5 1 1 0.9\n1 0.5 0.5 2 2\n");
    let nameless = folder_with(&[labels]);
    let (kind, text) = error(nameless.path(), &with(Unlisted::Unknown, ""));
    let expected =
        "SOURCE: no names of classes; put a classes.txt with a name in each line beside the labels";
    assert_eq!((kind, &*text), (Kind::Data, expected));
    let counted = folder_with(&[("data.yaml", "nc: 2\npath: .\n"), labels]);
    let Reading { annotations, notes } = FORMAT.read(counted.path(), &with(Unlisted::Unknown, "")).unwrap();
    assert_eq!(annotations.categories, ["class_0", "class_1"]);
    let expected = [
        "2 classes without names: class_0 … ; add names: to data.yaml",
        "1 objects have a confidence, so a model found them: positive",
        "1 objects lie outside of their image: positive all the same",
    ];
    assert_eq!(notes, expected);
    let gap = folder_with(&[("classes.txt", "cat\n\ndog\n"), labels]);
    let (_, text) = error(gap.path(), &with(Unlisted::Unknown, ""));
    let what = "an empty line; the number of a class is that of its line, so each needs a name";
    assert_eq!(text, format!("SOURCE/classes.txt:2: {what}"));
}

#[test]
fn problems_of_all_label_files_come_at_once() {
    let folder = folder_with(&[
        ("classes.txt", "cat\ndog\n"),
        ("a.jpg", ""),
        ("a.txt", "0 0.5 0.5 1 1\n2 0.5 0.5 1 1\n"),
        ("b.jpg", ""),
        ("b.txt", "dog 0.5 0.5 1 1\n"),
    ]);
    let read = || FORMAT.read(folder.path(), &with(Unlisted::Unknown, ""));
    let expected = "class 2, but there are 2 names; expected a number from 0 to 1";
    assert_eq!(lines_of("a.txt", Kind::Data, read())[0], format!("2: {expected}"));
    let expected = "class \"dog\" is not a number; expected a number from 0 to 1";
    assert_eq!(lines_of("b.txt", Kind::Data, read())[1], format!("1: {expected}"));
}

#[test]
fn two_images_of_one_label_file_are_counted() {
    let folder =
        folder_with(&[("classes.txt", "cat\n"), ("a.jpg", ""), ("a.png", ""), ("a.txt", "0 0.5 0.5 1 1")]);
    let (read, notes) = rows(folder.path(), "", "");
    assert_eq!(read, ["a.jpg +", "a.png +"]);
    let expected = "1 images have the label file of another image, whose name differs in its extension";
    assert_eq!(notes, [expected]);
}

#[test]
fn only_yolo_is_recognized() {
    let fixture = Path::new(FIXTURE);
    assert_eq!(recognize(fixture, b"").unwrap(), "a folder with data.yaml");
    let yaml = std::fs::read(fixture.join("data.yaml")).unwrap();
    assert_eq!(recognize(&fixture.join("data.yaml"), &yaml).unwrap(), "YAML with names of classes");
    let labels = fixture.join("train/labels");
    assert_eq!(recognize(&labels, b"").unwrap(), "label files and names of classes in \"data.yaml\"");
    assert_eq!(crate::formats::detect(fixture).unwrap().0, FORMAT);
    for other in std::fs::read_dir(fixture.parent().unwrap()).unwrap() {
        let other = other.unwrap().path();
        assert_eq!(recognize(&other, b"").is_some(), other == fixture, "{}", other.display());
        // Nor does another format take this for its own.
        let names = crate::formats::ALL.iter().filter(|format| (format.recognize)(&other, b"").is_some());
        assert!(names.clone().count() < 2, "{}: {:?}", other.display(), Vec::from_iter(names));
    }
    let near = folder_with(&[
        ("config.yaml", "names: [a]\ntitle: x\n"),
        ("yolov5s.yaml", "nc: 80\nbackbone: []\n"),
        ("words/classes.txt", "cat\n"),
        ("words/a.txt", "1 -1 0 1 0 x\n"),
        ("alone/1.txt", "0 0.5 0.5 1 1\n"),
    ]);
    for name in ["", "words", "alone"] {
        assert_eq!(recognize(&near.path().join(name), b""), None, "{name}");
    }
    assert_eq!(recognize(&near.path().join("config.yaml"), b"names: [a]\ntitle: x\n"), None);
    assert_eq!(recognize(&near.path().join("names.txt"), &yaml), None);
}

#[test]
fn numbers_of_classes_that_nobody_means_and_folders_above_are_refused() {
    let read = |yaml: &str| {
        let folder = folder_with(&[("data.yaml", yaml), ("train/labels/1.txt", "0 0.5 0.5 1 1\n")]);
        FORMAT.read(folder.path(), &with(Unlisted::Unknown, "train")).unwrap_err().to_string()
    };
    let found = read("nc: 4294967295\ntrain: train/images\n");
    assert!(found.contains("data.yaml:1: nc is 4294967295; expected at most 100000 classes"), "{found}");
    for above in ["/", ".."] {
        let found = read(&format!("names: [cat]\ntrain: {above}\n"));
        assert!(
            found.contains(&format!("data.yaml:2: train: {above:?} holds the data set itself")),
            "{found}"
        );
    }
}

#[test]
fn parts_of_a_set_do_not_share_an_image_of_the_user() {
    let folder = folder_with(&[
        ("data.yaml", "names: [cat, dog]\ntrain: [a/images, b/images]\n"),
        ("a/labels/1.txt", "0 0.5 0.5 1 1\n"),
        ("b/labels/1.txt", "1 0.5 0.5 1 1\n"),
        ("b/labels/2.txt", "1 0.5 0.5 1 1\n"),
        ("photos/1.jpg", ""),
        ("photos/2.jpg", ""),
        ("photos/3.jpg", ""),
    ]);
    let images = Some(folder.path().join("photos"));
    let options = Options { images, ..with(Unlisted::Unknown, "train") };
    let found = FORMAT.read(folder.path(), &options).unwrap_err().to_string();
    assert!(
        found.contains("b/labels/1.txt:1: ")
            && found.contains("1.jpg is the image of another label file too")
    );
    std::fs::remove_file(folder.path().join("b/labels/1.txt")).unwrap();
    let reading = FORMAT.read(folder.path(), &options).unwrap();
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 0.0, 0.0, 1.0]);
    // The image of the other part is not one without a label file.
    let note = "1 images of --images have no label file in this set: left out".to_owned();
    assert!(reading.notes.contains(&note), "{:?}", reading.notes);
}

#[test]
fn an_image_of_two_parts_is_read_once_and_one_of_a_list_needs_no_labels() {
    let folder = folder_with(&[
        ("data.yaml", "names: [cat]\ntrain: [images/a, images/a]\nval: val.txt\n"),
        ("images/a/1.jpg", ""),
        ("labels/a/1.txt", &format!("0 {BOX}")),
        ("val.txt", "data/val/2.jpg\ndata/val/3.jpg\n"),
        ("val/2.jpg", ""),
        ("val/3.txt", &format!("0 {BOX}")),
    ]);
    let (train, notes) = rows(folder.path(), "", "train");
    assert_eq!(train, ["images/a/1.jpg +"]);
    assert_eq!(notes, ["1 images are in several parts of the set: read once"]);
    assert_eq!(rows(folder.path(), "", "val").0, ["val/2.jpg ?", "val/3.jpg +"]);
}

proptest! {
    #[test]
    fn no_bytes_of_a_label_file_make_the_reader_panic(bytes in damaged(
        b"0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.9 0.1 0.5 0.8\n".to_vec(),
    )) {
        let folder = folder_with(&[("classes.txt", "cat\ndog\n")]);
        std::fs::write(folder.path().join("a.txt"), bytes).unwrap();
        if let Ok(reading) = FORMAT.read(folder.path(), &with(Unlisted::Negative, "")) {
            prop_assert_eq!(reading.annotations.categories.len(), 2);
        }
    }

    #[test]
    fn no_bytes_of_data_yaml_make_the_reader_panic(bytes in damaged(
        std::fs::read(format!("{FIXTURE}/data.yaml")).unwrap(),
    )) {
        let folder = folder_with(&[("train/images/1.jpg", ""), ("train/labels/1.txt", "0 0.5 0.5 1 1")]);
        std::fs::write(folder.path().join("data.yaml"), bytes).unwrap();
        let _ = FORMAT.read(&folder.path().join("data.yaml"), &with(Unlisted::Negative, ""));
    }
}
