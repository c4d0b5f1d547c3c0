//! A folder that one process at a time writes to.
//!
//! The lock is the system's, on a file in the folder, so that it ends with its process however that ends; the
//! file stays and holds the process's id for the message to the next one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};

use sarb_labels::temporary::is_temporary;

use crate::{Error, Result};

/// A folder that no other process of this program writes to while this lives.
#[derive(Debug)]
pub struct FolderLock {
    file: File,
}

impl FolderLock {
    /// The file in a locked folder.
    pub const FILE: &str = "sarb.lock";

    /// Locks a folder, which must be there.
    ///
    /// # Errors
    /// [`Error::Usage`] with the id of the process that has it; what writing to the folder says.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.map_err(|e| Error::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(folder, holder(&mut file).unwrap_or(0))),
            // A file system without locks: no reason not to train on it.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(Error::io(&path, e)),
        }
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| {
            writeln!(file, "{}", std::process::id())?;
            file.flush()
        });
        written.map_err(|e| Error::io(&path, e))?;
        Ok(Self { file })
    }

    /// The id of the process that has the folder, if one has; 0 where it cannot be read.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn holder(folder: &Path) -> Result<Option<u32>> {
        let path = folder.join(Self::FILE);
        let mut file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| Error::io(&path, e))?,
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file).unwrap_or(0))),
            _ => Ok(None),
        }
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // An id that is no longer true helps nobody; the lock itself ends with the file.
        let _ = self.file.set_len(0);
    }
}

/// The id in a lock file; a process that has just taken it may not have written it yet, and on some systems a
/// locked file cannot be read.
fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// The refusal of a folder that a process has; `process` is 0 where its id cannot be read.
pub fn in_use(folder: &Path, process: u32) -> Error {
    let who = if process == 0 { "another process".into() } else { format!("process {process}") };
    Error::Usage(format!(
        "{} is in use by {who}; wait until that ends, stop it, or give another --out",
        folder.display()
    ))
}

/// The paths of a folder's entries that are neither its lock nor left over from a file that was being written.
///
/// # Errors
/// If the folder cannot be listed.
pub fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let own = |name: &str| name == FolderLock::FILE || is_temporary(name);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        if !entry.file_name().to_str().is_some_and(own) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_folder_names_its_process_until_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(FolderLock::holder(dir.path()).unwrap(), None);
        let lock = FolderLock::take(dir.path()).unwrap();
        let error = FolderLock::take(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        assert_eq!(FolderLock::holder(dir.path()).unwrap(), Some(std::process::id()));
        drop(lock);
        assert_eq!(FolderLock::holder(dir.path()).unwrap(), None);
        assert!(FolderLock::take(dir.path()).is_ok());
    }

    #[test]
    fn a_file_that_a_killed_process_left_locks_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FolderLock::FILE), "123456\n").unwrap();
        std::fs::write(dir.path().join(".sarb-1-0.tmp"), "half").unwrap();
        assert!(FolderLock::take(dir.path()).is_ok());
        assert_eq!(entries(dir.path()).unwrap(), Vec::<PathBuf>::new());
        std::fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
        assert_eq!(entries(dir.path()).unwrap(), [dir.path().join("thesis.txt")]);
    }
}
