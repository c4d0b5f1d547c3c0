//! SSGRL's descendants against PyTorch: outputs, losses and every gradient. `sarb_head` was computed with
//! the official modules, `sarb_attention` and `kggr` with the restatement in
//! tests/fixtures/make_fixtures.py. Every size and number is read from the file.

mod kggr;
mod sarb;

use burn::module::Param;
use burn::tensor::{Device, Gradients, Tensor};

use super::knowledge::CategoryKnowledge;
use super::network_recipe::NetworkRecipe;
use super::ssgrl::{Represent, Ssgrl};
use crate::fixture::{Fixture, TOLERANCE, assert_close};
use crate::nn::batch_norm::set_running;
use crate::nn::gated_graph::{Gate, GatedGraph};
use crate::nn::linear::{Linear, set};

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

/// Compares gradients with a fixture's and counts them, so that none is forgotten.
struct GradientCheck<'a> {
    fixture: &'a Fixture<'a>,
    gradients: &'a Gradients,
    compared: usize,
}

impl<'a> GradientCheck<'a> {
    fn new(fixture: &'a Fixture<'a>, gradients: &'a Gradients) -> Self {
        Self { fixture, gradients, compared: 0 }
    }

    fn gradient<const R: usize>(&self, parameter: &Param<Tensor<R>>) -> Vec<f32> {
        let gradient = parameter.val().grad(self.gradients).expect("the parameter is trained");
        gradient.into_data().try_into_vec().expect("f32")
    }

    /// A parameter in the layout of the file.
    fn parameter<const R: usize>(&mut self, name: &str, parameter: &Param<Tensor<R>>) {
        let official = self.fixture.values(&format!("grad.{name}"));
        assert_close(name, &self.gradient(parameter), &official, TOLERANCE);
        self.compared += 1;
    }

    fn linear(&mut self, name: &str, layer: &Linear) {
        let official = self.fixture.transposed(&format!("grad.{name}.weight"));
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

    /// Fails unless every gradient of the file was compared.
    fn finish(self) {
        assert_eq!(self.compared, self.fixture.count("grad."), "every gradient of the file");
    }
}

/// The maps of a fixture, `[B, F, H, W]`.
fn maps(fixture: &Fixture, device: &Device) -> Tensor<4> {
    fixture.tensor("feature_map", device)
}
