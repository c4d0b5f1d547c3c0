//! A folder for what nobody keeps.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A folder that is deleted when it is no longer needed.
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    /// One that nobody has.
    pub(crate) fn new() -> Result<Self> {
        let folder = std::env::temp_dir();
        for number in 0.. {
            let path = folder.join(format!("sarb-dry-run-{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io(&path, e)),
            }
        }
        unreachable!("a number is free");
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be deleted lies in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_folder_is_gone_with_its_value() {
        let folder = Temporary::new().unwrap();
        let (path, other) = (folder.0.clone(), Temporary::new().unwrap());
        assert!(path.is_dir() && other.0 != path);
        drop(folder);
        assert!(!path.exists());
    }
}
