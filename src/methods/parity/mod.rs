//! SSGRL's descendants against PyTorch: outputs, losses and every gradient. `sarb_head` was computed with
//! the official modules, `sarb_attention`, `kggr`, `sst` and `hst` with the restatements in
//! tests/fixtures/make_fixtures.py and make_sst_fixtures.py. Every size and number is read from the file.

mod hst;
mod kggr;
mod ranks;
mod sarb;
mod sst;

use burn::module::Param;
use burn::tensor::{Device, Gradients, Tensor};

use super::knowledge::CategoryKnowledge;
use super::network_recipe::NetworkRecipe;
use super::ssgrl::{Represent, Ssgrl};
use crate::fixture::{Fixture, TOLERANCE, assert_close};
use crate::nn::batch_norm::set_running;
use crate::nn::gated_graph::{Gate, GatedGraph};
use crate::nn::linear::{Linear, set};
use crate::nn::pair_head::PairHead;

/// The widths of a fixture; one with semantic attention has no joint space. The official graph takes three
/// steps.
fn network_recipe(fixture: &Fixture) -> NetworkRecipe {
    let [dim, ..] = fixture.shape::<4>("weights.changeChannel.0.weight");
    let joint = match fixture.count("weights.SemanticDecoupling") {
        0 => NetworkRecipe::default().joint,
        _ => fixture.shape::<2>("weights.SemanticDecoupling.fc1.weight")[0],
    };
    NetworkRecipe { dim, joint, steps: 3, ..NetworkRecipe::default() }
}

/// Channels F of a fixture's maps.
fn channels(fixture: &Fixture) -> usize {
    fixture.shape::<4>("feature_map")[1]
}

/// Words and graph of a fixture; those with semantic attention have no words.
fn knowledge(fixture: &Fixture) -> CategoryKnowledge {
    let matrix = fixture.values("weights.GraphNeuralNetwork.inMatrix");
    let transposed = fixture.transposed("weights.GraphNeuralNetwork.outMatrix");
    assert_eq!(transposed, matrix, "out is in transposed");
    let words = fixture.count("weights.wordFeatures") > 0;
    let [_, categories] = fixture.shape("target");
    CategoryKnowledge {
        words: words.then(|| {
            let [_, width] = fixture.shape("weights.wordFeatures");
            (fixture.values("weights.wordFeatures"), width)
        }),
        cooccurrence: matrix,
        counts: vec![(0, 0); categories],
        images: 0,
    }
}

/// The three layers of a graph, with their official numbers.
fn gates(graph: &GatedGraph) -> [(usize, &Gate); 3] {
    [(1, &graph.update), (2, &graph.reset), (3, &graph.candidate)]
}

fn load(fixture: &Fixture, layer: &mut Linear, name: &str) {
    set(&mut layer.weight, fixture.transposed(&format!("weights.{name}.weight")));
    if let Some(bias) = &mut layer.bias {
        set(bias, fixture.values(&format!("weights.{name}.bias")));
    }
}

fn load_graph(fixture: &Fixture, graph: &mut GatedGraph, name: &str) {
    let gates = [(1, &mut graph.update), (2, &mut graph.reset), (3, &mut graph.candidate)];
    for (number, gate) in gates {
        load(fixture, &mut gate.messages, &format!("{name}.fc_{number}_w"));
        load(fixture, &mut gate.state, &format!("{name}.fc_{number}_u"));
    }
}

fn load_network(fixture: &Fixture, network: &mut Ssgrl) {
    load(fixture, &mut network.reduce, "changeChannel.0");
    set(&mut network.norm.weight, fixture.values("weights.changeChannel.1.weight"));
    set(&mut network.norm.bias, fixture.values("weights.changeChannel.1.bias"));
    let running = |name: &str| fixture.values(&format!("weights.changeChannel.1.running_{name}"));
    set_running(&network.norm.running_mean, &running("mean"));
    set_running(&network.norm.running_var, &running("var"));
    match &mut network.pool {
        Represent::Decoupling(decoupling) => {
            load(fixture, &mut decoupling.fc1, "SemanticDecoupling.fc1");
            load(fixture, &mut decoupling.fc2, "SemanticDecoupling.fc2");
            load(fixture, &mut decoupling.fc3, "SemanticDecoupling.fc3");
            load(fixture, &mut decoupling.fc4, "SemanticDecoupling.fc4");
        }
        Represent::Attention(attention) => load(fixture, &mut attention.class_maps, "class_conv"),
    }
    load_graph(fixture, &mut network.graph, "GraphNeuralNetwork");
    load(fixture, &mut network.fuse, "fc");
    set(&mut network.classifiers.weight, fixture.values("weights.classifiers.weight"));
    set(&mut network.classifiers.bias, fixture.values("weights.classifiers.bias"));
}

