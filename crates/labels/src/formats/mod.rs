//! One file format a file. A label format gives [`Annotations`]: paths and labels,
//! nothing of tensors, and no image is opened. [`ALL`] lists them;
//! a new one is its file and its line there.
mod answer_words;
mod answers;
mod archive;
pub mod arrays;
pub mod chexpert;
pub mod class_folders;
mod class_numbers;
pub mod coco;
pub mod csv;
pub mod custom_vision;
pub mod cvat;
pub mod datumaro;
pub mod fiftyone;
pub mod format;
mod hierarchy;
mod image_files;
pub mod image_names;
mod instances;
mod json;
pub mod json_lines;
pub mod json_map;
mod label_lists;
pub mod label_studio;
pub mod labelbox;
pub mod labelme;
pub(crate) mod lines;
mod location;
pub mod long;
pub mod lvis;
mod marks;
mod name_list;
mod names;
pub mod open_images;
pub mod options;
pub mod page;
pub mod parquet;
pub mod predictions;
mod questions;
pub(crate) mod report;
#[cfg(test)]
mod samples;
mod shards;
mod sheet;
pub(crate) mod splits;
pub mod supervisely;
pub mod table;
pub mod tags;
mod tree;
pub mod vg;
pub mod via;
pub mod voc;
pub mod webdataset;
mod xml;
pub mod yolo;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::annotations::Annotations;
use crate::{Error, Result};
use format::Format;

pub use archive::Source;
pub use image_files::find_images;

/// The formats of labels, one per line.
pub const ALL: &[Format] = &[
    csv::FORMAT,
    table::FORMAT,
    tags::FORMAT,
    long::FORMAT,
    json_lines::FORMAT,
    json_map::FORMAT,
    arrays::FORMAT,
    class_folders::FORMAT,
    yolo::FORMAT,
    coco::FORMAT,
    lvis::FORMAT,
    voc::FORMAT,
    vg::FORMAT,
    open_images::FORMAT,
    chexpert::FORMAT,
    label_studio::FORMAT,
    cvat::FORMAT,
    labelme::FORMAT,
    via::FORMAT,
    datumaro::FORMAT,
    supervisely::FORMAT,
    labelbox::FORMAT,
    custom_vision::FORMAT,
    fiftyone::FORMAT,
    parquet::FORMAT,
    webdataset::FORMAT,
];

/// Most bytes of a file that are looked at to tell its format.
const HEAD: u64 = 64 * 1024;

/// What a source gave.
#[derive(Debug)]
pub struct Reading {
    /// Images, categories and labels; image paths joined to their folder.
    pub annotations: Annotations,
    /// What the user should know: how doubtful entries were read, each with a count.
    pub notes: Vec<String>,
}

/// The format of a file or folder, and why.
///
/// # Errors
/// If it is of no known format, or could be of several.
pub fn detect(path: &Path) -> Result<(Format, String)> {
    let head = head(path)?;
    let pattern = is_pattern(path);
    let mut found = recognized_by(path, &head, ALL);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 if pattern => Err(Error::Missing(format!("{}: no such file or folder", path.display()))),
        // The nearest format says why it does not fit.
        0 if csv::begins_like_ours(&head) => match csv::read(path) {
            Err(error) => Err(error),
            Ok(_) => Ok((csv::FORMAT, "a header image,…".into())),
        },
        0 if let Some(what) = table::nearly(&head) => Err(Error::Data(format!("{}: {what}", path.display()))),
        0 => {
            let names = ALL.iter().map(|format| format.name).collect::<Vec<_>>().join("|");
            let what = format!("not a label format sarb recognizes; pass --from {names}");
            Err(Error::Data(format!("{}: {what}", path.display())))
        }
        _ => {
            let reasons = found.iter().map(|(format, why)| format!("{format} ({why})"));
            let reasons = reasons.collect::<Vec<_>>().join(" or ");
            Err(Error::Usage(format!("{}: could be {reasons}; pass --from to choose", path.display())))
        }
    }
}

/// A pattern of shards, such as `train-*.tar`, is not a file.
fn is_pattern(path: &Path) -> bool {
    !path.exists() && path.to_string_lossy().contains(['*', '?', '['])
}

/// Those of some formats that a file or folder may be of, and why.
fn recognized(path: &Path, formats: &[Format]) -> Result<Vec<(Format, String)>> {
    Ok(recognized_by(path, &head(path)?, formats))
}

