//! One step of training, written out: feature maps, loss terms, backward, Adam.

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use crate::backbone::FixedTrunk;
use crate::batch::{Batch, Losses, Progress};
use crate::gradients::of_all_ranks;
use crate::kernels::square_sum::square_sum;
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

/// What a step computed on the way.
#[derive(Debug, Clone)]
pub struct Stepped {
    /// The loss, term by term, before the step.
    pub losses: Losses,
    /// The L2 norm over all gradients, before weight decay, `[1]`; none where nothing has a gradient.
    pub gradient_norm: Option<Tensor<1>>,
}

/// Trains `model` on a batch; `trunk` is the model's fixed trunk, and losses are divided as `normalization`
/// says. Nothing waits for the device, but where other ranks have the rest of the batch.
pub fn step(
    model: &mut Model,
    optimizer: &mut ModuleOptimizer,
    Rates { rate, backbone_factor }: Rates,
    trunk: Option<&FixedTrunk>,
    batch: &Batch,
    normalization: Normalization,
    at: Progress,
) -> Stepped {
    let maps = model.maps(batch.input.clone(), trunk);
    let losses = model.head.loss(maps, batch, normalization, at);
    let gradients = GradientsParams::from_grads(losses.total().backward(), model);
    let (gradients, losses) = of_all_ranks(gradients, losses, model);
    let gradient_norm = norm(&gradients, model);

    let mut rates = ModuleLrScheduler::new(rate);
    for (group, factor) in model.groups(backbone_factor) {
        rates = rates.with_group(group, rate * factor);
    }
    *model = optimizer.step(rates.step(), model.clone(), gradients);
    model.head.own_step(rate);
    model.head.after_step();
    Stepped { losses, gradient_norm }
}

/// The L2 norm over the gradients of all parameters, `[1]`.
fn norm(gradients: &GradientsParams, model: &Model) -> Option<Tensor<1>> {
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sums: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
            self.sums.extend(self.gradients.get::<D>(parameter.id).map(square_sum));
        }
    }
    let mut squares = Squares { gradients, sums: Vec::new() };
    model.visit(&mut squares);
    let sums = squares.sums;
    (!sums.is_empty()).then(|| Tensor::cat(sums, 0).sum().sqrt())
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use sarb_labels::LabelMatrix;

    use super::*;
    use crate::batch::Input;
    use crate::methods::knowledge::CategoryKnowledge;
    use crate::methods::{AnyMethod, MethodRecipe};
    use crate::recipe::Recipe;

    #[test]
    fn the_gradient_norm_is_that_of_a_logistic_regression_by_hand() {
        let device = Device::flex().autodiff();
        let knowledge =
            CategoryKnowledge { words: None, cooccurrence: vec![0.0], counts: vec![(1, 2)], images: 2 };
        let recipe = MethodRecipe::from_settings("bce", toml::Table::new()).unwrap();
        let mut head = recipe.init(2, &knowledge, 0, &device);
        if let AnyMethod::Bce(bce) = &mut head
            && let crate::methods::head::Head::Plain(plain) = &mut bce.scorer
        {
            let zeros = |w: Tensor<2>| Tensor::from_inner(w.inner().zeros_like()).require_grad();
            plain.classifier.weight = plain.classifier.weight.clone().map(zeros);
        }
        let mut model = Model { backbone: None, head };
        let maps = Tensor::<4>::from_data([[[[3.0]], [[4.0]]]], &device);
        let labels = LabelMatrix::from_values(1, &[1]);
        let batch = Batch { input: Input::Maps(maps), labels, indices: vec![0], ..Batch::empty() };
        let rates = Rates { rate: 0.1, backbone_factor: 1.0 };
        let at = Progress { seed: 0, epoch: 0, step: 0, steps: 1 };
        let mut optimizer = crate::train::adam(&Recipe::default());
        let stepped = step(&mut model, &mut optimizer, rates, None, &batch, Normalization::default(), at);
        // Logit 0 (prior 1/2, weights 0): dL/dlogit is −1/2, times the features (3, 4) and 1 of the bias.
        let norm = stepped.gradient_norm.unwrap().into_scalar::<f32>();
        assert!((norm - 0.5 * 26f32.sqrt()).abs() < 1e-5, "{norm}");
    }
}
