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

/// The split that a file belongs to, by its name: `train` of `train-00000-of-00002.parquet`, as Hugging Face
/// names shards, or of `train.parquet`, `train_0.tar` and `train-images.tar`.
pub(crate) fn split_of(file: &Path) -> Option<&str> {
    let name = file.file_stem()?.to_str()?;
    if let Some((name, _)) = name.split_once("-of-") {
        return Some(name.rsplit_once('-')?.0);
    }
    let word = name.split(|c: char| !c.is_alphabetic()).next()?;
    is_split_name(word).then_some(word)
}

/// Whether a word is the name of a split.
pub(crate) fn is_split_name(word: &str) -> bool {
    SPLITS.contains(&&*word.to_lowercase())
}

const SPLITS: [&str; 7] = ["train", "training", "val", "valid", "validation", "test", "dev"];

/// The distinct splits of files, in order of their names.
pub(crate) fn splits(files: &[PathBuf]) -> Vec<&str> {
    let mut splits: Vec<&str> = files.iter().filter_map(|file| split_of(file)).collect();
    splits.sort_unstable();
    splits.dedup();
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_tell_their_splits() {
        let files = [
            "train-00000-of-00002.parquet",
            "nsfw-train-00000-of-00002.parquet",
            "validation.parquet",
            "test_1.tar",
            "trains.tar",
            "000017.tar",
        ];
        let files = files.map(PathBuf::from);
        assert_eq!(splits(&files), ["nsfw-train", "test", "train", "validation"]);
        assert_eq!(split_of(&files[5]), None);
    }
}
