//! Paths of images as the label files of all formats write them.

use std::path::Path;

use crate::annotations::Annotations;
use crate::files::{Relocation, folder_of};
use crate::{Error, Result};

/// The images by their paths from `folder`, which must be there: relative where the two share more than
/// the root of the file system, else absolute.
///
/// # Errors
/// [`Error::Data`] for a path that is not UTF-8 text.
pub fn image_names(annotations: &Annotations, folder: &Path) -> Result<Vec<String>> {
    let relocation = Relocation::new(folder_of(&annotations.source), folder)?;
    annotations.images.iter().map(|image| portable(&relocation.apply(image)?)).collect()
}

/// A path as text, with `/` between its parts where it is relative.
fn portable(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        Error::Data(format!("{}: a label file is UTF-8 text and cannot hold this path", path.display()))
    })?;
    Ok(if path.is_relative() { text.replace(std::path::MAIN_SEPARATOR, "/") } else { text.to_owned() })
}
