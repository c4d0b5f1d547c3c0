//! SARB against the official modules in PyTorch 2.15: tests/fixtures/sarb_head.safetensors, described
//! in the fixtures' README (B 4, C 6, 12 channels of 3×3, D 8, M 5, E 7, K 3). It holds weights,
//! outputs of both modes, every loss, every gradient, and ten steps of Adam.

use burn::optim::decay::WeightDecayConfig;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;

use super::Method;
use super::network_recipe::NetworkRecipe;
use super::sarb::{PrototypeDraw, Sarb};
use super::sarb_recipe::SarbRecipe;
use super::ssgrl::CategoryKnowledge;
use crate::batch::{Losses, Stream, rng};
use crate::data::labels::LabelMatrix;
use crate::nn::batch_norm::set_running;
use crate::nn::gated_graph::{Gate, GatedGraph};
use crate::nn::linear::{Linear, set};
use burn::module::Module;

static BYTES: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/sarb_head.safetensors"));

/// Relative to the largest entry, as the fixtures' README asks.
const TOLERANCE: f32 = 1e-5;

/// Values and shape of a tensor of the fixture.
fn read(name: &str) -> (Vec<f32>, Vec<usize>) {
    let file = SafeTensors::deserialize(BYTES).expect("a fixture");
    let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let (values, _) = view.data().as_chunks::<4>();
    (values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(), view.shape().to_vec())
}

fn values(name: &str) -> Vec<f32> {
    read(name).0
}

/// A linear weight, which PyTorch stores transposed.
fn transposed(name: &str) -> Vec<f32> {
    let (values, shape) = read(name);
    let (outputs, inputs) = (shape[0], shape[1]);
    (0..inputs).flat_map(|i| (0..outputs).map(|o| values[o * inputs + i]).collect::<Vec<_>>()).collect()
}

fn tensor<const R: usize>(name: &str, device: &Device) -> Tensor<R> {
    let (values, shape) = read(name);
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn assert_close(name: &str, ours: &[f32], official: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), official.len(), "{name}");
    let largest = official.iter().fold(f32::MIN_POSITIVE, |a, b| a.max(b.abs()));
    let difference = ours.iter().zip(official).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference <= tolerance * largest, "{name}: off by {difference}, largest entry {largest}");
}

fn assert_equals_file<const R: usize>(name: &str, ours: Tensor<R>) {
    let ours = ours.into_data().try_into_vec::<f32>().expect("f32");
    assert_close(name, &ours, &values(name), TOLERANCE);
}

/// The three linear layers of the graph, with their official numbers.
fn gates(graph: &mut GatedGraph) -> [(usize, &mut Gate); 3] {
    [(1, &mut graph.update), (2, &mut graph.reset), (3, &mut graph.candidate)]
}

fn load(layer: &mut Linear, name: &str) {
    set(&mut layer.weight, transposed(&format!("weights.{name}.weight")));
    if let Some(bias) = &mut layer.bias {
        set(bias, values(&format!("weights.{name}.bias")));
    }
}

fn official(device: &Device) -> Sarb {
    let matrix = values("weights.GraphNeuralNetwork.inMatrix");
    assert_eq!(transposed("weights.GraphNeuralNetwork.outMatrix"), matrix, "out is in transposed");
    let recipe = SarbRecipe {
        network: NetworkRecipe { dim: 8, joint: 5, steps: 3, ..NetworkRecipe::default() },
        alpha: f64::from(values("weights.alpha")[0]),
        beta: f64::from(values("weights.beta")[0]),
        blend_from_epoch: 0,
        prototypes_per_category: 3,
        ..SarbRecipe::default()
    };
    let knowledge = CategoryKnowledge {
        words: Some((values("weights.wordFeatures"), 7)),
        cooccurrence: matrix,
        counts: vec![(0, 0); 6],
    };
    let mut sarb = Sarb::new(&recipe, 12, &knowledge, 0, device);
    sarb.prototypes.set(values("prototypes"), &[3; 6]);
    let network = &mut sarb.network;
    set(&mut network.reduce.weight, transposed("weights.changeChannel.0.weight"));
    set(&mut network.norm.weight, values("weights.changeChannel.1.weight"));
    set(&mut network.norm.bias, values("weights.changeChannel.1.bias"));
    set_running(&network.norm.running_mean, &values("weights.changeChannel.1.running_mean"));
    set_running(&network.norm.running_var, &values("weights.changeChannel.1.running_var"));
    let decoupling = &mut network.decoupling;
    load(&mut decoupling.fc1, "SemanticDecoupling.fc1");
    load(&mut decoupling.fc2, "SemanticDecoupling.fc2");
    load(&mut decoupling.fc3, "SemanticDecoupling.fc3");
    load(&mut decoupling.fc4, "SemanticDecoupling.fc4");
    for (number, gate) in gates(&mut network.graph) {
        load(&mut gate.messages, &format!("GraphNeuralNetwork.fc_{number}_w"));
        load(&mut gate.state, &format!("GraphNeuralNetwork.fc_{number}_u"));
    }
    load(&mut network.fuse, "fc");
    set(&mut network.classifiers.weight, values("weights.classifiers.weight"));
    set(&mut network.classifiers.bias, values("weights.classifiers.bias"));
    sarb
}

