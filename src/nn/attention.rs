//! Semantic attention (SAM of ADD-GCN, Ye et al. ECCV 2020): one representation per category, pooled
//! where a class activation map is high. SARB compares it with semantic decoupling.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::linear::Linear;
use crate::kernels::vectorized::sigmoid;
use crate::onnx::graph::{Graph, Value};

/// How positions are added up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The mean over the positions: representations stay in the range of decoupling's.
    #[default]
    Mean,
    /// The sum, as in ADD-GCN.
    Sum,
}

/// v_c = Σ_p M_cp f'_p with M = σ(W F), one map per category; f' is what is pooled.
#[derive(Module, Debug)]
pub struct SemanticAttention {
    /// W, the 1×1 convolution from maps to class activations without bias, `[F, C]`.
    pub class_maps: Linear,
    #[module(skip)]
    pooling: Pooling,
}

impl SemanticAttention {
    /// For maps of F `channels`.
    pub fn new(
        channels: usize,
        categories: usize,
        pooling: Pooling,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Self {
        Self { class_maps: Linear::without_bias(channels, categories, rng, device), pooling }
    }

    /// Category-specific representations: maps position by position `[B, P, F]` say where to look in
    /// `reduced`, `[B, P, D]`, `-> [B, C, D]`.
    pub fn forward(&self, maps: Tensor<3>, reduced: Tensor<3>) -> Tensor<3> {
        let positions = maps.dims()[1];
        let sums = self.attention(maps).matmul(reduced);
        match self.pooling {
            Pooling::Sum => sums,
            Pooling::Mean => sums.div_scalar(positions as f64),
        }
    }

    /// M, maps position by position `[B, P, F] -> [B, C, P]`, each value in 0…1.
    pub fn attention(&self, maps: Tensor<3>) -> Tensor<3> {
        let [batch, positions, channels] = maps.dims();
        let scores = self.class_maps.forward(maps.reshape([batch * positions, channels])); // [B·P, C]
        let categories = scores.dims()[1];
        sigmoid(scores).reshape([batch, positions, categories]).swap_dims(1, 2)
    }

    /// How positions are added up.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// [`attention`](Self::attention) and [`forward`](Self::forward) in a graph, `[P, F], [P, D] -> [C, P], [C, D]`.
    pub fn export(&self, graph: &mut Graph, maps: &Value, reduced: &Value) -> (Value, Value) {
        let [positions, _] = maps.sizes();
        let scores = self.class_maps.export(graph, "class_maps", maps);
        let scores = graph.each("Sigmoid", &scores);
        let attention = graph.transposed(&scores, &[1, 0]);
        let sums = graph.product(&attention, reduced);
        let representations = match self.pooling {
            Pooling::Sum => sums,
            Pooling::Mean => graph.scaled(&sums, 1.0 / positions as f32),
        };
        (attention, representations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, TOLERANCE, assert_close};
    use crate::nn::linear::set;
    use sarb_labels::random::{Stream, rng};

    #[test]
    fn representations_and_gradients_equal_add_gcns() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/semantic_attention.safetensors"));
        let device = crate::fixture::device().autodiff();
        let random = &mut rng(0, Stream::Init, 0, 0);
        let [batch, channels, height, width] = fixture.shape("feature_map");
        let [_, categories, dim] = fixture.shape("representations");
        let mut layer = SemanticAttention::new(channels, categories, Pooling::Sum, random, &device);
        set(&mut layer.class_maps.weight, fixture.transposed("class_conv.weight"));
        let mut transform = Linear::new(channels, dim, random, &device);
        set(&mut transform.weight, fixture.transposed("transform.weight"));
        set(transform.bias.as_mut().expect("with bias"), fixture.values("transform.bias"));

        let maps = fixture.tensor::<4>("feature_map", &device).require_grad();
        let rows = maps.clone().flatten::<3>(2, 3).swap_dims(1, 2); // [B, P, F]
        let positions = height * width;
        let reduced = transform.forward(rows.clone().reshape([batch * positions, channels]));
        let reduced = reduced.reshape([batch, positions, dim]);
        let representations = layer.forward(rows, reduced);
        fixture.assert_equals("representations", representations.clone());

        let gradients = (representations * fixture.tensor("cotangent", &device)).sum().backward();
        fixture.assert_equals("grad.feature_map", maps.grad(&gradients).expect("tracked"));
        let check = |name: &str, ours: Tensor<2>| {
            let ours = ours.into_data().try_into_vec::<f32>().expect("f32");
            assert_close(name, &ours, &fixture.transposed(name), TOLERANCE);
        };
        check("grad.class_conv.weight", layer.class_maps.weight.val().grad(&gradients).expect("trained"));
        check("grad.transform.weight", transform.weight.val().grad(&gradients).expect("trained"));
        let bias = transform.bias.expect("with bias").val().grad(&gradients).expect("trained");
        fixture.assert_equals("grad.transform.bias", bias);
    }

    #[test]
    fn the_mean_is_the_sum_over_the_number_of_positions() {
        let device = Device::flex();
        let layer = |pooling| SemanticAttention::new(3, 2, pooling, &mut rng(0, Stream::Init, 0, 0), &device);
        let maps = crate::nn::linear::uniform([2, 5, 3], 1, &mut rng(1, Stream::Synthetic, 0, 0), &device);
        let forward = |pooling| layer(pooling).forward(maps.val(), maps.val());
        let mean = forward(Pooling::Mean).mul_scalar(5.0).into_data();
        mean.assert_approx_eq::<f32>(
            &forward(Pooling::Sum).into_data(),
            burn::tensor::Tolerance::absolute(1e-6),
        );
    }
}
