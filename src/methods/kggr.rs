//! `kggr`: SSGRL whose classifiers exchange messages over the co-occurrence graph too (Chen, Lin, Hui,
//! Chen, Wu; TPAMI 2020). A re-implementation from the paper: its authors published no code.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand::Rng;
use sarb_labels::random::{Stream, rng};
use serde::{Deserialize, Serialize};

use super::keys::{Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::network_recipe::{NETWORK, NetworkRecipe, Start};
use super::ssgrl::Ssgrl;
use super::torch::TorchHead;
use super::{Exported, Method, Settings};
use crate::batch::{Batch, Losses, Progress};
use crate::kernels::shared_states::SharedStates;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::nn::gated_graph::GatedGraph;
use crate::nn::linear::Linear;
use crate::onnx::graph::{Graph, Value};
use crate::{Error, Result};

/// Settings of `kggr`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KggrRecipe {
    /// The network that reads images, and the widths of the one that reads classifiers.
    pub network: NetworkRecipe,
    /// Whether a score also multiplies by the classifier that propagation started from, as a third
    /// party's code does (zizizihua/WS-MLR); the abstract's reading is not to.
    pub double: bool,
}

impl Settings for KggrRecipe {
    type Head = Kggr;

    const KEYS: &'static [Key] = &[
        NETWORK,
        Key::new(
            "double",
            Kind::Flag,
            "Whether a score also multiplies by the classifier that propagation started from",
        ),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Kggr {
        Kggr::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        match self.network.start {
            Start::Random => self.network.check(),
            Start::Ridge => Err(Error::Recipe(
                "network.start is \"ridge\"; expected \"random\": propagated classifiers cannot start at given ones".into(),
            )),
        }
    }

    fn follow_reference(&mut self) {
        self.network.follow_reference();
    }

    fn takes_soft_labels(&self) -> bool {
        true
    }
}

/// s_c = ⟨w'_c, o_c⟩ + b_c with o as in SSGRL and w' = W [GGNN₂(W) ; W] + b.
#[derive(Module, Debug)]
pub struct Kggr {
    /// Representations and their propagation; its classifiers' weights are the nodes W of the other.
    pub network: Ssgrl,
    /// GGNN₂, over classifiers.
    pub weight_graph: GatedGraph,
    /// Joins a classifier after and before propagation, `[2D, D]`.
    pub weight_fuse: Linear,
    double: bool,
}

impl Kggr {
    /// For maps of F `channels`. The initial weights depend on `seed` alone.
    pub fn new(
        recipe: &KggrRecipe,
        channels: usize,
        knowledge: &CategoryKnowledge,
        seed: u64,
        device: &Device,
    ) -> Self {
        let (dim, steps) = (recipe.network.dim, recipe.network.steps);
        // Other draws than the network's.
        let rng = &mut rng(seed, Stream::Init, 1, 0);
        Self {
            network: Ssgrl::new(&recipe.network, channels, knowledge, seed, device),
            weight_graph: GatedGraph::new(dim, &knowledge.cooccurrence, steps, rng, device),
            weight_fuse: Linear::new(2 * dim, dim, rng, device),
            double: recipe.double,
        }
    }

    /// w', the classifiers after propagation, `[C, D]`.
    pub fn propagated_classifiers(&self) -> Tensor<2> {
        let classifiers = self.network.classifiers.weight.val();
        let states = SharedStates::all(classifiers.clone().unsqueeze());
        let propagated = self.weight_graph.forward(&states);
        let fused = self.weight_fuse.forward(Tensor::cat(vec![propagated, classifiers.clone()], 1));
        if self.double { fused * classifiers } else { fused }
    }

    /// Scores of propagated representations, `[B, C, D] -> [B, C]`.
    fn score(&self, propagated: Tensor<3>) -> Tensor<2> {
        self.network.classifiers.forward_with(propagated, self.propagated_classifiers())
    }

    fn forward_dropped(&self, maps: Tensor<4>, drops: &mut impl Rng) -> Tensor<2> {
        let representations = self.network.represent_dropped(maps, drops);
        self.score(self.network.propagate_dropped(&SharedStates::all(representations), drops))
    }
}

impl Method for Kggr {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        let representations = SharedStates::all(self.network.represent(maps));
        self.score(self.network.propagate(&representations))
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let targets = batch.targets(&maps.device());
        let logits = self.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        Losses::default().with("bce", 1.0, partial_bce(logits, targets, normalization))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.network.attention(maps)
    }

    /// With the propagated classifiers, which are the same for every image.
    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        let (attention, propagated) = self.network.export_propagated(graph, maps);
        let (classifiers, weight) = (&self.network.classifiers, self.propagated_classifiers());
        let classify = |graph: &mut Graph| classifiers.export_with(graph, &propagated, weight);
        Exported { logits: graph.within("classifiers", classify), attention }
    }

    /// SSGRL with the propagated classifiers in the place of its own.
    fn torch(&self) -> TorchHead {
        let mut network = self.network.clone();
        network.classifiers.weight = Param::from_tensor(self.propagated_classifiers());
        network.torch()
    }
}
