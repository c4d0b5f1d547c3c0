use proptest::prelude::*;

use super::super::{FORMAT, recognize};
use super::*;
use crate::error::Kind;
use crate::formats::options::{Difficult, Unlisted};
use crate::formats::samples::{damaged, folder_with, rows_below};
use crate::labels::Label;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats/voc_flat");

fn with(unlisted: Unlisted, set: &str) -> Options {
    let set = (!set.is_empty()).then(|| set.to_owned());
    Options { unlisted: Some(unlisted), set, ..Options::default() }
}

/// Rows and notes of a folder, with what is not listed negative.
fn rows(folder: &Path, source: &str) -> (Vec<String>, Vec<String>) {
    let Reading { annotations, notes } =
        FORMAT.read(&folder.join(source), &with(Unlisted::Negative, "")).unwrap();
    (rows_below(folder, &annotations), notes)
}

fn error(folder: &Path, options: &Options) -> (Kind, String) {
    let error = FORMAT.read(folder, options).unwrap_err();
    (error.kind(), error.to_string().replace(&folder.display().to_string(), "SOURCE"))
}

/// An XML file with these elements before a cat.
fn cat(elements: &str) -> String {
    format!("<annotation>\n{elements}<object><name>cat</name></object></annotation>")
}

#[test]
fn every_cell_of_the_fixture_is_read() {
    let folder = Path::new(FIXTURE);
    let Reading { annotations, notes } = FORMAT.read(folder, &with(Unlisted::Negative, "train")).unwrap();
    // The dog is only in the other set.
    assert_eq!(annotations.categories, ["dog", "helmet", "person"]);
    let expected = ["train/a_jpg.rf.01.jpg -++", "train/b_jpg.rf.02.jpg -?-", "train/c.png ---"];
    assert_eq!(rows_below(folder, &annotations), expected);
    let expected = [
        "1 labels of categories with only difficult objects: unknown",
        "1 images without objects: negative in every category",
    ];
    assert_eq!(notes, expected);
    let unknown = FORMAT.read(folder, &with(Unlisted::Unknown, "val")).unwrap();
    assert_eq!(rows_below(folder, &unknown.annotations), ["valid/d.jpg +??"]);
    let options = Options { difficult: Some(Difficult::Positive), ..with(Unlisted::Unknown, "train") };
    let reading = FORMAT.read(folder, &options).unwrap();
    let expected = ["train/a_jpg.rf.01.jpg ?++", "train/b_jpg.rf.02.jpg ?+?", "train/c.png ???"];
    assert_eq!(rows_below(folder, &reading.annotations), expected);
    assert_eq!(reading.notes[1], "1 images without objects: unknown in every category");
}

#[test]
fn a_policy_and_a_set_must_be_chosen_and_the_devkit_needs_no_policy() {
    let folder = Path::new(FIXTURE);
    let (kind, text) = error(folder, &Options { set: Some("train".into()), ..Options::default() });
    assert_eq!(kind, Kind::Usage);
    let expected =
        "the XML files of a tool name what was found, not what was looked for; pass --unlisted unknown";
    assert!(text.starts_with(expected), "{text}");
    let (_, text) = error(folder, &with(Unlisted::Unknown, ""));
    assert_eq!(text, "SOURCE: several sets; choose one with --set: train, valid");
    let (_, text) = error(&folder.join("train"), &with(Unlisted::Unknown, "train"));
    assert_eq!(text, "SOURCE has no sets such as train and val; remove --set");
    let devkit = folder.with_file_name("voc");
    let (_, text) = error(&devkit, &with(Unlisted::Unknown, ""));
    assert_eq!(text, "--unlisted: Pascal VOC with its own folders has no use for it; remove the option");
}

