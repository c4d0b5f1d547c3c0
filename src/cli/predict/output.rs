//! Where predictions go: standard output, whose other end may be closed, or a file that is there whole or not at all.

use std::io::{BufWriter, StdoutLock, Write};
use std::path::Path;

use sarb::{Error, Recognition, Result};
use sarb_labels::files::AtomicFile;
use sarb_labels::formats::parquet::ScoreTable;

use super::lines::{Format, Lines};

/// Takes predictions one after the other.
pub enum Output<'a> {
    Printed(BufWriter<StdoutLock<'static>>),
    Text { path: &'a Path, file: AtomicFile },
    Table { path: &'a Path, table: Box<ScoreTable<AtomicFile>> },
}

impl<'a> Output<'a> {
    /// Standard output, or a file in this format; its folder must be there.
    pub fn new(path: Option<&'a Path>, format: Format, categories: &[String]) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Printed(BufWriter::new(std::io::stdout().lock())));
        };
        let file = AtomicFile::create(path)?;
        Ok(match format {
            Format::Parquet => {
                let table = ScoreTable::new(file, categories).map_err(|error| Error::io(path, error))?;
                Self::Table { path, table: Box::new(table) }
            }
            _ => Self::Text { path, file },
        })
    }

    /// Takes what stands above all predictions.
    pub fn heading(&mut self, lines: &Lines, categories: &[String]) -> Result<()> {
        self.text(&lines.heading(categories).unwrap_or_default())
    }

    /// Takes one prediction.
    pub fn add(&mut self, name: &str, lines: &Lines, recognition: &Recognition) -> Result<()> {
        match self {
            Self::Table { path, table } => table
                .push(name, lines.cells(recognition).into_iter())
                .map_err(|error| Error::io(&**path, error)),
            _ => self.text(&lines.line(name, recognition)),
        }
    }

    /// Shows what has come so far, where somebody looks on.
    pub fn show(&mut self) -> Result<()> {
        match self {
            Self::Printed(out) => out.flush().or_else(ignore_closed_pipe),
            _ => Ok(()),
        }
    }

    /// Puts a file in its place.
    pub fn finish(self) -> Result<()> {
        match self {
            Self::Printed(mut out) => out.flush().or_else(ignore_closed_pipe),
            Self::Text { file, .. } => Ok(file.commit()?),
            Self::Table { path, table } => {
                Ok(table.finish().map_err(|error| Error::io(path, error))?.commit()?)
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<()> {
        match self {
            Self::Printed(out) => out.write_all(text.as_bytes()).or_else(ignore_closed_pipe),
            Self::Text { path, file } => {
                file.write_all(text.as_bytes()).map_err(|error| Error::io(&**path, error))
            }
            Self::Table { .. } => Ok(()),
        }
    }
}

/// `sarb predict … | head` is not a failure.
fn ignore_closed_pipe(error: std::io::Error) -> Result<()> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        _ => Err(Error::io("standard output", error)),
    }
}
