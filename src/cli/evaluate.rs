//! `sarb evaluate`: what a run, or the scores of any other program, are worth.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::labels::Split;
use sarb::labels::formats::options::Convention;
use sarb::labels::metrics::{self, Scores};
use sarb::labels::score_files::{self, ScoreFiles};
use sarb::{Cancel, Error, Evaluation, Result, Run, Which};

use super::CacheArgs;
use super::console::{print, say, warn};
use super::progress::Progress;

/// Arguments of `sarb evaluate`.
#[derive(Debug, Clone, Args)]
pub struct Evaluate {
    /// Folder of a run
    #[arg(required_unless_present = "scores", conflicts_with = "scores")]
    pub run: Option<PathBuf>,
    /// Data folder [default: the one the run was trained on]
    #[arg(long, value_name = "DIR", conflicts_with = "scores")]
    pub data: Option<PathBuf>,
    /// Which of its files: train, val or test
    #[arg(long, default_value = "test", conflicts_with = "scores", value_parser = |text: &str| text.parse::<Split>().map_err(|e| e.to_string()))]
    pub split: Split,
    /// Which checkpoint of the run
    #[arg(long, value_enum, default_value = "best", conflicts_with = "scores")]
    pub checkpoint: Which,
    /// Features of the split's images, for a run trained with --features
    #[arg(long, value_name = "FILE", conflicts_with = "scores")]
    pub features: Option<PathBuf>,
    /// Scores of another program, [N, C]: .csv, .npy or .safetensors; logits, threshold 0
    #[arg(long, value_name = "FILE", requires = "labels")]
    pub scores: Option<PathBuf>,
    /// Labels of those scores: own CSV, or .npy, .npz or .txt [N, C]; names that both files hold are matched
    #[arg(long, value_name = "FILE", requires = "scores")]
    pub labels: Option<PathBuf>,
    /// What 1, 0 and -1 mean in an array of labels, where it leaves that open; NaN is unknown
    #[arg(long, requires = "labels")]
    pub convention: Option<Convention>,
    /// The scores are probabilities, threshold 0.5
    #[arg(long, requires = "scores")]
    pub probabilities: bool,
    /// Print one JSON object, fractions in 0…1
    #[arg(long)]
    pub json: bool,
    /// Exit with 6 if the mAP in percent is below this
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub fail_under: Option<f64>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cache: CacheArgs,
}

impl Evaluate {
    /// Measures, and prints a table or JSON.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        let scores = match (&self.run, &self.scores, &self.labels) {
            (Some(run), None, _) => self.evaluate_run(run, cancel)?,
            (None, Some(scores), Some(labels)) => self.evaluate_files(scores, labels)?,
            _ => return Err(Error::Usage("give a RUN, or --scores with --labels".into())),
        };
        if self.json {
            print(&serde_json::to_string_pretty(&scores).expect("plain data"))?;
        } else {
            print(scores.to_string().trim_end())?;
        }
        if scores.skipped_categories.len() == scores.categories {
            warn("no category has a known positive in these labels, so mAP is 0 by definition");
        }
        match self.fail_under {
            Some(bar) if 100.0 * scores.map < bar => {
                Err(Error::Gate(format!("mAP {:.1} is below --fail-under {bar}", 100.0 * scores.map)))
            }
            _ => Ok(()),
        }
    }

    /// A run on a split of a data folder.
    fn evaluate_run(&self, dir: &Path, cancel: &Cancel) -> Result<Scores> {
        let evaluation = Evaluation {
            data: self.data.clone(),
            split: self.split,
            features: self.features.clone(),
            checkpoint: self.checkpoint,
            cache: self.cache.cache()?,
        };
        let (device, progress) = (sarb::device::open("cpu")?, Progress::new(0));
        sarb::evaluate(&Run::open(dir)?, &evaluation, &device, &|event| progress.show(event), cancel)
    }

    fn evaluate_files(&self, scores: &Path, labels: &Path) -> Result<Scores> {
        let ScoreFiles { scores: values, labels, names, notes } =
            score_files::read(scores, labels, self.convention)?;
        notes.iter().for_each(|note| say(note));
        let unit = values.iter().all(|value| (0.0..=1.0).contains(value));
        if self.probabilities && !unit {
            return Err(Error::Data(format!(
                "{}: --probabilities, but not every score lies in 0…1",
                scores.display()
            )));
        }
        if unit && !self.probabilities {
            warn(
                "every score lies in 0…1, but scores are taken as logits with threshold 0; pass --probabilities if they are probabilities",
            );
        }
        Ok(metrics::evaluate(&values, &labels, &names, if self.probabilities { 0.5 } else { 0.0 })?)
    }
}

fn percent(text: &str) -> std::result::Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok(value),
        _ => Err(format!("`{text}` is not a percentage from 0 to 100")),
    }
}
