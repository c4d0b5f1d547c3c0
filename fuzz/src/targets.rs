//! One function per target: the bytes become a file, which is read with options that let it get far.

use std::collections::HashSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;

use sarb_labels::arrays::read_matrix;
use sarb_labels::files::folder_of;
use sarb_labels::formats::options::{Convention, Difficult, Options, Uncertain, Unlisted, Words};
use sarb_labels::formats::{self, Reading, Source};
use sarb_labels::{Annotations, Error, Result};

/// Class descriptions, for Open Images.
const DESCRIPTIONS: &str = "/m/0bt9lr,dog\n/m/01yrx,cat\n/m/0jbk,animal\n/m/0k4j,car\n";

pub fn csv(bytes: &[u8]) {
    check(formats::csv::FORMAT.read(&file("csv", "train.csv", bytes), &Options::default()));
}

pub fn tags(bytes: &[u8]) {
    check(formats::tags::FORMAT.read(&file("tags", "tags.csv", bytes), &unlisted(bytes)));
}

pub fn long(bytes: &[u8]) {
    check(formats::long::FORMAT.read(&file("long", "long.csv", bytes), &Options::default()));
}

/// With and without what a user may say of a table.
pub fn table(bytes: &[u8]) {
    let path = file("table", "table.csv", bytes);
    check(formats::table::FORMAT.read(&path, &Options::default()));
    let list = |word: &str| vec![word.to_owned()];
    let words = Words { yes: list("x"), no: list("o"), unknown: list("-") };
    let convention = Some([Convention::Hcp, Convention::Csl, Convention::Complete][bytes.len() % 3]);
    let extension = Some("jpg".to_owned());
    check(formats::table::FORMAT.read(&path, &Options { words, convention, extension, ..unlisted(bytes) }));
}

pub fn coco(bytes: &[u8]) {
    check(formats::coco::FORMAT.read(&file("coco", "instances.json", bytes), &unlisted(bytes)));
}

pub fn lvis(bytes: &[u8]) {
    check(formats::lvis::FORMAT.read(&file("lvis", "lvis.json", bytes), &Options::default()));
}

pub fn label_studio(bytes: &[u8]) {
    let path = file("label_studio", "export.json", bytes);
    // An export of yes and no says what is not listed; others ask for it.
    for options in [Options::default(), unlisted(bytes)] {
        check(formats::label_studio::FORMAT.read(&path, &options));
    }
}

/// The bytes are `samples.json`, read with two fields and with a chosen one, or `labels.json`.
pub fn fiftyone(bytes: &[u8]) {
    let path = file("fiftyone", "samples.json", bytes);
    let field = Some("topics".into());
    for options in [Options::default(), unlisted(bytes), Options { field, ..unlisted(bytes) }] {
        check(formats::fiftyone::FORMAT.read(&path, &options));
    }
}

pub fn datumaro(bytes: &[u8]) {
    check(formats::datumaro::FORMAT.read(&file("datumaro", "train.json", bytes), &unlisted(bytes)));
}

