use proptest::prelude::*;

use super::*;
use crate::formats::samples::damaged;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/voc");

fn with(difficult: Difficult) -> Options {
    Options { difficult: Some(difficult), ..Options::default() }
}

/// A folder with these files; `trainval.txt` lists every annotation.
fn folder(annotations: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let [xml, main] = ["Annotations", "ImageSets/Main"].map(|part| folder.path().join(part));
    std::fs::create_dir_all(&xml).unwrap();
    std::fs::create_dir_all(&main).unwrap();
    let list: String = annotations.iter().map(|(id, _)| format!("{id}\n")).collect();
    std::fs::write(main.join("trainval.txt"), list).unwrap();
    for (id, text) in annotations {
        std::fs::write(xml.join(format!("{id}.xml")), text).unwrap();
    }
    folder
}

/// The problems of one annotation, without its folder.
fn problem(xml: impl AsRef<[u8]>) -> String {
    let folder = folder(&[("1", xml.as_ref())]);
    let error = FORMAT.read(folder.path(), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Data, "{error}");
    error.to_string().replace(&format!("{}/Annotations/", folder.path().display()), "")
}

#[test]
fn every_cell_of_the_fixture_is_read_and_difficult_is_unknown() {
    let Reading { annotations, notes } = FORMAT.read(Path::new(FIXTURE), &Options::default()).unwrap();
    // The head of a person is a part, no object; a sofa is in no image but has a list.
    assert_eq!(annotations.categories, ["cat", "dog", "person", "sofa"]);
    let images = ["000001.jpg", "000002.png", "000003.jpg"];
    assert_eq!(annotations.images, images.map(|image| Path::new(FIXTURE).join("JPEGImages").join(image)));
    // The dog of the first image is difficult: unknown, not absent. Of the second, one of three is not.
    let expected = [-1.0, 0.0, 1.0, -1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0, -1.0, -1.0];
    assert_eq!(annotations.labels.to_floats(), expected);
    let expected = [
        "1 labels of categories with only difficult objects: unknown",
        "1 images without objects: negative in every category",
    ];
    assert_eq!(notes, expected);
}

#[test]
fn difficult_objects_are_what_the_user_says() {
    let dog = |difficult| {
        let reading = FORMAT.read(Path::new(FIXTURE), &with(difficult)).unwrap();
        (reading.annotations.labels.column(1).collect::<Vec<_>>(), reading.notes[0].clone())
    };
    use Label::{Negative, Positive};
    assert_eq!(dog(Difficult::Negative).0, [Negative, Positive, Negative]);
    assert_eq!(dog(Difficult::Positive).0, [Positive, Positive, Negative]);
    let sure = folder(&[("1", b"<annotation><object><name>dog</name></object></annotation>")]);
    let notes = FORMAT.read(sure.path(), &with(Difficult::Dropped)).unwrap().notes;
    assert_eq!(notes, [""; 0]);
    let (kept, note) = dog(Difficult::Dropped);
    assert_eq!(kept, [Positive, Negative]);
    assert_eq!(note, "1 images with a category of only difficult objects: left out");
}

#[test]
fn a_set_is_chosen_and_a_wrong_one_lists_those_that_are_there() {
    let set =
        |set: &str| FORMAT.read(Path::new(FIXTURE), &Options { set: Some(set.into()), ..Options::default() });
    let test = set("test").unwrap().annotations;
    assert_eq!((test.images.len(), test.categories), (1, vec!["train".to_owned()]));
    let error = set("vall").unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Usage);
    let text = error.to_string();
    assert!(text.starts_with("--set \"vall\": ") && text.ends_with("Main has test, trainval"), "{text}");
}

