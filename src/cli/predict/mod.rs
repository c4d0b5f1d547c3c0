//! `sarb predict`: what is in images.

use std::collections::HashSet;
use std::io::{BufWriter, StdoutLock, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use sarb::decisions::thresholds::Goal;
use sarb::{Cancel, Ensemble, Error, Recognition, Result, Which};

use super::console::fail;
use super::decide::decisions;
use super::numbers::proportion;
use super::progress::Progress;
use files::Files;
use heat_map::Shown;
use lines::{Format, Lines};

mod caption;
mod files;
mod heat_map;
mod lines;

/// Rows of features that go through the network at once.
const ROWS: usize = 256;

/// Arguments of `sarb predict`.
#[derive(Debug, Clone, Args)]
pub struct Predict {
    /// Folder of a run
    pub run: PathBuf,
    /// Files, folders and tar files (searched for images), globs, or - for a list of files on stdin, each
    /// answered as it comes
    #[arg(required_unless_present = "features")]
    pub paths: Vec<String>,
    /// Another run on the same categories, such as one on descriptors beside one on maps; the scores are the mean
    /// of the runs' logits. May be repeated
    #[arg(long, value_name = "RUN", conflicts_with = "features")]
    pub with: Vec<PathBuf>,
    /// Features in place of images, for a run trained with --features (.npy, .safetensors). PATHS, if given,
    /// are the names of the rows; without them they are numbered from 0
    #[arg(long, value_name = "FILE", conflicts_with = "maps")]
    pub features: Option<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Print at most the K most probable categories
    #[arg(long, value_name = "K")]
    pub top: Option<usize>,
    /// Print the categories of at least this probability, such as 0.8 or 80% [default: 50% in a table without
    /// --top, else all]
    #[arg(long, value_name = "P", value_parser = proportion)]
    pub threshold: Option<f64>,
    /// Print the categories that the run decides are there, by its own calibrated probabilities and thresholds: f1 (the
    /// best F1 in each category), precision=P or recall=P. Needs out-of-fold scores: a run of linear, or --folds
    #[arg(long, value_name = "GOAL", conflicts_with_all = ["threshold", "with"])]
    pub decide: Option<Goal>,
    /// Write a heat map of each printed category over each image to this folder
    #[arg(long, value_name = "DIR")]
    pub maps: Option<PathBuf>,
    /// Which checkpoint of the run
    #[arg(long, value_enum, default_value = "best")]
    pub checkpoint: Which,
    /// cpu, vulkan, cuda or metal
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub device: String,
}

/// What is predicted.
enum Source<'a> {
    Images(Files),
    Features(&'a Path),
}

impl Predict {
    /// Predicts; an image that cannot be read is reported, and the others continue.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        let source = match &self.features {
            Some(features) => Source::Features(features),
            None => Source::Images(Files::of(&self.paths, cancel)?),
        };
        let runs = [std::slice::from_ref(&self.run), &self.with].concat();
        let recognizer = Ensemble::open(&runs, self.checkpoint, &sarb::device::open(&self.device)?)?;
        if self.maps.is_some() && !recognizer.sees_places() {
            return Err(Error::Usage(format!(
                "{}: the backbone gives one descriptor for each image, which has no places to show; leave --maps out, or name a run on maps --with it",
                self.run.display()
            )));
        }
        let threshold = self.threshold.map(|threshold| threshold as f32);
        let decisions = self.decide.map(|goal| decisions(&self.run, goal)).transpose()?;
        let decisions = decisions.as_ref();
        let lines = Lines { format: self.format, top: self.top, threshold, decisions };
        let mut out = Output::new();
        out.print(&lines.heading(recognizer.names()).unwrap_or_default())?;
        match source {
            Source::Images(files) => self.images(&recognizer, files, lines, &mut out)?,
            Source::Features(path) => self.rows(&recognizer, path, lines, &mut out, cancel)?,
        }
        out.flush()
    }

    fn images(&self, recognizer: &Ensemble, files: Files, lines: Lines, out: &mut Output) -> Result<()> {
        if let Some(dir) = &self.maps {
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        }
        let (total, progress) = (files.total(), Progress::beside_results());
        let (mut done, mut failed, mut names) = (0, 0, HashSet::new());
        for file in files {
            let file = file?;
            match recognizer.recognize(&file) {
                Ok(recognition) => {
                    let recognition = lines.calibrated(recognition);
                    out.print(&lines.line(&file.display().to_string(), &recognition))?;
                    if let Some(dir) = &self.maps {
                        let shown = lines.shown(&recognition);
                        heat_maps(
                            &dir.join(unused(&mut names, &file)),
                            &file,
                            recognizer,
                            &recognition,
                            &shown,
                        )?;
                    }
                }
                Err(Error::Labels(error)) => {
                    failed += 1;
                    fail(&error.into());
                }
                Err(error) => return Err(error),
            }
            done += 1;
            progress.counted("images", done, total);
            if total.is_none() {
                out.flush()?;
            }
        }
        match failed {
            0 => Ok(()),
            _ => Err(Error::Data(format!("{failed} of {done} images could not be read"))),
        }
    }

    fn rows(
        &self,
        recognizer: &Ensemble,
        path: &Path,
        lines: Lines,
        out: &mut Output,
        cancel: &Cancel,
    ) -> Result<()> {
        let recognizer = recognizer.first();
        let features = recognizer.features(path)?;
        let names = self.names_of_rows(path, features.rows(), cancel)?;
        let progress = Progress::beside_results();
        for begin in (0..features.rows()).step_by(ROWS) {
            cancel.check()?;
            let rows = begin..features.rows().min(begin + ROWS);
            for (row, recognition) in rows.clone().zip(recognizer.recognize_features(&features, rows)?) {
                let recognition = lines.calibrated(recognition);
                let name = names.as_ref().map_or_else(|| row.to_string(), |names| names[row].clone());
                out.print(&lines.line(&name, &recognition))?;
            }
            progress.counted("rows", features.rows().min(begin + ROWS), Some(features.rows()));
        }
        Ok(())
    }

    /// What the rows are called, if that is said. A folder is refused: the order of its files is not that of
    /// the rows.
    fn names_of_rows(&self, path: &Path, rows: usize, cancel: &Cancel) -> Result<Option<Vec<String>>> {
        if self.paths.is_empty() {
            return Ok(None);
        }
        if let Some(folder) = self.paths.iter().find(|path| Path::new(path).is_dir()) {
            return Err(Error::Usage(format!(
                "{folder}: a folder does not say which row of the features an image has; list the images in \
                 their order on stdin (-)"
            )));
        }
        let names = Files::of(&self.paths, cancel)?.map(|file| Ok(file?.display().to_string()));
        let names = names.collect::<Result<Vec<String>>>()?;
        if names.len() != rows {
            return Err(Error::Data(format!(
                "{}: {rows} rows, but {} names for them",
                path.display(),
                names.len()
            )));
        }
        Ok(Some(names))
    }
}

