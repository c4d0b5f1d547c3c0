//! What a training reads beside its recipe.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sarb_labels::words::Words;

use crate::cache::limit::{self, Cleared, StoreInfo};
use crate::{Error, Result};

/// What a training reads beside its recipe.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The data folder.
    pub data: PathBuf,
    /// Pretrained weights of the backbone.
    pub weights: Option<PathBuf>,
    /// Word vectors, in place of the data folder's.
    pub words: Option<PathBuf>,
    /// The user's own features, in place of images.
    pub features: Option<PathBuf>,
    /// Those of the images of `val.csv`.
    pub val_features: Option<PathBuf>,
    /// Where feature maps are cached.
    pub cache: Cache,
    /// The largest share of the training images, 0…1, that is left out if they cannot be read; without it one such
    /// image ends the training.
    pub skip_broken: Option<f64>,
}

impl Inputs {
    /// A data folder alone, with the default cache.
    ///
    /// # Errors
    /// [`Error::Missing`] where the system names no folder for caches.
    pub fn new(data: impl Into<PathBuf>) -> Result<Self> {
        let cache = Cache::default_folder()?;
        let (data, skip_broken) = (data.into(), None);
        Ok(Self { data, weights: None, words: None, features: None, val_features: None, cache, skip_broken })
    }

    /// Refuses a data folder whose path cannot be written into files of text, as those of a run are.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn check_name(&self) -> Result<()> {
        check_name("--data", &self.data)
    }

    /// Refuses any path that cannot, for sweeps and tunings, which note them all.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub(crate) fn check_names(&self) -> Result<()> {
        self.files().into_iter().try_for_each(|(flag, path)| check_name(flag, path))
    }

    /// The folder and the files that are given, with the flags that name them.
    fn files(&self) -> Vec<(&'static str, &PathBuf)> {
        let files = [
            ("--data", Some(&self.data)),
            ("--weights", self.weights.as_ref()),
            ("--words", self.words.as_ref()),
            ("--features", self.features.as_ref()),
            ("--val-features", self.val_features.as_ref()),
        ];
        files.into_iter().filter_map(|(flag, path)| Some((flag, path?))).collect()
    }

    /// The file of the word vectors: the one that is named, or the data folder's, if it has one.
    ///
    /// # Errors
    /// If the folder has two.
    pub(crate) fn words_file(&self) -> Result<Option<PathBuf>> {
        match &self.words {
            Some(words) => Ok(Some(words.clone())),
            None => Ok(Words::files(&self.data)?.into_iter().next()),
        }
    }

    /// The arguments that say the same to another `sarb train`, but for the cache.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        self.files().into_iter().flat_map(|(flag, path)| [flag.into(), path.into()]).collect()
    }
}

/// Refuses a path that cannot be written into a file of text.
pub(crate) fn check_name(flag: &str, path: &Path) -> Result<()> {
    let path = std::path::absolute(path).map_err(|e| Error::io(path, e))?;
    match path.to_str() {
        Some(_) => Ok(()),
        None => Err(Error::Usage(format!(
            "{flag} {}: this path is not UTF-8, and the files that note it cannot hold it; rename it, or give a link to it",
            path.display()
        ))),
    }
}

/// Where feature maps are cached, and how much they may take.
#[derive(Debug, Clone)]
pub struct Cache {
    /// The folder.
    pub dir: PathBuf,
    /// Its size limit in bytes.
    pub limit_bytes: u64,
}

impl Cache {
    /// The limit where nobody says another: 20 GB.
    pub const LIMIT_BYTES: u64 = 20_000_000_000;

    /// A folder with the default limit.
    pub fn in_folder(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), limit_bytes: Self::LIMIT_BYTES }
    }

    /// The stores of feature maps in it, one an extractor, transform and view.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn stores(&self) -> Result<Vec<StoreInfo>> {
        limit::list(&self.dir)
    }

    /// Deletes the stores that no process uses.
    ///
    /// # Errors
    /// If a store cannot be deleted.
    pub fn clear(&self) -> Result<Cleared> {
        limit::clear(&self.dir)
    }

    /// The folder for this user: `$XDG_CACHE_HOME/sarb`.
    ///
    /// # Errors
    /// [`Error::Missing`] where the system names none.
    pub fn default_folder() -> Result<Self> {
        limit::default_cache_dir().map(Self::in_folder)
    }
}
