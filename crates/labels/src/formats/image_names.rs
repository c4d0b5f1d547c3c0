//! Paths of images as the label files of all formats write them.

use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use crate::annotations::Annotations;
use crate::files::folder_of;
use crate::relocation::Relocation;
use crate::{Error, Result};

/// The images by their paths from `folder`, which must be there: relative where the two share more than
/// the root of the file system, else absolute.
///
/// # Errors
/// [`Error::Data`] for a path that is not UTF-8 text.
pub fn image_names(annotations: &Annotations, folder: &Path) -> Result<Vec<String>> {
    let names = ImageNames::new(folder_of(&annotations.source), folder)?;
    annotations.images.iter().map(|image| names.of(image)).collect()
}

/// Such paths of images that come one after the other.
#[derive(Debug)]
pub struct ImageNames(Relocation);

impl ImageNames {
    /// For images whose paths begin with the folder `from`, or are absolute, to be read from `folder`, which must be
    /// there.
    ///
    /// # Errors
    /// If it is not.
    pub fn new(from: &Path, folder: &Path) -> Result<Self> {
        Relocation::new(from, folder).map(Self)
    }

    /// The path of an image, as [`image_names`] gives it.
    ///
    /// # Errors
    /// [`Error::Data`] for a path that is not UTF-8 text.
    pub fn of(&self, image: &Path) -> Result<String> {
        portable(self.0.apply(image)?)
    }
}

/// A path as text, with `/` between its parts where it is relative.
fn portable(path: PathBuf) -> Result<String> {
    let other_separator = path.is_relative() && MAIN_SEPARATOR != '/';
    let text = path.into_os_string().into_string().map_err(|path| {
        Error::Data(format!("{}: a label file is UTF-8 text and cannot hold this path", path.display()))
    })?;
    Ok(if other_separator { text.replace(MAIN_SEPARATOR, "/") } else { text })
}
