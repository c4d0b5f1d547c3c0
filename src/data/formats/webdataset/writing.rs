//! Writing a WebDataset: one tar file with an image and `{"positive": […], "negative": […]}` for each row.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use serde::Serialize;

use crate::data::Annotations;
use crate::data::formats::image_names::image_names;
use crate::data::image::EXTENSIONS;
use crate::data::labels::Label;
use crate::files::{folder_of, write_atomically};
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
/// there are copied as they are.
///
/// # Errors
/// Also if an image is there and cannot be read.
pub fn write(path: &Path, annotations: &Annotations) -> Result<Vec<String>> {
    let paths = image_names(annotations, folder_of(path))?;
    let (mut missing, mut unreadable) = (0, None);
    let written = write_atomically(path, |writer| {
        let mut tar = tar::Builder::new(writer);
        for (row, image) in annotations.images.iter().enumerate() {
            match open(image) {
                Ok(Some((kind, file))) => append(&mut tar, &format!("{row:08}.{kind}"), file)
                    .inspect_err(|_| unreadable = Some(image))?,
                Ok(None) => missing += 1,
                Err(error) => {
                    unreadable = Some(image);
                    return Err(error);
                }
            }
            let json = serde_json::to_vec(&labels(annotations, row, &paths[row]))?;
            header(&mut tar, &format!("{row:08}.json"), json.len() as u64, &mut &json[..])?;
        }
        tar.finish()
    });
    match (written, unreadable) {
        // The disk of the tar file may be what failed; the message says which it was.
        (Err(Error::Io { source, .. }), Some(image)) => Err(Error::Data(format!(
            "{}: copying it into {} failed: {source}",
            image.display(),
            path.display()
        ))),
        (written, _) => written.map(|()| losses(annotations.images.len(), missing)),
    }
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

/// An image file and its kind; `None` if it is not there or is of no kind that readers of tar files know.
fn open(image: &Path) -> io::Result<Option<(String, File)>> {
    let kind = image.extension().and_then(|kind| kind.to_str()).unwrap_or_default().to_ascii_lowercase();
    if !EXTENSIONS.contains(&&*kind) || !image.is_file() {
        return Ok(None);
    }
    File::open(image).map(|file| Some((kind, file)))
}

fn append<W: Write>(tar: &mut tar::Builder<W>, name: &str, file: File) -> io::Result<()> {
    let size = file.metadata()?.len();
    let mut file = file.take(size);
    header(tar, name, size, &mut file)?;
    // What follows in the tar file would lie in the wrong place.
    if file.limit() > 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

/// Adds a member without owner and time, so that equal labels make equal files.
fn header<W: Write>(tar: &mut tar::Builder<W>, name: &str, size: u64, data: &mut dyn Read) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    tar.append_data(&mut header, name, data)
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
