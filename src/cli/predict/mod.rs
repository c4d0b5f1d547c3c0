//! `sarb predict`: what is in images.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sarb::decisions::thresholds::Goal;
use sarb::{Cancel, Ensemble, Error, PrecisionChoice, Recognition, Result, Shard, Which};
use sarb_labels::formats::label_studio::config::{Control, control_of};
use sarb_labels::formats::predictions::Predictor;

use super::console::{fail, print, say};
use super::data::convert::{keep, make_folder_of};
use super::decide::{Audited, decisions};
use super::numbers::proportion;
use super::progress::Progress;
use files::Files;
use heat_map::Shown;
use lines::{Format, Lines};
use output::Output;

mod caption;
mod files;
mod heat_map;
mod lines;
mod output;

/// Images that are read and scored before any of them is told, for each thread: so many that no thread waits long for the
/// others.
const IMAGES_A_THREAD: usize = 8;
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
    /// How to print [default: table; with --out what the name of the file says]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Write a file instead: .csv, .jsonl, .parquet, .npy, or another with --format. It is there when it is whole; paths of
    /// images in files for other tools are valid from its folder
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Only the Ith stretch of N of the images or rows, I counted from 0, into a file of its own, NAME-I-of-N; one that is
    /// there is not made again. In an array of Slurm, AWS Batch or Kubernetes: array, or N where it does not say how many
    #[arg(long, value_name = "I/N", requires = "out")]
    pub shard: Option<String>,
    /// The labeling configuration of the project of Label Studio that is to import the file (XML); without it, choices of a
    /// control named tags for an image named image
    #[arg(long, value_name = "FILE", requires = "out")]
    pub label_config: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "out")]
    pub force: bool,
    /// Print at most the K most probable categories
    #[arg(long, value_name = "K")]
    pub top: Option<usize>,
    /// Print the categories of at least this probability, such as 0.8 or 80% [default: 50% in a table or a file for another
    /// tool without --top, else all]
    #[arg(long, value_name = "P", value_parser = proportion)]
    pub threshold: Option<f64>,
    /// Print the categories that the run decides are there, by its own calibrated probabilities and thresholds: f1 (the
    /// best F1 in each category), precision=P or recall=P. Needs out-of-fold scores: a run of linear, or --folds
    #[arg(long, value_name = "GOAL", conflicts_with_all = ["threshold", "with"])]
    pub decide: Option<Goal>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub audited: Audited,
    /// Write a heat map of each printed category over each image to this folder
    #[arg(long, value_name = "DIR")]
    pub maps: Option<PathBuf>,
    /// Which checkpoint of the run
    #[arg(long, value_enum, default_value = "best")]
    pub checkpoint: Which,
    /// cpu, vulkan, cuda or metal; cuda:1 or vulkan:1 is the second GPU
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub device: String,
    /// In which numbers frozen layers are multiplied: f32, bf16, or auto: the faster one here; by default as in training
    #[arg(long, value_name = "P", value_enum, conflicts_with = "features")]
    pub precision: Option<PrecisionChoice>,
}

/// What is predicted.
enum Source<'a> {
    Images(Files),
    Features(&'a Path),
}

