//! k-means: greedy k-means++ (Arthur and Vassilvitskii 2007, several candidates a step) and Lloyd's
//! iterations, with scikit-learn's rules for stopping and for empty clusters, on all cores.
//!
//! The result depends on the points and the generator only, never on the number of threads: every
//! sum has a fixed order. Points are centered and scaled by a power of two inside, so that neither
//! their offset nor their magnitude costs accuracy.

mod seeding;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Lloyd's iterations at most, as in scikit-learn.
const MAX_ITERATIONS: usize = 300;
/// The centers' squared movement at which iterations stop, in mean variances of a coordinate.
const TOLERANCE: f64 = 1e-4;
/// Points of one matrix product: their coordinates and the centers stay in the core's cache.
const POINTS_PER_TASK: usize = 128;

/// Clusters of n points.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// The centers, `K' × dim`, K' = min(K, number of distinct points).
    pub centers: Vec<f32>,
    /// The cluster of every point, below K'.
    pub assignments: Vec<usize>,
    /// Sum of squared distances of the points to their centers.
    pub inertia: f64,
    /// Lloyd's iterations done; 0 when the distinct points themselves are the centers.
    pub iterations: usize,
}

/// Clusters `points`, `n × dim` row by row and finite, around at most `k` centers.
///
/// No cluster is empty: with fewer distinct points than `k` each becomes a center, and without
/// points there is none.
///
/// # Panics
/// If `k` or `dim` is 0, or `points` are not whole rows.
pub fn kmeans(points: &[f32], dim: usize, k: usize, rng: &mut impl rand::Rng) -> Clusters {
    assert!(k > 0, "k-means with no cluster");
    assert!(
        dim > 0 && points.len().is_multiple_of(dim),
        "{} values are not whole points of {dim}",
        points.len()
    );
    let normalized = Normalized::new(points, dim);
    let (centers, assignments, iterations) = match distinct_points(&normalized.values, dim, k) {
        Some((firsts, assignments)) => {
            let rows = firsts.iter().map(|&first| &points[first * dim..(first + 1) * dim]);
            (rows.collect::<Vec<_>>().concat(), assignments, 0)
        }
        None => {
            let data = Points::new(&normalized.values, dim);
            let lloyd = Lloyd::new(&data, seeding::greedy(&data, k, rng));
            let (lloyd, iterations) = lloyd.run(normalized.tolerance());
            let (centers, assignments) = lloyd.filled();
            (normalized.restore(&centers), assignments, iterations)
        }
    };
    let inertia = inertia(points, &centers, &assignments, dim);
    Clusters { centers, assignments, inertia, iterations }
}

/// The best of `restarts` clusterings, by the sum of squared distances; ties take the first.
///
/// # Panics
/// As [`kmeans`], and if `restarts` is 0.
pub fn kmeans_of_restarts(
    points: &[f32],
    dim: usize,
    k: usize,
    restarts: usize,
    rng: &mut impl rand::Rng,
) -> Clusters {
    let all = (0..restarts).map(|_| kmeans(points, dim, k, rng));
    all.min_by(|a, b| a.inertia.total_cmp(&b.inertia)).expect("at least one clustering")
}

/// When there are at most `k` distinct points: where each stands first, and which one every point is.
fn distinct_points(points: &[f32], dim: usize, k: usize) -> Option<(Vec<usize>, Vec<usize>)> {
    let row = |point: usize| &points[point * dim..(point + 1) * dim];
    let mut firsts: Vec<usize> = Vec::new();
    let mut assignments = Vec::with_capacity(points.len() / dim);
    for point in 0..points.len() / dim {
        let known = firsts.iter().position(|&first| row(first) == row(point));
        assignments.push(known.unwrap_or(firsts.len()));
        if known.is_none() {
            firsts.push(point);
        }
        if firsts.len() > k {
            return None;
        }
    }
    Some((firsts, assignments))
}

/// Points minus their mean, divided by a power of two that brings the largest into 0.5…1.
struct Normalized {
    values: Vec<f32>,
    mean: Vec<f64>,
    scale: f64,
    dim: usize,
}

