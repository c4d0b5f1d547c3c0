//! Scores of a model on examples, and what they are worth.

use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};

use crate::Result;
use crate::batch::Input;
use crate::cancel::Cancel;
use crate::loader::{Examples, LoadedBatch, Loader, View};
use crate::model::Inference;

/// Examples a step of evaluation: large enough to fill the cores, small beside a training step.
const BATCH: usize = 32;

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
    let mut logits = Vec::new();
    let batches = rows.chunks(BATCH).map(<[usize]>::to_vec).collect();
    for loaded in loader.batches(examples.clone(), batches, View::Clean) {
        cancel.check()?;
        let input = input_of(loaded?, model.reads_images(), device);
        logits.extend(model.forward(input).into_data().try_into_vec::<f32>().expect("logits are f32"));
    }
    Ok(logits)
}

/// A loaded batch as what the network reads: `[B, 3, S, S]` images or `[B, F, H, W]` maps.
pub fn input_of(loaded: LoadedBatch, images: bool, device: &Device) -> Input {
    let [channels, height, width] = loaded.shape;
    let data = TensorData::new(loaded.values, [loaded.rows.len(), channels, height, width]);
    let tensor = Tensor::from_data(data, device);
    if images { Input::Images(tensor) } else { Input::Maps(tensor) }
}
