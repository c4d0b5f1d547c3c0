//! SARB with semantic decoupling and with semantic attention, and ten steps of Adam.

use burn::module::Module;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};
use sarb_labels::random::{Stream, rng};

use super::{GradientCheck, channels, knowledge, load_network, maps, network_recipe};
use crate::batch::{Batch, Losses};
use crate::fixture::{Fixture, assert_close};
use crate::kernels::shared_states::SharedStates;
use crate::loss::normalization::Normalization;
use crate::methods::Method;
use crate::methods::blending::shared_by;
use crate::methods::sarb::{Number, PrototypeDraw, Sarb};
use crate::methods::sarb_recipe::{Representation, SarbRecipe};
use crate::nn::attention::Pooling;

/// With semantic decoupling, from the official modules.
fn with_decoupling() -> (Fixture<'static>, SarbRecipe) {
    let fixture = Fixture::read(include_bytes!("../../../tests/fixtures/sarb_head.safetensors"));
    let recipe = recipe(&fixture, Representation::Decoupling);
    (fixture, recipe)
}

/// With semantic attention, restated in PyTorch.
fn with_attention() -> (Fixture<'static>, SarbRecipe) {
    let fixture = Fixture::read(include_bytes!("../../../tests/fixtures/sarb_attention.safetensors"));
    let recipe = recipe(&fixture, Representation::Attention);
    (fixture, recipe)
}

fn recipe(fixture: &Fixture, representation: Representation) -> SarbRecipe {
    SarbRecipe {
        network: network_recipe(fixture),
        representation,
        alpha: f64::from(fixture.values("weights.alpha")[0]),
        beta: f64::from(fixture.values("weights.beta")[0]),
        blend_from_epoch: 0,
        prototypes_per_category: fixture.shape::<3>("prototypes")[1],
        ..SarbRecipe::default()
    }
}

fn loaded((fixture, recipe): &(Fixture, SarbRecipe), device: &Device) -> Sarb {
    let mut sarb = Sarb::new(recipe, channels(fixture), &knowledge(fixture), 0, device);
    let [categories, each, _] = fixture.shape("prototypes");
    sarb.prototypes.set(fixture.values("prototypes"), &vec![each; categories]);
    load_network(fixture, &mut sarb.network);
    sarb
}

fn draw(fixture: &Fixture) -> PrototypeDraw {
    let index = fixture.integers("prototype_index")[0] as usize;
    PrototypeDraw { number: Number::Same(index), priority: fixture.values("prototype_priority") }
}

fn losses(sarb: &Sarb, fixture: &Fixture, device: &Device) -> Losses {
    let representations = sarb.network.represent(maps(fixture, device));
    let mut unused = rng(0, Stream::Dropout, 0, 0);
    let batch = Batch { labels: fixture.labels("target"), ..Batch::empty() };
    let draw = draw(fixture);
    sarb.supervised(representations, &batch, 0, &draw, Normalization::Supervised, &mut unused)
}

#[test]
fn evaluation_equals_the_official_modules() {
    let device = crate::fixture::device();
    for case in [with_decoupling(), with_attention()] {
        let (fixture, _) = &case;
        let sarb = loaded(&case, &device);
        let maps = maps(fixture, &device);
        let representations = sarb.network.represent(maps.clone());
        fixture.assert_equals("eval.representations", representations.clone());
        fixture.assert_equals("eval.logits", sarb.forward(maps.clone()));
        // A module in evaluation on a training device is the same.
        let training = crate::fixture::device().autodiff();
        fixture.assert_equals("eval.logits", loaded(&case, &training).valid().forward(maps.clone()));
        if fixture.count("eval.attention") > 0 {
            fixture.assert_equals("eval.attention", sarb.network.attention(maps));
            let propagated = sarb.network.graph.forward(&SharedStates::all(representations));
            fixture.assert_equals("eval.propagated", propagated);
        }
    }
}

#[test]
fn blended_branches_equal_the_official_modules() {
    let device = crate::fixture::device().autodiff();
    for case in [with_decoupling(), with_attention()] {
        let (fixture, _) = &case;
        let sarb = loaded(&case, &device);
        let representations = sarb.network.represent(maps(fixture, &device));
        fixture.assert_equals("train.representations", representations.clone());
        let names = ["train", "train.instance", "train.prototype"];
        let branches = sarb.branches(&representations, &fixture.labels("target"), 0, &draw(fixture));
        assert_eq!(branches.len(), names.len());
        for (name, branch) in names.into_iter().zip(branches) {
            let logits = sarb.network.classify(&shared_by(&representations, [&branch.blended]));
            fixture.assert_equals(&format!("{name}.logits"), logits);
            if name != "train" {
                fixture.assert_equals(&format!("{name}.target"), branch.blended.targets);
            }
        }
    }
}

#[test]
fn semantic_attention_can_add_positions_up() {
    let device = crate::fixture::device().autodiff();
    let (fixture, recipe) = with_attention();
    let case = (fixture, SarbRecipe { attention_pooling: Pooling::Sum, ..recipe });
    let representations = loaded(&case, &device).network.represent(maps(&case.0, &device));
    case.0.assert_equals("train.representations_sum", representations);
}

#[test]
fn losses_and_every_gradient_equal_the_official_modules() {
    let device = crate::fixture::device().autodiff();
    for case in [with_decoupling(), with_attention()] {
        let (fixture, _) = &case;
        let sarb = loaded(&case, &device);
        let losses = losses(&sarb, fixture, &device);
        let names: Vec<&str> = losses.terms().map(|(name, _)| name).collect();
        assert_eq!(names, ["bce", "instance", "prototype"]);
        for (name, value) in losses.terms() {
            fixture.assert_equals(&format!("loss.{name}"), value.clone());
        }
        let gradients = losses.total().backward();
        let mut check = GradientCheck::new(fixture, &gradients);
        check.network(&sarb.network);
        check.parameter("alpha", &sarb.alpha);
        check.parameter("beta", &sarb.beta);
        check.finish();
    }
}

#[test]
fn ten_steps_of_adam_equal_pytorchs() {
    let device = crate::fixture::device().autodiff();
    let case = with_decoupling();
    let (fixture, _) = &case;
    let mut sarb = loaded(&case, &device);
    let decay = WeightDecayConfig::new(5e-4);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).with_weight_decay(Some(decay)).init();
    let mut curve = Vec::new();
    let [steps] = fixture.shape("ten_steps.loss");
    for _ in 0..steps {
        let loss = losses(&sarb, fixture, &device).total();
        curve.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &sarb);
        sarb = adam.step(1e-2, sarb, gradients);
        sarb.after_step();
    }
    // Adam divides by the root of squared gradients, so rounding grows from step to step: 1e-4.
    let close = |name: &str, ours: &[f32]| assert_close(name, ours, &fixture.values(name), 1e-4);
    close("ten_steps.loss", &curve);
    let data = |x: Tensor<1>| x.into_data().try_into_vec::<f32>().expect("f32");
    close("ten_steps.alpha", &data(sarb.alpha.val()));
    close("ten_steps.beta", &data(sarb.beta.val()));
    close("ten_steps.running_mean", &data(sarb.network.norm.running_mean.value()));
    close("ten_steps.running_var", &data(sarb.network.norm.running_var.value()));
}
