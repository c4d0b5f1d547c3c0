//! Random numbers that depend on a seed, a purpose and a place, and on nothing else: neither on the
//! number of threads nor on what was drawn before.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The independent random streams of a step. A value is never reused for another purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Initial weights.
    Init = 1,
    /// The order of the examples in an epoch.
    Shuffle = 2,
    /// Crops and flips.
    Augment = 3,
    /// Which unknown label prototype-level blending fills, and with which prototype.
    PrototypeBlend = 4,
    /// Which pairs the contrastive loss keeps.
    Contrastive = 5,
    /// Dropout masks.
    Dropout = 6,
    /// k-means initialization.
    KMeans = 7,
    /// The validation split.
    Validation = 8,
    /// Generated data.
    Synthetic = 9,
    /// With what and how much an image is mixed.
    Mixup = 10,
    /// Dropout masks of the passes that measure uncertainty.
    Uncertainty = 11,
    /// Partners and shares of cached mixed views.
    MixedView = 12,
    /// Where the estimates of unknown labels start.
    LabelEstimates = 13,
    /// Settings that a tuning tries.
    Tuning = 14,
    /// Which images people are asked for.
    Asking = 15,
}

/// A generator seeded by (seed, stream, a, b): value-stable and independent of every other one.
pub fn rng(seed: u64, stream: Stream, a: u64, b: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (part, value) in key.chunks_exact_mut(8).zip([seed, stream as u64, a, b]) {
        part.copy_from_slice(&value.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A draw from Beta(a, a): the a-th smallest of 2a − 1 uniform draws.
pub fn beta(concentration: u32, rng: &mut impl Rng) -> f32 {
    let mut draws: Vec<f32> = (1..2 * concentration).map(|_| rng.random()).collect();
    draws.sort_by(f32::total_cmp);
    draws[concentration as usize - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_lie_in_0_to_1_and_a_larger_concentration_brings_them_nearer_to_a_half() {
        let mut rng = rng(0, Stream::MixedView, 0, 0);
        let mut spread = |concentration| {
            let draws: Vec<f32> = (0..2000).map(|_| beta(concentration, &mut rng)).collect();
            assert!(draws.iter().all(|kept| (0.0..=1.0).contains(kept)));
            let mean = draws.iter().sum::<f32>() / 2000.0;
            assert!((mean - 0.5).abs() < 0.03, "{mean}");
            draws.iter().map(|kept| (kept - 0.5).powi(2)).sum::<f32>() / 2000.0
        };
        // Var Beta(a, a) = 1 / (4 (2a + 1)).
        for concentration in [1, 4] {
            let expected = 1.0 / (4.0 * (2.0 * concentration as f32 + 1.0));
            let found = spread(concentration);
            assert!((found / expected - 1.0).abs() < 0.1, "{concentration}: {found}, not {expected}");
        }
    }
}
