use proptest::prelude::*;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::*;
use crate::random::{Stream, rng};

fn names(categories: usize) -> Vec<String> {
    (0..categories).map(|category| format!("category {category}")).collect()
}

fn close(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
}

/// Scores with many ties, labels with unknowns, some categories without a positive.
fn random_data(seed: u64, images: usize, categories: usize) -> (Vec<f32>, Vec<i8>) {
    let mut rng = rng(seed, Stream::Synthetic, 0, 0);
    let scores = (0..images * categories).map(|_| rng.random_range(-8..8) as f32 / 4.0).collect();
    let labels = (0..images * categories)
        .map(|cell| match rng.random_range(0..6) {
            0 if cell % categories != 1 => 1,
            1 | 2 => 0,
            _ => -1,
        })
        .collect();
    (scores, labels)
}

/// Logits that know something of the labels, hardly a tie, labels with unknowns; and names.
pub(super) fn random_case(
    seed: u64,
    images: usize,
    categories: usize,
) -> (Vec<f32>, LabelMatrix, Vec<String>) {
    let mut rng = rng(seed, Stream::Synthetic, 1, 0);
    let values: Vec<i8> = (0..images * categories).map(|_| [1, -1, -1, 0][rng.random_range(0..4)]).collect();
    let scores = values.iter().map(|&value| f32::from(value) + rng.random_range(-4.0..3.0f32)).collect();
    (scores, LabelMatrix::from_values(categories, &values), names(categories))
}

fn evaluated(scores: &[f32], values: &[i8], categories: usize) -> Scores {
    evaluate(scores, &LabelMatrix::from_values(categories, values), &names(categories), 0.0).unwrap()
}

#[test]
fn equals_the_official_metrics() {
    // tests/fixtures/metrics.safetensors: HCP-MLR-PL's utils/metrics.py on random logits, in f64.
    let bytes =
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/metrics.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let doubles = |name: &str| -> Vec<f64> {
        let values = file.tensor(name).unwrap().data().chunks_exact(8);
        values.map(|value| f64::from_le_bytes(value.try_into().unwrap())).collect()
    };
    let logits: Vec<f32> = (file.tensor("logits").unwrap().data().chunks_exact(4))
        .map(|value| f32::from_le_bytes(value.try_into().unwrap()))
        .collect();
    let target: Vec<i8> = file.tensor("target").unwrap().data().iter().map(|&value| value as i8).collect();

    let categories = file.tensor("logits").unwrap().shape()[1];
    let scores = evaluated(&logits, &target, categories);
    close(scores.map, doubles("map_interpolated")[0]);
    // The official plain precision is summed in single precision, all the rest in double.
    let nearly =
        |actual: f64, expected: f64| assert!((actual - expected).abs() < 1e-7, "{actual} is not {expected}");
    nearly(scores.map_plain, doubles("map_plain")[0]);
    for (category, expected) in scores.per_category.iter().zip(doubles("average_precision")) {
        nearly(category.ap_plain, expected);
    }
    for (ratios, expected) in
        [(scores.all, doubles("op_or_of1_cp_cr_cf1")), (scores.top3, doubles("top3.op_or_of1_cp_cr_cf1"))]
    {
        let actual = [ratios.op, ratios.or, ratios.of1, ratios.cp, ratios.cr, ratios.cf1];
        for (actual, expected) in actual.into_iter().zip(expected) {
            close(actual, expected);
        }
    }
}

