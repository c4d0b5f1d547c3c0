//! Labels and damaged files for the property tests of formats.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use crate::Result;
use crate::annotations::Annotations;
use crate::error::Kind;
use crate::formats::format::Format;
use crate::formats::{detect, head_of};
use crate::labels::LabelMatrix;

/// Images, categories and labels without a place.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// File names, without an extension.
    pub images: Vec<String>,
    pub categories: Vec<String>,
    /// Row by row, −1, 0 and 1.
    pub values: Vec<i8>,
}

impl Sample {
    /// With the images in a folder, as if read from a file in `source`.
    pub fn at(&self, source: &Path, images: &Path, extension: &str) -> Annotations {
        let path = |name: &String| images.join(format!("{name}{extension}"));
        Annotations {
            images: self.images.iter().map(path).collect::<Vec<PathBuf>>(),
            labels: LabelMatrix::from_values(self.categories.len(), &self.values),
            categories: self.categories.clone(),
            source: source.join("train.csv"),
        }
    }
}

/// Gives `read` the bytes as a file of this name in a folder of its own.
pub(crate) fn read_bytes<T>(
    name: &str,
    bytes: impl AsRef<[u8]>,
    read: impl FnOnce(&Path) -> Result<T>,
) -> Result<T> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path)
}

/// A folder with these files.
pub(crate) fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

/// The images of a reading as paths below a folder, each with its labels as `+`, `-` and `?`.
pub(crate) fn rows_below(folder: &Path, annotations: &Annotations) -> Vec<String> {
    let labels = annotations.labels.to_floats();
    let rows = annotations.images.iter().zip(labels.chunks(annotations.categories.len()));
    let sign = |label: &f32| {
        if *label > 0.0 {
            '+'
        } else if *label < 0.0 {
            '-'
        } else {
            '?'
        }
    };
    let row = |(image, labels): (&PathBuf, &[f32])| {
        let image = image.strip_prefix(folder).unwrap_or(image);
        format!("{} {}", image.display(), labels.iter().map(sign).collect::<String>())
    };
    rows.map(row).collect()
}

/// The lines of an error with this kind, each from the name of the file on.
pub(crate) fn problems_of<T: std::fmt::Debug>(name: &str, kind: Kind, result: Result<T>) -> Vec<String> {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    let strip = |line: &str| line.find(name).map_or(line.to_owned(), |at| line[at..].to_owned());
    error.to_string().lines().map(strip).collect()
}

/// The same without the name and its colon: `3: what`.
pub(crate) fn lines_of<T: std::fmt::Debug>(name: &str, kind: Kind, result: Result<T>) -> Vec<String> {
    let start = format!("{name}:");
    let strip = |line: String| line.strip_prefix(&start).unwrap_or(&line).trim().to_owned();
    problems_of(&start, kind, result).into_iter().map(strip).collect()
}

/// Makes sure that these paths are told to be of this format alone, and that no fixture of another is.
pub(crate) fn recognized_alone(format: Format, own: &[&Path]) {
    for path in own {
        let (found, why) = detect(path).unwrap();
        assert_eq!(found, format, "{}: {why}", path.display());
    }
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/formats"));
    let is_own = |path: &Path| own.iter().any(|own| own.starts_with(path) || path.starts_with(own));
    let mut left = vec![fixtures.to_owned()];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        if !is_own(&path) {
            let head = if path.is_dir() { Vec::new() } else { head_of(&path).unwrap() };
            assert_eq!((format.recognize)(&path, &head), None, "{}", path.display());
        }
    }
}

/// Up to five images and categories of any names that a path can hold, and any labels.
pub(crate) fn samples() -> impl Strategy<Value = Sample> {
    (names(), names()).prop_flat_map(|(images, categories)| {
        let values = prop::collection::vec(-1..=1i8, images.len() * categories.len());
        values.prop_map(move |values| Sample {
            images: images.clone(),
            categories: categories.clone(),
            values,
        })
    })
}

fn names() -> impl Strategy<Value = Vec<String>> {
    let any = r#"\PC{1,8}|[a-c ,;|"'&<>_.-]{1,6}"#.prop_map(|name| name.replace('/', "_").trim().to_owned());
    let name = any.prop_filter("a name", |name| !["", ".", ".."].contains(&name.as_str()));
    prop::collection::btree_set(name, 1..6).prop_map(Vec::from_iter).prop_shuffle()
}

/// Any bytes, and `file` with some bytes changed and cut short.
pub(crate) fn damaged(file: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let changed =
        (changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(move |(changes, end, cut)| {
            let mut bytes = file.clone();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if cut {
                bytes.truncate(end.index(bytes.len()));
            }
            bytes
        });
    prop_oneof![changed, prop::collection::vec(any::<u8>(), 0..300)]
}
