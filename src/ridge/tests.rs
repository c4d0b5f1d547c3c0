use faer::MatRef;
use rand::RngExt;
use sarb_labels::metrics::evaluate;
use sarb_labels::random::{Stream, rng};

use super::*;

impl Ridge {
    /// Scores of `features`, `M × F` `->` `M × C`.
    pub fn scores(&self, features: &[f32]) -> Vec<f32> {
        let categories = self.intercepts.len();
        if features.is_empty() || categories == 0 {
            return Vec::new();
        }
        let dim = self.weights.len() / categories;
        let rows = features.len() / dim;
        let features = MatRef::from_row_major_slice(features, rows, dim);
        let weights = MatRef::from_row_major_slice(&self.weights, categories, dim);
        let products = centered::product(features, weights.transpose(), Par::rayon(0));
        (0..rows)
            .flat_map(|row| (0..categories).map(move |category| (row, category)))
            .map(|(row, category)| products[(row, category)] + self.intercepts[category])
            .collect()
    }
}

/// Features around an offset, labels by a noisy linear rule, a part of them known.
pub(super) fn random_data(
    seed: u64,
    n: usize,
    dim: usize,
    categories: usize,
    known: f64,
) -> (Vec<f32>, LabelMatrix) {
    let mut rng = rng(seed, Stream::Synthetic, 0, 0);
    let features: Vec<f32> = (0..n * dim).map(|_| rng.random_range(-1.0..1.0f32) + 3.0).collect();
    let rules: Vec<f32> = (0..categories * dim).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut labels = LabelMatrix::unknown(n, categories);
    for (image, row) in features.chunks(dim).enumerate() {
        for (category, rule) in rules.chunks(dim).enumerate() {
            let score: f32 = row.iter().zip(rule).map(|(x, w)| (x - 3.0) * w).sum();
            let positive = score + rng.random_range(-0.5..0.5) > 0.3;
            if rng.random::<f64>() < known {
                labels.set(image, category, if positive { Label::Positive } else { Label::Negative });
            }
        }
    }
    (features, labels)
}

/// Known rows of a category and their targets ±1.
pub(super) fn known(
    features: &[f32],
    dim: usize,
    labels: &LabelMatrix,
    category: usize,
) -> (Vec<Vec<f64>>, Vec<f64>) {
    let rows = features.chunks(dim).map(|row| row.iter().map(|&x| f64::from(x)).collect());
    rows.zip(labels.column(category))
        .filter(|(_, label)| *label != Label::Unknown)
        .map(|(row, label)| (row, f64::from(label as i8)))
        .unzip()
}

/// Ridge by its normal equations with an unpenalized intercept, solved by elimination in f64:
/// weights, then the intercept.
pub(super) fn direct(rows: &[Vec<f64>], targets: &[f64], lambda: f64) -> Vec<f64> {
    let size = rows[0].len() + 1;
    let mut system = vec![vec![0.0; size + 1]; size];
    for (row, target) in rows.iter().zip(targets) {
        let extended: Vec<f64> = row.iter().copied().chain([1.0, *target]).collect();
        for (i, line) in system.iter_mut().enumerate() {
            line.iter_mut().zip(&extended).for_each(|(entry, value)| *entry += extended[i] * value);
        }
    }
    (0..size - 1).for_each(|i| system[i][i] += lambda);
    for pivot in 0..size {
        let best = (pivot..size).max_by(|&a, &b| system[a][pivot].abs().total_cmp(&system[b][pivot].abs()));
        system.swap(pivot, best.unwrap());
        let line = system[pivot].clone();
        for (_, other) in system.iter_mut().enumerate().filter(|(i, _)| *i != pivot) {
            let factor = other[pivot] / line[pivot];
            other.iter_mut().zip(&line).for_each(|(entry, value)| *entry -= factor * value);
        }
    }
    (0..size).map(|i| system[i][size] / system[i][i]).collect()
}

fn predict(solution: &[f64], row: &[f64]) -> f64 {
    row.iter().zip(solution).map(|(x, w)| x * w).sum::<f64>() + solution[row.len()]
}