/// The bytes are one of two files of a folder, and alone.
pub fn labelme(bytes: &[u8]) {
    let path = file("labelme", "a.json", bytes);
    beside(&path, "b.json", r#"{"flags": {"cat": true}, "shapes": [], "imagePath": "b.jpg"}"#);
    for source in [path.as_path(), folder_of(&path)] {
        check(formats::labelme::FORMAT.read(source, &unlisted(bytes)));
    }
}

/// The bytes are a project, annotations or a table, read with and without a chosen attribute.
pub fn via(bytes: &[u8]) {
    let path = file("via", "labels", bytes);
    let field = Some("kind".into());
    for options in [unlisted(bytes), Options { field, ..unlisted(bytes) }] {
        check(formats::via::FORMAT.read(&path, &options));
    }
}

/// With and without a set; numbers have names.
pub fn json_lines(bytes: &[u8]) {
    let path = file("json_lines", "labels.jsonl", bytes);
    let categories = Some(beside(&path, "categories.txt", "cat\ndog\ncar\n"));
    let set = Some("train".to_owned());
    for options in [Options::default(), unlisted(bytes), Options { categories, set, ..unlisted(bytes) }] {
        check(formats::json_lines::FORMAT.read(&path, &options));
    }
}

/// Lists, and states in every convention.
pub fn json_map(bytes: &[u8]) {
    let path = file("json_map", "labels.json", bytes);
    check(formats::json_map::FORMAT.read(&path, &unlisted(bytes)));
    for convention in [None, Some(Convention::Hcp), Some(Convention::Csl), Some(Convention::Complete)] {
        check(formats::json_map::FORMAT.read(&path, &Options { convention, ..Options::default() }));
    }
}

pub fn labelbox(bytes: &[u8]) {
    check(formats::labelbox::FORMAT.read(&file("labelbox", "export.ndjson", bytes), &unlisted(bytes)));
}

/// The bytes are the images, then the tags beside images.
pub fn custom_vision(bytes: &[u8]) {
    let images = r#"[{"id": "1", "tags": [{"tagId": "a", "tagName": "cat"}]}, {"id": "2", "tags": [{"tagName": "no"}]}]"#;
    let path = file("custom_vision", "images.json", bytes);
    check(formats::custom_vision::FORMAT.read(&path, &unlisted(bytes)));
    let tags = file("custom_vision", "project/tags.json", bytes);
    let path = beside(&tags, "images.json", images);
    check(formats::custom_vision::FORMAT.read(folder_of(&path), &unlisted(bytes)));
}

/// The bytes are an annotation, then the `meta.json` of a project.
pub fn supervisely(bytes: &[u8]) {
    let meta = r#"{"classes": [{"title": "car"}], "tags": [{"name": "like", "value_type": "none"},
        {"name": "rain", "value_type": "oneof_string", "values": ["yes", "no", "some"]},
        {"name": "remark", "value_type": "any_string"}, {"name": "number", "value_type": "any_number"}]}"#;
    let annotation = r#"{"tags": [{"name": "like"}, {"name": "rain", "value": "yes"}], "objects": [{"classTitle": "car"}]}"#;
    let path = file("supervisely", "first/ds0/ann/1.jpg.json", bytes);
    let project = folder_of(folder_of(folder_of(&path)));
    beside(folder_of(folder_of(&path)), "meta.json", meta);
    beside(&path, "2.jpg.json", annotation);
    check(formats::supervisely::FORMAT.read(project, &unlisted(bytes)));
    let path = file("supervisely", "second/meta.json", bytes);
    beside(&path, "ds0/ann/1.jpg.json", annotation);
    check(formats::supervisely::FORMAT.read(folder_of(&path), &unlisted(bytes)));
}

/// With and without names of categories.
pub fn vg(bytes: &[u8]) {
    let path = file("vg", "train.json", bytes);
    check(formats::vg::FORMAT.read(&path, &Options::default()));
    let categories = beside(&path, "categories.txt", "tree\nman\nsign\nwall\n");
    let image_list = beside(&path, "images.txt", "1.jpg\n5.jpg\n2.jpg\n");
    let (categories, image_list) = (Some(categories), Some(image_list));
    check(formats::vg::FORMAT.read(&path, &Options { categories, image_list, ..Options::default() }));
}

/// `.npy`, `.npz` and `.txt` by their first bytes, in every convention; three images.
pub fn arrays(bytes: &[u8]) {
    let name = match bytes {
        [b'P', b'K', ..] => "labels.npz",
        [0x93, ..] => "labels.npy",
        _ => "labels.txt",
    };
    let path = file("arrays", name, bytes);
    let image_list = Some(beside(&path, "images.list", "a.jpg\nb.jpg\nsub/c d.jpg\n"));
    let options = Options { image_list, ..Options::default() };
    for convention in [None, Some(Convention::Hcp), Some(Convention::Csl), Some(Convention::Complete)] {
        check(formats::arrays::FORMAT.read(&path, &Options { convention, ..options.clone() }));
    }
}

pub fn open_images(bytes: &[u8]) {
    let path = file("open_images", "labels.csv", bytes);
    beside(&path, "class-descriptions.csv", DESCRIPTIONS);
    check(formats::open_images::FORMAT.read(&path, &Options::default()));
}

/// Open Images' hierarchy, applied to labels that are right.
pub fn hierarchy(bytes: &[u8]) {
    let hierarchy = Some(file("hierarchy", "hierarchy.json", bytes));
    let path = hierarchy.as_deref().unwrap_or(Path::new(""));
    beside(path, "class-descriptions.csv", DESCRIPTIONS);
    let labels = "ImageID,Source,LabelName,Confidence\na,verification,/m/0bt9lr,1\na,verification,/m/01yrx,0\n\
                  b,verification,/m/0jbk,0\nb,verification,/m/0k4j,1\n";
    let labels = beside(path, "labels.csv", labels);
    check(formats::open_images::FORMAT.read(&labels, &Options { hierarchy, ..Options::default() }));
}

