//! Which pairs of categories are in an image together, as an asymmetric loss over all pairs (the
//! intra-image branch of SST, AAAI 2022; official `loss/SST.py`).
//!
//! A pair is positive where both members are known positives and negative where one is a known negative. The
//! official code takes every other pair for negative too, those with an unknown member included; here they
//! are left out. Unlike in the asymmetric loss itself the focusing factor has a gradient, as in that code.

use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::asymmetric::{Focus, negative, positive};
use super::normalization::Normalization;
use crate::nn::pair_head::pair_count;

/// What a pair is of which too little is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownPairs {
    /// Left out.
    #[default]
    Ignore,
    /// Negative, as in the official code.
    Negative,
}

/// Focus and clip of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Focusing {
    /// γ₋, how much less a negative pair counts that is right already.
    pub gamma_negative: f64,
    /// γ₊, the same of positive pairs.
    pub gamma_positive: f64,
    /// m, the probability up to which a negative pair costs nothing.
    pub clip: f64,
}

/// The loss over the logits of pairs i < j in the order (0, 1), (0, 2) …, `[B, C(C−1)/2] -> [1]`.
pub fn cooccurrence(
    logits: Tensor<2>,
    labels: &LabelMatrix,
    unknown: UnknownPairs,
    focusing: Focusing,
    normalization: Normalization,
) -> Tensor<1> {
    let (there, not_there) = masks(labels, unknown, &logits.device());
    let Focusing { gamma_negative, gamma_positive, clip } = focusing;
    let losses = there.clone() * positive(logits.clone(), gamma_positive, Focus::Trained)
        + not_there.clone() * negative(logits, gamma_negative, clip, Focus::Trained);
    normalization.reduce(losses, there + not_there)
}

/// 1 at positive pairs and 1 at negative ones, each `[B, C(C−1)/2]`.
fn masks(labels: &LabelMatrix, unknown: UnknownPairs, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let (mut there, mut not_there) = (Vec::new(), Vec::new());
    for image in 0..labels.images() {
        let row: Vec<Label> = labels.row(image).collect();
        for (i, &first) in row.iter().enumerate() {
            for &second in &row[i + 1..] {
                let positive = first == Label::Positive && second == Label::Positive;
                let negative = first == Label::Negative || second == Label::Negative;
                let negative = negative || (!positive && unknown == UnknownPairs::Negative);
                there.push(f32::from(u8::from(positive)));
                not_there.push(f32::from(u8::from(negative)));
            }
        }
    }
    let shape = [labels.images(), pair_count(labels.categories())];
    let tensor = |values| Tensor::from_data(TensorData::new(values, shape), device);
    (tensor(there), tensor(not_there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_with_an_unknown_member_is_known_only_beside_a_known_negative() {
        let labels = LabelMatrix::from_values(3, &[1, 1, 0, 0, -1, 0]);
        let of = |unknown| {
            let (there, not_there) = masks(&labels, unknown, &Device::flex());
            [there, not_there].map(|mask| mask.into_data().try_to_vec::<f32>().expect("f32"))
        };
        let positive = vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(of(UnknownPairs::Ignore), [positive.clone(), vec![0.0, 0.0, 0.0, 1.0, 0.0, 1.0]]);
        assert_eq!(of(UnknownPairs::Negative), [positive, vec![0.0, 1.0, 1.0, 1.0, 1.0, 1.0]]);
    }
}