/// Scores of all rows, each by the direct solution without it.
pub(super) fn leave_one_out(rows: &[Vec<f64>], targets: &[f64], lambda: f64) -> Vec<f64> {
    (0..rows.len())
        .map(|left_out| {
            let keep = |i: &usize| *i != left_out;
            let others: Vec<Vec<f64>> = (0..rows.len()).filter(keep).map(|i| rows[i].clone()).collect();
            let other_targets: Vec<f64> = (0..rows.len()).filter(keep).map(|i| targets[i]).collect();
            predict(&direct(&others, &other_targets, lambda), &rows[left_out])
        })
        .collect()
}

pub(super) fn squared_error(scores: &[f64], targets: &[f64]) -> f64 {
    scores.iter().zip(targets).map(|(score, target)| (score - target).powi(2)).sum()
}

#[test]
fn equals_the_direct_solution_and_brute_force_leave_one_out() {
    // More rows than features, as many, and fewer. Tolerance: the products are in single precision.
    for (seed, n, dim) in [(0, 60, 5), (1, 40, 20), (2, 16, 12), (3, 24, 30)] {
        let (features, labels) = random_data(seed, n, dim, 3, 0.7);
        let ridge = fit(&features, &[dim], &labels, SoftLabels::none(), false);
        for category in 0..3 {
            let (rows, targets) = known(&features, dim, &labels, category);
            let lambda = ridge.lambdas[category];
            assert!(lambda > 0.0);
            let solution = direct(&rows, &targets, lambda);
            let weights = &ridge.weights[category * dim..(category + 1) * dim];
            for (actual, expected) in weights.iter().zip(&solution) {
                assert!((f64::from(*actual) - expected).abs() < 1e-4, "{actual} is not {expected}");
            }
            let intercept = f64::from(ridge.intercepts[category]);
            assert!((intercept - solution[dim]).abs() < 1e-3, "{intercept} is not {}", solution[dim]);

            let expected = leave_one_out(&rows, &targets, lambda);
            assert_eq!(ridge.loo_scores[category].len(), expected.len());
            for (actual, expected) in ridge.loo_scores[category].iter().zip(&expected) {
                assert!((f64::from(*actual) - expected).abs() < 1e-3, "{actual} is not {expected}");
            }
        }
    }
}

#[test]
fn the_penalty_has_the_smallest_leave_one_out_error_of_its_neighbors() {
    for (seed, n, dim) in [(5, 60, 5), (6, 20, 12)] {
        let (features, labels) = random_data(seed, n, dim, 2, 0.9);
        let ridge = fit(&features, &[dim], &labels, SoftLabels::none(), false);
        for category in 0..2 {
            let (rows, targets) = known(&features, dim, &labels, category);
            let error = |lambda: f64| squared_error(&leave_one_out(&rows, &targets, lambda), &targets);
            let (lambda, step) = (ridge.lambdas[category], 10f64.sqrt());
            // Nearly equal errors may change order in single precision.
            assert!(error(lambda) <= error(lambda * step) + 1e-4);
            assert!(error(lambda) <= error(lambda / step) + 1e-4);
        }
    }
}

#[test]
fn separable_categories_reach_map_one() {
    let (dim, n) = (8, 1500); // More rows than one block.
    let mut rng = rng(9, Stream::Synthetic, 0, 0);
    // No value between 0.1 and 0.7, so that a linear score with some noise still separates.
    let features: Vec<f32> =
        (0..n * dim)
            .map(|_| {
                if rng.random::<f64>() < 0.2 {
                    rng.random_range(0.7..1.0)
                } else {
                    rng.random_range(-0.5..0.1)
                }
            })
            .collect();
    let values: Vec<i8> =
        features.chunks(dim).flat_map(|row| [row[0], row[3]].map(|x| if x > 0.4 { 1 } else { -1 })).collect();
    let labels = LabelMatrix::from_values(2, &values);
    let ridge = fit(&features, &[dim], &labels, SoftLabels::none(), false);
    let names = ["a".to_owned(), "b".to_owned()];
    let scores = evaluate(&ridge.scores(&features), &labels, &names, 0.0).unwrap();
    assert_eq!(scores.map, 1.0);
    assert!(ridge.weights[0] > 0.5 && ridge.weights[dim + 3] > 0.5);
}

