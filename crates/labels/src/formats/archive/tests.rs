use std::io::{Cursor, Write};

use flate2::write::GzEncoder;
use proptest::prelude::*;
use zip::write::{SimpleFileOptions, ZipWriter};

use super::*;
use crate::error::Kind as ErrorKind;
use crate::formats::options::Unlisted;
use crate::formats::samples::damaged;

const LABELS: &str = "image,cat\na.jpg,1\nsub/b.jpg,0\n";
const CVAT: &str = "<annotations><version>1.1</version><image id='0' name='a.jpg'><tag label='cat'/></image>\n\
                    <image id='1' name='b.jpg'/></annotations>";

fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn gzipped(content: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

fn unlisted() -> Options {
    Options { unlisted: Some(Unlisted::Unknown), ..Options::default() }
}

/// A folder with a source of this name and images, empty files.
fn folder(name: &str, content: impl AsRef<[u8]>, images: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    for image in images {
        let path = folder.path().join(image);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    (folder, path)
}

/// What a source is and gives; the images below its folder.
fn read(name: &str, content: impl AsRef<[u8]>, images: &[&str]) -> Result<(Format, Vec<String>, Reading)> {
    let (folder, path) = folder(name, content, images);
    let source = Source::open(&path)?;
    let (format, _) = source.detect()?;
    let options = if format.name == "cvat" { unlisted() } else { Options::default() };
    let reading = source.read(format, &options)?;
    assert_eq!(reading.annotations.source, path);
    let below = |image: &PathBuf| image.strip_prefix(folder.path()).unwrap().display().to_string();
    let images = reading.annotations.images.iter().map(below).collect();
    Ok((format, images, reading))
}

/// What is wrong with a source, from its name on.
fn refused(name: &str, content: impl AsRef<[u8]>, kind: ErrorKind) -> String {
    let error = read(name, content, &[]).unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let text = error.to_string();
    // The test's own folder is a temporary one, too.
    assert!(text.matches("/.tmp").count() <= text.matches(name).count(), "{text}");
    text[text.find(name).unwrap_or(0)..].to_owned()
}

#[test]
fn a_zip_file_with_one_label_file_is_read_as_if_that_lay_beside_it() {
    let (format, images, reading) = read("export.zip", zipped(&[("annotations.xml", CVAT)]), &[]).unwrap();
    assert_eq!(format.name, "cvat");
    assert_eq!(images, ["a.jpg", "b.jpg"]);
    assert_eq!(reading.annotations.labels.to_floats(), [1.0, 0.0]);
    // With what systems and tools put beside it, and in the folder where the images of CVAT are.
    let zip = zipped(&[
        ("__MACOSX/._annotations.xml", "x"),
        ("export/.DS_Store", "x"),
        ("export/README.txt", "read me"),
        ("export/annotations.xml", CVAT),
    ]);
    let (_, images, _) = read("export.zip", &zip, &["images/b.jpg"]).unwrap();
    assert_eq!(images, ["images/a.jpg", "images/b.jpg"]);
    let (_, images, _) = read("export.zip", &zip, &["export/b.jpg", "images/b.jpg"]).unwrap();
    assert_eq!(images, ["export/a.jpg", "export/b.jpg"]);
    let (_, images, _) = read("export.zip", &zip, &["b.jpg"]).unwrap();
    assert_eq!(images, ["a.jpg", "b.jpg"]);
}

#[test]
fn the_folder_of_images_may_be_given() {
    let (_folder, path) = folder("export.zip", zipped(&[("annotations.xml", CVAT)]), &[]);
    let options = Options { images: Some("media".into()), ..unlisted() };
    let reading = Source::open(&path).unwrap().read(crate::formats::cvat::FORMAT, &options).unwrap();
    assert_eq!(reading.annotations.images, ["media/a.jpg", "media/b.jpg"].map(Path::new));
}

#[test]
fn a_folder_format_is_found_in_a_zip_file() {
    let object = "<annotation><object><name>cat</name></object></annotation>";
    let zip = zipped(&[("VOC/Annotations/1.xml", object), ("VOC/ImageSets/Main/trainval.txt", "1\n")]);
    let (format, images, reading) = read("voc.zip", zip, &[]).unwrap();
    assert_eq!(format.name, "voc");
    assert_eq!(images, ["VOC/JPEGImages/1.jpg"]);
    assert_eq!(reading.annotations.categories, ["cat"]);
}

#[test]
fn gzip_files_are_read_under_their_names() {
    let (format, images, _) = read("labels.csv.gz", gzipped(LABELS.as_bytes()), &[]).unwrap();
    assert_eq!((format.name, images), ("csv", vec!["a.jpg".to_owned(), "sub/b.jpg".to_owned()]));
    // Messages give lines of the file as the user knows it.
    let wrong = gzipped(b"image,cat\na.jpg,7\n");
    let text = refused("labels.csv.gz", &wrong, ErrorKind::Data);
    assert!(text.starts_with("labels.csv.gz:2: \"7\" for category \"cat\""), "{text}");
    let wrong = zipped(&[("export/labels.csv", "image,cat\na.jpg,7\n")]);
    let text = refused("export.zip", &wrong, ErrorKind::Data);
    assert!(text.starts_with("export.zip/export/labels.csv:2: \"7\" for category \"cat\""), "{text}");
    let two = [gzipped(b"image,cat\n"), gzipped(b"a.jpg,1\n")].concat();
    assert_eq!(read("labels.csv.gz", two, &[]).unwrap().1, ["a.jpg"]);
}

#[test]
fn archives_with_images_and_of_other_kinds_say_what_to_do() {
    let usage = |name: &str, content: &[u8]| refused(name, content, ErrorKind::Usage);
    for image in ["images/a.jpg", "train/B.PNG", "x.heic"] {
        let text = usage("roboflow.zip", &zipped(&[("README.txt", ""), (image, "x"), ("a.csv", LABELS)]));
        assert!(
            text.starts_with(&format!("roboflow.zip: holds images, such as {image:?}, which are")),
            "{text}"
        );
        assert!(
            text.contains("; unpack it first: unzip ") && text.ends_with(" -d DIR, then give DIR"),
            "{text}"
        );
    }
    let sheet = "a spreadsheet; save the sheet as CSV (UTF-8) and give that file";
    let xlsx = zipped(&[("[Content_Types].xml", ""), ("xl/workbook.xml", "")]);
    for (name, content) in [
        ("labels.xlsx", &xlsx[..]),
        ("labels.zip", &xlsx),
        ("labels.ods", &zipped(&[("a", "")])),
        ("labels.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    ] {
        assert_eq!(usage(name, content), format!("{name}: {sheet}"));
    }
    // A table that is only called like a sheet is one.
    assert_eq!(read("labels.xls", LABELS, &[]).unwrap().0.name, "csv");
    let unpack = "unpack it first, then give the label file or its folder";
    for (name, content, what) in [
        ("a.7z", &b"7z\xbc\xaf\x27\x1c\0"[..], "a 7z archive"),
        ("a.rar", b"Rar!\x1a\x07\0", "a RAR archive"),
        ("a.json.bz2", b"BZh91AY", "compressed by bzip2"),
        ("a.json.xz", b"\xfd7zXZ\0\0", "compressed by xz"),
        ("a.json.zst", b"\x28\xb5\x2f\xfd\0", "compressed by Zstandard"),
    ] {
        assert_eq!(usage(name, content), format!("{name}: {what}; {unpack}"));
    }
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(1);
    tar.append_data(&mut header, "a.json", &b"x"[..]).unwrap();
    let tar = gzipped(&tar.into_inner().unwrap());
    let (bzip2, xz) = (&b"BZh91AY"[..], &b"\xfd7zXZ\0\0"[..]);
    for (name, content) in [
        ("shards.tar.gz", &tar[..]),
        ("shards.tgz", &tar),
        ("shards.gz", &tar),
        ("shards.tar.bz2", bzip2),
        ("shards.tbz2", bzip2),
        ("shards.tar.xz", xz),
        ("SHARDS.TXZ", xz),
    ] {
        let text = usage(name, content);
        assert!(
            text.starts_with(&format!("{name}: a compressed tar archive; unpack it first: tar -xf ")),
            "{text}"
        );
    }
}

#[test]
fn what_is_dangerous_or_damaged_is_refused() {
    let data = |content: &[u8]| refused("a.zip", content, ErrorKind::Data);
    for name in ["../a.csv", "x/../../a.csv", "/etc/a.csv", "C:\\a.csv", "..\\a.csv"] {
        let text = data(&zipped(&[("b.csv", LABELS), (name, LABELS)]));
        assert!(text.ends_with("leads out of the folder of the archive, which is not unpacked"), "{text}");
    }
    let mut link = ZipWriter::new(Cursor::new(Vec::new()));
    link.add_symlink("a.csv", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let text = data(&link.finish().unwrap().into_inner());
    assert_eq!(text, "a.zip: \"a.csv\" is a link, which is not unpacked");
    let text = data(&zipped(&[("a", ""), ("a/b.csv", LABELS)]));
    assert_eq!(text, "a.zip: holds two files called \"a\"");
    // Two names of one length, made one.
    let twice = zipped(&[("a.csv", LABELS), ("b.csv", LABELS)]);
    let twice: Vec<u8> = twice
        .iter()
        .enumerate()
        .map(|(at, byte)| if twice[at..].starts_with(b"b.csv") { b'a' } else { *byte })
        .collect();
    assert!(data(&twice).starts_with("a.zip: holds two files of one name"), "{}", data(&twice));
    assert_eq!(data(&zipped(&[])), "a.zip: an archive without files");
    assert_eq!(data(&zipped(&[("a/.hidden", "")])), "a.zip: an archive without files");
    let whole = zipped(&[("a.csv", LABELS)]);
    let text = data(&whole[..whole.len() - 10]);
    assert!(text.starts_with("a.zip: no zip file that can be read: ") && text.ends_with("; is it whole?"));
    let gzip = gzipped(LABELS.as_bytes());
    let text = refused("a.csv.gz", &gzip[..gzip.len() - 10], ErrorKind::Data);
    assert!(text.starts_with("a.csv.gz: no gzip file that can be read: "), "{text}");
    let none = data(&zipped(&[("a.txt", "hello"), ("b.txt", "you")]));
    assert!(
        none.starts_with("a.zip: holds 2 files, none of which is a label file sarb recognizes"),
        "{none}"
    );
    let other = data(&zipped(&[("a.txt", "hello")]));
    assert!(other.starts_with("a.zip/a.txt: not a label format sarb recognizes"), "{other}");
}

#[test]
fn more_than_the_limits_is_not_unpacked() {
    let two = zipped(&[("a.csv", LABELS), ("b.csv", LABELS)]);
    let both = 2 * LABELS.len() as u64;
    let unpacked = |files: usize, bytes: u64| {
        let (folder, path) = folder("a.zip", &two, &[]);
        let error = unpack::unzip_within(&path, folder.path(), files, bytes).err()?.to_string();
        Some(error[error.find("a.zip").unwrap()..].to_owned())
    };
    assert_eq!(unpacked(2, both), None);
    let large = "a.zip: more than 4 GB when unpacked; unpack it yourself if that is meant";
    assert_eq!(unpacked(2, both - 1).unwrap(), large);
    assert_eq!(unpacked(1, both).unwrap(), "a.zip: holds 2 files; at most 1 are unpacked");
    assert_eq!(unpacked(0, both).unwrap(), "a.zip: holds 2 files; at most 0 are unpacked");
}

#[test]
fn members_that_cannot_be_unpacked_say_why() {
    // A flag and a method of both headers of a member, which lie behind its two signatures.
    let changed = |[here, there]: [usize; 2], value: u8| {
        let mut zip = zipped(&[("a.csv", LABELS)]);
        for (signature, at) in [(b"PK\x03\x04", here), (b"PK\x01\x02", there)] {
            let start = zip.windows(4).position(|bytes| bytes == signature).unwrap();
            zip[start + at] = value;
        }
        refused("a.zip", zip, ErrorKind::Data)
    };
    let first = "unpack it first, then give the label file or its folder";
    assert_eq!(changed([6, 8], 1), format!("a.zip: protected by a password; {first}"));
    let method = changed([8, 10], 97);
    assert_eq!(method, format!("a.zip: \"a.csv\": compression method not supported: 97; {first}"));
    let long = format!("{}.csv", "x".repeat(300));
    let text = refused("a.zip", zipped(&[(&long, LABELS)]), ErrorKind::Data);
    assert!(text.starts_with("a.zip: \"xxx") && text.ends_with(" is too long a name for a file"), "{text}");
}

#[test]
fn a_choice_between_label_files_is_the_users() {
    let two = zipped(&[("train.csv", LABELS), ("test.csv", LABELS), ("cvat.xml", CVAT)]);
    let text = refused("a.zip", &two, ErrorKind::Usage);
    let expected = "a.zip: holds several sources of labels: \"train.csv\" (csv), \"test.csv\" (csv), \
                    \"cvat.xml\" (cvat); unpack it first: unzip ";
    assert!(text.starts_with(expected) && text.ends_with(" -d DIR, then give one of them"), "{text}");
    // The format may decide.
    let (_folder, path) = folder("a.zip", &two, &[]);
    let source = Source::open(&path).unwrap();
    let reading = source.read(crate::formats::cvat::FORMAT, &unlisted()).unwrap();
    assert_eq!(reading.annotations.categories, ["cat"]);
    assert!(source.read(crate::formats::csv::FORMAT, &Options::default()).is_err());
}

#[test]
fn what_is_no_archive_is_read_as_ever() {
    assert_eq!(read("labels.csv", LABELS, &[]).unwrap().1, ["a.jpg", "sub/b.jpg"]);
    let missing = Source::open(Path::new("/nowhere/a.zip")).unwrap().detect().unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Missing);
    // NumPy's archives are zip files, too.
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats/arrays/labels.npz");
    let arrays = Source::open(&fixtures).unwrap();
    assert!(arrays.unpacked.is_none());
    assert_eq!(arrays.detect().unwrap().0.name, "arrays");
    // What systems put beside the files is not looked at, wherever it leads.
    let zip = zipped(&[("labels.csv", LABELS), ("../.DS_Store", ""), ("__MACOSX/x.jpg", ""), ("x/", "")]);
    assert_eq!(read("a.zip", zip, &[]).unwrap().1, ["a.jpg", "sub/b.jpg"]);
}

#[test]
fn nothing_is_left_behind() {
    let (_folder, path) = folder("labels.csv.gz", gzipped(LABELS.as_bytes()), &[]);
    let source = Source::open(&path).unwrap();
    let inside = source.unpacked.as_ref().unwrap().root().to_owned();
    assert!(inside.join("labels.csv").is_file());
    drop(source);
    assert!(!inside.exists());
}

#[test]
fn of_many_sources_the_first_are_named_and_of_two_formats_one_is_chosen() {
    let tables = |count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("{at}.csv")).collect();
        zipped(&names.iter().map(|name| (name.as_str(), LABELS)).collect::<Vec<_>>())
    };
    let five = refused("a.zip", tables(5), ErrorKind::Usage);
    assert!(five.contains("\"4.csv\" (csv); unpack it first"), "{five}");
    let both = zipped(&[("labels.csv", "image,labels\na.jpg,1\n"), ("README.md", "")]);
    let both = refused("a.zip", both, ErrorKind::Usage);
    assert!(both.contains("(csv)") && both.ends_with("; pass --from to choose the format"), "{both}");
    let six = refused("a.zip", tables(6), ErrorKind::Usage);
    assert!(six.contains("\"4.csv\" (csv), …; unpack it first"), "{six}");
}

#[test]
fn the_annotators_of_a_source_are_those_that_its_format_names() {
    let labels = "ImageID,Source,LabelName,Confidence\na,verification,/m/1,1\na,crowd,/m/2,0\n";
    let names = "/m/1,Cat\n/m/2,Dog\n";
    let zip = zipped(&[("labels.csv", labels), ("class-descriptions.csv", names)]);
    let task = r#"[{"data": {"image": "a.jpg"}, "annotations": [{"completed_by": 7, "result": []}]}]"#;
    for (name, content, format, expected) in [
        ("labels.csv", labels.as_bytes(), open_images::FORMAT, &["crowd", "verification"][..]),
        ("labels.zip", &zip, open_images::FORMAT, &["crowd", "verification"]),
        ("export.json", task.as_bytes(), label_studio::FORMAT, &["7"]),
        ("labels.csv", LABELS.as_bytes(), crate::formats::csv::FORMAT, &[]),
    ] {
        let (_folder, path) = folder(name, content, &[]);
        assert_eq!(Source::open(&path).unwrap().annotators(format).unwrap(), expected, "{name}");
    }
}

#[test]
fn a_folder_beside_others_in_an_archive_is_not_all_of_it() {
    let zip = zipped(&[("a/labels.csv", LABELS), ("b/c/notes.txt", "")]);
    assert_eq!(read("a.zip", &zip, &[]).unwrap().1, ["a.jpg", "sub/b.jpg"]);
    let (_folder, path) = folder("a.zip", &zip, &[]);
    let source = Source::open(&path).unwrap();
    let unpacked = source.unpacked.as_ref().unwrap();
    assert_eq!(unpacked.folders(), [unpacked.root()]);
    // A name that leads up is looked for beside the archive.
    let zip = zipped(&[("x/labels.csv", "image,cat\n../a.jpg,1\n")]);
    assert_eq!(read("a.zip", &zip, &["a.jpg"]).unwrap().1, ["a.jpg"]);
    assert_eq!(normal(Path::new("../a/./b/../../c")), Path::new("../c"));
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(
        zip in damaged(zipped(&[("x/labels.csv", LABELS), ("x/README.txt", "")])),
        gzip in damaged(gzipped(LABELS.as_bytes())),
    ) {
        let _ = read("a.zip", zip, &[]);
        let _ = read("a.csv.gz", gzip, &[]);
    }
}
