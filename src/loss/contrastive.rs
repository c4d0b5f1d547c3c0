//! Contrastive loss on category-specific representations: the same category in two images should
//! look alike where both have it (SARB Eq. 5; official `loss/SARB.py`).
//!
//! For every category and every pair of images whose labels are both known, with d the cosine of
//! the two representations: 1 − d where both are positive, 1 + d otherwise. When there are positive
//! pairs, of each of the two other kinds twice as many are drawn at random, and as many of the
//! hardest (largest d) are added; a pair may be in both and then counts twice. The loss is the mean.
//!
//! Which pairs count, and how often, is settled on the host; the gradient is one product.

use burn::tensor::{Tensor, TensorData};
use rand::Rng;
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

/// What happens to pairs of two negatives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NegativePairs {
    /// Pushed apart, as the official code does; more than two vectors cannot all reach cosine −1.
    #[default]
    Repel,
    /// Left out.
    None,
}

/// Mean over the kept pairs, representations `[B, C, D]` `-> [1]`; 0 when no pair is known.
pub fn contrastive(
    representations: Tensor<3>,
    labels: &LabelMatrix,
    negative_pairs: NegativePairs,
    rng: &mut impl Rng,
) -> Tensor<1> {
    let device = representations.device();
    let cosines = cosines(representations); // [C, B, B]
    let pairs = Pairs::new(labels, negative_pairs);
    let values = match pairs.positive.is_empty() {
        true => Vec::new(),
        false => cosines.clone().detach().into_data().try_into_vec().expect("f32 tensors hold f32"),
    };
    let repelled: Vec<usize> = [&pairs.mixed, &pairs.negative]
        .into_iter()
        .flat_map(|set| subsample(set, pairs.positive.len(), &values, rng))
        .collect();
    let count = pairs.positive.len() + repelled.len();
    if count == 0 {
        return Tensor::zeros([1], &device);
    }
    // The mean of 1 − d and 1 + d is 1 + Σ ∓ d / count.
    let mut coefficients = vec![0.0f32; cosines.shape().num_elements()];
    pairs.positive.iter().for_each(|&pair| coefficients[pair] -= 1.0 / count as f32);
    repelled.iter().for_each(|&pair| coefficients[pair] += 1.0 / count as f32);
    let coefficients = Tensor::from_data(TensorData::new(coefficients, cosines.shape()), &device);
    (cosines * coefficients).sum().add_scalar(1.0)
}

/// Cosines of all pairs of images, category by category, `[B, C, D] -> [C, B, B]`.
fn cosines(representations: Tensor<3>) -> Tensor<3> {
    let unit = unit(representations).swap_dims(0, 1); // [C, B, D]
    unit.clone().matmul(unit.swap_dims(1, 2))
}

/// The vectors along the last axis at length 1; zero vectors stay as they are.
pub fn unit(vectors: Tensor<3>) -> Tensor<3> {
    let squares = (vectors.clone() * vectors.clone()).sum_dim(2); // [.., .., 1]
    // Norms from 1e-9, torch's `eps` here; the bound is inside the root, whose slope at 0 is infinite.
    vectors / squares.clamp_min(1e-18).sqrt()
}

/// Pairs (i, j) with i < j of images in each category, as places in `[C, B, B]`.
struct Pairs {
    positive: Vec<usize>,
    mixed: Vec<usize>,
    negative: Vec<usize>,
}

impl Pairs {
    fn new(labels: &LabelMatrix, negative_pairs: NegativePairs) -> Self {
        let mut pairs = Self { positive: Vec::new(), mixed: Vec::new(), negative: Vec::new() };
        let batch = labels.images();
        for category in 0..labels.categories() {
            let column: Vec<Label> = labels.column(category).collect();
            for (i, &first) in column.iter().enumerate() {
                for (j, &second) in column.iter().enumerate().skip(i + 1) {
                    let place = (category * batch + i) * batch + j;
                    match (first, second) {
                        (Label::Unknown, _) | (_, Label::Unknown) => {}
                        (Label::Positive, Label::Positive) => pairs.positive.push(place),
                        (Label::Negative, Label::Negative) if negative_pairs == NegativePairs::None => {}
                        (Label::Negative, Label::Negative) => pairs.negative.push(place),
                        _ => pairs.mixed.push(place),
                    }
                }
            }
        }
        pairs
    }
}