#[test]
fn categories_that_share_their_known_rows_do_not_change_each_other() {
    let (features, labels) = random_data(11, 50, 6, 4, 1.0);
    let together = fit(&features, &[6], &labels, SoftLabels::none(), true);
    for category in 0..4 {
        let values: Vec<i8> = labels.column(category).map(|label| label as i8).collect();
        let alone = fit(&features, &[6], &LabelMatrix::from_values(1, &values), SoftLabels::none(), true);
        let weights = &together.weights[category * 6..(category + 1) * 6];
        assert!(weights.iter().zip(&alone.weights).all(|(a, b)| (a - b).abs() < 1e-6));
        assert_eq!(together.lambdas[category], alone.lambdas[0]);
    }
}

#[test]
fn standardizing_ignores_the_unit_of_a_feature() {
    let (features, labels) = random_data(12, 80, 5, 2, 0.8);
    let rescaled: Vec<f32> =
        features.iter().enumerate().map(|(i, x)| if i % 5 == 2 { x * 1000.0 } else { *x }).collect();
    let expected = fit(&features, &[5], &labels, SoftLabels::none(), true).scores(&features);
    let difference =
        |scores: Vec<f32>| scores.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(difference(fit(&rescaled, &[5], &labels, SoftLabels::none(), true).scores(&rescaled)) < 1e-3);
    assert!(difference(fit(&rescaled, &[5], &labels, SoftLabels::none(), false).scores(&rescaled)) > 1e-2);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    for (n, dim) in [(300, 40), (60, 90)] {
        let (features, labels) = random_data(13, n, dim, 5, 0.6);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| fit(&features, &[dim], &labels, SoftLabels::none(), false))
        };
        let one = with(1);
        assert_eq!(one, with(2));
        assert_eq!(one, with(7));
    }
}

#[test]
fn degenerate_data_stays_finite() {
    let finite = |features: &[f32], dim: usize, categories: usize, values: &[i8]| {
        let labels = LabelMatrix::from_values(categories, values);
        let mut last = None;
        for standardize in [false, true] {
            let ridge = fit(features, &[dim], &labels, SoftLabels::none(), standardize);
            let numbers =
                ridge.weights.iter().chain(&ridge.intercepts).chain(ridge.loo_scores.iter().flatten());
            assert!(numbers.copied().all(f32::is_finite), "{ridge:?}");
            assert!(ridge.lambdas.iter().all(|lambda| lambda.is_finite()));
            assert!(ridge.scores(features).iter().all(|score| score.is_finite()));
            last = Some(ridge);
        }
        last.unwrap()
    };
    // One image; one known cell; no positive; no negative; nothing known.
    let one = finite(&[1.0, 2.0], 2, 3, &[1, -1, 0]);
    assert_eq!(one.intercepts, [2.0 * 2.0 / 3.0 - 1.0, 2.0 / 3.0 - 1.0, 0.0]);
    assert_eq!(one.loo_scores.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0]);
    finite(&[1.0, 2.0, 3.0, 4.0], 2, 1, &[0, 1]);
    let no_positive = finite(&[1.0, 2.0, 3.0, 4.0], 2, 1, &[-1, -1]);
    assert_eq!(no_positive.weights, [0.0, 0.0]);
    // One positive and one negative; equal rows; a constant feature, also far from 0; no image.
    finite(&[1.0, 2.0, 3.0, 4.0], 2, 1, &[-1, 1]);
    finite(&[5.0; 8], 2, 1, &[-1, 1, 1, -1]);
    let constant = finite(&[1e6, 0.0, 1e6, 1.0, 1e6, 0.5, 1e6, 2.0], 2, 1, &[-1, 1, -1, 1]);
    assert_eq!(constant.weights[0], 0.0);
    assert!(constant.weights[1] > 0.0);
    // More features than rows, some rows equal; tiny and huge features.
    finite(&[1.0, 2.0, 3.0, 1.0, 2.0, 3.0, 0.0, 1.0, 1.0], 3, 1, &[1, -1, -1]);
    for unit in [1e-35, 1e-25, 1e25] {
        finite(&[unit, 2.0 * unit, -unit, 3.0 * unit, unit, unit], 2, 1, &[1, -1, 1]);
    }
    let none = fit(&[], &[4], &LabelMatrix::unknown(0, 2), SoftLabels::none(), false);
    assert_eq!((none.weights, none.intercepts), (vec![0.0; 8], vec![0.0; 2]));
}

