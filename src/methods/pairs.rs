//! Pairs of categories beside the network of SST and HST: a head that learns which two are in an image
//! together, and what it says of a category whose label is unknown.

use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Int, Tensor};
use sarb_labels::LabelMatrix;
use sarb_labels::random::{Stream, rng};
use serde::{Deserialize, Serialize};

use super::asl::CLIP;
use super::keys::{Interval, Key, Kind};
use super::ranges;
use crate::Result;
use crate::loss::cooccurrence::{Focusing, UnknownPairs, cooccurrence};
use crate::loss::normalization::Normalization;
use crate::nn::pair_head::{PairHead, pair_count, pair_place};

/// Settings of the pairs; the defaults are the official ones, but for `unknown`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PairRecipe {
    /// Width E of a category in its pairs, whose own width is 2E.
    pub width: usize,
    /// Weight of the loss of pairs.
    pub weight: f64,
    /// γ₋, how much less a negative pair counts that is right already.
    pub gamma_negative: f64,
    /// γ₊, the same of positive pairs.
    pub gamma_positive: f64,
    /// m, the probability up to which a negative pair costs nothing.
    pub clip: f64,
    /// What a pair is of which too little is known.
    pub unknown: UnknownPairs,
}

impl Default for PairRecipe {
    fn default() -> Self {
        Self {
            width: 512,
            weight: 10.0,
            gamma_negative: 2.0,
            gamma_positive: 1.0,
            clip: 0.05,
            unknown: UnknownPairs::Ignore,
        }
    }
}

/// The table `pairs` of a method.
pub const PAIRS: Key = Key::new(
    "pairs",
    Kind::Table(
        "pairs",
        &[
            Key::new("width", Kind::AT_LEAST_1, "Width E of a category in its pairs, whose own width is 2E"),
            Key::new("weight", Kind::Number(Interval::FROM_0), "Weight of the loss of pairs"),
            Key::new(
                "gamma_negative",
                Kind::Number(Interval::FROM_0),
                "γ₋, how much less a negative pair counts that is right already",
            ),
            Key::new("gamma_positive", Kind::Number(Interval::FROM_0), "γ₊, the same of positive pairs"),
            CLIP,
            Key::new(
                "unknown",
                Kind::Word(&["ignore", "negative"]),
                "A pair with an unknown member and no known negative: left out, negative as in the official code",
            ),
        ],
    ),
    "The head that learns which two categories are in an image together",
);

impl PairRecipe {
    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        ranges::width("pairs.width", self.width)?;
        ranges::weight("pairs.weight", self.weight)?;
        ranges::weight("pairs.gamma_negative", self.gamma_negative)?;
        ranges::weight("pairs.gamma_positive", self.gamma_positive)?;
        ranges::check((0.0..1.0).contains(&self.clip), "pairs.clip", self.clip, "0 to below 1")
    }

    /// Takes pairs of which too little is known for negative.
    pub fn follow_reference(&mut self) {
        self.unknown = UnknownPairs::Negative;
    }

    /// The head for representations of width D `dim`; a single category has no pairs.
    pub fn init(&self, dim: usize, categories: usize, seed: u64, device: &Device) -> Option<PairHead> {
        // Other draws than the network's.
        let rng = &mut rng(seed, Stream::Init, 1, 0);
        (categories > 1).then(|| PairHead::new(dim, self.width, categories, rng, device))
    }

    /// The loss of the logits of pairs, `[B, P] -> [1]`.
    pub fn loss(&self, logits: Tensor<2>, labels: &LabelMatrix, normalization: Normalization) -> Tensor<1> {
        let Self { gamma_negative, gamma_positive, clip, .. } = *self;
        let focusing = Focusing { gamma_negative, gamma_positive, clip };
        cooccurrence(logits, labels, self.unknown, focusing, normalization)
    }
}

/// How probable each category is beside the known positives of its image: the mean of its probabilities with
/// each of them, with itself 1; logits of pairs and 1 at known positives, `[B, P], [B, C] -> [B, C]`. It is 0
/// in an image without a known positive.
pub fn beside_positives(logits: Tensor<2>, positive: Tensor<2>) -> Tensor<2> {
    let [batch, categories] = positive.dims();
    let itself = pair_count(categories);
    let place = |i: usize, j: usize| match i == j {
        true => itself,
        false => pair_place(i.min(j), i.max(j), categories),
    };
    let places: Vec<i32> =
        (0..categories).flat_map(|i| (0..categories).map(move |j| place(i, j) as i32)).collect();
    let places = Tensor::<1, Int>::from_data(places.as_slice(), &logits.device());
    let together = Tensor::cat(vec![sigmoid(logits), positive.clone().narrow(1, 0, 1).ones_like()], 1);
    let together = together.select(1, places).reshape([batch, categories, categories]);
    let sums = together.matmul(positive.clone().unsqueeze_dim::<3>(2)).squeeze_dim::<2>(2);
    sums / positive.sum_dim(1).clamp_min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probability_beside_positives_is_a_mean() {
        let device = Device::flex();
        // σ: 0.5, 0.75, 0.2.
        let logits = Tensor::<2>::from_data([[0.0, 3f32.ln(), -4f32.ln()], [9.0, 9.0, 9.0]], &device);
        let positive = Tensor::<2>::from_data([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]], &device);
        let found = beside_positives(logits, positive).into_data().try_to_vec::<f32>().expect("f32");
        let expected = [0.75, 0.75, (0.75 + 0.2) / 2.0, 0.0, 0.0, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn a_single_category_has_no_pairs() {
        assert!(PairRecipe::default().init(4, 1, 0, &Device::flex()).is_none());
    }
}
