//! Dropout whose masks a resumed run draws again.

use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};

use crate::ranks::share::share;

/// Sets a share of `rate` of the values to 0 and scales the others by 1 / (1 − rate). The mask is
/// drawn on the host, so that a resumed run draws the same. The first axis is that of the images, perhaps several
/// times over; a rank that has some of them draws for the whole batch and keeps what is theirs.
pub fn dropout<const R: usize>(x: Tensor<R>, rate: f64, rng: &mut impl Rng) -> Tensor<R> {
    if rate == 0.0 {
        return x;
    }
    let kept = (1.0 / (1.0 - rate)) as f32;
    let draw = |_| if f64::from(rng.random::<f32>()) < rate { 0.0 } else { kept };
    let count = x.shape().num_elements();
    let mask: Vec<f32> = match share() {
        None => (0..count).map(draw).collect(),
        Some(share) => {
            let (rows, own) = (x.dims()[0], share.places.len());
            let of_image = count / rows;
            let drawn: Vec<f32> = (0..rows / own * share.whole * of_image).map(draw).collect();
            let of_own = |whole: &[f32]| whole[share.places.start * of_image..][..own * of_image].to_vec();
            drawn.chunks_exact(share.whole * of_image).flat_map(of_own).collect()
        }
    };
    let mask = Tensor::from_data(TensorData::new(mask, x.shape()), &x.device());
    x * mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Progress;
    use burn::tensor::Device;
    use sarb_labels::random::Stream;

    #[test]
    fn dropout_scales_what_it_keeps_and_repeats_for_a_place_in_training() {
        let x = Tensor::<2>::ones([40, 50], &Device::flex());
        let at = Progress { seed: 1, epoch: 2, step: 3, steps: 4 };
        let dropped = dropout(x.clone(), 0.25, &mut at.rng(Stream::Dropout)).into_data();
        dropped.assert_eq(&dropout(x.clone(), 0.25, &mut at.rng(Stream::Dropout)).into_data(), true);
        let values = dropped.try_to_vec::<f32>().expect("f32");
        assert!(values.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
        let zeros = values.iter().filter(|v| **v == 0.0).count();
        assert!((400..600).contains(&zeros), "about 500 of 2000, not {zeros}");
        let next = Progress { step: 4, ..at };
        assert_ne!(dropped, dropout(x, 0.25, &mut next.rng(Stream::Dropout)).into_data());
    }
}