impl Normalized {
    fn new(points: &[f32], dim: usize) -> Self {
        let mut mean = vec![0.0; dim];
        for point in points.chunks_exact(dim) {
            mean.iter_mut().zip(point).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let count = (points.len() / dim).max(1) as f64;
        mean.iter_mut().for_each(|sum| *sum /= count);

        let centered = |point: &[f32]| {
            point.iter().zip(&mean).map(|(&value, mean)| (f64::from(value) - mean).abs()).fold(0.0, f64::max)
        };
        let largest: f64 = points.par_chunks_exact(dim).map(centered).reduce(|| 0.0, f64::max);
        let scale = if largest > 0.0 { 2f64.powi(largest.log2().ceil() as i32) } else { 1.0 };
        let factor = 1.0 / scale;
        let mut values = vec![0.0; points.len()];
        values.par_chunks_exact_mut(dim).zip(points.par_chunks_exact(dim)).for_each(|(out, point)| {
            for ((out, &value), mean) in out.iter_mut().zip(point).zip(&mean) {
                *out = ((f64::from(value) - mean) * factor) as f32;
            }
        });
        Self { values, mean, scale, dim }
    }

    /// scikit-learn's stop: [`TOLERANCE`] mean variances of a coordinate.
    fn tolerance(&self) -> f64 {
        TOLERANCE * self.values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>()
            / self.values.len() as f64
    }

    fn restore(&self, centers: &[f32]) -> Vec<f32> {
        centers
            .iter()
            .enumerate()
            .map(|(i, &value)| (f64::from(value) * self.scale + self.mean[i % self.dim]) as f32)
            .collect()
    }
}

/// Points with their squared norms.
struct Points<'a> {
    values: &'a [f32],
    norms: Vec<f32>,
    dim: usize,
}

impl<'a> Points<'a> {
    fn new(values: &'a [f32], dim: usize) -> Self {
        Self { values, norms: values.par_chunks_exact(dim).map(|row| dot(row, row)).collect(), dim }
    }

    fn len(&self) -> usize {
        self.norms.len()
    }

    fn row(&self, point: usize) -> &'a [f32] {
        &self.values[point * self.dim..(point + 1) * self.dim]
    }

    /// For every point, `each(point, products)` of its products −2 x·c with `centers`, in parallel.
    fn products<T: Send>(&self, centers: &[f32], each: impl Fn(usize, &[f32]) -> T + Sync) -> Vec<T> {
        let (dim, k) = (self.dim, centers.len() / self.dim);
        let tasks = self.values.par_chunks(POINTS_PER_TASK * dim).enumerate().map(|(task, rows)| {
            let count = rows.len() / dim;
            let mut products = vec![0.0; count * k];
            matmul(
                MatMut::from_column_major_slice_mut(&mut products, k, count),
                Accum::Replace,
                MatRef::from_row_major_slice(centers, k, dim),
                MatRef::from_column_major_slice(rows, dim, count),
                -2.0,
                Par::Seq,
            );
            let points = products.chunks_exact(k).enumerate();
            points.map(|(point, products)| each(task * POINTS_PER_TASK + point, products)).collect()
        });
        tasks.collect::<Vec<Vec<T>>>().into_iter().flatten().collect()
    }
}

/// The state of Lloyd's iterations.
struct Lloyd<'a> {
    points: &'a Points<'a>,
    centers: Vec<f32>,
    assignments: Vec<usize>,
    /// Sum and number of the points of every cluster, kept up to date by the points that move.
    sums: Vec<f64>,
    counts: Vec<usize>,
}

impl<'a> Lloyd<'a> {
    fn new(points: &'a Points<'a>, centers: Vec<f32>) -> Self {
        let k = centers.len() / points.dim;
        let sums = vec![0.0; centers.len()];
        Self { points, centers, assignments: vec![usize::MAX; points.len()], sums, counts: vec![0; k] }
    }

    /// Iterates until no point moves or the centers move by at most `tolerance`.
    fn run(mut self, tolerance: f64) -> (Self, usize) {
        for iteration in 1..=MAX_ITERATIONS {
            let moved = self.assign();
            if moved == 0 {
                return (self, iteration);
            }
            if self.update() <= tolerance {
                self.assign();
                return (self, iteration);
            }
        }
        self.assign();
        (self, MAX_ITERATIONS)
    }

