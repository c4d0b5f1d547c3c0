//! The page of a run as a tracking server gets it: that of `sarb report`, without photographs.

use sarb_labels::Split;
use sarb_labels::metrics::{self, Scale};

use crate::Result;
use crate::compare::{Bootstrap, System};
use crate::report::runs::{Measured, Page, ReadRun, Row, Saved, Settings, Source};
use crate::run::{Run, Which};

/// Behind each interval, as `sarb report` has it.
const RESAMPLES: usize = 1000;

/// With what was measured of the run: of the test images, or else of those that were.
///
/// # Errors
/// What reading the run says.
pub fn of(run: &Run) -> Result<String> {
    let (split, checkpoint) = measured(run);
    let mut read = ReadRun::open(run.dir(), None, split, checkpoint)?;
    let measured = read.saved.take().map(|saved| rows(&read.name, saved)).transpose()?;
    let bootstrap = Bootstrap { resamples: RESAMPLES, seed: 0 };
    // Photographs stay where they are.
    let settings = Settings { bootstrap, images: 0, split, checkpoint };
    Ok(Page::of(&[read], measured.as_ref(), &settings)?.html)
}

fn measured(run: &Run) -> (Split, Which) {
    let of = |split| {
        let measurement = run.measurement(split).ok().flatten()?;
        Some((split, measurement.made_of.map_or(Which::Best, |made_of| made_of.checkpoint)))
    };
    [Split::Test, Split::Val, Split::Train].into_iter().find_map(of).unwrap_or((Split::Test, Which::Best))
}

fn rows(name: &str, Saved { logits, anchor, annotations }: Saved) -> Result<Measured> {
    let (labels, categories) = (annotations.labels, annotations.categories);
    let anchor =
        anchor.map(|logits| ("anchor (linear on the same features)".into(), logits, Source::Anchor(0)));
    let systems = std::iter::once((name.to_owned(), logits, Source::Run(0))).chain(anchor);
    let row = |(name, values, source): (String, Vec<f32>, Source)| {
        let scores = metrics::evaluate(&values, &labels, &categories, 0.0)?;
        Ok(Row { system: System { name, values, scores }, scale: Scale::Logits, source })
    };
    let rows = systems.map(row).collect::<Result<_>>()?;
    Ok(Measured { rows, labels, categories })
}
