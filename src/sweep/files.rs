//! The weights, word vectors and features that cells were trained with are still what lies under their names.

use std::path::{Path, PathBuf};

use super::state::Sweep;
use crate::backbone::weights::fingerprint;
use crate::run::{MapOrigin, Run, RunInfo};
use crate::{Error, Result};

/// A file of the sweep, with its hash once that was needed.
struct File<'a> {
    flag: &'static str,
    path: Option<&'a PathBuf>,
    hash: Option<String>,
}

impl<'a> File<'a> {
    fn new(flag: &'static str, path: Option<&'a PathBuf>) -> Self {
        Self { flag, path, hash: None }
    }

    /// Whether a cell was trained with other content, given the beginning of that content's hash.
    fn differs(&mut self, was: Option<&str>) -> Result<bool> {
        let (Some(path), Some(was)) = (self.path, was) else { return Ok(false) };
        if self.hash.is_none() {
            self.hash = Some(fingerprint(path)?);
        }
        Ok(self.hash.as_ref().is_some_and(|now| !now.starts_with(was)))
    }
}

impl Sweep {
    /// Refuses files whose content is not what cells were trained with.
    ///
    /// # Errors
    /// [`Error::Usage`] with the file, a cell that it was trained with, and what to do; if a file cannot be read.
    pub(super) fn check_files(&self) -> Result<()> {
        let mut files = [
            File::new("--weights", self.weights.as_ref()),
            File::new("--words", self.words.as_ref()),
            File::new("--features", self.features.as_ref()),
        ];
        for cell in self.plan.cells() {
            let folder = self.folder(&cell);
            let Some(info) = begun(&folder)? else { continue };
            let weights = match &info.maps {
                // `resnet101-pooled-0123456789abcdef`
                MapOrigin::Frozen(key) => key.rsplit('-').next(),
                MapOrigin::Trained => info.weights.as_deref(),
                MapOrigin::Onnx { .. } | MapOrigin::Given(_) => None,
            };
            let features = match &info.maps {
                MapOrigin::Given(hash) => Some(hash.as_str()),
                _ => None,
            };
            for (file, was) in files.iter_mut().zip([weights, info.words.as_deref(), features]) {
                if file.differs(was)? {
                    let shown = file.path.map_or_else(String::new, |path| path.display().to_string());
                    return Err(Error::Usage(format!(
                        "{}: {shown} is not what cells were trained with, such as {}; give the earlier file of {}, or \
                         sweep into another --out",
                        self.dir.display(),
                        self.name(&cell),
                        file.flag
                    )));
                }
            }
        }
        Ok(())
    }
}

/// What a run says of itself that has a checkpoint; another is begun anew.
fn begun(folder: &Path) -> Result<Option<RunInfo>> {
    if !folder.join("recipe.toml").is_file() {
        return Ok(None);
    }
    let run = Run::open(folder)?;
    if run.has_checkpoint() { run.info().map(Some) } else { Ok(None) }
}
