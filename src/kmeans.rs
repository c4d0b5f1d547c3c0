//! Stand-in until the real k-means lands: the first distinct points.

use rand::Rng;

/// Cluster centres.
pub struct Clusters {
    /// `K' · dim` values.
    pub centres: Vec<f32>,
}

/// The first `k` distinct points.
pub fn kmeans(points: &[f32], dim: usize, k: usize, _rng: &mut impl Rng) -> Clusters {
    let mut centres: Vec<f32> = Vec::new();
    for point in points.chunks_exact(dim) {
        if centres.len() < k * dim && !centres.chunks_exact(dim).any(|centre| centre == point) {
            centres.extend_from_slice(point);
        }
    }
    Clusters { centres }
}
