//! Heads in PyTorch's terms. However a method trains, its scores need one of two modules; what a method makes of a graph
//! of categories, such as classifiers, is in their weights.

use burn::tensor::Tensor;
use serde::Serialize;

use crate::nn::attention::Pooling;

/// What a head is in PyTorch.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
pub enum TorchHead {
    /// One linear layer on the pooled map.
    Linear {
        /// How positions become one vector, or one score.
        pooling: MapPooling,
        /// `[C, F]`.
        weight: Tensor<2>,
        /// `[C]`.
        bias: Tensor<1>,
    },
    /// The network of SSGRL and SARB.
    Ssgrl {
        /// Its state dict, under the names of SARB's official code.
        tensors: Vec<Named>,
        /// T, steps of propagation.
        steps: usize,
        /// How semantic attention adds positions up, where it is in the place of decoupling.
        attention_pooling: Option<Pooling>,
    },
}

/// How a linear head reads the positions of a map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "pooling")]
pub enum MapPooling {
    /// The mean of each channel.
    Mean,
    /// The largest value of each channel.
    Max,
    /// Scores position by position: their mean plus `alpha` times the mean of the `positions` largest.
    Salient {
        /// α.
        alpha: f64,
        /// k; all where there are fewer.
        positions: usize,
    },
}

/// A tensor with its name in PyTorch.
#[derive(Debug, Clone)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its values, row by row.
    pub values: Vec<f32>,
}

impl Named {
    /// A tensor as it is now.
    pub fn of<const D: usize>(name: &str, tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().to_vec();
        let values = tensor.into_data().try_into_vec().expect("weights are f32 tensors");
        Self { name: name.to_owned(), shape, values }
    }
}

impl TorchHead {
    /// One linear layer, `[C, F]` and `[C]`.
    pub fn linear(pooling: MapPooling, weight: Tensor<2>, bias: Tensor<1>) -> Self {
        Self::Linear { pooling, weight, bias }
    }
}
