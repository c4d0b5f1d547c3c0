//! Everything that a user or a file can cause, said for the person who can repair it.

use std::path::{Path, PathBuf};

/// Short for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong: where, which value, what is accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option does not make sense, or one is needed that was not given.
    #[error("{0}")]
    Usage(String),
    /// Labels, images, word vectors, scores or features are not what they should be.
    #[error("{0}")]
    Data(String),
    /// Several problems of one file, the first [`Problems::SHOWN`] of them listed.
    #[error("{0}")]
    Problems(Problems),
    /// A file or a folder is needed and not there.
    #[error("{0}")]
    Missing(String),
    /// Reading or writing failed: no permission, no space left, a broken disk.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// What has to be repaired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for.
    Usage,
    /// What a file holds.
    Data,
    /// What is not there, or cannot be read or written.
    Missing,
}

impl Error {
    /// What has to be repaired.
    pub fn kind(&self) -> Kind {
        match self {
            Error::Usage(_) => Kind::Usage,
            Error::Data(_) | Error::Problems(_) => Kind::Data,
            Error::Missing(_) | Error::Io { .. } => Kind::Missing,
        }
    }

    /// An I/O failure at `path`; a file that is not there becomes [`Error::Missing`], one that was read and does not
    /// hold what it should [`Error::Data`].
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        match source.kind() {
            std::io::ErrorKind::NotFound => {
                Error::Missing(format!("{}: no such file or folder", path.display()))
            }
            std::io::ErrorKind::InvalidData => Error::Data(format!("{}: {source}", path.display())),
            _ => Error::Io { path, source },
        }
    }
}

impl Error {
    /// The same error with other words. Reading that failed stays what it is.
    pub(crate) fn map_text(self, change: impl Fn(&str) -> String) -> Self {
        match self {
            Error::Usage(text) => Error::Usage(change(&text)),
            Error::Data(text) => Error::Data(change(&text)),
            Error::Missing(text) => Error::Missing(change(&text)),
            Error::Problems(Problems { messages, total }) => {
                let messages = messages.iter().map(|message| change(message)).collect();
                Error::Problems(Problems { messages, total })
            }
            Error::Io { path, source } => Error::Io { path, source },
        }
    }
}

/// All problems found in one pass over a file.
#[derive(Debug, Default)]
pub struct Problems {
    messages: Vec<String>,
    total: usize,
}

impl Problems {
    /// How many are printed; the rest are counted.
    pub const SHOWN: usize = 20;

    /// Notes one more problem, said as `file:line: what`.
    pub fn push(&mut self, message: impl Into<String>) {
        self.total += 1;
        if self.messages.len() < Self::SHOWN {
            self.messages.push(message.into());
        }
    }

    /// How many problems were found.
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// `value` when nothing was found, else all the problems as one error.
    pub fn or<T>(self, value: T) -> Result<T> {
        if self.is_empty() { Ok(value) } else { Err(Error::Problems(self)) }
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.messages.join("\n"))?;
        if self.total > self.messages.len() {
            write!(f, "\n… and {} more problems", self.total - self.messages.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_show_the_first_twenty_and_the_total() {
        let mut problems = Problems::default();
        for line in 0..50 {
            problems.push(format!("a.csv:{line}: bad"));
        }
        let text = problems.or(()).unwrap_err().to_string();
        assert_eq!(text.lines().count(), Problems::SHOWN + 1);
        assert!(text.ends_with("… and 30 more problems"), "{text}");
    }

    #[test]
    fn what_the_system_says_of_a_file_is_missing_wrong_or_its_own() {
        let of = |kind: std::io::ErrorKind| Error::io("a.csv", std::io::Error::new(kind, "so")).kind();
        use std::io::ErrorKind;
        assert_eq!(of(ErrorKind::InvalidData), Kind::Data);
        assert_eq!([ErrorKind::NotFound, ErrorKind::PermissionDenied].map(of), [Kind::Missing; 2]);
    }
}