fn labels() -> LabelMatrix {
    LabelMatrix::from_values(6, &values("target").iter().map(|&y| y as i8).collect::<Vec<_>>())
}

fn losses(sarb: &Sarb, device: &Device) -> Losses {
    let representations = sarb.network.represent(tensor("feature_map", device));
    let draw = PrototypeDraw { index: 1, priority: values("prototype_priority") };
    let mut unused = rng(0, Stream::Dropout, 0, 0);
    sarb.supervised(representations, &labels(), 0, &draw, &mut unused)
}

#[test]
fn evaluation_equals_the_official_modules() {
    let device = Device::flex();
    let sarb = official(&device);
    let maps = tensor::<4>("feature_map", &device);
    assert_equals_file("eval.attention", sarb.network.attention(maps.clone()));
    let representations = sarb.network.represent(maps.clone());
    assert_equals_file("eval.representations", representations.clone());
    assert_equals_file("eval.propagated", sarb.network.graph.forward(representations));
    assert_equals_file("eval.logits", sarb.forward(maps.clone()));
    // A module in evaluation on a training device is the same.
    let training = Device::flex().autodiff();
    assert_equals_file("eval.logits", official(&training).valid().forward(maps));
}

#[test]
fn blended_branches_equal_the_official_modules() {
    let device = Device::flex().autodiff();
    let sarb = official(&device);
    let representations = sarb.network.represent(tensor("feature_map", &device));
    assert_equals_file("train.representations", representations.clone());
    let draw = PrototypeDraw { index: 1, priority: values("prototype_priority") };
    let names = ["train", "train.instance", "train.prototype"];
    for (name, branch) in names.into_iter().zip(sarb.branches(representations, &labels(), 0, &draw)) {
        assert_equals_file(&format!("{name}.logits"), sarb.network.classify(branch.blended.representations));
        if name != "train" {
            assert_equals_file(&format!("{name}.target"), branch.blended.targets);
        }
    }
}

#[test]
fn losses_and_every_gradient_equal_the_official_modules() {
    let device = Device::flex().autodiff();
    let mut sarb = official(&device);
    let losses = losses(&sarb, &device);
    let names: Vec<&str> = losses.terms().map(|(name, _)| name).collect();
    assert_eq!(names, ["bce", "instance", "prototype"]);
    for (name, value) in losses.terms() {
        assert_equals_file(&format!("loss.{name}"), value.clone());
    }
    let gradients = losses.total().backward();
    let mut compared = 0;
    let mut check = |name: &str, ours: TensorData, official: Vec<f32>| {
        assert_close(name, ours.as_slice().expect("f32"), &official, TOLERANCE);
        compared += 1;
    };
    macro_rules! gradient {
        ($parameter:expr) => {
            $parameter.val().grad(&gradients).expect("the parameter is trained").into_data()
        };
    }
    let mut linear = |layer: &Linear, name: &str| {
        check(name, gradient!(layer.weight), transposed(&format!("grad.{name}.weight")));
        if let Some(bias) = &layer.bias {
            check(name, gradient!(bias), values(&format!("grad.{name}.bias")));
        }
    };
    let network = &mut sarb.network;
    linear(&network.reduce, "changeChannel.0");
    linear(&network.decoupling.fc1, "SemanticDecoupling.fc1");
    linear(&network.decoupling.fc2, "SemanticDecoupling.fc2");
    linear(&network.decoupling.fc3, "SemanticDecoupling.fc3");
    linear(&network.decoupling.fc4, "SemanticDecoupling.fc4");
    for (number, gate) in gates(&mut network.graph) {
        linear(&gate.messages, &format!("GraphNeuralNetwork.fc_{number}_w"));
        linear(&gate.state, &format!("GraphNeuralNetwork.fc_{number}_u"));
    }
    linear(&network.fuse, "fc");
    let network = &sarb.network;
    check("BN scale", gradient!(network.norm.weight), values("grad.changeChannel.1.weight"));
    check("BN shift", gradient!(network.norm.bias), values("grad.changeChannel.1.bias"));
    check("classifiers", gradient!(network.classifiers.weight), values("grad.classifiers.weight"));
    check("classifiers' bias", gradient!(network.classifiers.bias), values("grad.classifiers.bias"));
    check("alpha", gradient!(sarb.alpha), values("grad.alpha"));
    check("beta", gradient!(sarb.beta), values("grad.beta"));
    let file = SafeTensors::deserialize(BYTES).expect("a fixture");
    let stored = file.names().iter().filter(|name| name.starts_with("grad.")).count();
    assert_eq!(compared, stored, "every gradient of the file");
}

