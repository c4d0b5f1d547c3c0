//! One step of training, written out: feature maps, loss terms, backward, Adam.

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::{GradientsParams, ModuleOptimizer};

use crate::batch::{Batch, Input, Losses, Progress};
use crate::methods::Method;
use crate::model::Model;
use crate::nn::backbone::FixedTrunk;

/// How fast a step moves the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The learning rate.
    pub rate: f64,
    /// Its factor for the backbone.
    pub backbone_factor: f64,
}

/// Trains `model` on a batch; `trunk` is the model's fixed trunk. Nothing waits for the device.
pub fn step(
    model: &mut Model,
    optimizer: &mut ModuleOptimizer,
    Rates { rate, backbone_factor }: Rates,
    trunk: Option<&FixedTrunk>,
    batch: &Batch,
    at: Progress,
) -> Losses {
    let input = match batch.input.clone() {
        Input::Images(images) if model.head.mixes_pixels(at.epoch) => {
            Input::Images(model.head.mix_pixels(images, at))
        }
        input => input,
    };
    let maps = model.maps(input, trunk);
    let losses = model.head.loss(maps, batch, at);
    let gradients = GradientsParams::from_grads(losses.total().backward(), model);

    let mut rates = ModuleLrScheduler::new(rate);
    for (group, factor) in model.groups(backbone_factor) {
        rates = rates.with_group(group, rate * factor);
    }
    *model = optimizer.step(rates.step(), model.clone(), gradients);
    model.head.after_step();
    losses
}
