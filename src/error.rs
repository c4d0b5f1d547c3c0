//! Everything that a user, a file or a network peer can cause, and the exit code of each.

use std::path::{Path, PathBuf};

/// Short for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, said for the person who can repair it: where, which value, what is accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A flag or an argument does not make sense.
    #[error("{0}")]
    Usage(String),
    /// A recipe has an unknown key, a wrong type or a value out of range.
    #[error("{0}")]
    Recipe(String),
    /// Labels, images, word vectors, scores or features are not what they should be.
    #[error("{0}")]
    Data(String),
    /// Several problems of one file, the first [`Problems::SHOWN`] of them listed.
    #[error("{0}")]
    Problems(Problems),
    /// A file, a folder, weights or a device is needed and not there.
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
    /// A loss term or a weight is no longer finite.
    #[error(
        "training diverged: {term} is {value} in epoch {epoch}, step {step}; the last good checkpoint is kept; try a smaller train.learning_rate"
    )]
    Diverged {
        /// The loss term.
        term: String,
        /// Its value, NaN or infinite.
        value: f32,
        /// The epoch, from 1.
        epoch: usize,
        /// The step within the epoch, from 1.
        step: usize,
    },
    /// A condition that the user set (`--fail-under`, `--verify`) does not hold.
    #[error("{0}")]
    Gate(String),
    /// A checkpoint or a weight file does not fit the model.
    #[error("{0}")]
    Incompatible(String),
    /// Stopped by SIGINT or SIGTERM with a checkpoint.
    #[error("stopped after epoch {epoch}; run the same command with --resume to go on")]
    Interrupted {
        /// Epochs completed.
        epoch: usize,
    },
    /// Stopped by SIGINT or SIGTERM where nothing has to be kept.
    #[error("stopped by a signal; what was computed is kept in the cache: run the same command again")]
    Stopped,
    /// Cells of a sweep failed, or it was stopped before all were done.
    #[error("{message}")]
    Sweep {
        /// The exit code of the first cell that failed; 75 if it was stopped.
        code: i32,
        /// What happened to which cells.
        message: String,
    },
}

impl Error {
    /// The exit code of docs/interface.md.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Usage(_) | Error::Recipe(_) => 2,
            Error::Data(_) | Error::Problems(_) => 3,
            Error::Missing(_) | Error::Io { .. } => 4,
            Error::Diverged { .. } => 5,
            Error::Gate(_) => 6,
            Error::Incompatible(_) => 7,
            Error::Interrupted { .. } | Error::Stopped => 75,
            Error::Sweep { code, .. } => *code,
        }
    }

    /// An I/O failure at `path`; a file that is not there becomes [`Error::Missing`].
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        match source.kind() {
            std::io::ErrorKind::NotFound => {
                Error::Missing(format!("{}: no such file or folder", path.display()))
            }
            _ => Error::Io { path, source },
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
}
