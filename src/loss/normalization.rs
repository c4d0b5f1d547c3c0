//! What a loss over the entries of a batch is divided by.
//!
//! At 10 % known labels this alone is worth nine points of mAP (SR, ICCV 2023: 61.7 with 1/C, 70.7
//! with the batch's known labels), so there is one definition for every method, chosen in the
//! recipe's `train.normalization`.

use burn::tensor::Tensor;
use serde::{Deserialize, Serialize};

use crate::ranks::across::sum_of_ranks;
use crate::ranks::share::whole_of;

/// What a loss is divided by. An entry is supervised when its weight is above 0: known, blended or
/// pseudo-labeled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalization {
    /// The weight of the batch's supervised entries, as the official code of SARB.
    #[default]
    Supervised,
    /// In each image the weight of its supervised entries; then the mean over images that have any.
    Image,
    /// All B · C entries, supervised or not, as SSGRL, GCN-ML and partial-BCE were published.
    All,
    /// Nothing: the sum. The learning rate has to fit it.
    Sum,
}

/// So small a divisor belongs to a sum that is 0.
const NOTHING: f64 = 1e-12;

impl Normalization {
    /// One number of the losses of all entries, each multiplied by its weight,
    /// `[B, C], [B, C] -> [1]`; 0 where no weight is above 0. Of a rank that has a part of a batch it is the part of
    /// the whole batch's number.
    pub fn reduce(self, losses: Tensor<2>, weights: Tensor<2>) -> Tensor<1> {
        let [images, categories] = losses.dims();
        let losses = losses * weights.clone();
        match self {
            Self::Supervised => losses.sum() / sum_of_ranks(weights.sum()).clamp_min(NOTHING),
            Self::Image => {
                let of_image = weights.sum_dim(1); // [B, 1]
                let images = sum_of_ranks(of_image.clone().sign().sum()).clamp_min(1.0);
                (losses.sum_dim(1) / of_image.clamp_min(NOTHING)).sum() / images
            }
            Self::All => losses.sum().div_scalar((whole_of(images) * categories) as f64),
            Self::Sum => losses.sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn each_divides_by_what_it_says() {
        let device = Device::flex();
        let losses = Tensor::<2>::from_data([[1.0, 2.0], [4.0, 8.0], [16.0, 32.0]], &device);
        let weights = Tensor::<2>::from_data([[1.0, 0.5], [0.0, 1.0], [0.0, 0.0]], &device);
        let reduce = |how: Normalization| how.reduce(losses.clone(), weights.clone()).into_scalar::<f32>();
        // Weighted losses: 1 + 1 of weight 1.5, 8 of weight 1, nothing.
        assert!((reduce(Normalization::Supervised) - 10.0 / 2.5).abs() < 1e-6);
        assert!((reduce(Normalization::Image) - (2.0 / 1.5 + 8.0) / 2.0).abs() < 1e-6);
        assert!((reduce(Normalization::All) - 10.0 / 6.0).abs() < 1e-6);
        assert_eq!(reduce(Normalization::Sum), 10.0);
    }

    #[test]
    fn nothing_supervised_is_0_with_a_gradient_of_0() {
        let device = Device::flex().autodiff();
        for how in [Normalization::Supervised, Normalization::Image, Normalization::All, Normalization::Sum] {
            let losses = Tensor::<2>::from_data([[3.0, 5.0]], &device).require_grad();
            let loss = how.reduce(losses.clone(), Tensor::zeros([1, 2], &device));
            let gradient = losses.grad(&loss.backward()).expect("tracked").into_data();
            assert_eq!(loss.into_scalar::<f32>(), 0.0, "{how:?}");
            assert_eq!(gradient.try_to_vec::<f32>().expect("f32"), [0.0, 0.0], "{how:?}");
        }
    }
}