fn recognized_by(path: &Path, head: &[u8], formats: &[Format]) -> Vec<(Format, String)> {
    let recognized = |format: &Format| Some((*format, (format.recognize)(path, head)?));
    formats.iter().filter_map(recognized).collect()
}

/// The beginning of a file; nothing of a folder or a pattern.
fn head(path: &Path) -> Result<Vec<u8>> {
    if path.is_dir() || is_pattern(path) { Ok(Vec::new()) } else { head_of(path) }
}

/// Whether a format of one program recognizes a file, so that it is of none of the two general ones.
fn specific(path: &Path, head: &[u8]) -> bool {
    let general = [table::FORMAT, tags::FORMAT];
    let specific = ALL.iter().filter(|format| !general.contains(format));
    specific.into_iter().any(|format| (format.recognize)(path, head).is_some())
}

/// The beginning of a file, enough to tell its format.
fn head_of(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::io(path, error);
    let mut head = Vec::new();
    File::open(path).map_err(failed)?.take(HEAD).read_to_end(&mut head).map_err(failed)?;
    Ok(head)
}

/// The format that a name of a file to be written means.
pub fn of_extension(path: &Path) -> Option<Format> {
    let extension = path.extension()?.to_str()?;
    ALL.iter().copied().find(|format| format.written.is_some() && format.extensions.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelMatrix;
    use std::path::PathBuf;

    #[test]
    fn every_format_is_written_and_told_by_its_content() {
        let source = tempfile::tempdir().unwrap();
        let image = source.path().join("a.jpg");
        image::RgbImage::new(3, 2).save(&image).unwrap();
        let annotations = Annotations {
            images: vec![image],
            labels: LabelMatrix::from_values(3, &[1, -1, 0]),
            categories: ["Edema", "Fracture", "Lung Opacity"].map(str::to_owned).to_vec(),
            source: source.path().join("train.csv"),
        };
        for format in ALL.iter().filter(|format| format.written.is_some()) {
            let folder = tempfile::tempdir().unwrap();
            let extension = match format.name {
                "tags" | "open-images" | "chexpert" => "csv",
                "coco" | "lvis" | "vg" | "label-studio" | "fiftyone" | "datumaro" | "json-map" => "json",
                _ => format.extensions.first().copied().unwrap_or("voc"),
            };
            let path: PathBuf = folder.path().join("labels").with_extension(extension);
            format.write(&path, &annotations).unwrap();
            assert_eq!(detect(&path).unwrap().0, *format);
        }
    }

    #[test]
    fn a_pattern_of_shards_is_looked_for_and_a_name_that_is_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let found = |name: &str| detect(&folder.path().join(name)).map(|(format, _)| format.name);
        let error = found("train-*.tar").unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Missing);
        assert!(error.to_string().ends_with("train-*.tar: no such file or folder"), "{error}");
        // A file may have such a name.
        std::fs::write(folder.path().join("train[1].csv"), "image,cat\na.jpg,1\n").unwrap();
        assert_eq!(found("train[1].csv").unwrap(), "csv");
    }

    #[test]
    fn the_extension_of_a_file_to_be_written_means_a_format_that_is_written() {
        let of = |name: &str| of_extension(Path::new(name)).map(|format| format.name);
        assert_eq!(
            ["a.csv", "a.parquet", "a.jsonl", "a.npy"].map(of),
            ["csv", "parquet", "json-lines", "arrays"].map(Some)
        );
        assert_eq!(["a.ndjson", "a.doc", "csv"].map(of), [None; 3]);
    }

    /// The files of all fixtures, with the name of the format that their folder is called after.
    fn fixtures(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { fixtures(&path) } else { vec![path] }).collect()
    }

    #[test]
    fn no_fixture_is_taken_for_another_format() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats"));
        // Lists of names and numbers lie beside a source and are none themselves.
        let files = fixtures(root).into_iter().filter(|file| file.extension().is_none_or(|end| end != "txt"));
        for file in files {
            let head = head_of(&file).unwrap();
            let found = ALL.iter().filter(|format| (format.recognize)(&file, &head).is_some());
            let found: Vec<&str> = found.map(|format| format.name).collect();
            let below = file.strip_prefix(root).unwrap().components().next().unwrap();
            let folder = below.as_os_str().to_str().unwrap().replace('_', "-");
            assert!(found.is_empty() || found == [folder.as_str()], "{}: {found:?}", file.display());
        }
    }
}
