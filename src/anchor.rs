//! The anchor of a run: `linear`, ridge regression on the very maps that its head reads, which takes seconds.
//! A head that is not better than this has learned nothing that matters; so every training on maps says what
//! the anchor says of the validation images, and every evaluation says it of its images.

use burn::module::Module;
use burn::store::ModuleRecord;
use burn::tensor::Device;
use sarb_labels::guard::guarded;

use crate::checkpoint::in_memory;
use crate::methods::linear::{Linear, LinearRecipe};
use crate::methods::{AnyMethod, Method};
use crate::model::{Inference, Model};
use crate::run::{Run, Validated};
use crate::train::Trainer;
use crate::{Error, Result};

/// Its file in a run.
pub const FILE: &str = "anchor.bpk";

/// Fits the anchor to the training rows, keeps it in the folder of `run`, and returns what the validation images
/// say of it.
///
/// # Errors
/// What reading the maps says, and writing the file; [`Error::Stopped`] once it is cancelled.
pub fn fit(trainer: &Trainer, run: &Run) -> Result<Validated> {
    let labels = &trainer.prepared.annotations.labels;
    let mut model = network(trainer.prepared.channels, labels.categories(), trainer.device);
    let empty = Inference::new(&model);
    model.head.before_training(&trainer.pass(&empty))?;
    save(run, &model)?;
    trainer.validate(&Inference::new(&model), 0)
}

/// Whether a run has kept an anchor.
pub fn is_kept(run: &Run) -> bool {
    run.path(FILE).is_file()
}

/// The anchor of a run whose maps have so many channels; none where it has none.
///
/// # Errors
/// [`Error::Incompatible`] if its file is damaged.
pub fn load(run: &Run, channels: usize, categories: usize, device: &Device) -> Result<Option<Inference>> {
    if !is_kept(run) {
        return Ok(None);
    }
    let without = "delete it to do without the anchor";
    let path = run.whole(FILE).map_err(|error| match error {
        Error::Incompatible(why) => Error::Incompatible(format!("{why}, or {without}")),
        error => error,
    })?;
    let model = network(channels, categories, device);
    // A damaged record makes Burn panic in places.
    let bytes = in_memory(&path)?;
    let why = match guarded(|| model.try_load_record(ModuleRecord::from_bytes(bytes)?)) {
        Some(Ok(model)) => return Ok(Some(Inference::new(&model))),
        Some(Err(error)) => error.to_string(),
        None => "damaged, or of another network".into(),
    };
    Err(Error::Incompatible(format!("{}: {why}; {without}", path.display())))
}

fn network(channels: usize, categories: usize, device: &Device) -> Model {
    let head = Linear::new(&LinearRecipe::default(), channels, categories, device);
    Model { backbone: None, head: AnyMethod::Linear(head) }
}

fn save(run: &Run, model: &Model) -> Result<()> {
    let (new, path) = (run.path("anchor.new.bpk"), run.path(FILE));
    let failed = |error: std::io::Error| Error::io(&path, error);
    let saved = model.clone().save_file(&new);
    saved.map_err(|error| failed(std::io::Error::other(error.to_string())))?;
    std::fs::File::open(&new).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(&new, &path).map_err(failed)
}
