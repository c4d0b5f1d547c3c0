//! One step of training, written out: feature maps, loss terms, backward, Adam.

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::optim::{GradientsParams, ModuleOptimizer};

use crate::backbone::FixedTrunk;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::normalization::Normalization;
use crate::methods::Method;
use crate::model::Model;

/// How fast a step moves the weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// The learning rate.
    pub rate: f64,
    /// Its factor for the backbone.
    pub backbone_factor: f64,
}

/// Trains `model` on a batch; `trunk` is the model's fixed trunk, and losses are divided as `normalization` says. Nothing waits for the device.
pub fn step(
    model: &mut Model,
    optimizer: &mut ModuleOptimizer,
    Rates { rate, backbone_factor }: Rates,
    trunk: Option<&FixedTrunk>,
    batch: &Batch,
    normalization: Normalization,
    at: Progress,
) -> Losses {
    let maps = model.maps(batch.input.clone(), trunk);
    let losses = model.head.loss(maps, batch, normalization, at);
    let gradients = GradientsParams::from_grads(losses.total().backward(), model);

    let mut rates = ModuleLrScheduler::new(rate);
    for (group, factor) in model.groups(backbone_factor) {
        rates = rates.with_group(group, rate * factor);
    }
    *model = optimizer.step(rates.step(), model.clone(), gradients);
    model.head.after_step();
    losses
}