/// Standard output, of which the other end may be closed.
struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    fn new() -> Self {
        Self(BufWriter::new(std::io::stdout().lock()))
    }

    fn print(&mut self, text: &str) -> Result<()> {
        self.0.write_all(text.as_bytes()).or_else(ignore_closed_pipe)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.flush().or_else(ignore_closed_pipe)
    }
}

/// `sarb predict … | head` is not a failure.
fn ignore_closed_pipe(error: std::io::Error) -> Result<()> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        _ => Err(Error::io("standard output", error)),
    }
}

/// Writes the heat maps of an image.
fn heat_maps(
    prefix: &Path,
    file: &Path,
    recognizer: &Ensemble,
    recognition: &Recognition,
    categories: &[usize],
) -> Result<()> {
    let attention = recognizer.attention(recognition);
    let probabilities = recognition.probabilities();
    let shown = |&category: &usize| Shown {
        category,
        name: &recognition.names[category],
        probability: probabilities[category],
    };
    heat_map::write(prefix, file, &attention, &categories.iter().map(shown).collect::<Vec<_>>())
}

/// The stem of a file; a second file of the same stem gets a number.
fn unused(names: &mut HashSet<String>, file: &Path) -> String {
    let stem = file.file_stem().map_or("image".into(), |stem| stem.to_string_lossy().into_owned());
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let name = std::iter::once(stem.clone()).chain(numbered).find(|name| !names.contains(name));
    let name = name.expect("numbers do not end");
    names.insert(name.clone());
    name
}
