//! Which entries of a batch are known to be there, known not to be there, or unknown, for losses that have a
//! form of their own for each.

use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::{Label, LabelMatrix};

/// 1 where a label is of the kind, else 0; each `[B, C]`.
#[derive(Debug, Clone)]
pub struct Masks {
    /// Known positives.
    pub positive: Tensor<2>,
    /// Known negatives.
    pub negative: Tensor<2>,
    /// Unknown labels.
    pub unknown: Tensor<2>,
}

impl Masks {
    /// Of the labels of a batch, `B × C`.
    pub fn new(labels: &LabelMatrix, device: &Device) -> Self {
        let of = |wanted| {
            let cells = (0..labels.images()).flat_map(|image| labels.row(image));
            let ones: Vec<f32> = cells.map(|label| f32::from(u8::from(label == wanted))).collect();
            Tensor::from_data(TensorData::new(ones, [labels.images(), labels.categories()]), device)
        };
        Self { positive: of(Label::Positive), negative: of(Label::Negative), unknown: of(Label::Unknown) }
    }

    /// 1 where the label is known, `[B, C]`.
    pub fn known(&self) -> Tensor<2> {
        self.positive.clone() + self.negative.clone()
    }

    /// BCE of the known entries and 0 elsewhere, `[B, C] -> [B, C]`.
    pub fn known_bce(&self, logits: &Tensor<2>) -> Tensor<2> {
        self.positive.clone() * as_positive(logits.clone())
            + self.negative.clone() * as_negative(logits.clone())
    }
}

/// −log p of every entry, p = σ(x).
pub fn as_positive(logits: Tensor<2>) -> Tensor<2> {
    -burn::tensor::activation::log_sigmoid(logits)
}

/// −log(1 − p) of every entry, p = σ(x).
pub fn as_negative(logits: Tensor<2>) -> Tensor<2> {
    -burn::tensor::activation::log_sigmoid(-logits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::normalization::Normalization;
    use crate::loss::partial_bce::partial_bce;

    #[test]
    fn the_bce_of_known_entries_is_that_of_partial_bce() {
        let device = Device::flex();
        let labels = LabelMatrix::from_values(3, &[1, -1, 0, 0, 1, -1]);
        let logits = Tensor::<2>::from_data([[0.3, -2.0, 5.0], [1e4, -1e4, 1e4]], &device);
        let masks = Masks::new(&labels, &device);
        let ours = Normalization::Supervised.reduce(masks.known_bce(&logits), masks.known());
        let targets = crate::batch::targets(&labels, &device);
        let other = partial_bce(logits, targets, Normalization::Supervised).into_scalar::<f32>();
        assert_eq!(ours.into_scalar::<f32>(), other);
        let unknown = masks.unknown.into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(unknown, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }
}
