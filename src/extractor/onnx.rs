//! A network in ONNX form as an extractor of maps: the key of its maps, and finding it again for a run.
//!
//! A run does not keep such a network, which may have hundreds of megabytes: it says which one it needs.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::onnx::OnnxNetwork;
use crate::onnx::file::NetworkFile;
use crate::recipe::Recipe;
use crate::{Error, Result};

/// Digits of a hash that a key holds.
const KEY_DIGITS: usize = 32;

/// The network in ONNX form that a run needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkOrigin {
    /// Where it was when the run was begun.
    pub file: PathBuf,
    /// BLAKE3 of its file, as `b3sum` prints it; where weights are kept in parts, of all of them.
    pub hash: String,
}

impl NetworkOrigin {
    /// The network of a file.
    ///
    /// # Errors
    /// What reading it says.
    pub fn of(file: &Path) -> Result<Self> {
        Ok(Self::read(&NetworkFile::read(file)?))
    }

    fn read(file: &NetworkFile) -> Self {
        Self { file: file.path.clone(), hash: file.hash.clone() }
    }

    /// Whether both are one network, wherever it is.
    ///
    /// # Errors
    /// [`Error::Incompatible`] naming both if they are not.
    pub fn check_same(&self, other: &Self) -> Result<()> {
        if self.hash == other.hash {
            return Ok(());
        }
        Err(Error::Incompatible(format!(
            "{} is not the network of this run: its BLAKE3 hash is {}, but the run was begun with {}, hash {}",
            other.file.display(),
            other.hash,
            self.file.display(),
            self.hash
        )))
    }

    /// Where the network is now: in the run's folder `run`, under its name, or where it was.
    ///
    /// # Errors
    /// [`Error::Missing`] if it is in neither.
    fn find(&self, run: &Path) -> Result<PathBuf> {
        let copy = run.join(self.file.file_name().unwrap_or_default());
        let place = [copy.clone(), self.file.clone()].into_iter().find(|place| place.is_file());
        place.ok_or_else(|| {
            Error::Missing(format!(
                "{}: no such file, but the run needs this network (BLAKE3 {}); put it there, or into the run's folder as {}",
                self.file.display(),
                self.hash,
                copy.display()
            ))
        })
    }
}

/// The network that the recipe's file holds.
///
/// # Errors
/// What reading the file and loading the network says.
pub(super) fn open(recipe: &Recipe, file: &Path) -> Result<(OnnxNetwork, NetworkOrigin, String)> {
    let file = NetworkFile::read(file)?;
    let origin = NetworkOrigin::read(&file);
    let options = recipe.backbone.onnx_options();
    let key = format!("onnx-{}-{}", &origin.hash[..KEY_DIGITS], options.key());
    Ok((OnnxNetwork::new(file, &options, recipe.data.size_px)?, origin, key))
}

/// The network that a run needs, which has the recipe `recipe` and the folder `run`.
///
/// # Errors
/// [`Error::Missing`] without it, [`Error::Incompatible`] if another has taken its place.
pub(super) fn open_for_run(recipe: &Recipe, origin: &NetworkOrigin, run: &Path) -> Result<OnnxNetwork> {
    let file = NetworkFile::read(&origin.find(run)?)?;
    origin.check_same(&NetworkOrigin::read(&file))?;
    OnnxNetwork::new(file, &recipe.backbone.onnx_options(), recipe.data.size_px)
}