#[test]
fn equal_scores_share_the_rank_of_the_last_of_them() {
    // By hand, and sklearn.metrics.average_precision_score([0, 1, 1, 0, 1], [1, 1, 0, 0, 0]) = 0.5666…:
    // two at 1, one of them positive, then three at 0 (−0 equals +0), two of them positive: precision 1/2,
    // then 3/5 twice; envelope from the right 3/5 throughout.
    let scores = evaluated(&[1.0, 1.0, 0.0, -0.0, 0.0], &[-1, 1, 1, -1, 1], 1);
    close(scores.map_plain, (1.0 / 2.0 + 2.0 * 3.0 / 5.0) / 3.0);
    close(scores.map, 3.0 / 5.0);
    close(scores.tied, 1.0);
    // All at or above 0: five predicted, three of them right.
    close(scores.all.op, 0.6);
    close(scores.all.or, 1.0);
    close(scores.all.of1, 0.75);
    // A constant score is worth the share of positives, whatever the order.
    let constant = evaluated(&[0.5; 10], &[1, -1, -1, -1, -1, -1, -1, -1, -1, -1], 1);
    close(constant.map, 0.1);
    close(constant.map_plain, 0.1);
}

#[test]
fn no_number_depends_on_the_order_of_the_rows() {
    for seed in 0..20 {
        // Scores of random_data are rounded, so that many are equal.
        let (scores, labels) = random_data(seed, 40, 3);
        let mut order: Vec<usize> = (0..40).collect();
        order.shuffle(&mut rng(seed, Stream::Synthetic, 3, 0));
        let rows = |row: usize| row * 3..row * 3 + 3;
        let shuffled: Vec<f32> = order.iter().flat_map(|&row| scores[rows(row)].to_vec()).collect();
        let relabeled: Vec<i8> = order.iter().flat_map(|&row| labels[rows(row)].to_vec()).collect();
        let (before, after) = (evaluated(&scores, &labels, 3), evaluated(&shuffled, &relabeled, 3));
        assert!(before.tied > 0.5, "{}", before.tied);
        assert_eq!(before, after);
    }
}

#[test]
fn a_category_without_known_negatives_is_named() {
    let scores = evaluated(&[1.0, 2.0, 0.0, 1.0], &[1, 1, 0, -1], 2);
    assert_eq!(scores.without_negatives, ["category 0"]);
    assert!(
        scores.to_string().ends_with("no known negative, so that every ranking there is perfect: category 0")
    );
}

#[test]
fn top_three_are_taken_over_all_categories_and_must_reach_the_threshold() {
    // By hand. Row 0: the tie at 1 goes to categories 0, 1 and 2; category 1 is unknown, 3 is out.
    // Row 1: only category 3 reaches 0.
    let scores = evaluated(&[1.0, 1.0, 1.0, 1.0, -1.0, -2.0, -3.0, 0.0], &[1, 0, -1, 1, 1, -1, -1, -1], 4);
    close(scores.top3.op, 1.0 / 3.0);
    close(scores.top3.or, 1.0 / 3.0);
    // Categories 0 and 3 have positives: precision 1/1 and 0/1, recall 1/2 and 0/1.
    close(scores.top3.cp, 0.5);
    close(scores.top3.cr, 0.25);
    assert_eq!(scores.skipped_categories, ["category 1", "category 2"]);
}

#[test]
fn a_perfect_ranking_has_map_one_and_nothing_known_gives_zeros() {
    assert_eq!(evaluated(&[3.0, -2.0, 2.0, -1.0], &[1, -1, 1, 1], 2).map, 1.0);

    let nothing = evaluated(&[1.0, 2.0], &[0, 0], 2);
    let json = serde_json::to_string(&nothing).unwrap();
    assert!(!json.contains("null"), "{json}");
    assert_eq!((nothing.map, nothing.all.of1, nothing.top3.cf1), (0.0, 0.0, 0.0));
    assert_eq!(nothing.skipped_categories.len(), 2);

    let empty = evaluate(&[], &LabelMatrix::unknown(0, 3), &names(3), 0.0).unwrap();
    assert_eq!((empty.map, empty.images, empty.skipped_categories.len()), (0.0, 0, 3));
}

#[test]
fn interpolated_precision_is_never_below_the_plain_one() {
    for seed in 0..20 {
        let (scores, labels) = random_data(seed, 60, 5);
        let scores = evaluated(&scores, &labels, 5);
        assert!(scores.map >= scores.map_plain);
        assert!(scores.per_category.iter().all(|category| category.ap >= category.ap_plain));
        assert!((0.0..=1.0).contains(&scores.map));
    }
}

