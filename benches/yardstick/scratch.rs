//! The folder in which a measurement writes the files that it reads.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use sarb::{Error, Result};

/// A folder that is removed in the end, unless it is kept.
pub struct Folder {
    pub path: PathBuf,
    kept: bool,
}

impl Folder {
    /// The folder `keep`, or one of our own among the temporary files.
    pub fn new(keep: Option<&Path>) -> Result<Self> {
        let (path, created) = match keep {
            Some(dir) => (dir.to_path_buf(), std::fs::create_dir_all(dir)),
            None => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
                let path = std::env::temp_dir().join(format!("sarb-bench-{}-{now}", std::process::id()));
                // Fails where there is one already: what is removed in the end is ours.
                (path.clone(), std::fs::create_dir(path))
            }
        };
        created.map_err(|source| Error::io(&path, source))?;
        Ok(Self { path, kept: keep.is_some() })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            // A failure to clean up must not hide the result.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_go_unless_they_are_kept() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("photographs");
        drop(Folder::new(Some(&dir)).unwrap());
        assert!(dir.is_dir());
        let temporary = Folder::new(None).unwrap().path.clone();
        assert!(!temporary.exists(), "dropped at the end of the statement");
    }
}
