//! A folder or a file that one process at a time writes to.
//!
//! The lock is the system's, on a file, so that it ends with its process however that ends; the file stays and holds
//! the process's id and host for the message to the next one.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sarb_labels::temporary::is_temporary;

use crate::{Error, Result};

/// How often one who waits looks again.
pub const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// After so many looks one who waits says for whom: most locks are held for less than these two seconds. Looks are
/// counted and not seconds, because a clock may stand still.
const SILENT_LOOKS: usize = 20;

/// A file that no other process of this program has locked while this lives.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

impl FileLock {
    /// Locks the file, which is made if it is not there; or says which process has it.
    ///
    /// # Errors
    /// What opening and writing the file says.
    pub fn try_take(path: &Path) -> Result<Result<Self, Holder>> {
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.map_err(|e| Error::io(path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Err(holder(&mut file))),
            // A file system without locks: no reason not to work on it.
            Err(TryLockError::Error(e)) if e.kind() == ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(Error::io(path, e)),
        }
        let written = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| {
            writeln!(file, "{} {}", std::process::id(), host())?;
            file.flush()
        });
        written.map_err(|e| Error::io(path, e))?;
        Ok(Ok(Self { file }))
    }

    /// Locks the file as soon as no other process has it. Meanwhile calls `waiting` every [`BETWEEN_LOOKS`], which
    /// may end the waiting with an error of its own: with the process that is waited for when that is to be said,
    /// once for each, else with nothing.
    ///
    /// # Errors
    /// Those of [`try_take`](Self::try_take) and of `waiting`.
    pub fn wait(path: &Path, mut waiting: impl FnMut(Option<&Holder>) -> Result<()>) -> Result<Self> {
        let (mut looks, mut told) = (0, None);
        loop {
            let holder = match Self::try_take(path)? {
                Ok(lock) => return Ok(lock),
                Err(holder) => Some(holder),
            };
            looks += 1;
            if looks > SILENT_LOOKS && holder != told {
                waiting(holder.as_ref())?;
                told = holder;
            } else {
                waiting(None)?;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // An id that is no longer true helps nobody; the lock itself ends with the file.
        let _ = self.file.set_len(0);
    }
}

/// A folder that no other process of this program writes to while this lives.
#[derive(Debug)]
pub struct FolderLock {
    _lock: FileLock,
}

impl FolderLock {
    /// The file in a locked folder.
    pub const FILE: &str = "sarb.lock";

    /// Locks a folder, which must be there.
    ///
    /// # Errors
    /// [`Error::Usage`] with the process that has it; what writing to the folder says.
    pub fn take(folder: &Path) -> Result<Self> {
        match FileLock::try_take(&folder.join(Self::FILE))? {
            Ok(lock) => Ok(Self { _lock: lock }),
            Err(holder) => Err(in_use(folder, &holder)),
        }
    }

    /// The process that has the folder, if one has.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn holder(folder: &Path) -> Result<Option<Holder>> {
        let path = folder.join(Self::FILE);
        let mut file = match File::open(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|e| Error::io(&path, e))?,
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Ok(Some(holder(&mut file))),
            _ => Ok(None),
        }
    }
}

/// A process that has a folder. A process that has just taken it may not have written its id yet, and on some systems a
/// locked file cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// Its id, where it can be read.
    pub process: Option<u32>,
    /// Its host, where it is another.
    pub host: Option<String>,
}

impl fmt::Display for Holder {
    /// `process 12 on node-7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process {
            Some(process) => write!(f, "process {process}")?,
            None => f.write_str("another process")?,
        }
        self.host.as_ref().map_or(Ok(()), |host| write!(f, " on {host}"))
    }
}

fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    if file.read_to_string(&mut text).is_err() {
        return Holder::default();
    }
    let mut words = text.split_whitespace();
    let process = words.next().and_then(|word| word.parse().ok());
    Holder { process, host: words.next().filter(|name| *name != host()).map(str::to_owned) }
}

fn host() -> String {
    sysinfo::System::host_name().unwrap_or_default().replace(char::is_whitespace, "-")
}

/// The refusal of a folder that a process has.
pub fn in_use(folder: &Path, holder: &Holder) -> Error {
    Error::Usage(format!(
        "{} is in use by {holder}; wait until that ends, stop it, or give another --out",
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
        let own = Holder { process: Some(std::process::id()), host: None };
        assert_eq!(FolderLock::holder(dir.path()).unwrap(), Some(own));
        drop(lock);
        assert_eq!(FolderLock::holder(dir.path()).unwrap(), None);
        assert!(FolderLock::take(dir.path()).is_ok());
    }

    #[test]
    fn a_process_on_another_host_is_named_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = FolderLock::take(dir.path()).unwrap();
        std::fs::write(dir.path().join(FolderLock::FILE), "12 node-7\n").unwrap();
        let message = FolderLock::take(dir.path()).unwrap_err().to_string();
        assert!(message.contains("is in use by process 12 on node-7;"), "{message}");
    }

    #[test]
    fn one_who_waits_hears_once_for_whom_and_goes_on_when_it_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let mut lock = Some(FileLock::try_take(&path).unwrap().unwrap());
        let (mut looks, mut told) = (0, Vec::new());
        let waiting = |holder: Option<&Holder>| {
            looks += 1;
            told.extend(holder.map(|holder| (looks, holder.to_string())));
            if looks == SILENT_LOOKS + 3 {
                lock = None;
            }
            Ok(())
        };
        drop(FileLock::wait(&path, waiting).unwrap());
        assert_eq!(told, [(SILENT_LOOKS + 1, format!("process {}", std::process::id()))]);

        let _lock = FileLock::try_take(&path).unwrap().unwrap();
        let stopped = FileLock::wait(&path, |_| Err(Error::Stopped));
        assert!(matches!(stopped, Err(Error::Stopped)));
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
