//! Random numbers of a shape that `rand` alone does not draw.

use std::f32::consts::TAU;

use rand::{Rng, RngExt};

/// A draw from the normal distribution of mean 0 and variance 1 (Box and Muller 1958).
pub fn normal(rng: &mut impl Rng) -> f32 {
    // In (0, 1], where the logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (TAU * rng.random::<f32>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sarb::labels::random::{Stream, rng};

    #[test]
    fn draws_have_mean_zero_and_variance_one() {
        let mut rng = rng(0, Stream::Synthetic, 0, 0);
        let draws: Vec<f64> = (0..100_000).map(|_| f64::from(normal(&mut rng))).collect();
        let mean = |power: i32| draws.iter().map(|draw| draw.powi(power)).sum::<f64>() / 1e5;
        // Four standard errors: 4 / sqrt(1e5) of the mean, sqrt(2) times that of the variance.
        assert!(mean(1).abs() < 0.013 && (mean(2) - 1.0).abs() < 0.018, "{} {}", mean(1), mean(2));
    }
}
