//! Semantic decoupling: one representation per category, pooled where its word vector looks
//! (SARB Sec. "Category-Specific Representation Learning"; SSGRL, Chen et al. ICCV 2019, Eq. 1–4).

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation::softmax};
use rand::Rng;

use super::linear::Linear;
use crate::kernels::vectorized::joint_scores;
use crate::onnx::graph::{Graph, Value};

/// f_c = Σ_p a_cp f_p with a_c = softmax over p of w₄ · W₃ tanh(W₁ f_p ⊙ W₂ x_c).
///
/// There is no activation between fc3 and fc4, so the score is exactly u · tanh(…) with u = W₃ᵀ w₄;
/// both stay parameters of their own, which keeps the official training dynamics. The official
/// biases of fc3 and fc4 add the same to every position, which the softmax cancels; they are left out.
#[derive(Module, Debug)]
pub struct SemanticDecoupling {
    /// W₁, position to joint space, `[D, M]`.
    pub fc1: Linear,
    /// W₂, word vector to joint space, `[E, M]`.
    pub fc2: Linear,
    /// W₃, `[M, M]`.
    pub fc3: Linear,
    /// w₄, `[M, 1]`.
    pub fc4: Linear,
}

impl SemanticDecoupling {
    /// For positions of width D, word vectors of width E and a joint space of width M.
    pub fn new(dim: usize, words: usize, joint: usize, rng: &mut impl Rng, device: &Device) -> Self {
        Self {
            fc1: Linear::without_bias(dim, joint, rng, device),
            fc2: Linear::without_bias(words, joint, rng, device),
            fc3: Linear::without_bias(joint, joint, rng, device),
            fc4: Linear::without_bias(joint, 1, rng, device),
        }
    }

    /// Category-specific representations, positions `[B, P, D]` and words `[C, E]` `-> [B, C, D]`.
    pub fn forward(&self, positions: Tensor<3>, words: Tensor<2>) -> Tensor<3> {
        self.attention(positions.clone(), words).matmul(positions)
    }

    /// Where each category looks, positions `[B, P, D]` and words `[C, E]` `-> [B, C, P]`; sums to 1
    /// over the positions.
    pub fn attention(&self, positions: Tensor<3>, words: Tensor<2>) -> Tensor<3> {
        let [batch, count, dim] = positions.dims();
        let g = self.fc1.forward(positions.reshape([batch * count, dim])); // [B·P, M]
        let q = self.fc2.forward(words); // [C, M]
        let u = self.fc3.weight.val().matmul(self.fc4.weight.val()); // [M, 1]
        let joint = g.dims()[1];
        softmax(joint_scores(g.reshape([batch, count, joint]), q, u.reshape([joint])), 2)
    }

    /// [`attention`](Self::attention) and [`forward`](Self::forward) in a graph, `[P, D] -> [C, P], [C, D]`.
    pub fn export(&self, graph: &mut Graph, positions: &Value, words: Tensor<2>) -> (Value, Value) {
        let [count, _] = positions.sizes();
        let g = self.fc1.export(graph, "fc1", positions); // [P, M]
        let q = self.fc2.forward(words); // [C, M]
        let [categories, joint] = q.dims();
        let q = graph.tensor("words", q.reshape([categories, 1, joint]));
        let u = graph.tensor("score", self.fc3.weight.val().matmul(self.fc4.weight.val())); // [M, 1]
        let g = graph.reshaped(&g, &[1, count, joint]);
        let joined = graph.both("Mul", &g, &q); // [C, P, M]
        let joined = graph.each("Tanh", &joined);
        let scores = graph.product(&joined, &u);
        let scores = graph.reshaped(&scores, &[categories, count]);
        let attention = graph.softmax(&scores, 1);
        let representations = graph.product(&attention, positions);
        (attention, representations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::linear::{set, uniform};
    use burn::tensor::Tolerance;
    use sarb_labels::random::{Stream, rng};

    /// Reproducible values in −1…1.
    fn random<const R: usize>(shape: [usize; R], device: &Device) -> Tensor<R> {
        uniform(shape, 1, &mut rng(9, Stream::Synthetic, 0, 0), device).val()
    }

    #[test]
    fn a_zero_score_vector_is_mean_pooling() {
        let device = Device::flex();
        let mut decoupling = SemanticDecoupling::new(6, 3, 5, &mut rng(0, Stream::Init, 0, 0), &device);
        set(&mut decoupling.fc4.weight, vec![0.0; 5]);
        let positions = random([2, 4, 6], &device);
        let words = random([7, 3], &device);
        let representations = decoupling.forward(positions.clone(), words); // [2, 7, 6]
        let mean = positions.mean_dim(1).expand([2, 7, 6]);
        representations.into_data().assert_approx_eq::<f32>(&mean.into_data(), Tolerance::absolute(1e-6));
    }

    #[test]
    fn permuting_positions_permutes_the_attention_and_leaves_the_representations() {
        let device = Device::flex();
        let decoupling = SemanticDecoupling::new(6, 3, 5, &mut rng(1, Stream::Init, 0, 0), &device);
        let positions = random([2, 4, 6], &device);
        let words = random([7, 3], &device);
        let tolerance = Tolerance::absolute(1e-5);
        let attention = decoupling.attention(positions.clone(), words.clone());
        let flipped = decoupling.attention(positions.clone().flip([1]), words.clone()).flip([2]);
        attention.into_data().assert_approx_eq::<f32>(&flipped.into_data(), tolerance);
        let representations = decoupling.forward(positions.clone(), words.clone());
        let of_flipped = decoupling.forward(positions.flip([1]), words);
        representations.into_data().assert_approx_eq::<f32>(&of_flipped.into_data(), tolerance);
    }
}