#[test]
fn permuting_the_categories_permutes_the_scores() {
    for seed in 0..10 {
        let (mut scores, labels) = random_data(seed, 40, 6);
        // Without ties between categories, whose top three depend on the order by definition.
        for (cell, score) in scores.iter_mut().enumerate() {
            *score += (cell % 6) as f32 * 1e-3;
        }
        let mut order: Vec<usize> = (0..6).collect();
        order.shuffle(&mut rng(seed, Stream::Synthetic, 1, 0));
        let rows = (0..40).flat_map(|image| order.iter().map(move |&category| image * 6 + category));
        let permuted_scores: Vec<f32> = rows.clone().map(|cell| scores[cell]).collect();
        let permuted_labels: Vec<i8> = rows.map(|cell| labels[cell]).collect();

        let before = evaluated(&scores, &labels, 6);
        let after = evaluated(&permuted_scores, &permuted_labels, 6);
        for (place, &category) in order.iter().enumerate() {
            let mut expected = before.per_category[category].clone();
            expected.name.clone_from(&after.per_category[place].name);
            assert_eq!(after.per_category[place], expected);
        }
        close(after.map, before.map);
        close(after.all.cf1, before.all.cf1);
        close(after.top3.of1, before.top3.of1);
    }
}

#[test]
fn unknown_cells_never_change_the_result() {
    for seed in 0..10 {
        let (scores, labels) = random_data(seed, 50, 4);
        let before = evaluated(&scores, &labels, 4);
        let mut changed = scores.clone();
        let mut rng = rng(seed, Stream::Synthetic, 2, 0);
        for (score, _) in changed.iter_mut().zip(&labels).filter(|(_, label)| **label == 0) {
            *score = rng.random_range(-9.0..9.0);
        }
        // The top three are another matter: an unknown cell may take one of the places.
        assert_eq!(Scores { top3: before.top3, ..evaluated(&changed, &labels, 4) }, before);
    }
}

#[test]
fn a_score_that_is_not_a_number_is_named() {
    let labels = LabelMatrix::from_values(2, &[1, 1, 1, 1]);
    let error = evaluate(&[0.0, 0.0, 0.0, f32::NAN], &labels, &names(2), 0.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the score of row 2 (counted from 1) in category \"category 1\" is not a number"
    );
    let error = evaluate(&[0.0; 3], &labels, &names(2), 0.0).unwrap_err();
    assert!(error.to_string().ends_with("2 images × 2 categories; expected 4"), "{error}");
    // Infinite scores have a place in the ranking.
    let infinite = [f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY, f32::INFINITY];
    close(evaluate(&infinite, &labels, &names(2), 0.0).unwrap().all.or, 0.5);
}

#[test]
fn json_has_the_names_that_scripts_rely_on() {
    let scores = evaluated(&[1.0, -1.0], &[1, -1], 2);
    let json = serde_json::to_value(&scores).unwrap();
    let keys = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let sorted = |mut names: Vec<&str>| {
        names.sort_unstable();
        names.into_iter().map(String::from).collect::<Vec<_>>()
    };
    let six = ["op", "or", "of1", "cp", "cr", "cf1"];
    let rest = ["map", "map_plain", "top3", "images", "categories", "skipped_categories", "per_category"];
    let rest = [&rest[..], &["without_negatives", "tied"]].concat();
    assert_eq!(sorted(keys(&json).iter().map(String::as_str).collect()), sorted([&six[..], &rest].concat()));
    assert_eq!(sorted(keys(&json["top3"]).iter().map(String::as_str).collect()), sorted(six.to_vec()));
    assert_eq!(
        sorted(keys(&json["per_category"][0]).iter().map(String::as_str).collect()),
        sorted(vec!["name", "ap", "ap_plain", "precision", "recall", "f1", "positives"])
    );
    assert_eq!(serde_json::from_value::<Scores>(json).unwrap(), scores);
}