#[test]
fn images_are_found_beside_in_the_folder_and_at_the_path() {
    let folder = folder_with(&[
        ("xml/a.xml", &cat("<folder>photos</folder><filename>a.jpg</filename>")),
        ("photos/a.jpg", ""),
        ("xml/b.xml", &cat("<filename>b</filename>")),
        ("xml/b.JPG", ""),
        ("xml/c.xml", &cat("<filename>C:\\me\\c.png</filename><path>C:\\me\\c.png</path>")),
        ("images/c.jpg", ""),
        ("xml/d.xml", &cat("<path>../else/d.jpg</path>")),
        ("else/d.jpg", ""),
        ("xml/e.xml", &cat("<folder>..</folder><filename>e.jpg</filename>")),
        ("xml/f.xml", &cat("")),
        ("xml/more.jpg", ""),
        ("xml/._a.xml", "no XML"),
        ("xml/notes.md", ""),
    ]);
    let (read, notes) = rows(folder.path(), "xml");
    let real = |row: &String| row.replace("xml/../", "");
    let expected =
        ["photos/a.jpg +", "xml/b.JPG +", "images/c.jpg +", "else/d.jpg +", "xml/e.jpg +", "xml/f.jpg +"];
    assert_eq!(read.iter().map(real).collect::<Vec<_>>(), expected);
    assert_eq!(notes, ["1 images have no XML file: left out"]);
    let options = Options { images: Some("/photos".into()), ..with(Unlisted::Unknown, "") };
    let reading = FORMAT.read(&folder.path().join("xml"), &options).unwrap();
    assert_eq!(reading.annotations.images[2], Path::new("/photos/c.png"));
}

#[test]
fn a_file_name_that_contradicts_the_xml_file_gives_way_to_the_image_that_is_there() {
    let folder = folder_with(&[
        // Renamed: only the image of the own name is there.
        ("b.xml", &cat("<filename>old.jpg</filename>")),
        ("b.jpg", ""),
        // Numbered anew: the other one has its own XML file.
        ("c.xml", &cat("<filename>b.jpg</filename>")),
        ("c.jpg", ""),
        // The XML file alone was renamed.
        ("d_v2.xml", &cat("<filename>d.jpg</filename>")),
        ("d.jpg", ""),
        // Nothing is there.
        ("e.xml", &cat("<filename>f.jpg</filename>")),
        // A second file about an image.
        ("g.xml", "<annotation><filename>d.jpg</filename><object><name>dog</name></object></annotation>"),
    ]);
    let (read, notes) = rows(folder.path(), "");
    assert_eq!(read, ["b.jpg +-", "c.jpg +-", "d.jpg ++", "f.jpg +-"]);
    let expected = [
        "2 XML files name another image in filename: the image of their own name is taken",
        "3 XML files name another image in filename: that image is taken",
        "1 XML files are about an image of another one: their objects are put together",
    ];
    assert_eq!(notes, expected);
    let doubtful =
        folder_with(&[("a.xml", &cat("<filename>x.jpg</filename>")), ("a.jpg", ""), ("x.jpg", "")]);
    let (kind, text) = error(doubtful.path(), &with(Unlisted::Unknown, ""));
    let expected =
        "SOURCE/a.xml:2: filename is \"x.jpg\", but \"a.jpg\" is there too; remove the wrong image";
    assert_eq!((kind, &*text), (Kind::Data, expected));
}

#[test]
fn annotations_beside_images_are_those_of_a_tool_unless_the_devkit_is_there() {
    let xml = cat("<filename>a.jpg</filename>");
    for name in ["Annotations", "annotations"] {
        let files = [(&*format!("{name}/a.xml"), &*xml), ("images/a.jpg", "")];
        let folder = folder_with(&files);
        let row = rows(folder.path(), "").0[0].replace(&format!("{name}/../"), "");
        assert_eq!(row, "images/a.jpg +");
        assert_eq!(recognize(folder.path(), b"").unwrap(), "1 XML files of Pascal VOC");
    }
    let devkit = folder_with(&[
        ("Annotations/a.xml", &*xml),
        ("images/b.jpg", ""),
        ("ImageSets/Main/trainval.txt", "a\n"),
    ]);
    let reading = FORMAT.read(devkit.path(), &Options::default()).unwrap();
    assert_eq!(rows_below(devkit.path(), &reading.annotations), ["JPEGImages/a.jpg +"]);
}

#[test]
fn problems_of_all_files_come_at_once() {
    let folder = folder_with(&[("a.xml", "<annotations/>"), ("b.xml", &cat("")), ("c.xml", "<annotation>")]);
    let (kind, text) = error(folder.path(), &with(Unlisted::Unknown, ""));
    assert_eq!(kind, Kind::Data);
    let expected = "SOURCE/a.xml:1: the root element is \"annotations\"; expected annotation\n\
                    SOURCE/c.xml:1: the file ends inside annotation; is it cut short?";
    assert_eq!(text, expected);
}