#[test]
fn the_folder_is_found_below_its_parents() {
    let parent = tempfile::tempdir().unwrap();
    let deep = parent.path().join("VOCdevkit/VOC2007");
    std::fs::create_dir_all(deep.join("Annotations")).unwrap();
    std::fs::write(
        deep.join("Annotations/a.xml"),
        "<annotation><object><name>x</name></object></annotation>",
    )
    .unwrap();
    for path in [parent.path(), deep.parent().unwrap(), &deep] {
        let error = FORMAT.read(path, &Options::default()).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Usage);
        assert!(error.to_string().contains("without the lists of ImageSets/Main"), "{error}");
        let unlisted = Some(crate::formats::options::Unlisted::Unknown);
        let reading = FORMAT.read(path, &Options { unlisted, ..Options::default() }).unwrap();
        assert_eq!(reading.annotations.images, [deep.join("JPEGImages/a.jpg")]);
        assert_eq!(reading.notes, ["no lists in ImageSets/Main: all 1 files of Annotations, by name"]);
        assert!(recognize(path, b"").is_some());
    }
    std::fs::create_dir_all(parent.path().join("VOCdevkit/VOC2012/Annotations")).unwrap();
    let error = FORMAT.read(parent.path(), &Options::default()).unwrap_err().to_string();
    assert!(error.contains("holds several VOC folders; choose one of"), "{error}");
    let error = FORMAT.read(&parent.path().join("none"), &Options::default()).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Missing);
    assert_eq!(recognize(&parent.path().join("none"), b""), None);
    let error = FORMAT.read(&deep.join("Annotations/a.xml"), &Options::default()).unwrap_err().to_string();
    assert!(
        error.ends_with("a file; expected the folder that holds Annotations or ImageSets/Main"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_with_an_annotation_is_said_with_its_line() {
    for (xml, expected) in [
        ("<annotation>\n<object>\n</object></annotation>", "1.xml:2: an object without a name"),
        (
            "<annotation><object><name>a</name>\n<difficult>yes</difficult></object></annotation>",
            "1.xml:2: difficult is \"yes\"; expected 0 or 1",
        ),
        ("<html></html>", "1.xml:1: the root element is \"html\"; expected annotation"),
        (
            "<annotation>\n<object><name>a",
            "1.xml:2: the file ends inside annotation/object/name; is it cut short?",
        ),
        ("", "1.xml:1: no XML element"),
        (
            "<annotation><object><name>&dog;</name></object></annotation>",
            "1.xml:1: entity \"&dog;\"; expected",
        ),
    ] {
        let found = problem(xml);
        assert!(found.starts_with(expected), "{found}");
    }
    assert!(problem("<object>".repeat(100)).contains("more than 64 elements inside one another"));
    assert!(
        problem(b"<annotation>\n<object><name>\xff</name></object></annotation>")
            .contains("1.xml:2: no UTF-8")
    );
}

#[test]
fn problems_of_all_annotations_come_at_once() {
    let folder = folder(&[("a", b"<annotation/>"), ("b", b"<b/>"), ("c", b"<c/>")]);
    std::fs::write(folder.path().join("ImageSets/Main/trainval.txt"), "a\nb\n\nno\nc\n").unwrap();
    let error = FORMAT.read(folder.path(), &Options::default()).unwrap_err().to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains("b.xml:1: the root element is \"b\""), "{error}");
    assert!(lines[1].contains("trainval.txt:4: no "), "{error}");
    assert!(lines[2].contains("c.xml:1: the root element is \"c\""), "{error}");
}

#[test]
fn a_file_that_cannot_be_opened_is_no_missing_annotation() {
    let folder = folder(&[("1", b"<annotation/>")]);
    let list = folder.path().join("ImageSets/Main/trainval.txt");
    std::fs::write(list, "1\n".to_owned() + &"2".repeat(300) + "\n").unwrap();
    let error = FORMAT.read(folder.path(), &Options::default()).unwrap_err().to_string();
    assert!(!error.contains("trainval.txt:2: no "), "{error}");
}

#[test]
fn the_images_folder_is_the_users_and_other_options_are_refused() {
    let options = Options { images: Some("/photos".into()), ..Options::default() };
    let images = FORMAT.read(Path::new(FIXTURE), &options).unwrap().annotations.images;
    assert_eq!(images[0], Path::new("/photos/000001.jpg"));
    let options = Options { image_list: Some("a.txt".into()), ..Options::default() };
    assert_eq!(FORMAT.read(Path::new(FIXTURE), &options).unwrap_err().kind(), crate::error::Kind::Usage);
}

#[test]
fn an_ending_in_the_list_of_images_is_part_of_the_name() {
    let xml = b"<annotation><filename>a.png</filename></annotation>";
    let dog = b"<annotation><object><name>dog</name></object></annotation>";
    let folder =
        folder(&[("a.png", xml), ("b", b"<annotation><filename>x.png</filename></annotation>"), ("c", dog)]);
    let images = FORMAT.read(folder.path(), &Options::default()).unwrap().annotations.images;
    let names: Vec<&str> = images.iter().map(|image| image.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["a.png", "b.png", "c.jpg"]);
}

proptest! {
    #[test]
    fn no_bytes_of_an_annotation_make_the_reader_panic(
        xml in damaged(std::fs::read(format!("{FIXTURE}/Annotations/000001.xml")).unwrap()),
    ) {
        let folder = folder(&[("1", &xml)]);
        let _ = FORMAT.read(folder.path(), &Options::default());
    }
}

#[test]
#[ignore = "a measurement: about a second"]
fn ten_thousand_annotations_are_read_quickly() {
    let xml = std::fs::read(format!("{FIXTURE}/Annotations/000001.xml")).unwrap();
    let names: Vec<String> = (0..10_000).map(|id| format!("{id:06}")).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), xml.as_slice())).collect();
    let folder = folder(&files);
    let start = std::time::Instant::now();
    assert_eq!(FORMAT.read(folder.path(), &Options::default()).unwrap().annotations.images.len(), 10_000);
    println!("{:?}", start.elapsed());
    assert!(start.elapsed().as_secs() < 5);
}
