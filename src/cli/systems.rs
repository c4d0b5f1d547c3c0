//! What `sarb evaluate` compares: runs and files of scores, brought to the same labels and the same order of
//! categories.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::compare::System;
use sarb::labels::LabelMatrix;
use sarb::labels::categories::did_you_mean;
use sarb::labels::formats::options::Convention;
use sarb::labels::metrics::{self, Scale, reliability};
use sarb::labels::score_files::{self, ScoreFiles};
use sarb::labels::text::percent;
use sarb::{Cancel, Error, Evaluated, Evaluation, Result, Run, Which};

use super::console::{say, warn};
use super::decide::decisions;
use super::evaluate::Evaluate;
use super::progress::Progress;

/// Systems and anchors on the labels of the first.
pub struct Systems {
    /// In the order of the command line, runs first.
    pub systems: Vec<System>,
    /// The anchors of the runs, each once.
    pub anchors: Vec<System>,
    /// What all are measured with.
    pub labels: LabelMatrix,
}

/// Labels, and the order of the categories.
#[derive(Clone)]
pub struct Basis {
    /// Whose they are.
    pub name: String,
    /// `N × C`.
    pub labels: LabelMatrix,
    /// Names of the C categories.
    pub categories: Vec<String>,
}

impl Evaluate {
    /// Scores the runs and reads the files.
    pub fn systems(&self, cancel: &Cancel) -> Result<Systems> {
        let mut basis: Option<Basis> = None;
        let (mut systems, mut anchors) = (Vec::new(), Vec::<System>::new());
        let features = self.features_of_runs()?;
        for (dir, features) in self.runs.iter().zip(features) {
            let (name, run) = (dir.display().to_string(), Run::open(dir)?);
            let evaluated = self.measure(&run, features, cancel)?;
            let Evaluated { scores, logits, labels, anchor } = evaluated;
            let logits = self.decided(dir, logits, &labels)?;
            let categories: Vec<String> = scores.per_category.iter().map(|c| c.name.clone()).collect();
            let here = Basis { name: name.clone(), labels, categories };
            let basis = basis.get_or_insert_with(|| here.clone());
            systems.push(basis.system(name, logits, &here, 0.0)?);
            if let Some(logits) = anchor {
                let anchor = basis.system(format!("anchor of {}", dir.display()), logits, &here, 0.0)?;
                if anchors.iter().all(|known| known.values != anchor.values) {
                    anchors.push(anchor);
                }
            }
        }
        if let [anchor] = &mut anchors[..] {
            anchor.name = "anchor (linear on the same features)".to_owned();
        }
        for path in &self.others.scores {
            let (values, here) = self.read_scores(path)?;
            let basis = basis.get_or_insert_with(|| here.clone());
            let threshold = self.others.threshold();
            systems.push(basis.system(path.display().to_string(), values, &here, threshold)?);
        }
        let Some(Basis { labels, .. }) = basis else {
            return Err(Error::Usage("give a RUN, or --scores with --labels".into()));
        };
        Ok(Systems { systems, anchors, labels })
    }

    /// With `--decide` how far the logits of a run lie above its own thresholds; says what its probabilities are worth.
    fn decided(&self, run: &Path, logits: Vec<f32>, labels: &LabelMatrix) -> Result<Vec<f32>> {
        let Some(goal) = self.decide else { return Ok(logits) };
        let decisions = decisions(run, goal, &self.audited)?;
        let error = |logits: &[f32]| percent(reliability(logits, labels, Scale::Logits).error);
        say(&format!(
            "{}: the expected calibration error of its probabilities is {} %, of the calibrated ones {} %",
            run.display(),
            error(&logits),
            error(&decisions.calibrated(&logits))
        ));
        Ok(decisions.margins(&logits))
    }

    /// A run on a split of a data folder.
    fn measure(&self, run: &Run, features: Option<&Path>, cancel: &Cancel) -> Result<Evaluated> {
        let evaluation = Evaluation {
            data: self.data.clone(),
            split: self.split,
            features: features.map(Path::to_path_buf),
            checkpoint: self.checkpoint,
            cache: self.cache.cache()?,
        };
        if let Some(about) = run.info()?.about_epoch_0().filter(|_| self.checkpoint == Which::Best) {
            say(&format!("{}: {about}", run.dir().display()));
        }
        let (device, progress) = (sarb::device::open("cpu")?, Progress::new(0));
        sarb::measure(run, &evaluation, &device, &|event| progress.show(event), cancel)
    }

