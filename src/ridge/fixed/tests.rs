use super::super::tests::{direct, known, leave_one_out, random_data, squared_error};
use super::*;

/// Penalty, weights and intercept, and leave-one-out scores of a category at the fixed penalty, by the normal equations.
fn direct_fixed(
    features: &[f32],
    dim: usize,
    labels: &LabelMatrix,
    factor: f64,
) -> (f64, Vec<f64>, Vec<f64>) {
    let (rows, targets) = known(features, dim, labels, 0);
    let n = rows.len() as f64;
    let mean: Vec<f64> = (0..dim).map(|j| rows.iter().map(|row| row[j]).sum::<f64>() / n).collect();
    let length = |row: &Vec<f64>| row.iter().zip(&mean).map(|(x, mean)| (x - mean).powi(2)).sum::<f64>();
    let lambda = factor * rows.iter().map(length).sum::<f64>() / n;
    (lambda, direct(&rows, &targets, lambda), leave_one_out(&rows, &targets, lambda))
}

#[test]
fn a_fixed_penalty_equals_the_normal_equations_by_rows_and_by_features() {
    for (n, dim, known_share) in [(40, 60, 0.7), (60, 12, 0.7)] {
        let (features, labels) = random_data(3, n, dim, 1, known_share);
        let ridge = fit_fixed(&features, &[dim], &labels, SoftLabels::none(), 0.05, &[false]);
        let (lambda, expected, loo) = direct_fixed(&features, dim, &labels, 0.05);
        assert!((ridge.lambdas[0] / lambda - 1.0).abs() < 1e-4, "{} is not {lambda}", ridge.lambdas[0]);
        let found: Vec<f32> = ridge.weights.iter().chain(&ridge.intercepts).copied().collect();
        assert!(largest_gap(&found, &expected) < 2e-3, "{n} × {dim}: {}", largest_gap(&found, &expected));
        let gap = largest_gap(&ridge.loo_scores[0], &loo);
        assert!(gap < 2e-3, "{n} × {dim}: {gap}");
    }
}

fn largest_gap(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

#[test]
fn blocks_count_alike_whatever_their_scale() {
    let (features, labels) = random_data(5, 50, 9, 2, 0.8);
    let scale = |factor: f32| -> Vec<f32> {
        let row = |row: &[f32]| {
            row.iter().enumerate().map(|(at, x)| if at < 3 { x * factor } else { *x }).collect()
        };
        features.chunks(9).flat_map(|it| -> Vec<f32> { row(it) }).collect()
    };
    let (small, large) = (scale(1e-2), scale(1e2));
    let scores = |features: &[f32]| {
        fit_fixed(features, &[3, 6], &labels, SoftLabels::none(), 2.0, &[false; 2]).scores(features)
    };
    let gap = scores(&small).iter().zip(scores(&large)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(gap < 1e-3, "{gap}");
    let one = fit_fixed(&small, &[9], &labels, SoftLabels::none(), 2.0, &[false; 2]).scores(&small);
    let gap = one.iter().zip(scores(&small)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(gap > 1e-2, "in one block the small features hardly count: {gap}");
}

#[test]
fn a_fixed_penalty_survives_known_rows_that_are_all_alike() {
    let (features, labels) = random_data(7, 80, 200, 1, 1.0);
    let alike: Vec<f32> = features
        .chunks(200)
        .enumerate()
        .flat_map(|(row, values)| if row < 60 { &features[..200] } else { values })
        .copied()
        .collect();
    let values: Vec<i8> = (0..80)
        .map(|row| {
            if row >= 60 {
                0
            } else if row % 3 == 0 {
                1
            } else {
                -1
            }
        })
        .collect();
    assert_eq!(labels.images(), values.len());
    let ridge =
        fit_fixed(&alike, &[200], &LabelMatrix::from_values(1, &values), SoftLabels::none(), 2.0, &[false]);
    assert!(ridge.weights.iter().all(|weight| weight.abs() < 1e-2), "there is nothing to tell them by");
    // What rounding may leave: 1e-4 of the squared length of a row.
    let mean =
        |column: usize| alike.iter().skip(column).step_by(200).map(|&x| f64::from(x)).sum::<f64>() / 80.0;
    let means: Vec<f64> = (0..200).map(mean).collect();
    let squares = alike
        .chunks(200)
        .flat_map(|row| row.iter().zip(&means).map(|(&x, mean)| (f64::from(x) - mean).powi(2)));
    let length = squares.sum::<f64>() / 80.0;
    assert!((ridge.lambdas[0] / (1e-4 * length) - 1.0).abs() < 1e-3, "{} of {length}", ridge.lambdas[0]);
    assert!(ridge.loo_scores[0].iter().all(|score| score.is_finite() && score.abs() < 1.0));
}

#[test]
fn a_fixed_penalty_leaves_categories_without_both_labels_at_their_prior() {
    let labels = LabelMatrix::from_values(3, &[1, 0, 1, 1, 0, -1, 1, 0, -1]);
    let ridge = fit_fixed(&[0.5, 0.5, 0.5], &[1], &labels, SoftLabels::none(), 2.0, &[false; 3]);
    assert_eq!(ridge.weights, [0.0; 3], "a constant feature says nothing");
    let prior = |positive: f32, known: f32| 2.0 * (positive + 1.0) / (known + 2.0) - 1.0;
    assert_eq!(ridge.intercepts[..2], [prior(3.0, 3.0), prior(0.0, 0.0)]);
    assert!(
        (ridge.intercepts[2] - -1.0 / 3.0).abs() < 1e-6
            && ridge.loo_scores[2].iter().all(|it| it.is_finite())
    );
}

#[test]
fn a_doubtful_category_has_the_penalty_of_six_with_the_smallest_leave_one_out_error() {
    let factor = 0.01;
    for (n, dim) in [(40, 60), (60, 12)] {
        // Category 0 is noise, so more penalty is better; category 1 is the same, but sure.
        let (features, labels) = random_data(31, n, dim, 1, 1.0);
        let noise = |row: usize| if row * 7 % 5 < 2 { 1 } else { -1 };
        let values: Vec<i8> = (0..n).flat_map(|row| [noise(row), noise(row)]).collect();
        assert_eq!(labels.images(), n);
        let labels = LabelMatrix::from_values(2, &values);
        let ridge = fit_fixed(&features, &[dim], &labels, SoftLabels::none(), factor, &[true, false]);
        let (rows, targets) = known(&features, dim, &labels, 0);
        let first = ridge.lambdas[1];
        let error = |times: f64| squared_error(&leave_one_out(&rows, &targets, first * times), &targets);
        let best = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
            .into_iter()
            .min_by(|&a, &b| error(a).total_cmp(&error(b)))
            .unwrap();
        assert!(best > 1.0, "the noise asks for more");
        assert!((ridge.lambdas[0] / (first * best) - 1.0).abs() < 1e-5, "{:?} {best}", ridge.lambdas);
        let left_out = leave_one_out(&rows, &targets, ridge.lambdas[0]);
        assert!(largest_gap(&ridge.loo_scores[0], &left_out) < 2e-3);
        assert_ne!(ridge.weights[..dim], ridge.weights[dim..]);
    }
}