fn load_pairs(fixture: &Fixture, head: &mut PairHead) {
    load(fixture, &mut head.embed, "pairs.embed");
    load(fixture, &mut head.join, "pairs.join");
    load(fixture, &mut head.mix, "pairs.mix");
    set(&mut head.pairs.weight, fixture.values("weights.pairs.classifiers.weight"));
    set(&mut head.pairs.bias, fixture.values("weights.pairs.classifiers.bias"));
}

/// Compares gradients with a fixture's and counts them, so that none is forgotten.
struct GradientCheck<'a> {
    fixture: &'a Fixture<'a>,
    gradients: &'a Gradients,
    prefix: &'static str,
    compared: usize,
}

impl<'a> GradientCheck<'a> {
    fn new(fixture: &'a Fixture<'a>, gradients: &'a Gradients) -> Self {
        Self::of(fixture, gradients, "grad.")
    }

    /// With the gradients whose names begin with `prefix`.
    fn of(fixture: &'a Fixture, gradients: &'a Gradients, prefix: &'static str) -> Self {
        Self { fixture, gradients, prefix, compared: 0 }
    }

    fn gradient<const R: usize>(&self, parameter: &Param<Tensor<R>>) -> Vec<f32> {
        let gradient = parameter.val().grad(self.gradients).expect("the parameter is trained");
        gradient.into_data().try_into_vec().expect("f32")
    }

    /// A parameter in the layout of the file.
    fn parameter<const R: usize>(&mut self, name: &str, parameter: &Param<Tensor<R>>) {
        let official = self.fixture.values(&format!("{}{name}", self.prefix));
        assert_close(name, &self.gradient(parameter), &official, TOLERANCE);
        self.compared += 1;
    }

    fn linear(&mut self, name: &str, layer: &Linear) {
        let official = self.fixture.transposed(&format!("{}{name}.weight", self.prefix));
        assert_close(name, &self.gradient(&layer.weight), &official, TOLERANCE);
        self.compared += 1;
        if let Some(bias) = &layer.bias {
            self.parameter(&format!("{name}.bias"), bias);
        }
    }

    fn graph(&mut self, name: &str, graph: &GatedGraph) {
        for (number, gate) in gates(graph) {
            self.linear(&format!("{name}.fc_{number}_w"), &gate.messages);
            self.linear(&format!("{name}.fc_{number}_u"), &gate.state);
        }
    }

    fn network(&mut self, network: &Ssgrl) {
        self.linear("changeChannel.0", &network.reduce);
        self.parameter("changeChannel.1.weight", &network.norm.weight);
        self.parameter("changeChannel.1.bias", &network.norm.bias);
        match &network.pool {
            Represent::Decoupling(decoupling) => {
                self.linear("SemanticDecoupling.fc1", &decoupling.fc1);
                self.linear("SemanticDecoupling.fc2", &decoupling.fc2);
                self.linear("SemanticDecoupling.fc3", &decoupling.fc3);
                self.linear("SemanticDecoupling.fc4", &decoupling.fc4);
            }
            Represent::Attention(attention) => self.linear("class_conv", &attention.class_maps),
        }
        self.graph("GraphNeuralNetwork", &network.graph);
        self.linear("fc", &network.fuse);
        self.parameter("classifiers.weight", &network.classifiers.weight);
        self.parameter("classifiers.bias", &network.classifiers.bias);
    }

    fn pairs(&mut self, head: &PairHead) {
        self.linear("pairs.embed", &head.embed);
        self.linear("pairs.join", &head.join);
        self.linear("pairs.mix", &head.mix);
        self.parameter("pairs.classifiers.weight", &head.pairs.weight);
        self.parameter("pairs.classifiers.bias", &head.pairs.bias);
    }

    /// Fails unless every gradient of the file was compared.
    fn finish(self) {
        assert_eq!(self.compared, self.fixture.count(self.prefix), "every gradient of the file");
    }
}

/// The maps of a fixture, `[B, F, H, W]`.
fn maps(fixture: &Fixture, device: &Device) -> Tensor<4> {
    fixture.tensor("feature_map", device)
}