#[test]
#[ignore = "a measurement: COCO's test split, 40,504 × 80"]
fn time_of_coco() {
    let (scores, labels) = random_data(0, 40_504, 80);
    let scores: Vec<f32> = scores.iter().enumerate().map(|(i, s)| s + (i as f32).sin()).collect();
    let labels = LabelMatrix::from_values(80, &labels);
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let map = evaluate(&scores, &labels, &names(80), 0.0).unwrap().map;
        println!("{:?} (mAP {map:.4})", start.elapsed());
    }
}

proptest! {
    /// What cannot change a metric does not: the order of images, another scale of scores that keeps their order, what is
    /// said of unknown cells.
    #[test]
    fn metrics_know_nothing_of_order_scale_and_unknown_cells(
        seed in 0_u64..1 << 40,
        images in 1_usize..40,
        categories in 1_usize..5,
    ) {
        let (scores, labels) = random_data(seed, images, categories);
        let matrix = LabelMatrix::from_values(categories, &labels);
        let measured = |scores: &[f32], labels: &LabelMatrix| {
            evaluate(scores, labels, &names(categories), 0.0).unwrap()
        };
        let scored = measured(&scores, &matrix);
        prop_assert!((0.0..=1.0).contains(&scored.map) && (0.0..=1.0).contains(&scored.map_plain));

        let mut order: Vec<usize> = (0..images).collect();
        order.shuffle(&mut rng(seed, Stream::Synthetic, 3, 0));
        let shuffled: Vec<f32> =
            order.iter().flat_map(|&row| scores[row * categories..(row + 1) * categories].to_vec()).collect();
        let other = measured(&shuffled, &matrix.select(&order));
        prop_assert!((other.map - scored.map).abs() < 1e-12 && (other.map_plain - scored.map_plain).abs() < 1e-12);
        // Exact in floating point, ties stay ties and the threshold 0 stays where it is.
        let scaled: Vec<f32> = scores.iter().map(|score| score * 4.0).collect();
        prop_assert_eq!(&measured(&scaled, &matrix), &scored);
        let unknown = |cell: usize| labels[cell] == 0;
        let changed: Vec<f32> = (0..scores.len())
            .map(|cell| if unknown(cell) { 1.0 - scores[cell] } else { scores[cell] })
            .collect();
        let blind = measured(&changed, &matrix);
        prop_assert_eq!((blind.map, blind.map_plain), (scored.map, scored.map_plain));
    }
}

#[test]
fn every_label_belongs_to_its_own_row_in_many_rows() {
    let values: Vec<i8> = (0..2 * 3000).map(|cell| if cell * 7 / 11 % 3 == 0 { 1 } else { -1 }).collect();
    let logits: Vec<f32> = values.iter().map(|&value| f32::from(value)).collect();
    let scores = evaluated(&logits, &values, 2);
    assert_eq!((scores.map, scores.all.op, scores.all.or, scores.all.cf1), (1.0, 1.0, 1.0, 1.0));
    let labels = LabelMatrix::from_values(2, &values);
    let half = thresholds().iter().position(|&threshold| threshold == 0.5).unwrap();
    for (histogram, category) in histograms(&logits, &labels, Scale::Logits).iter().zip(&scores.per_category)
    {
        let Claims { claimed, correct, recall, .. } = histogram.at(half);
        assert_eq!((claimed, correct, recall), (category.positives, category.positives, 1.0));
    }
}

#[test]
fn the_harmonic_mean_lies_between_its_parts() {
    assert_eq!(
        [(0.5, 0.5), (1.0, 0.5), (0.0, 0.5), (0.0, 0.0)].map(|(a, b)| harmonic_mean(a, b)),
        [0.5, 2.0 / 3.0, 0.0, 0.0]
    );
}
