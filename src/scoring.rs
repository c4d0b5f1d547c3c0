//! Scores of a model on examples, and what they are worth.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use crate::Result;
use crate::batch::Input;
use crate::cancel::Cancel;
use crate::loader::{ExampleKind, Examples, LoadedBatch, Loader, View};
use crate::model::Inference;

/// Examples a step of evaluation: large enough to fill the cores, small beside a training step.
pub(crate) const BATCH: usize = 32;

/// Logits of the examples `rows`, through the test-time transform, row by row: `rows · C` values.
///
/// # Errors
/// Whatever reading an example says; [`Error::Stopped`](crate::Error::Stopped) once `cancel` asks for it.
pub fn scores(
    model: &Inference,
    examples: &Arc<dyn Examples>,
    rows: &[usize],
    loader: &Loader,
    device: &Device,
    cancel: &Cancel,
) -> Result<Vec<f32>> {
    scores_of(&[model], examples, rows, loader, device, cancel).map(|mut logits| logits.remove(0))
}

/// [`scores`] of several models that read the same, each example read once.
///
/// # Errors
/// Those of [`scores`].
pub fn scores_of(
    models: &[&Inference],
    examples: &Arc<dyn Examples>,
    rows: &[usize],
    loader: &Loader,
    device: &Device,
    cancel: &Cancel,
) -> Result<Vec<Vec<f32>>> {
    let mut logits = vec![Vec::new(); models.len()];
    let batches = rows.chunks(BATCH).map(<[usize]>::to_vec).collect();
    for loaded in loader.batches(examples.clone(), batches, View::Clean) {
        cancel.check()?;
        let input = input_of(loaded?, device);
        for (model, logits) in models.iter().zip(&mut logits) {
            let scores = model.forward(input.clone()).into_data();
            logits.extend(scores.try_into_vec::<f32>().expect("logits are f32"));
        }
    }
    Ok(logits)
}

/// A loaded batch as what the network reads: `[B, 3, S, S]` images or `[B, F, H, W]` maps.
pub fn input_of(loaded: LoadedBatch, device: &Device) -> Input {
    let [channels, height, width] = loaded.shape;
    let data = TensorData::new(loaded.values, [loaded.rows.len(), channels, height, width]);
    let tensor = Tensor::from_data(data, device);
    match loaded.kind {
        ExampleKind::Image => Input::Images(tensor),
        ExampleKind::TrunkMap => Input::TrunkMaps(tensor),
        ExampleKind::Map => Input::Maps(tensor),
    }
}
