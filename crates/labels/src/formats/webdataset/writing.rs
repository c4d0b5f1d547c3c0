//! Writing a WebDataset: one tar file with an image and `{"positive": […], "negative": […]}` for each row.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names::image_names;
use crate::images::{EXTENSIONS, read_file};
use crate::labels::Label;
use crate::{Error, Result};

/// What the JSON of a sample holds.
#[derive(Serialize)]
struct Labels<'a> {
    positive: Vec<&'a str>,
    negative: Vec<&'a str>,
    /// The image's path, by which it is found if it is not in the tar file.
    image: &'a str,
    /// All categories; the first sample alone has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    categories: Option<&'a [String]>,
}

/// Writes one tar file. Keys are the numbers of the rows from `00000000`; the bytes of each image that is
/// there, as a file or in another tar file, are copied as they are.
///
/// # Errors
/// Also if an image is there and cannot be read.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let paths = image_names(annotations, folder_of(path))?;
    let (mut missing, mut unread) = (0, None);
    let written = write_atomically(path, |writer| {
        let mut tar = tar::Builder::new(writer);
        for (row, image) in annotations.images.iter().enumerate() {
            match read(image) {
                Ok(Some((kind, bytes))) => append(&mut tar, &format!("{row:08}.{kind}"), &bytes)?,
                Ok(None) => missing += 1,
                Err(error) => {
                    unread = Some(error);
                    return Err(io::ErrorKind::Other.into());
                }
            }
            let json = serde_json::to_vec(&labels(annotations, row, &paths[row]))?;
            append(&mut tar, &format!("{row:08}.json"), &json)?;
        }
        tar.finish()
    });
    // The image is at fault, not the tar file, which the error of writing names.
    unread.map_or(written, Err)?;
    Ok(losses(annotations.images.len(), missing))
}

fn labels<'a>(annotations: &'a Annotations, row: usize, image: &'a str) -> Labels<'a> {
    let categories = &annotations.categories;
    let with = |wanted: Label| {
        let cells = annotations.labels.row(row).zip(categories);
        cells.filter(|(label, _)| *label == wanted).map(|(_, name)| name.as_str()).collect()
    };
    let (positive, negative) = (with(Label::Positive), with(Label::Negative));
    Labels { positive, negative, image, categories: (row == 0).then_some(categories) }
}

/// The kind and the bytes of an image; `None` if it is not there or is of no kind that readers of tar files
/// know.
fn read(image: &Path) -> Result<Option<(String, Vec<u8>)>> {
    let kind = image.extension().and_then(|kind| kind.to_str()).unwrap_or_default().to_ascii_lowercase();
    if !EXTENSIONS.contains(&&*kind) || image.is_dir() {
        return Ok(None);
    }
    match read_file(image) {
        Ok(bytes) => Ok(Some((kind, bytes))),
        Err(Error::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds a member without owner and time, so that equal labels make equal files.
fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, name, bytes)
}

fn losses(images: usize, missing: usize) -> Vec<String> {
    let mut losses = Vec::new();
    if missing > 0 {
        losses.push(format!(
            "{missing} images: no such file of a known kind; the tar file holds their labels and paths alone"
        ));
    }
    if missing < images {
        losses.push(format!(
            "{} image names: members have the row's number (00000000.jpg); the path is `image` in the JSON",
            images - missing
        ));
    }
    losses
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::FORMAT;
    use super::super::tests::{options, tar};
    use super::*;
    use crate::labels::LabelMatrix;

    /// Writes, with those images on disk whose place is in `present`, and reads back.
    fn round_trip(annotations: &Annotations, folder: &Path, present: &[usize]) -> (Vec<String>, Annotations) {
        for &row in present {
            std::fs::create_dir_all(annotations.images[row].parent().unwrap()).unwrap();
            std::fs::write(&annotations.images[row], format!("image {row}")).unwrap();
        }
        let path = folder.join("out.tar");
        let losses = write(&path, annotations).unwrap();
        (losses, FORMAT.read(&path, &options(None)).unwrap().annotations)
    }

    #[test]
    fn written_images_are_copied_and_missing_ones_keep_their_paths() {
        let folder = tempfile::tempdir().unwrap();
        let images: Vec<PathBuf> =
            ["i/a.jpg", "i/b.JPG", "i/c"].iter().map(|name| folder.path().join(name)).collect();
        let annotations = Annotations {
            images: images.clone(),
            labels: LabelMatrix::from_values(2, &[1, -1, 0, 0, -1, 1]),
            categories: ["dog", "cat"].map(str::to_owned).to_vec(),
            source: folder.path().join("train.csv"),
        };
        let (losses, back) = round_trip(&annotations, folder.path(), &[1, 2]);
        let tar = folder.path().join("out.tar");
        assert_eq!(back.images, [images[0].clone(), tar.join("00000001.jpg"), images[2].clone()]);
        assert_eq!((&back.labels, &back.categories), (&annotations.labels, &annotations.categories));
        assert_eq!(
            losses,
            [
                "2 images: no such file of a known kind; the tar file holds their labels and paths alone",
                "1 image names: members have the row's number (00000000.jpg); the path is `image` in the JSON",
            ]
        );
        let mut archive = tar::Archive::new(File::open(&tar).unwrap());
        let mut entry = archive.entries().unwrap().nth(1).unwrap().unwrap();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(text, "image 1");
    }

    #[test]
    fn an_image_that_cannot_be_read_is_named_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.tar"), &tar(&[("a.jpg", &[7; 3000])])[..1000]).unwrap();
        let annotations = Annotations {
            images: vec![folder.path().join("a.tar/a.jpg")],
            labels: LabelMatrix::unknown(1, 1),
            categories: vec!["cat".into()],
            source: folder.path().join("train.csv"),
        };
        let error = write(&folder.path().join("out.tar"), &annotations).unwrap_err().to_string();
        assert!(error.contains("a.tar: not read as a tar file"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn labels_categories_and_paths_of_missing_images_come_back(
            names in prop::collection::hash_set("[a-z \"é,\\\\/\n]{1,6}", 1..70),
            images in prop::collection::hash_set("[a-zA-Z0-9é ,\"'_]{1,8}", 1..8),
            seed in prop::collection::vec(-1..=1i8, 70 * 8)
        ) {
            let folder = tempfile::tempdir().unwrap();
            let images: Vec<PathBuf> =
                images.iter().map(|image| folder.path().join(format!("i{image}.jpg"))).collect();
            let categories: Vec<String> = names.into_iter().collect();
            let labels = LabelMatrix::from_values(categories.len(), &seed[..categories.len() * images.len()]);
            let annotations = Annotations { images, labels, categories, source: folder.path().join("t.csv") };
            let (losses, back) = round_trip(&annotations, folder.path(), &[]);
            prop_assert_eq!(losses.len(), 1);
            prop_assert_eq!((&back.images, &back.labels, &back.categories),
                (&annotations.images, &annotations.labels, &annotations.categories));
        }
    }

    #[test]
    fn only_what_is_lost_is_said() {
        let said = |images, missing| losses(images, missing).len();
        assert_eq!([said(2, 0), said(2, 1), said(2, 2)], [1, 2, 1]);
    }
}
