//! Everything that a user, a file or a network peer can cause, and the exit code of each.

use std::path::Path;

use sarb_labels::error::Kind;

/// Short for a result with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, said for the person who can repair it: where, which value, what is accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What reading, writing or checking labels and images says.
    #[error(transparent)]
    Labels(#[from] sarb_labels::Error),
    /// A flag or an argument does not make sense.
    #[error("{0}")]
    Usage(String),
    /// A recipe has an unknown key, a wrong type or a value out of range.
    #[error("{0}")]
    Recipe(String),
    /// Labels, images, word vectors, scores or features are not what they should be.
    #[error("{0}")]
    Data(String),
    /// A file, a folder, weights or a device is needed and not there.
    #[error("{0}")]
    Missing(String),
    /// A loss term or a weight is no longer finite.
    #[error(
        "training diverged: {term} is {value} in epoch {epoch}, step {step}; the last good checkpoint is kept: go on from it with --resume --set train.learning_rate=RATE, a smaller one"
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
    /// The numbers of a training are finite, and so large that nothing is learned.
    #[error("{0}")]
    Exploded(String),
    /// A condition that the user set (`--fail-under`, `--verify`) does not hold.
    #[error("{0}")]
    Gate(String),
    /// A checkpoint or a weight file does not fit the model.
    #[error("{0}")]
    Incompatible(String),
    /// Stopped by SIGINT, SIGTERM or at the end of its time, with a checkpoint.
    #[error("stopped after epoch {epoch}; run the same command with --resume to continue")]
    Interrupted {
        /// Epochs completed.
        epoch: usize,
    },
    /// Stopped by SIGINT, SIGTERM or at the end of its time, where nothing has to be kept.
    #[error("stopped as asked; what was done is kept: run the same command again")]
    Stopped,
    /// Another process of the same training ended, was lost, or has something else than this one.
    #[error("{message}")]
    Rank {
        /// Its exit code; 75 if it was lost.
        code: i32,
        /// Which one, and why.
        message: String,
    },
    /// Cells of a sweep or the first trial of a tuning failed, or it was stopped before all were done.
    #[error("{message}")]
    Sweep {
        /// The exit code of the first that failed; 75 if it was stopped.
        code: i32,
        /// What happened to which.
        message: String,
    },
}

impl Error {
    /// The exit code, as docs/commands.md lists them.
    pub fn exit_code(&self) -> i32 {
        match self {
            Error::Labels(error) => match error.kind() {
                Kind::Usage => 2,
                Kind::Data => 3,
                Kind::Missing => 4,
            },
            Error::Usage(_) | Error::Recipe(_) => 2,
            Error::Data(_) => 3,
            Error::Missing(_) => 4,
            Error::Diverged { .. } | Error::Exploded(_) => 5,
            Error::Gate(_) => 6,
            Error::Incompatible(_) => 7,
            Error::Interrupted { .. } | Error::Stopped => 75,
            Error::Sweep { code, .. } | Error::Rank { code, .. } => *code,
        }
    }

    /// Whether something is not there, or cannot be read or written.
    pub fn is_missing(&self) -> bool {
        match self {
            Error::Labels(error) => error.kind() == Kind::Missing,
            error => matches!(error, Error::Missing(_)),
        }
    }

    /// Whether something was to be written where this user, or anybody, may only read.
    pub(crate) fn is_read_only(&self) -> bool {
        use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        match self {
            Error::Labels(sarb_labels::Error::Io { source, .. }) => {
                matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem)
            }
            _ => false,
        }
    }

    /// An I/O failure at `path`; a file that is not there is [missing](sarb_labels::Error::Missing).
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        sarb_labels::Error::io(path, source).into()
    }
}
