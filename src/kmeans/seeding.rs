//! Greedy k-means++: each new center is the best of a few candidates drawn by squared distance.

use rand::RngExt;

use super::{Points, dot};

/// Distances below this share of the norms are lost to cancellation and computed again directly.
const CANCELLED: f32 = 1e-5;

/// `k` initial centers among `points`, `k × dim`; 2 + ⌊ln k⌋ candidates a step, as in scikit-learn.
///
/// `points` hold more than `k` distinct ones.
pub(super) fn greedy(points: &Points, k: usize, rng: &mut impl rand::Rng) -> Vec<f32> {
    let trials = 2 + (k as f64).ln() as usize;
    let first = rng.random_range(0..points.len());
    let mut centers = points.row(first).to_vec();
    let mut closest = distances(points, &[first]).pop().expect("one candidate");
    for _ in 1..k {
        let cumulated: Vec<f64> = (closest.iter())
            .scan(0.0, |sum, &distance| {
                *sum += f64::from(distance);
                Some(*sum)
            })
            .collect();
        let candidates: Vec<usize> = (0..trials)
            .map(|_| {
                let target = rng.random::<f64>() * cumulated[points.len() - 1];
                cumulated.partition_point(|&sum| sum <= target).min(points.len() - 1)
            })
            .collect();
        let trials =
            candidates.iter().zip(distances(points, &candidates)).map(|(&candidate, mut distances)| {
                distances.iter_mut().zip(&closest).for_each(|(new, &old)| *new = new.min(old));
                let potential: f64 = distances.iter().map(|&distance| f64::from(distance)).sum();
                (potential, candidate, distances)
            });
        let (_, best, distances) =
            trials.min_by(|a, b| a.0.total_cmp(&b.0)).expect("at least two candidates");
        centers.extend_from_slice(points.row(best));
        closest = distances;
    }
    centers
}

/// Squared distances of all points to each of `candidates`; exactly 0 between equal points.
fn distances(points: &Points, candidates: &[usize]) -> Vec<Vec<f32>> {
    let rows: Vec<f32> = candidates.iter().flat_map(|&candidate| points.row(candidate)).copied().collect();
    let by_point = points.products(&rows, |point, products| {
        let distance = |(&candidate, &product): (&usize, &f32)| {
            let norms = points.norms[point] + points.norms[candidate];
            let distance = norms + product;
            if distance > CANCELLED * norms {
                return distance;
            }
            let difference: Vec<f32> =
                points.row(point).iter().zip(points.row(candidate)).map(|(a, b)| a - b).collect();
            dot(&difference, &difference)
        };
        candidates.iter().zip(products).map(distance).collect::<Vec<f32>>()
    });
    (0..candidates.len()).map(|trial| by_point.iter().map(|distances| distances[trial]).collect()).collect()
}
