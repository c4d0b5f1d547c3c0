//! Where predictions go: standard output, whose other end may be closed, or a file that is there whole or not at all.

use std::io::{BufWriter, StdoutLock, Write};
use std::path::Path;

use sarb::decisions::selection::sureness;
use sarb::{Error, Recognition, Result};
use sarb_labels::arrays::npy::RowWriter;
use sarb_labels::files::AtomicFile;
use sarb_labels::formats::label_studio::config::Control;
use sarb_labels::formats::label_studio::predictions::Tasks;
use sarb_labels::formats::parquet::ScoreTable;
use sarb_labels::formats::predictions::{Prediction, PredictionWriter, Predictor};
use sarb_labels::formats::{coco, cvat, fiftyone};

use super::lines::{Format, Lines};
use crate::cli::console::say;

/// Takes predictions one after the other.
pub enum Output<'a> {
    Printed(BufWriter<StdoutLock<'static>>),
    Text { path: &'a Path, file: AtomicFile },
    Table { path: &'a Path, table: Box<ScoreTable<AtomicFile>> },
    Array { path: &'a Path, array: RowWriter<AtomicFile> },
    Import { path: &'a Path, file: Box<dyn PredictionWriter + 'a> },
}

impl<'a> Output<'a> {
    /// Standard output, or a file, whose folder must be there; with what stands above all predictions. `control` is that of
    /// the project of Label Studio.
    pub fn new(
        path: Option<&'a Path>,
        lines: &Lines,
        predictor: Predictor<'a>,
        control: Option<Control>,
    ) -> Result<Self> {
        let mut output = match path {
            Some(path) => Self::file(path, lines, predictor, control)?,
            None => Self::Printed(BufWriter::new(std::io::stdout().lock())),
        };
        if let Some(heading) = lines.heading(predictor.categories) {
            output.text(&heading)?;
        }
        Ok(output)
    }

    fn file(
        path: &'a Path,
        lines: &Lines,
        predictor: Predictor<'a>,
        control: Option<Control>,
    ) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        let import = |file| Ok(Self::Import { path, file });
        match lines.format {
            Format::Table | Format::Csv | Format::Jsonl => {
                Ok(Self::Text { path, file: AtomicFile::create(path)? })
            }
            Format::Parquet => {
                let file = AtomicFile::create(path)?;
                let mut table = ScoreTable::new(file, predictor.categories).map_err(failed)?;
                note(&mut table, lines, &predictor);
                Ok(Self::Table { path, table: Box::new(table) })
            }
            Format::Npy => {
                let array = RowWriter::new(AtomicFile::create(path)?, predictor.categories.len());
                Ok(Self::Array { path, array: array.map_err(failed)? })
            }
            Format::LabelStudio => {
                let control = control.unwrap_or_else(|| Control::tags(predictor.categories));
                import(Box::new(Tasks::create(path, predictor, control)?))
            }
            Format::Cvat => import(Box::new(cvat::predictions::Tags::create(path, predictor)?)),
            Format::Fiftyone => import(Box::new(fiftyone::predictions::Samples::create(path, predictor)?)),
            Format::Coco => import(Box::new(coco::predictions::Instances::create(path, predictor)?)),
        }
    }

    /// Takes what is said of an image.
    pub fn add(&mut self, image: &Path, lines: &Lines, recognition: &Recognition) -> Result<()> {
        let failed = |path: &Path, error| Error::io(path, error);
        match self {
            Self::Table { path, table } => {
                let cells = lines.cells(recognition).into_iter();
                table.push(&image.display().to_string(), cells).map_err(|error| failed(path, error))
            }
            Self::Array { path, array } => {
                let cells = lines.cells(recognition).into_iter().map(|cell| cell.unwrap_or(f32::NAN));
                array.push(&cells.collect::<Vec<f32>>()).map_err(|error| failed(path, error))
            }
            Self::Import { file, .. } => {
                let (named, sure) = (lines.named(recognition), sureness(&recognition.logits));
                Ok(file.push(&Prediction { image, named: &named, sure })?)
            }
            _ => self.text(&lines.line(&image.display().to_string(), recognition)),
        }
    }

    /// Keeps the place of an image that could not be read, where rows have no names.
    pub fn skip(&mut self, categories: usize) -> Result<()> {
        match self {
            Self::Array { path, array } => {
                array.push(&vec![f32::NAN; categories]).map_err(|error| Error::io(&**path, error))
            }
            _ => Ok(()),
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
            Self::Array { path, array } => {
                Ok(array.finish().map_err(|error| Error::io(path, error))?.commit()?)
            }
            Self::Import { path, file } => {
                file.finish()?.iter().for_each(|lost| say(&format!("{}: lost: {lost}", path.display())));
                Ok(())
            }
        }
    }

    fn text(&mut self, text: &str) -> Result<()> {
        match self {
            Self::Printed(out) => out.write_all(text.as_bytes()).or_else(ignore_closed_pipe),
            Self::Text { path, file } => {
                file.write_all(text.as_bytes()).map_err(|error| Error::io(&**path, error))
            }
            Self::Table { .. } | Self::Array { .. } | Self::Import { .. } => Ok(()),
        }
    }
}

/// Says in the metadata of a table which model it is of, and from which probabilities on cells are filled; under the names
/// that an exported network has them.
fn note(table: &mut ScoreTable<AtomicFile>, lines: &Lines, predictor: &Predictor<'_>) {
    table.note("sarb.version", env!("CARGO_PKG_VERSION"));
    table.note("sarb.model_version", predictor.version);
    table.note("calibrated", if lines.decisions.is_some() { "true" } else { "false" });
    if let Some(thresholds) = lines.thresholds(predictor.categories.len()) {
        table.note("thresholds", &serde_json::json!(thresholds).to_string());
    }
}

/// `sarb predict … | head` is not a failure.
fn ignore_closed_pipe(error: std::io::Error) -> Result<()> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        _ => Err(Error::io("standard output", error)),
    }
}