pub fn chexpert(bytes: &[u8]) {
    let uncertain = [None, Some(Uncertain::Negative), Some(Uncertain::Positive)][bytes.len() % 3];
    let options = Options { uncertain, ..unlisted(bytes) };
    check(formats::chexpert::FORMAT.read(&file("chexpert", "train.csv", bytes), &options));
}

pub fn cvat(bytes: &[u8]) {
    check(formats::cvat::FORMAT.read(&file("cvat", "annotations.xml", bytes), &unlisted(bytes)));
}

/// The bytes are the XML file of one of two images.
pub fn voc(bytes: &[u8]) {
    let xml = file("voc", "Annotations/a.xml", bytes);
    let root = folder_of(folder_of(&xml));
    beside(&xml, "b.xml", "<annotation><object><name>dog</name></object></annotation>");
    beside(root, "voc/ImageSets/Main/trainval.txt", "a\nb\n");
    check(formats::voc::FORMAT.read(root, &difficult(bytes)));
}

/// The bytes are the list of a category; then the list of images, with a list of a category.
pub fn voc_lists(bytes: &[u8]) {
    let list = file("voc_lists", "ImageSets/Main/cat_trainval.txt", bytes);
    let root = folder_of(folder_of(folder_of(&list)));
    beside(&list, "trainval.txt", "a\nb.png\nc\n");
    check(formats::voc::FORMAT.read(root, &difficult(bytes)));
    let images = file("voc_lists", "images/ImageSets/Main/trainval.txt", bytes);
    beside(&images, "dog_trainval.txt", "a 1\nb.png -1\nc 0\n");
    check(formats::voc::FORMAT.read(&root.join("images"), &difficult(bytes)));
}

/// The bytes are the XML file of one of two images, beside them.
pub fn voc_flat(bytes: &[u8]) {
    let xml = file("voc_flat", "a.xml", bytes);
    beside(&xml, "a.jpg", "");
    beside(&xml, "b.jpg", "");
    beside(&xml, "b.xml", "<annotation><object><name>dog</name></object></annotation>");
    let options = Options { difficult: difficult(bytes).difficult, ..unlisted(bytes) };
    check(formats::voc::FORMAT.read(folder_of(&xml), &options));
}

pub fn parquet(bytes: &[u8]) {
    let path = file("parquet", "labels.parquet", bytes);
    // A table either says what is not listed or asks for it.
    for options in [Options::default(), unlisted(bytes)] {
        check(formats::parquet::FORMAT.read(&path, &options));
    }
}

pub fn webdataset(bytes: &[u8]) {
    let path = file("webdataset", "shard.tar", bytes);
    let categories = Some(beside(&path, "categories.txt", "cat\ndog\ncar\n"));
    for options in [Options::default(), Options { categories, ..unlisted(bytes) }] {
        check(formats::webdataset::FORMAT.read(&path, &options));
    }
}

/// The bytes are a label file; then `data.yaml`.
pub fn yolo(bytes: &[u8]) {
    let labels = file("yolo", "labels/a.txt", bytes);
    let root = folder_of(folder_of(&labels));
    beside(&labels, "classes.txt", "cat\ndog\ntraffic light\n");
    beside(root, "yolo/images/a.jpg", "");
    check(formats::yolo::FORMAT.read(root, &unlisted(bytes)));
    // Paths that lead out would have the whole disk read.
    let text = String::from_utf8_lossy(bytes);
    let mut words = text.split([' ', '\t', '\n', ':', ',', '[', '"', '\'']);
    if text.contains("..") || words.any(|word| word.starts_with(['/', '\\'])) {
        return;
    }
    let yaml = file("yolo", "set/data.yaml", bytes);
    beside(&yaml, "train/images/a.jpg", "");
    beside(&yaml, "train/labels/a.txt", "0 0.5 0.5 0.2 0.2\n");
    let set = Some("train".into());
    for options in [unlisted(bytes), Options { set, ..unlisted(bytes) }] {
        check(formats::yolo::FORMAT.read(&yaml, &options));
    }
}

