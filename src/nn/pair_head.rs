//! Scores of pairs: how likely two categories are in one image together (SST's intra-image branch).
//!
//! With e_c = W_a f_c + b_a, a pair i < j scores ⟨w_ij, W_c relu(W_b [e_i ; e_j] + b_b) + b_c⟩ + d_ij. Two
//! savings, both exact: W_b [e_i ; e_j] is the sum of a product of each category and not of each pair, and
//! W_c, behind which nothing is nonlinear, is multiplied into the vectors w_ij once for all images.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;

use super::linear::Linear;
use super::per_class_linear::PerClassLinear;

/// The head, for at least two categories. Pairs are in the order (0, 1), (0, 2) … (0, C−1), (1, 2) …
#[derive(Module, Debug)]
pub struct PairHead {
    /// W_a and b_a, `[D, E]`.
    pub embed: Linear,
    /// W_b and b_b, `[2E, H]`; H is 2E.
    pub join: Linear,
    /// W_c and b_c, `[H, H]`.
    pub mix: Linear,
    /// w_ij and d_ij, `[P, H]`.
    pub pairs: PerClassLinear,
}

/// P, the pairs of C categories.
pub fn pair_count(categories: usize) -> usize {
    categories * categories.saturating_sub(1) / 2
}

/// The place of the pair i < j of C categories.
pub fn pair_place(i: usize, j: usize, categories: usize) -> usize {
    i * (2 * categories - i - 1) / 2 + j - i - 1
}

impl PairHead {
    /// For representations of width D `dim`; `width` is E.
    pub fn new(dim: usize, width: usize, categories: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let hidden = 2 * width;
        Self {
            embed: Linear::new(dim, width, rng, device),
            join: Linear::new(2 * width, hidden, rng, device),
            mix: Linear::new(hidden, hidden, rng, device),
            pairs: PerClassLinear::new(pair_count(categories), hidden, rng, device),
        }
    }

    /// The logit of every pair, `[B, C, D] -> [B, P]`.
    pub fn forward(&self, representations: Tensor<3>) -> Tensor<2> {
        let [batch, categories, dim] = representations.dims();
        let embedded = self.embed.forward(representations.reshape([batch * categories, dim])); // [B·C, E]
        let weight = self.join.weight.val();
        let [both, hidden] = weight.dims();
        let bias = self.join.bias.as_ref().expect("join has a bias").val();
        let first = embedded.clone().matmul(weight.clone().narrow(0, 0, both / 2)) + bias.unsqueeze();
        let second = embedded.matmul(weight.narrow(0, both / 2, both / 2));
        let of_category = [batch, categories, hidden];
        let (first, second) = (first.reshape(of_category), second.reshape(of_category));

        let (vectors, constants) = self.folded();
        let mut begin = 0;
        let scores = (0..categories - 1).map(|i| {
            let others = categories - 1 - i;
            let joined = first.clone().narrow(1, i, 1) + second.clone().narrow(1, i + 1, others);
            let vectors = vectors.clone().narrow(0, begin, others).unsqueeze::<3>();
            begin += others;
            (rectified(joined) * vectors).sum_dim(2).squeeze_dim::<2>(2) // [B, others]
        });
        Tensor::cat(scores.collect(), 1) + constants.unsqueeze()
    }

    /// W_cᵀ w_ij and ⟨w_ij, b_c⟩ + d_ij of every pair, `[P, H]` and `[P]`.
    fn folded(&self) -> (Tensor<2>, Tensor<1>) {
        let (vectors, [pairs, _]) = (self.pairs.weight.val(), self.pairs.weight.dims());
        let bias = self.mix.bias.as_ref().expect("mix has a bias").val();
        let constants =
            vectors.clone().matmul(bias.unsqueeze_dim(1)).reshape([pairs]) + self.pairs.bias.val();
        (vectors.matmul(self.mix.weight.val().transpose()), constants)
    }
}

/// max(x, 0). For its gradient it keeps a bit of every value where Burn's keeps the value: of all pairs of a
/// batch these are the largest tensor of a step.
fn rectified(x: Tensor<3>) -> Tensor<3> {
    let off = x.clone().lower_equal_elem(0.0);
    x.mask_fill(off, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::activation::relu;
    use sarb_labels::random::{Stream, rng};

    #[test]
    fn pairs_are_counted_in_their_order() {
        let pairs = (0..5).flat_map(|i| (i + 1..5).map(move |j| pair_place(i, j, 5)));
        assert_eq!(pairs.collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        assert_eq!([0, 1, 2, 5].map(pair_count), [0, 0, 1, 10]);
    }

    #[test]
    fn the_savings_change_nothing() {
        let device = Device::flex();
        let rng = &mut rng(0, Stream::Init, 0, 0);
        let head = PairHead::new(3, 4, 3, rng, &device);
        let f = crate::nn::linear::uniform([2, 3, 3], 1, rng, &device).val();
        let embedded = head.embed.forward(f.clone().reshape([6, 3])).reshape([2, 3, 4]);
        let of = |category| embedded.clone().narrow(1, category, 1).reshape([2, 4]);
        let pair = |(i, j)| {
            let joined = relu(head.join.forward(Tensor::cat(vec![of(i), of(j)], 1)));
            head.mix.forward(joined).unsqueeze_dim::<3>(1)
        };
        let vectors = Tensor::cat([(0, 1), (0, 2), (1, 2)].map(pair).to_vec(), 1);
        let expected = head.pairs.forward(vectors).into_data();
        head.forward(f)
            .into_data()
            .assert_approx_eq::<f32>(&expected, burn::tensor::Tolerance::absolute(1e-5));
    }
}
