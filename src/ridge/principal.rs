//! Principal components: the directions in which features vary most.

use faer::Par;

use super::centered::{Centered, Table};
use super::spectrum::eigen;

/// The leading directions of a set of features.
#[derive(Debug, Clone, PartialEq)]
pub struct PrincipalComponents {
    /// Mean of the features, `F`.
    pub mean: Vec<f32>,
    /// Orthonormal directions, the one with the largest variance first, `count × F`. The largest
    /// entry of each is positive.
    pub components: Vec<f32>,
    /// Variance along each direction, `count`.
    pub variances: Vec<f64>,
}

/// The `count` leading principal components (at most `dim`) of `features`, `N × F` row by row, finite.
///
/// The rows may be positions of feature maps. With fewer rows than `count` the last directions
/// have variance 0 and are still orthonormal.
///
/// # Panics
/// If `features` are not whole rows of `dim`.
pub fn principal_components(features: &[f32], dim: usize, count: usize) -> PrincipalComponents {
    assert!(dim > 0, "rows of no feature");
    let rows: Vec<usize> = (0..features.len() / dim).collect();
    let table = Table::new(features, &[dim], rows.len(), false);
    let x = Centered::new(&table, &rows, Par::rayon(0));
    let (values, vectors) = eigen(x.gram());

    let unit = table.square_unit / rows.len().max(1) as f64;
    let leading = || (0..dim).rev().take(count);
    let components = leading().flat_map(|j| {
        let vector = vectors.col_as_slice(j);
        let largest = vector.iter().fold(0.0, |a: f64, &b| if b.abs() > a.abs() { b } else { a });
        vector.iter().map(move |value| (value * largest.signum()) as f32)
    });
    PrincipalComponents {
        components: components.collect(),
        variances: leading().map(|j| values[j].max(0.0) * unit).collect(),
        mean: x.mean.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngExt;
    use sarb_labels::random::{Stream, rng};

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    }

    #[test]
    fn finds_the_directions_that_made_the_rows() {
        // Uniform with half-widths 3 and 1 along (3, 4, 0) / 5 and (0, 0, 1), around (10, 20, 30):
        // variances 3²/3 and 1/3.
        let mut rng = rng(0, Stream::Synthetic, 0, 0);
        let features: Vec<f32> = (0..20_000)
            .flat_map(|_| {
                let (a, b): (f32, f32) = (rng.random_range(-3.0..3.0), rng.random_range(-1.0..1.0));
                [10.0 + 0.6 * a, 20.0 + 0.8 * a, 30.0 + b]
            })
            .collect();
        let found = principal_components(&features, 3, 2);
        assert!(dot(&found.components[..3], &[0.6, 0.8, 0.0]) > 0.9999, "{:?}", found.components);
        assert!(dot(&found.components[3..], &[0.0, 0.0, 1.0]) > 0.9999, "{:?}", found.components);
        assert!((found.variances[0] - 3.0).abs() < 0.1 && (found.variances[1] - 1.0 / 3.0).abs() < 0.01);
        assert!((found.mean[1] - 20.0).abs() < 0.1);
    }

    #[test]
    fn directions_are_orthonormal_with_few_rows_and_constant_features() {
        for features in [vec![], vec![1.0, 2.0, 3.0, 4.0], vec![1.0, 2.0, 3.0, 4.0, 1.0, 7.0, 3.0, 5.0]] {
            let found = principal_components(&features, 4, 9);
            assert_eq!((found.components.len(), found.variances.len()), (16, 4));
            for (i, a) in found.components.chunks(4).enumerate() {
                for (j, b) in found.components.chunks(4).enumerate() {
                    assert!((dot(a, b) - f64::from(i == j)).abs() < 1e-6);
                }
            }
            assert!(found.variances.is_sorted_by(|a, b| a >= b), "{:?}", found.variances);
            assert!(found.variances[1].abs() < 1e-6);
        }
    }
}
