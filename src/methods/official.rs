//! The network of SSGRL and SARB under the names of the official code of SARB, SST and HST (HCPLab-SYSU/HCP-MLR-PL,
//! `model/SARB.py` and its neighbors).

use burn::module::Param;
use burn::tensor::Tensor;

use super::AnyMethod;
use super::knowledge::Words;
use super::ssgrl::{Represent, Ssgrl};
use super::torch::{Named, TorchHead};
use crate::backbone::state_dict::{Slot, Visit};
use crate::nn::batch_norm::BatchNorm;
use crate::nn::linear::Linear;

/// The network of a method that the official code has.
pub fn network(head: &mut AnyMethod) -> Option<&mut Ssgrl> {
    match head {
        AnyMethod::Ssgrl(network) => Some(network),
        AnyMethod::Sarb(head) => Some(&mut head.network),
        AnyMethod::Sst(head) => Some(&mut head.network),
        AnyMethod::Hst(head) => Some(&mut head.network),
        _ => None,
    }
}

/// What else the official code learns, single numbers within 0 and 1, under their names.
pub fn shares(head: &mut AnyMethod) -> Vec<(&'static str, &mut Param<Tensor<1>>)> {
    match head {
        AnyMethod::Sarb(head) => vec![("alpha", &mut head.alpha), ("beta", &mut head.beta)],
        AnyMethod::Hst(head) => {
            vec![("intraMargin", &mut head.intra_margin), ("interMargin", &mut head.inter_margin)]
        }
        _ => Vec::new(),
    }
}

/// What stands before the names of the backbone in such a state dict.
pub const BACKBONE: &str = "backbone.";

impl Ssgrl {
    /// Shows every tensor that scores depend on. The official code has two more, the biases of `fc3` and `fc4`, which
    /// change no score, and shows its graph three times more, transposed or under the name of the layer.
    pub(crate) fn tensors(&mut self, visit: &mut Visit<'_>) {
        match &mut self.words {
            Words::Fixed(words) => visit("wordFeatures".into(), Slot::FixedMatrix(words)),
            Words::Learned(words) => visit("wordFeatures".into(), Slot::Matrix(words)),
        }
        visit("inMatrix".into(), Slot::FixedMatrix(&mut self.graph.cooccurrence));
        visit("changeChannel.0.weight".into(), Slot::Pointwise(&mut self.reduce.weight));
        normalization("changeChannel.1", &mut self.norm, visit);
        match &mut self.pool {
            Represent::Decoupling(decoupling) => {
                for (name, layer) in [
                    ("fc1", &mut decoupling.fc1),
                    ("fc2", &mut decoupling.fc2),
                    ("fc3", &mut decoupling.fc3),
                    ("fc4", &mut decoupling.fc4),
                ] {
                    linear(&format!("SemanticDecoupling.{name}"), layer, visit);
                }
            }
            Represent::Attention(attention) => {
                visit("class_conv.weight".into(), Slot::Pointwise(&mut attention.class_maps.weight));
            }
        }
        let gates = [&mut self.graph.update, &mut self.graph.reset, &mut self.graph.candidate];
        for (number, gate) in (1..).zip(gates) {
            linear(&format!("GraphNeuralNetwork.fc_{number}_w"), &mut gate.messages, visit);
            linear(&format!("GraphNeuralNetwork.fc_{number}_u"), &mut gate.state, visit);
        }
        linear("fc", &mut self.fuse, visit);
        visit("classifiers.weight".into(), Slot::Matrix(&mut self.classifiers.weight));
        vector("classifiers.bias", &mut self.classifiers.bias, visit);
    }
}

impl Ssgrl {
    /// See [`Method::torch`](super::Method::torch).
    pub(super) fn as_torch(&self) -> TorchHead {
        let mut tensors = Vec::new();
        self.clone().tensors(&mut |name, slot| {
            tensors.push(Named { name, shape: slot.shape(), values: slot.values() });
        });
        tensors.extend(without_effect(self));
        let attention_pooling = match &self.pool {
            Represent::Decoupling(_) => None,
            Represent::Attention(attention) => Some(attention.pooling()),
        };
        TorchHead::Ssgrl { tensors, steps: self.graph.steps(), attention_pooling }
    }
}

/// What the official code keeps more than once, or keeps though it changes no score, so that its state dict is whole.
fn without_effect(network: &Ssgrl) -> Vec<Named> {
    let graph = network.graph.cooccurrence.value_sync();
    let mut tensors = vec![
        Named::of("outMatrix", graph.clone().transpose()),
        Named::of("GraphNeuralNetwork.inMatrix", graph.clone()),
        Named::of("GraphNeuralNetwork.outMatrix", graph.transpose()),
    ];
    if let Represent::Decoupling(decoupling) = &network.pool {
        for (name, layer) in [("fc3", &decoupling.fc3), ("fc4", &decoupling.fc4)] {
            let outputs = layer.weight.dims()[1];
            let name = format!("SemanticDecoupling.{name}.bias");
            tensors.push(Named { name, shape: vec![outputs], values: vec![0.0; outputs] });
        }
    }
    tensors
}

fn linear(name: &str, layer: &mut Linear, visit: &mut Visit<'_>) {
    visit(format!("{name}.weight"), Slot::Linear(&mut layer.weight));
    if let Some(bias) = &mut layer.bias {
        vector(&format!("{name}.bias"), bias, visit);
    }
}

fn vector(name: &str, values: &mut Param<Tensor<1>>, visit: &mut Visit<'_>) {
    visit(name.into(), Slot::Vector(values));
}

fn normalization(name: &str, layer: &mut BatchNorm, visit: &mut Visit<'_>) {
    vector(&format!("{name}.weight"), &mut layer.weight, visit);
    vector(&format!("{name}.bias"), &mut layer.bias, visit);
    visit(format!("{name}.running_mean"), Slot::Statistic(&mut layer.running_mean));
    visit(format!("{name}.running_var"), Slot::Statistic(&mut layer.running_var));
}
