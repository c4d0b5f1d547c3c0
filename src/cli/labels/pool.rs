//! `--data`: which images a command on labels is about.

use std::path::PathBuf;

use clap::Args;
use sarb::decisions::joined::{Differences, Joining};
use sarb::labels::Split;
use sarb::labels::text::thousands;
use sarb::{Cancel, Error, Evaluation, OutOfFold, Result, Run, Which, without_filled};

use crate::cli::CacheArgs;
use crate::cli::console::{say, warn};
use crate::cli::data::source::ReadArgs;
use crate::cli::progress::Progress;

/// The images that a command is about.
#[derive(Debug, Clone, Args)]
pub struct Pool {
    /// Data folder, of which train.csv is read, or labels of any format: what the images are and what is known of them. Those
    /// that the run was not trained on are scored by its network [default: the run's own training images]
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// Features of these images, for a run that was trained with --features
    #[arg(long, value_name = "FILE", requires = "data")]
    features: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheArgs,
}

impl Pool {
    /// Whether they are the run's own training images.
    pub fn is_own(&self) -> Result<bool> {
        match self.data {
            Some(_) => Ok(false),
            None => self.cache.refuse("without --data no image is looked at").map(|()| true),
        }
    }

    /// Their scores, none by a model that has learned from the image.
    pub fn scores(&self, run: &Run) -> Result<OutOfFold> {
        // Options that are of no use are refused before anything is read.
        let is_own = self.is_own()?;
        let own = OutOfFold::open(run)?;
        let (Some(data), false) = (&self.data, is_own) else { return Ok(own) };
        let (data, filled) = without_filled(ReadArgs::default().read(data, Split::Train)?)?;
        filled.iter().for_each(|note| warn(note));
        let data = data.aligned(&own.annotations.categories, run.dir())?;
        if data.images.is_empty() {
            return Err(Error::Data(format!("{}: no image", data.source.display())));
        }
        let joining = Joining::new(own, data)?;
        let new = joining.new_rows();
        let mut logits = Vec::new();
        if !new.is_empty() {
            let evaluation = Evaluation {
                data: None,
                split: Split::Train,
                features: self.features.clone(),
                checkpoint: Which::Best,
                cache: self.cache.cache()?,
            };
            // A signal ends the program at once: until the labels are written there is nothing to keep.
            let cancel = Cancel::default();
            let (device, progress) = (sarb::device::open("cpu")?, Progress::new(0));
            let events = |event: sarb::Event<'_>| progress.show(event);
            logits = sarb::score(run, joining.data(), &new, &evaluation, &device, &events, &cancel)?;
        }
        if let Some(at) = logits.iter().position(|logit| !logit.is_finite()) {
            let image = joining.data().images[new[at / joining.data().categories.len()]].display();
            return Err(Error::Data(format!("{image}: a score is {}, which is no answer", logits[at])));
        }
        let source = joining.data().source.display().to_string();
        let asked = joining.data().images.len();
        let (scores, differences) = joining.joined(&logits);
        say(&format!(
            "{source}: {} images, {} of them none of the run's, scored by its network",
            thousands(asked),
            thousands(new.len())
        ));
        tell(&source, differences);
        Ok(scores)
    }
}

/// Says how labels differ from those that the run was trained with; the newer ones count.
fn tell(source: &str, differences: Differences) {
    let Differences { changed, withdrawn } = differences;
    if changed + withdrawn > 0 {
        warn(&format!(
            "{source}: of the labels that the run was trained with, {} are the opposite here and {} unknown; what stands \
             here counts",
            thousands(changed),
            thousands(withdrawn)
        ));
    }
}