/// All pairs of `set` when there is no positive one, else 2 · `positives` at random and the
/// `positives` with the largest cosine.
fn subsample(set: &[usize], positives: usize, cosines: &[f32], rng: &mut impl Rng) -> Vec<usize> {
    if positives == 0 || set.is_empty() {
        return set.to_vec();
    }
    let amount = (2 * positives).min(set.len());
    let drawn = rand::seq::index::sample(rng, set.len(), amount);
    let mut kept: Vec<usize> = drawn.into_iter().map(|place| set[place]).collect();
    let mut hardest = set.to_vec();
    let amount = positives.min(set.len());
    // Ties in the order of the pairs, so that the choice is the same everywhere.
    hardest.select_nth_unstable_by(amount - 1, |&a, &b| cosines[b].total_cmp(&cosines[a]).then(a.cmp(&b)));
    kept.extend_from_slice(&hardest[..amount]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, TOLERANCE, assert_close};
    use burn::tensor::Device;
    use sarb_labels::random::{Stream, rng};

    #[test]
    fn loss_and_gradient_equal_the_official_codes_where_every_pair_is_kept() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/contrastive.safetensors"));
        let device = crate::fixture::device().autodiff();
        let representations = fixture.tensor::<3>("representations", &device).require_grad();
        let loss = contrastive(
            representations.clone(),
            &fixture.labels("target"),
            NegativePairs::Repel,
            &mut rng(0, Stream::Contrastive, 0, 0),
        );
        fixture.assert_equals("loss", loss.clone());
        let gradient = representations.grad(&loss.backward()).expect("tracked").into_data();
        let gradient = gradient.try_into_vec::<f32>().expect("f32");
        assert_close("gradient", &gradient, &fixture.values("grad.representations"), TOLERANCE);
    }

    /// Loss of one category for given 2-d representations and labels.
    fn loss(representations: &[[f32; 2]], labels: &[i8], negative_pairs: NegativePairs) -> f32 {
        let values = TensorData::new(representations.as_flattened().to_vec(), [labels.len(), 1, 2]);
        contrastive(
            Tensor::from_data(values, &Device::flex()),
            &LabelMatrix::from_values(1, labels),
            negative_pairs,
            &mut rng(0, Stream::Contrastive, 0, 0),
        )
        .into_scalar()
    }

    #[test]
    fn alike_positives_and_opposite_negatives_cost_nothing() {
        let (east, west, north) = ([2.0, 0.0], [-1.0, 0.0], [0.0, 3.0]);
        assert!(loss(&[east, east], &[1, 1], NegativePairs::Repel).abs() < 1e-6);
        assert!(loss(&[east, west], &[1, -1], NegativePairs::Repel).abs() < 1e-6);
        assert!((loss(&[east, north], &[1, 1], NegativePairs::Repel) - 1.0).abs() < 1e-6);
        assert!((loss(&[east, east], &[-1, -1], NegativePairs::Repel) - 2.0).abs() < 1e-6);
    }

    #[test]
    fn pairs_without_two_known_labels_and_unwanted_negatives_are_left_out() {
        let same = [[1.0, 0.0]; 3];
        assert_eq!(loss(&same, &[1, 0, 0], NegativePairs::Repel), 0.0);
        assert_eq!(loss(&same, &[0, -1, -1], NegativePairs::None), 0.0);
        assert_eq!(loss(&[[0.0, 0.0]; 2], &[1, 1], NegativePairs::Repel), 1.0, "a zero vector has cosine 0");
    }

    #[test]
    fn subsampling_keeps_two_random_and_one_hardest_for_each_positive_pair() {
        let set: Vec<usize> = (0..50).collect();
        let cosines: Vec<f32> = (0..50).map(|i| (i as f32 * 0.7).sin()).collect();
        let hardest = (0..50).max_by(|&a, &b| cosines[a].total_cmp(&cosines[b])).expect("50");
        let mut rng = rng(0, Stream::Contrastive, 0, 0);
        for _ in 0..20 {
            let mut kept = subsample(&set, 1, &cosines, &mut rng);
            assert_eq!(kept.len(), 3);
            assert_eq!(kept.pop(), Some(hardest));
            assert_ne!(kept[0], kept[1]);
        }
        assert_eq!(subsample(&set, 40, &cosines, &mut rng).len(), 50 + 40, "all, and the 40 hardest again");
        assert_eq!(subsample(&set, 0, &[], &mut rng).len(), 50);
    }
}