#[test]
fn only_pascal_vocs_xml_is_recognized() {
    let fixture = Path::new(FIXTURE);
    assert_eq!(recognize(fixture, b"").unwrap(), "4 XML files of Pascal VOC");
    assert_eq!(crate::formats::detect(&fixture.join("train")).unwrap().0, FORMAT);
    let voc = ["voc", "voc_flat", "voc_lists"];
    for other in std::fs::read_dir(fixture.parent().unwrap()).unwrap() {
        let other = other.unwrap().path();
        let name = other.file_name().unwrap().to_str().unwrap();
        assert_eq!(recognize(&other, b"").is_some(), voc.contains(&name), "{name}");
    }
    for (xml, expected) in [
        ("\u{feff}<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE a>\n<annotation verified=\"yes\">", true),
        ("<annotation>", true),
        ("<annotations><meta/>", false),
        ("<project>", false),
        ("<!-- <annotation>", false),
        ("", false),
    ] {
        let folder = folder_with(&[("a.xml", xml)]);
        assert_eq!(recognize(folder.path(), b"").is_some(), expected, "{xml}");
    }
}

#[test]
fn files_about_one_image_are_put_together_before_they_are_judged() {
    let object = |name: &str, difficult: u8| {
        format!("<object><name>{name}</name><difficult>{difficult}</difficult></object>")
    };
    let file = |objects: String| format!("<annotation><filename>d.jpg</filename>{objects}</annotation>");
    let folder = folder_with(&[
        ("d.jpg", ""),
        ("d.xml", &file(object("cat", 0) + &object("owl", 1))),
        ("g.xml", &file(object("dog", 1) + &object("owl", 0))),
        ("h.xml", &file(String::new())),
    ]);
    let read = |difficult| {
        let options = Options { difficult: Some(difficult), ..with(Unlisted::Negative, "") };
        FORMAT.read(folder.path(), &options)
    };
    // A difficult dog leaves the whole image out, whichever file says so.
    let dropped = read(Difficult::Dropped).unwrap_err().to_string();
    assert!(dropped.contains("no images; nothing to read"), "{dropped}");
    let reading = read(Difficult::Negative).unwrap();
    assert_eq!(reading.annotations.categories, ["cat", "dog", "owl"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, -1.0, 1.0]);
    let said = |what: &str| reading.notes.iter().any(|note| note.contains(what));
    assert!(
        said("2 XML files are about an image of another one") && !said("without objects"),
        "{:?}",
        reading.notes
    );
}

#[test]
fn dots_in_names_of_images_are_part_of_the_name() {
    let folder = folder_with(&[
        ("c.jpg", ""),
        ("x.rf.1.jpg", ""),
        (
            "c.xml",
            "<annotation><filename>x.rf.1.jpg</filename><object><name>cat</name></object></annotation>",
        ),
        (
            "x.rf.1.xml",
            "<annotation><filename>x.rf.1.jpg</filename><object><name>dog</name></object></annotation>",
        ),
    ]);
    let annotations = FORMAT.read(folder.path(), &with(Unlisted::Unknown, "")).unwrap().annotations;
    assert_eq!(annotations.images, ["c.jpg", "x.rf.1.jpg"].map(|name| folder.path().join(name)));
    assert_eq!(annotations.labels.to_floats(), [1.0, 0.0, 0.0, 1.0]);
}

proptest! {
    #[test]
    fn no_bytes_of_an_annotation_make_the_reader_panic(
        xml in damaged(std::fs::read(format!("{FIXTURE}/train/a_jpg.rf.01.xml")).unwrap()),
    ) {
        let folder = folder_with(&[("b.xml", &cat("")), ("a.jpg", "")]);
        std::fs::write(folder.path().join("a.xml"), xml).unwrap();
        if let Ok(reading) = FORMAT.read(folder.path(), &with(Unlisted::Negative, "")) {
            // The other file keeps its object.
            prop_assert!(reading.annotations.labels.count(Label::Positive) > 0);
        }
    }
}
