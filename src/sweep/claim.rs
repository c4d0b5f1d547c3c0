//! The exclusive claim on a cell: a lock on its log file.
//!
//! The children that compute the cell have the locked file as stdout and stderr, so the claim lives
//! exactly as long as anybody writes the run: a child that outlives a killed sweep keeps it, and the
//! system releases it when the last of them ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sarb_labels::files::folder_of;

use crate::{Error, Result};

/// A cell that nobody else computes while this lives.
pub(crate) struct Claim {
    log: File,
    path: PathBuf,
    /// Where the part of this attempt begins.
    begin: u64,
}

impl Claim {
    /// Claims the cell of this log; `None` if another process has it.
    pub(crate) fn take(log: &Path) -> Result<Option<Self>> {
        let folder = folder_of(log);
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let options = OpenOptions::new().read(true).append(true).create(true).open(log);
        let file = options.map_err(|e| Error::io(log, e))?;
        match file.try_lock() {
            Ok(()) => {
                let begin = file.metadata().map_err(|e| Error::io(log, e))?.len();
                Ok(Some(Self { log: file, path: log.to_path_buf(), begin }))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(Error::io(log, e)),
        }
    }

    /// The log as stdout or stderr of a child, which shares the claim.
    pub(crate) fn output(&self) -> Result<Stdio> {
        Ok(self.log.try_clone().map_err(|e| Error::io(&self.path, e))?.into())
    }

    /// Notes a line in the log.
    pub(crate) fn note(&self, line: &str) -> Result<()> {
        writeln!(&self.log, "{line}").map_err(|e| Error::io(&self.path, e))
    }

    /// The last lines of this attempt that say what went wrong.
    pub(crate) fn last_words(&self) -> String {
        let mut text = Vec::new();
        let mut log = &self.log;
        // A log that cannot be read must not hide that the cell failed.
        if log.seek(SeekFrom::Start(self.begin)).and_then(|_| log.read_to_end(&mut text)).is_err() {
            return String::new();
        }
        last_words(&String::from_utf8_lossy(&text))
    }
}

/// The error that ended a program, as `main` prints it; of a program that crashed, its last lines.
fn last_words(text: &str) -> String {
    const LINES: usize = 5;
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let said = |line: &&str| line.starts_with("sarb: ") && !line.starts_with("sarb: warning: ");
    let last = match lines.iter().rev().take_while(|line| said(line)).count() {
        0 => &lines[lines.len().saturating_sub(LINES)..],
        count => &lines[lines.len() - count.min(LINES)..],
    };
    last.iter().map(|line| line.trim_start_matches("sarb: ")).collect::<Vec<_>>().join("\n")
}

/// Whether some process has the claim of this log.
pub(crate) fn is_held(log: &Path) -> Result<bool> {
    let file = match File::open(log) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(|e| Error::io(log, e))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(Error::io(log, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_excludes_others_until_the_last_holder_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("row/cell.log");
        assert!(!is_held(&log).unwrap());
        let claim = Claim::take(&log).unwrap().unwrap();
        assert!(is_held(&log).unwrap());
        assert!(Claim::take(&log).unwrap().is_none());
        let child = claim.output().unwrap();
        drop(claim);
        assert!(is_held(&log).unwrap(), "the child's part of the claim");
        drop(child);
        assert!(!is_held(&log).unwrap());
        assert!(Claim::take(&log).unwrap().is_some());
    }

    #[test]
    fn last_words_are_of_this_attempt_and_no_warnings() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("cell.log");
        Claim::take(&log).unwrap().unwrap().note("sarb: of an earlier attempt").unwrap();
        let claim = Claim::take(&log).unwrap().unwrap();
        assert_eq!(claim.last_words(), "");
        claim.note("epoch 1\nsarb: warning: w\nsarb: a.csv:1: bad\nsarb: a.csv:2: bad").unwrap();
        assert_eq!(claim.last_words(), "a.csv:1: bad\na.csv:2: bad");
        assert_eq!(last_words("1\n2\n3\n4\n5\n6\n"), "2\n3\n4\n5\n6");
    }
}