impl Predict {
    /// Predicts; an image that cannot be read is reported, and the others continue.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        self.audited.only_with(self.decide)?;
        let format = self.format_to_write()?;
        self.refuse_what_is_of_no_use(format)?;
        let shard = Shard::asked_for(self.shard.as_deref())?;
        let out = self.out.as_ref().map(|out| shard.map_or(out.clone(), |shard| shard.part_of(out)));
        if let Some(out) = &out {
            if shard.is_some() && out.exists() && !self.force {
                say(&format!("{}: done already", out.display()));
                return Ok(());
            }
            keep("--out", out, self.force)?;
            make_folder_of(out)?;
        }
        let source = match &self.features {
            Some(features) => Source::Features(features),
            None => Source::Images(Files::of(&self.paths, cancel)?.stretch(shard)?),
        };
        let runs = [std::slice::from_ref(&self.run), &self.with].concat();
        let recognizer =
            Ensemble::open(&runs, self.checkpoint, &sarb::device::open(&self.device)?, self.precision)?;
        if self.maps.is_some() && !recognizer.sees_places() {
            return Err(Error::Usage(format!(
                "{}: the backbone gives one descriptor for each image, which has no places to show; leave --maps out, or name a run on maps --with it",
                self.run.display()
            )));
        }
        let threshold = self.threshold.map(|threshold| threshold as f32);
        let decisions = self.decide.map(|goal| decisions(&self.run, goal, &self.audited)).transpose()?;
        let decisions = decisions.as_ref();
        let lines = Lines { format, top: self.top, threshold, decisions };
        let control = self.control(recognizer.names())?;
        let version = recognizer.version();
        let predictor = Predictor { categories: recognizer.names(), version: &version };
        let mut output = Output::new(out.as_deref(), &lines, predictor, control)?;
        match source {
            Source::Images(files) => self.images(&recognizer, files, lines, output, cancel)?,
            Source::Features(path) => {
                self.rows(&recognizer, path, shard, lines, &mut output, cancel)?;
                output.finish()?;
            }
        }
        out.map_or(Ok(()), |out| print(&out.display().to_string()))
    }

    /// What --format says, or the name of the file.
    fn format_to_write(&self) -> Result<Format> {
        let name = |format: Format| format.to_possible_value().expect("none is hidden").get_name().to_owned();
        let Some(out) = &self.out else {
            return match self.format {
                Some(format) if format.needs_file() => {
                    Err(Error::Usage(format!("--format {} needs a file: --out FILE", name(format))))
                }
                format => Ok(format.unwrap_or(Format::Table)),
            };
        };
        let extension = out.extension().and_then(|extension| extension.to_str());
        let named = extension.and_then(|extension| Format::from_str(extension, true).ok());
        self.format.or(named).ok_or_else(|| {
            Error::Usage(format!(
                "--out {}: expected a name that ends in .csv, .jsonl, .parquet or .npy, or --format",
                out.display()
            ))
        })
    }

    /// Refuses options that a format has no use for, and rows without names where images are named.
    fn refuse_what_is_of_no_use(&self, format: Format) -> Result<()> {
        match (&self.label_config, &self.features) {
            (Some(file), _) if format != Format::LabelStudio => Err(Error::Usage(format!(
                "--label-config {}: only --format label-studio has a use for it",
                file.display()
            ))),
            (_, Some(features)) if format.is_import() && self.paths.is_empty() => Err(Error::Usage(format!(
                "--features {}: other tools need the images by their names; give them as PATHs in the order of the rows",
                features.display()
            ))),
            _ => Ok(()),
        }
    }

    /// The control of the project whose labeling configuration is given.
    fn control(&self, categories: &[String]) -> Result<Option<Control>> {
        let Some(file) = &self.label_config else { return Ok(None) };
        let xml = std::fs::read_to_string(file).map_err(|error| Error::io(file, error))?;
        Ok(Some(control_of(&xml, categories, &file.display().to_string())?))
    }

    fn images(
        &self,
        recognizer: &Ensemble,
        mut files: Files,
        lines: Lines,
        mut out: Output,
        cancel: &Cancel,
    ) -> Result<()> {
        if let Some(dir) = &self.maps {
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        }
        let (total, progress) = (files.total(), Progress::beside_results());
        let (mut done, mut failed, mut names) = (0, 0, HashSet::new());
        loop {
            let few = files.next_few(IMAGES_A_THREAD * rayon::current_num_threads())?;
            if few.is_empty() {
                break;
            }
            for (file, recognized) in few.iter().zip(recognizer.recognize_each(&few, cancel)?) {
                match recognized {
                    Ok(recognition) => {
                        let recognition = lines.calibrated(recognition);
                        out.add(file, &lines, &recognition)?;
                        if let Some(dir) = &self.maps {
                            let prefix = dir.join(unused(&mut names, file));
                            heat_maps(&prefix, file, recognizer, &recognition, &lines.shown(&recognition))?;
                        }
                    }
                    Err(Error::Labels(error)) => {
                        failed += 1;
                        fail(&error.into());
                        out.skip(recognizer.names().len())?;
                    }
                    Err(error) => return Err(error),
                }
            }
            done += few.len();
            progress.counted("images", done, total);
            if total.is_none() {
                out.show()?;
            }
        }
        out.finish()?;
        match failed {
            0 => Ok(()),
            _ => Err(Error::Data(format!("{failed} of {done} images could not be read"))),
        }
    }

    fn rows(
        &self,
        recognizer: &Ensemble,
        path: &Path,
        shard: Option<Shard>,
        lines: Lines,
        out: &mut Output,
        cancel: &Cancel,
    ) -> Result<()> {
        let recognizer = recognizer.first();
        let features = recognizer.features(path)?;
        let names = self.names_of_rows(path, features.rows(), cancel)?;
        let progress = Progress::beside_results();
        let all = shard.map_or(0..features.rows(), |shard| shard.range(features.rows()));
        for begin in all.clone().step_by(ROWS) {
            cancel.check()?;
            let rows = begin..all.end.min(begin + ROWS);
            for (row, recognition) in rows.clone().zip(recognizer.recognize_features(&features, rows)?) {
                let recognition = lines.calibrated(recognition);
                let name = names.as_ref().map_or_else(|| row.to_string(), |names| names[row].clone());
                out.add(Path::new(&name), &lines, &recognition)?;
            }
            progress.counted("rows", all.end.min(begin + ROWS) - all.start, Some(all.len()));
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