    /// Gives every point to its nearest center, ties to the first, and empty clusters the points
    /// farthest from their centers; returns how many points moved.
    fn assign(&mut self) -> usize {
        let norms: Vec<f32> = self.centers.chunks_exact(self.points.dim).map(|row| dot(row, row)).collect();
        let nearest = self.points.products(&self.centers, |point, products| {
            let distances = products.iter().zip(&norms).map(|(product, norm)| product + norm).enumerate();
            let (cluster, distance) = distances.fold((0, f32::INFINITY), |best, (cluster, distance)| {
                if distance < best.1 { (cluster, distance) } else { best }
            });
            (cluster, distance + self.points.norms[point])
        });
        let (mut assignments, distances): (Vec<usize>, Vec<f32>) = nearest.into_iter().unzip();
        self.counts.fill(0);
        assignments.iter().for_each(|&cluster| self.counts[cluster] += 1);
        self.relocate_empty(&mut assignments, &distances);

        let moves: Vec<(usize, usize, usize)> = (self.assignments.iter().zip(&assignments).enumerate())
            .filter(|(_, (from, to))| from != to)
            .map(|(point, (&from, &to))| (point, from, to))
            .collect();
        self.assignments = assignments;
        self.move_sums(&moves);
        moves.len()
    }

    /// Each empty cluster takes the point farthest from its center out of a cluster that keeps another.
    fn relocate_empty(&mut self, assignments: &mut [usize], distances: &[f32]) {
        let empty: Vec<usize> = (0..self.counts.len()).filter(|&cluster| self.counts[cluster] == 0).collect();
        if empty.is_empty() {
            return;
        }
        let mut farthest: Vec<usize> = (0..distances.len()).collect();
        farthest.sort_by(|&a, &b| distances[b].total_cmp(&distances[a]));
        let mut farthest = farthest.into_iter();
        for cluster in empty {
            let Some(point) = farthest.find(|&point| self.counts[assignments[point]] > 1) else { return };
            self.counts[assignments[point]] -= 1;
            assignments[point] = cluster;
            self.counts[cluster] = 1;
        }
    }

    fn move_sums(&mut self, moves: &[(usize, usize, usize)]) {
        let points = self.points;
        self.sums.par_chunks_exact_mut(points.dim).enumerate().for_each(|(cluster, sum)| {
            for &(point, from, to) in moves {
                let values = sum.iter_mut().zip(points.row(point));
                if to == cluster {
                    values.for_each(|(sum, &value)| *sum += f64::from(value));
                } else if from == cluster {
                    values.for_each(|(sum, &value)| *sum -= f64::from(value));
                }
            }
        });
    }

    /// Moves every center to the mean of its points; returns the squared movement of all centers.
    fn update(&mut self) -> f64 {
        let dim = self.points.dim;
        let mut movement = 0.0;
        let clusters = self.centers.chunks_exact_mut(dim).zip(self.sums.chunks_exact(dim));
        for ((center, sum), &count) in clusters.zip(&self.counts).filter(|(_, count)| **count > 0) {
            for (value, sum) in center.iter_mut().zip(sum) {
                let mean = (sum / count as f64) as f32;
                movement += f64::from(mean - *value).powi(2);
                *value = mean;
            }
        }
        movement
    }

    /// The centers that have points, and the assignments to them.
    fn filled(self) -> (Vec<f32>, Vec<usize>) {
        let places: Vec<usize> = (self.counts.iter())
            .scan(0, |filled, &count| {
                let place = *filled;
                *filled += usize::from(count > 0);
                Some(place)
            })
            .collect();
        let rows = self.centers.chunks_exact(self.points.dim).zip(&self.counts);
        let centers = rows.filter(|(_, count)| **count > 0).flat_map(|(row, _)| row.iter().copied());
        (centers.collect(), self.assignments.iter().map(|&cluster| places[cluster]).collect())
    }
}

/// Sum of squared distances of `points` to their centers, in point order.
fn inertia(points: &[f32], centers: &[f32], assignments: &[usize], dim: usize) -> f64 {
    let distances: Vec<f64> = (points.par_chunks_exact(dim).zip(assignments))
        .map(|(point, &cluster)| {
            let center = &centers[cluster * dim..(cluster + 1) * dim];
            point.iter().zip(center).map(|(&x, &c)| (f64::from(x) - f64::from(c)).powi(2)).sum()
        })
        .collect();
    distances.iter().sum()
}

/// The scalar product, in eight sums that the compiler keeps in registers.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 8];
    for (a, b) in a.zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests;
