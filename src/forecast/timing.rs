//! What one of everything takes, measured on the sample: a feature map, an image of a training step, an image of an
//! evaluation, keeping an epoch; and how large the run and the process become.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::time::Instant;

use burn::tensor::Device;
use sarb_labels::{Split, dataset};

use super::sample::Sample;
use crate::anchor;
use crate::cancel::Cancel;
use crate::evaluation::{Evaluation, examples_of};
use crate::events::Event;
use crate::experiment::train;
use crate::loader::Loader;
use crate::memory::peak_rss_mb;
use crate::methods;
use crate::recognizer::Recognizer;
use crate::run::Which;
use crate::run_folder::Existing;
use crate::scoring::scores_of;
use crate::{Error, Result};

/// Seconds and bytes.
pub(super) struct Timing {
    /// Of a feature map, with decoding.
    pub map_each: f64,
    /// Of an image in a training step, from the second epoch on.
    pub step_each: f64,
    /// Of an image in an evaluation.
    pub inference_each: f64,
    /// Of what follows an epoch, but for its validation images: checkpoints and logs.
    pub save: f64,
    /// Of the run's folder.
    pub run_bytes: u64,
    /// Of one example as a step reads it.
    pub example_bytes: usize,
    /// Channels that the head reads.
    pub channels: usize,
    /// Whether ridge regression reads all pooled features: the method or its anchor.
    pub is_pooled: bool,
    /// Peak memory of this process.
    pub memory_mb: f64,
}

/// Trains the sample, evaluates it, and says what that took.
///
/// # Errors
/// What the training says; [`Error::Stopped`] once `cancel` asks for an end.
pub(super) fn measure(
    sample: &Sample,
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Timing> {
    events(Event::Phase("a few steps on a sample of the images"));
    let clock = Clock::default();
    let heard = |event: Event<'_>| clock.hear(&event);
    let run =
        train(&sample.recipe, &sample.inputs, (&sample.run(), Existing::Refuse), device, &heard, cancel)
            .map_err(|error| match error {
                Error::Interrupted { .. } => Error::Stopped,
                error => error,
            })?;
    let info = run.info()?;
    let recognizer = Recognizer::open(run.dir(), Which::Last, device)?;
    let evaluation = Evaluation {
        data: None,
        split: Split::Train,
        features: sample.inputs.features.clone(),
        checkpoint: Which::Last,
        cache: sample.inputs.cache.clone(),
    };
    let images = dataset::open_split(&sample.inputs.data, Split::Train)?;
    let examples = examples_of(&recognizer, &evaluation, &images, info.channels, &|_| (), cancel)?;
    let rows: Vec<usize> = (0..images.images.len()).collect();
    let score = || scores_of(&[recognizer.inference()], &examples, &rows, &Loader::default(), device, cancel);
    // The first pass warms up.
    score()?;
    let begun = Instant::now();
    score()?;
    let inference_each = begun.elapsed().as_secs_f64() / rows.len() as f64;
    let history = clock.images_per_second.get();
    Ok(Timing {
        map_each: clock.map_each(),
        step_each: if history > 0.0 { 1.0 / history } else { 0.0 },
        inference_each,
        save: (clock.after_epoch.get() - inference_each * sample.validation_images as f64).max(0.0),
        run_bytes: bytes_below(run.dir())?,
        example_bytes: examples.shape().iter().product::<usize>() * size_of::<f32>(),
        channels: info.channels,
        is_pooled: anchor::is_kept(&run) || sample.recipe.method.name() == methods::ANCHOR,
        memory_mb: peak_rss_mb(),
    })
}

/// When what was heard of the training.
#[derive(Default)]
struct Clock {
    /// The last number of maps, and when that was.
    maps: Cell<Option<(usize, Instant)>>,
    /// Maps that were computed between two reports, and in how many seconds; the first ones apart, which are slower.
    computed: RefCell<Vec<(usize, f64)>>,
    validation: Cell<Option<Instant>>,
    /// Seconds between an epoch's last step and the next: validation and checkpoints, of the last epoch.
    after_epoch: Cell<f64>,
    /// Of the last epoch.
    images_per_second: Cell<f64>,
}

impl Clock {
    fn hear(&self, event: &Event<'_>) {
        let now = Instant::now();
        match event {
            Event::Maps { done, .. } => {
                if let Some((before, when)) = self.maps.get()
                    && *done > before
                {
                    self.computed.borrow_mut().push((done - before, (now - when).as_secs_f64()));
                }
                self.maps.set(Some((*done, now)));
            }
            Event::Phase("validation") => self.validation.set(Some(now)),
            Event::Epoch(row) => {
                self.after_epoch.set(self.validation.get().map_or(0.0, |begun| (now - begun).as_secs_f64()));
                self.images_per_second.set(row.images_per_second);
            }
            _ => {}
        }
    }

    /// Seconds of a map; without the first batch, where there are others.
    fn map_each(&self) -> f64 {
        let computed = self.computed.borrow();
        let counted = if computed.len() > 1 { &computed[1..] } else { &computed[..] };
        let maps: usize = counted.iter().map(|(maps, _)| maps).sum();
        counted.iter().map(|(_, seconds)| seconds).sum::<f64>() / maps.max(1) as f64
    }
}

/// Bytes of all files below a folder.
fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let metadata = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        bytes += if metadata.is_dir() { bytes_below(&path)? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_maps_are_not_counted_where_there_are_others() {
        let clock = Clock::default();
        assert_eq!(clock.map_each(), 0.0);
        clock.computed.borrow_mut().push((16, 8.0));
        assert_eq!(clock.map_each(), 0.5);
        clock.computed.borrow_mut().extend([(16, 4.0), (8, 2.0)]);
        assert_eq!(clock.map_each(), 0.25);
    }

    #[test]
    fn all_files_of_a_folder_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/b"), "12345").unwrap();
        std::fs::write(dir.path().join("c"), "123").unwrap();
        assert_eq!(bytes_below(dir.path()).unwrap(), 8);
    }
}
