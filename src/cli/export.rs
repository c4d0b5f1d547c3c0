//! `sarb export`: a run in a form that other programs read.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sarb::decisions::thresholds::{Decisions, Goal};
use sarb::export::hub;
use sarb::export::onnx::{Contents, Output};
use sarb::export::verify::{self, Difference};
use sarb::labels::files::write_atomically;
use sarb::labels::{Split, dataset};
use sarb::{Error, Recognizer, Result, Run, Which};

use super::console::{print, say};
use super::data::convert::{keep, make_folder_of};
use super::decide::{Audited, decisions};

/// Images of the data folder that `--verify` looks at.
const SAMPLES: usize = 16;

/// Arguments of `sarb export`.
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// Folder of a run
    pub run: PathBuf,
    /// Which form
    #[arg(long, value_enum)]
    pub to: Form,
    /// File to write; of a hub, the folder
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// ONNX: what the network gives, separated by commas [default: probabilities]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "OUTPUTS")]
    pub outputs: Vec<Output>,
    /// Put the run's own calibration into the network and its thresholds beside it: f1 (the best F1 in each category),
    /// precision=P or recall=P. Needs out-of-fold scores: a run of linear, or --folds
    #[arg(long, value_name = "GOAL")]
    pub decide: Option<Goal>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub audited: Audited,
    /// ONNX: run the file with another program (rten) on images of the data folder and exit with 6 if a number is off by more
    /// than 0.0001
    #[arg(long)]
    pub verify: bool,
    /// Data folder of these images [default: the one the run was trained on]
    #[arg(long, value_name = "DIR", requires = "verify")]
    pub data: Option<PathBuf>,
    /// Which checkpoint of the run
    #[arg(long, value_enum, default_value = "best")]
    pub checkpoint: Which,
    /// Replace a file that is there
    #[arg(long)]
    pub force: bool,
}

/// What a run is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// One file with the whole network, from pixels to probabilities
    Onnx,
    /// A folder for a model hub: safetensors under PyTorch's names, config.json, a model card, and code that loads them
    Hub,
}

impl Export {
    /// Writes, and verifies.
    pub fn run(&self) -> Result<()> {
        self.audited.only_with(self.decide)?;
        self.check()?;
        let recognizer = Recognizer::open(&self.run, self.checkpoint, &sarb::device::open("cpu")?)?;
        let decisions = self.decide.map(|goal| decisions(&self.run, goal, &self.audited)).transpose()?;
        match self.to {
            Form::Onnx => self.onnx(&recognizer, decisions.as_ref()),
            Form::Hub => self.hub(&recognizer, decisions.as_ref()),
        }
    }

    /// Refuses what does not go together, and to write over anything without `--force`.
    fn check(&self) -> Result<()> {
        match self.to {
            Form::Onnx => keep("--out", &self.out, self.force),
            Form::Hub if self.verify || !self.outputs.is_empty() => {
                Err(Error::Usage("--verify and --outputs are for --to onnx; a hub's folder says in its README.md how to check it".into()))
            }
            // A folder that is there and empty is as good as none.
            Form::Hub if std::fs::read_dir(&self.out).is_ok_and(|mut files| files.next().is_none()) => Ok(()),
            Form::Hub => keep("--out", &self.out, self.force),
        }
    }

    fn hub(&self, recognizer: &Recognizer, decisions: Option<&Decisions>) -> Result<()> {
        let run = Run::open(&self.run)?;
        hub::write(&run, recognizer, self.checkpoint, decisions, &self.out)?;
        say(&format!("wrote {}", hub::FILES.join(", ")));
        print(&self.out.display().to_string())
    }

    fn onnx(&self, recognizer: &Recognizer, decisions: Option<&Decisions>) -> Result<()> {
        let outputs =
            if self.outputs.is_empty() { vec![Output::Probabilities] } else { self.outputs.clone() };
        let bytes = Contents { outputs: &outputs, decisions }.encode(recognizer)?;
        make_folder_of(&self.out)?;
        write_atomically(&self.out, |file| file.write_all(&bytes))?;
        let (size, names) = (recognizer.size_px(), outputs.iter().map(|output| output.name()));
        say(&format!(
            "{:.1} MB: image [N, 3, {size}, {size}], RGB from 0 to 1, to {} of {} categories",
            bytes.len() as f64 / 1e6,
            names.collect::<Vec<_>>().join(", "),
            recognizer.names().len()
        ));
        if self.verify {
            let images = self.samples()?;
            let differences = verify::compare(&self.out, recognizer, &outputs, decisions, &images)?;
            say(&verified(&differences, images.len()));
            verify::check(&self.out, &differences)?;
        }
        print(&self.out.display().to_string())
    }

    /// Images of the test split, or else the training split, from all over it.
    fn samples(&self) -> Result<Vec<PathBuf>> {
        let data = Run::open(&self.run)?.data(self.data.as_deref())?;
        let split = if dataset::has_split(&data, Split::Test)? { Split::Test } else { Split::Train };
        let images =
            dataset::open_split(&data, split).map_err(|error| no_images(&data, error.into()))?.images;
        let step = images.len().div_ceil(SAMPLES).max(1);
        let images: Vec<PathBuf> = images.into_iter().step_by(step).collect();
        match images.is_empty() {
            true => Err(Error::Data(format!("{}: no image to verify the file on", data.display()))),
            false => Ok(images),
        }
    }
}

/// What to do where the data folder has gone.
fn no_images(data: &Path, error: Error) -> Error {
    match error.is_missing() {
        true => Error::Missing(format!(
            "{}: --verify reads images of this data folder, which is not there; --data DIR names another",
            data.display()
        )),
        false => error,
    }
}

fn verified(differences: &[Difference], images: usize) -> String {
    let each = differences.iter().map(|difference| {
        format!("{} {:.1e} (of up to {:.3})", difference.output.name(), difference.largest, difference.scale)
    });
    format!("verified on {images} images; largest differences: {}", each.collect::<Vec<_>>().join(", "))
}