#[test]
#[ignore = "a measurement: N 8,000, F 1,280, C 18"]
fn time_of_coco18() {
    for known in [0.1, 0.5, 0.9, 1.0] {
        let (features, labels) = random_data(0, 8000, 1280, 18, known);
        let start = std::time::Instant::now();
        let ridge = fit(&features, &[1280], &labels, SoftLabels::none(), false);
        println!("known {known}: {:?}, λ {:?}", start.elapsed(), &ridge.lambdas[..4]);
    }
}

#[test]
fn a_probable_label_is_fitted_as_its_expected_target() {
    let (n, dim, lambda_factor) = (30, 4, 0.7);
    let (features, labels) = random_data(21, n, dim, 1, 0.6);
    let mut values: Vec<i8> = labels.column(0).map(|label| label as i8).collect();
    values[..3].copy_from_slice(&[1, -1, 0]);
    let labels = LabelMatrix::from_values(1, &values);
    let unknown: Vec<usize> = (0..n).filter(|&row| values[row] == 0).collect();
    let probabilities = |row: usize| 0.1 + 0.8 * row as f32 / n as f32;
    let soft = SoftLabels::new(n, unknown.iter().map(|&row| (row, 0, probabilities(row))).collect());
    let target = |row: usize| match values[row] {
        0 => 2.0 * f64::from(probabilities(row)) - 1.0,
        label => f64::from(label),
    };
    let rows: Vec<Vec<f64>> =
        features.chunks_exact(dim).map(|row| row.iter().map(|&x| f64::from(x)).collect()).collect();
    let targets: Vec<f64> = (0..n).map(target).collect();
    let known: Vec<usize> = (0..n).filter(|&row| values[row] != 0).collect();
    for ridge in [
        fit(&features, &[dim], &labels, &soft, false),
        fit_fixed(&features, &[dim], &labels, &soft, lambda_factor, &[false]),
    ] {
        let lambda = ridge.lambdas[0];
        let solution = direct(&rows, &targets, lambda);
        assert!((f64::from(ridge.intercepts[0]) - solution[dim]).abs() < 1e-3, "{ridge:?}");
        let close = |(own, other): (&f32, &f64)| (f64::from(*own) - other).abs() < 1e-4;
        assert!(ridge.weights.iter().zip(&solution).all(close), "{:?} {solution:?}", ridge.weights);
        // Of the known rows alone there are scores without themselves.
        let left_out = leave_one_out(&rows, &targets, lambda);
        assert_eq!(ridge.loo_scores[0].len(), known.len());
        for (score, &row) in ridge.loo_scores[0].iter().zip(&known) {
            assert!((f64::from(*score) - left_out[row]).abs() < 1e-3, "{score} {}", left_out[row]);
        }
    }
    // The penalty is the one that is best on what is known.
    let ridge = fit(&features, &[dim], &labels, &soft, false);
    let error = |lambda: f64| -> f64 {
        let left_out = leave_one_out(&rows, &targets, lambda);
        known.iter().map(|&row| (left_out[row] - targets[row]).powi(2)).sum()
    };
    let own = error(ridge.lambdas[0]);
    let half_decade = 10f64.sqrt();
    assert!(own <= error(ridge.lambdas[0] * half_decade) * 1.0001);
    assert!(own <= error(ridge.lambdas[0] / half_decade) * 1.0001);
}
