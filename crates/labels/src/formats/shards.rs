//! Folders whose files of one kind are the parts of one source.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The files `*.extension` of a folder, in order of their names.
pub(crate) fn shard_files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_shard = |file: &PathBuf| file.extension().is_some_and(|end| end == extension) && file.is_file();
    let mut files: Vec<PathBuf> = files.filter(is_shard).collect();
    files.sort();
    Ok(files)
}