#[test]
fn ten_steps_of_adam_equal_pytorchs() {
    let device = Device::flex().autodiff();
    let mut sarb = official(&device);
    let decay = WeightDecayConfig::new(5e-4);
    let mut adam = AdamConfig::new().with_epsilon(1e-8).with_weight_decay(Some(decay)).init();
    let mut curve = Vec::new();
    for _ in 0..10 {
        let loss = losses(&sarb, &device).total();
        curve.push(loss.clone().into_scalar::<f32>());
        let gradients = GradientsParams::from_grads(loss.backward(), &sarb);
        sarb = adam.step(1e-2, sarb, gradients);
        sarb.after_step();
    }
    // Adam divides by the root of squared gradients, so rounding grows from step to step: 1e-4.
    let close = |name: &str, ours: &[f32]| assert_close(name, ours, &values(name), 1e-4);
    close("ten_steps.loss", &curve);
    let data = |x: Tensor<1>| x.into_data().try_into_vec::<f32>().expect("f32");
    close("ten_steps.alpha", &data(sarb.alpha.val()));
    close("ten_steps.beta", &data(sarb.beta.val()));
    close("ten_steps.running_mean", &data(sarb.network.norm.running_mean.value()));
    close("ten_steps.running_var", &data(sarb.network.norm.running_var.value()));
}

/// Seconds of one training step of the whole head at the yardstick's size (tools/peer_step.py in
/// PyTorch takes about 0.76 s on two idle cores); `cargo test --release step_seconds -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn step_seconds() {
    for width in [512, 256] {
        let [categories, batch] = [18, 32];
        let device = Device::flex().autodiff();
        let recipe = SarbRecipe {
            network: NetworkRecipe { dim: width, joint: width, ..NetworkRecipe::default() },
            blend_from_epoch: 0,
            ..SarbRecipe::default()
        };
        let knowledge = CategoryKnowledge {
            words: Some((vec![0.1; categories * 300], 300)),
            cooccurrence: vec![0.2; categories * categories],
            counts: vec![(1, 2); categories],
        };
        let mut sarb = Sarb::new(&recipe, 1280, &knowledge, 0, &device);
        sarb.prototypes.set(vec![0.1; categories * 10 * width], &vec![10; categories]);
        let mut random = rng(0, Stream::Synthetic, 0, 0);
        let maps = crate::nn::linear::uniform([batch, 1280, 7, 7], 1, &mut random, &device).val().detach();
        let thirds: Vec<i8> = (0..batch * categories).map(|i| ((i * 7 + i / 5) % 3) as i8 - 1).collect();
        let batch = super::ssgrl::tests::batch(&maps, LabelMatrix::from_values(categories, &thirds));
        let mut adam = AdamConfig::new().with_epsilon(1e-8).init();
        let mut best = [f64::INFINITY; 4];
        for step in 0..12 {
            let at = crate::batch::Progress { seed: 0, epoch: 1, step, steps: 12 };
            let start = std::time::Instant::now();
            let loss = sarb.loss(maps.clone(), &batch, at).total();
            let forward = start.elapsed().as_secs_f64();
            let gradients = GradientsParams::from_grads(loss.backward(), &sarb);
            let backward = start.elapsed().as_secs_f64();
            sarb = adam.step(1e-5, sarb, gradients);
            sarb.after_step();
            let total = start.elapsed().as_secs_f64();
            let now = [forward, backward - forward, total - backward, total];
            best = std::array::from_fn(|i| best[i].min(now[i]));
        }
        println!(
            "D = M = {width}: forward {:.3} backward {:.3} Adam {:.3} step {:.3} s",
            best[0], best[1], best[2], best[3]
        );
    }
}