    /// The features that each run reads: of one file all runs trained on features, of several one each.
    fn features_of_runs(&self) -> Result<Vec<Option<&Path>>> {
        let mut reads = Vec::new();
        for dir in &self.runs {
            reads.push(Run::open(dir)?.info()?.reads_features());
        }
        // Without a run that reads features, the first one says that it does not.
        if !reads.contains(&true) {
            reads.iter_mut().take(1).for_each(|reads| *reads = !self.features.is_empty());
        }
        let wanted = reads.iter().filter(|reads| **reads).count();
        if self.features.len() > 1 && self.features.len() != wanted {
            return Err(Error::Usage(format!(
                "--features is given {} times, but {wanted} of the runs read features; give it once, or once for each of them",
                self.features.len()
            )));
        }
        let mut files = self.features.iter().cycle();
        Ok(reads
            .into_iter()
            .map(|reads| if reads { files.next().map(|file| &**file) } else { None })
            .collect())
    }

    /// A file of scores with the labels of --labels, or else of the first run.
    fn read_scores(&self, path: &Path) -> Result<(Vec<f32>, Basis)> {
        let of_run;
        let labels = match (&self.others.labels, self.runs.first()) {
            (Some(labels), _) => labels,
            (None, Some(run)) => {
                of_run = Run::open(run)?.data(self.data.as_deref())?.join(self.split.file_name());
                &of_run
            }
            (None, None) => {
                return Err(Error::Usage("--scores needs --labels FILE, or a RUN beside it".into()));
            }
        };
        self.others.read(path, labels)
    }
}

/// Files of other programs' scores. The runs beside them are the argument `runs`.
#[derive(Debug, Clone, Args)]
pub struct ScoreArgs {
    /// Scores of another program, [N, C]: .csv, .npy or .safetensors; logits, threshold 0; may be repeated and
    /// stand beside runs
    #[arg(long, value_name = "FILE")]
    pub scores: Vec<PathBuf>,
    /// Labels of those scores: own CSV, or .npy, .npz or .txt [N, C]; names that both files hold are matched
    /// [default: those of the runs]
    #[arg(long, value_name = "FILE", requires = "scores", conflicts_with = "runs")]
    pub labels: Option<PathBuf>,
    /// What 1, 0 and -1 mean in an array of labels, where it leaves that open; NaN is unknown
    #[arg(long, requires = "labels")]
    pub convention: Option<Convention>,
    /// The scores are probabilities, threshold 0.5
    #[arg(long, requires = "scores")]
    pub probabilities: bool,
}

impl ScoreArgs {
    /// Where scores become claims.
    pub fn threshold(&self) -> f32 {
        if self.probabilities { 0.5 } else { 0.0 }
    }

    /// One of the files, with its labels.
    pub fn read(&self, path: &Path, labels: &Path) -> Result<(Vec<f32>, Basis)> {
        let ScoreFiles { scores, labels, names, notes } = score_files::read(path, labels, self.convention)?;
        notes.iter().for_each(|note| say(note));
        let unit = scores.iter().all(|value| (0.0..=1.0).contains(value));
        if self.probabilities && !unit {
            return Err(Error::Data(format!(
                "{}: --probabilities, but not every score lies in 0…1",
                path.display()
            )));
        }
        if unit && !self.probabilities {
            warn(
                "every score lies in 0…1, but scores are taken as logits with threshold 0; pass --probabilities if they are probabilities",
            );
        }
        Ok((scores, Basis { name: path.display().to_string(), labels, categories: names }))
    }
}

impl Basis {
    /// A system whose `values` belong to the labels and categories of `here`, on these.
    pub fn system(&self, name: String, values: Vec<f32>, here: &Basis, threshold: f32) -> Result<System> {
        let columns = self.columns_in(here)?;
        let same_order = columns.iter().enumerate().all(|(place, column)| place == *column);
        let (images, width) = (here.labels.images(), here.categories.len());
        let (values, labels) = if same_order {
            (values, here.labels.clone())
        } else {
            let picked = |row: usize| columns.iter().map(move |column| row * width + column);
            let values = (0..images).flat_map(picked).map(|cell| values[cell]).collect();
            (values, here.labels.select_categories(&columns))
        };
        if labels != self.labels {
            return Err(Error::Data(format!(
                "{} and {} are measured with different labels; give --data DIR, the folder that both are measured on",
                self.name, here.name
            )));
        }
        let scores = metrics::evaluate(&values, &self.labels, &self.categories, threshold)?;
        Ok(System { name, values, scores })
    }

    /// Where these categories are in `here`.
    fn columns_in(&self, here: &Basis) -> Result<Vec<usize>> {
        let missing = |name: &String| {
            let hint = did_you_mean(name, here.categories.iter().map(String::as_str));
            Error::Data(format!("{} has no category {name:?}, which {} has{hint}", here.name, self.name))
        };
        if here.categories.len() > self.categories.len() {
            let more = here.categories.iter().find(|name| !self.categories.contains(name));
            return Err(match more {
                Some(name) => Error::Data(format!(
                    "{} has no category {name:?}, which {} has; runs on other categories cannot be compared",
                    self.name, here.name
                )),
                None => Error::Data(format!("{}: a category is there twice", here.name)),
            });
        }
        self.categories
            .iter()
            .map(|name| here.categories.iter().position(|other| other == name).ok_or_else(|| missing(name)))
            .collect()
    }
}
