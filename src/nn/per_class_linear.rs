//! One linear classifier a category, each on its own representation (SSGRL's `Element_Wise_Layer`).

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::linear::uniform;
use crate::onnx::graph::{Graph, Value};

/// s_c = w_c · o_c + b_c.
#[derive(Module, Debug)]
pub struct PerClassLinear {
    /// One vector per category, `[C, D]`.
    pub weight: Param<Tensor<2>>,
    /// `[C]`.
    pub bias: Param<Tensor<1>>,
}

impl PerClassLinear {
    /// Weights and biases from U(−1/√D, 1/√D).
    pub fn new(categories: usize, dim: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let weight = uniform([categories, dim], dim, rng, device);
        Self { weight, bias: uniform([categories], dim, rng, device) }
    }

    /// `[B, C, D] -> [B, C]`.
    pub fn forward(&self, representations: Tensor<3>) -> Tensor<2> {
        self.forward_with(representations, self.weight.val())
    }

    /// The same with other vectors, `[B, C, D], [C, D] -> [B, C]`.
    pub fn forward_with(&self, representations: Tensor<3>, weight: Tensor<2>) -> Tensor<2> {
        let products = representations * weight.unsqueeze::<3>();
        products.sum_dim(2).squeeze_dim::<2>(2) + self.bias.val().unsqueeze()
    }

    /// [`forward_with`](Self::forward_with) in a graph, `[C, D] -> [C]`.
    pub fn export_with(&self, graph: &mut Graph, representations: &Value, weight: Tensor<2>) -> Value {
        let weight = graph.tensor("weight", weight);
        let products = graph.both("Mul", representations, &weight);
        let sums = graph.over("ReduceSum", &products, &[1]);
        let bias = graph.tensor("bias", self.bias.val());
        graph.both("Add", &sums, &bias)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::linear::set;
    use sarb_labels::random::{Stream, rng};

    #[test]
    fn each_category_has_its_own_weights() {
        let device = Device::flex();
        let mut layer = PerClassLinear::new(2, 2, &mut rng(0, Stream::Init, 0, 0), &device);
        set(&mut layer.weight, vec![1.0, 10.0, 2.0, 0.5]);
        set(&mut layer.bias, vec![0.25, -1.0]);
        let x = Tensor::<3>::from_data([[[1.0, 2.0], [3.0, 4.0]]], &device);
        assert_eq!(layer.forward(x).into_data().try_to_vec::<f32>().expect("f32"), [21.25, 7.0]);
    }
}