/// Scores: `.npy`, `.safetensors` and `.csv` by their first bytes.
pub fn scores(bytes: &[u8]) {
    let name = match bytes {
        [0x93, ..] => "scores.npy",
        [_, _, _, _, _, _, 0, 0, ..] => "scores.safetensors",
        _ => "scores.csv",
    };
    if let Some(matrix) = checked(read_matrix(&file("scores", name, bytes))) {
        assert_eq!(matrix.values.len(), matrix.rows * matrix.cols);
        assert!(matrix.values.iter().all(|value| value.is_finite()));
    }
}

/// Word vectors as text.
pub fn words(bytes: &[u8]) {
    let names = ["cat".to_owned(), "traffic light".to_owned()];
    checked(sarb_labels::words::Words::read(&file("words", "words.txt", bytes), &names));
}

/// A zip or gzip file of labels, by its first bytes.
pub fn archive(bytes: &[u8]) {
    let name = if bytes.starts_with(b"PK") { "labels.zip" } else { "labels.csv.gz" };
    let Some(source) = checked(Source::open(&file("archive", name, bytes))) else { return };
    let Some((format, _)) = checked(source.detect()) else { return };
    for options in [Options::default(), unlisted(bytes)] {
        check(source.read(format, &options));
    }
}

/// Telling the format of a file.
pub fn detect(bytes: &[u8]) {
    checked(formats::detect(&file("detect", "labels", bytes)));
}

/// Either policy, chosen by the length, so that one corpus tries both.
fn unlisted(bytes: &[u8]) -> Options {
    let policy = if bytes.len().is_multiple_of(2) { Unlisted::Unknown } else { Unlisted::Negative };
    Options { unlisted: Some(policy), ..Options::default() }
}

fn difficult(bytes: &[u8]) -> Options {
    let readings = [Difficult::Unknown, Difficult::Negative, Difficult::Positive, Difficult::Dropped];
    Options { difficult: Some(readings[bytes.len() % 4]), ..Options::default() }
}

/// Puts the bytes into a file of a folder that this process alone has, in memory where there is `/dev/shm`.
fn file(target: &str, name: &str, bytes: &[u8]) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        base.join("sarb-fuzz").join(std::process::id().to_string()).join(target)
    });
    let path = folder.join(name);
    put(&path, bytes);
    path
}

/// A file that is always the same, beside another.
fn beside(path: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder_of(path).join(name);
    if !path.exists() {
        put(&path, text.as_bytes());
    }
    path
}

fn put(path: &Path, bytes: &[u8]) {
    if fs::write(path, bytes).is_err() {
        fs::create_dir_all(folder_of(path)).expect("a folder for the files");
        fs::write(path, bytes).expect("room for a small file");
    }
}

/// A value, unless the bytes were refused, which must be said as what is wrong with them.
fn checked<T>(result: Result<T>) -> Option<T> {
    let error = match result {
        Ok(value) => return Some(value),
        Err(error) => error,
    };
    assert!(!error.to_string().is_empty());
    assert!(!matches!(error, Error::Io { .. }), "a file that is there and readable: {error}");
    None
}

/// What was read is whole, and our own label file holds it, where it can hold its names.
fn check(reading: Result<Reading>) {
    let Some(Reading { annotations, .. }) = checked(reading) else { return };
    let Annotations { images, labels, categories, source } = &annotations;
    assert_eq!((labels.images(), labels.categories()), (images.len(), categories.len()));
    assert!(!images.is_empty() && !categories.is_empty());
    assert_eq!(images.iter().collect::<HashSet<_>>().len(), images.len(), "an image twice");
    assert_eq!(categories.iter().collect::<HashSet<_>>().len(), categories.len(), "a category twice");
    let few = images.len() * categories.len() <= 1 << 16;
    let folder = folder_of(source);
    if few && images.iter().all(|image| is_plain(image, folder)) && categories.iter().all(|it| is_name(it)) {
        let path = folder.join("copy-of-labels");
        formats::csv::write(&path, &annotations).expect("labels of plain names can be written");
        let copy = formats::csv::read(&path).expect("what was written can be read");
        assert_eq!(copy, Annotations { source: path, ..annotations });
    }
}

/// Whether an image lies below a folder and a line of text holds its path.
fn is_plain(image: &Path, folder: &Path) -> bool {
    let Ok(below) = image.strip_prefix(folder) else { return false };
    let text = below.to_str().unwrap_or_default();
    !text.trim().is_empty()
        && !text.contains('\n')
        && below.components().all(|part| matches!(part, Component::Normal(_)))
}

/// Whether a header holds a category.
fn is_name(category: &str) -> bool {
    !category.is_empty() && category.trim() == category && !category.contains('\n')
}
