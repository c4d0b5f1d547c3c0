use proptest::prelude::*;

use super::*;
use crate::labels::Label;

/// Images in which each category is positive about once in 2, 4, 8, … 1024, categories independent.
fn long_tailed(images: usize) -> LabelMatrix {
    let mut random = Random::new(11);
    let mut labels = LabelMatrix::filled(images, 40, Label::Negative);
    for image in 0..images {
        for category in 0..40 {
            if random.below(2 << (category / 4)) == 0 {
                labels.set(image, category, Label::Positive);
            }
        }
    }
    labels
}

/// A split of the same sizes at random.
fn random_split(images: usize, shares: &[f64], seed: u64) -> Vec<Vec<usize>> {
    let mut rest = Random::new(seed).permutation(images);
    sizes(images, shares).into_iter().map(|size| rest.drain(..size).collect()).collect()
}

/// For every category by how many positives a part differs from its share, at worst over the parts.
fn errors(labels: &LabelMatrix, parts: &[Vec<usize>], shares: &[f64]) -> Vec<f64> {
    let all = labels.counts();
    let mut errors = vec![0.0; labels.categories()];
    for (part, share) in parts.iter().zip(shares) {
        for (category, (positives, _)) in labels.select(part).counts().into_iter().enumerate() {
            let error = (positives as f64 - share * all[category].0 as f64).abs();
            errors[category] = f64::max(errors[category], error);
        }
    }
    errors
}

fn assert_partition(parts: &[Vec<usize>], images: usize, shares: &[f64]) {
    let mut rows = parts.concat();
    rows.sort_unstable();
    assert_eq!(rows, (0..images).collect::<Vec<_>>());
    for (part, share) in parts.iter().zip(shares) {
        assert!(part.is_sorted());
        let exact = share * images as f64;
        assert!((part.len() as f64 - exact).abs() < 1.0 + 1e-6, "{} for {exact}", part.len());
    }
}

proptest! {
    #[test]
    fn every_row_is_in_one_part_and_sizes_are_exact_to_one(
        (categories, values) in (1..90usize).prop_flat_map(|categories| {
            let row = prop::collection::vec(-1..=1i8, categories);
            (Just(categories), prop::collection::vec(row, 0..150))
        }),
        weights in prop::collection::vec(0..10u32, 1..5), seed: u64,
    ) {
        let labels = LabelMatrix::from_values(categories, &values.concat());
        let sum: u32 = weights.iter().sum();
        prop_assume!(sum > 0);
        let shares: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / f64::from(sum)).collect();
        let parts = split(&labels, &shares, seed);
        assert_partition(&parts, labels.images(), &shares);
        prop_assert_eq!(split(&labels, &shares, seed), parts);
    }
}

#[test]
fn rare_categories_keep_their_share_better_than_at_random() {
    let labels = long_tailed(5000);
    let rare = |errors: Vec<f64>| errors[24..].iter().sum::<f64>() / 16.0;
    for shares in [&[0.9, 0.1][..], &[0.8, 0.1, 0.1], &[0.25; 4]] {
        for seed in 0..3 {
            let parts = split(&labels, shares, seed);
            let stratified = errors(&labels, &parts, shares);
            for (error, (positives, _)) in stratified.iter().zip(labels.counts()) {
                assert!(*error < 1.0 + 0.01 * positives as f64, "{shares:?}, {positives}: {stratified:?}");
            }
            let random = errors(&labels, &random_split(5000, shares, seed), shares);
            assert!(rare(stratified.clone()) < 0.5 * rare(random.clone()), "{stratified:?} {random:?}");
        }
    }
}

#[test]
fn the_rarest_category_is_shared_out_first_and_evenly() {
    // Category 1 is in two images; category 0 is in every image, so it cannot decide where these go.
    let labels = LabelMatrix::from_values(2, &[1, -1, 1, 1, 1, -1, 1, 1]);
    for seed in 0..20 {
        let parts = split(&labels, &[0.5, 0.5], seed);
        for part in &parts {
            assert_eq!((part.len(), labels.select(part).counts()[1].0), (2, 1), "{parts:?}");
        }
    }
}

#[test]
fn few_known_negatives_are_shared_out_too() {
    // 400 images; the only category is positive in 200, negative in 20 and unknown in 180.
    let mut values = [[1; 200].as_slice(), &[-1; 20], &[0; 180]].concat();
    for seed in 0..20 {
        values.rotate_left(37);
        let labels = LabelMatrix::from_values(1, &values);
        let parts = split(&labels, &[0.9, 0.1], seed);
        assert_eq!(labels.select(&parts[1]).counts(), [(20, 22)]);
    }
}

#[test]
fn parts_are_spread_over_the_file() {
    // The positives come in file order; without a random order the first nine tenths would all train.
    let labels = LabelMatrix::filled(10_000, 1, Label::Positive);
    let validation = &split(&labels, &[0.9, 0.1], 5)[1];
    let mean = validation.iter().sum::<usize>() as f64 / 1000.0;
    // The mean of 1,000 of 10,000 rows has a standard deviation of 87.
    assert!((mean - 5000.0).abs() < 5.0 * 87.0, "{mean}");
}

#[test]
fn seeds_give_other_splits() {
    let labels = long_tailed(500);
    assert_ne!(split(&labels, &[0.9, 0.1], 0), split(&labels, &[0.9, 0.1], 1));
}

#[test]
fn one_part_no_image_and_no_known_label_are_split_too() {
    let labels = long_tailed(100);
    assert_eq!(split(&labels, &[1.0], 0), [(0..100).collect::<Vec<_>>()]);
    assert_eq!(split(&labels, &[0.0, 1.0], 0), [vec![], (0..100).collect::<Vec<_>>()]);
    assert_eq!(split(&LabelMatrix::unknown(0, 3), &[0.5, 0.5], 0), [[0; 0]; 2]);
    let unknown = split(&LabelMatrix::unknown(100, 3), &[0.7, 0.3], 0);
    assert_partition(&unknown, 100, &[0.7, 0.3]);
    let no_category = split(&LabelMatrix::unknown(10, 0), &[0.7, 0.3], 0);
    assert_partition(&no_category, 10, &[0.7, 0.3]);
}

#[test]
#[should_panic(expected = "are not proportions that sum to 1")]
fn shares_that_do_not_sum_to_one_are_refused() {
    split(&LabelMatrix::unknown(3, 1), &[0.5, 0.4], 0);
}

#[test]
#[should_panic(expected = "are not proportions that sum to 1")]
fn shares_that_are_no_numbers_are_refused() {
    split(&LabelMatrix::unknown(3, 1), &[f64::NAN, 1.0], 0);
}

#[test]
fn sizes_are_rounded_by_the_largest_fractions() {
    assert_eq!(sizes(10, &[0.9, 0.1]), [9, 1]);
    assert_eq!(sizes(5, &[0.5, 0.5]), [3, 2]);
    assert_eq!(sizes(10, &[0.54, 0.23, 0.23]), [6, 2, 2]);
    assert_eq!(sizes(5011, &[1.0 - 0.1 - 0.2, 0.1, 0.2]), [3508, 501, 1002]);
}

#[test]
fn shares_of_the_flags_are_checked() {
    assert_eq!(shares(0.25, 0.5).unwrap(), [0.25, 0.25, 0.5]);
    assert_eq!(shares(0.25, 0.25).unwrap(), [0.5, 0.25, 0.25]);
    assert_eq!(
        (shares(0.25, 0.0).unwrap(), shares(0.0, 0.25).unwrap()),
        ([0.75, 0.25, 0.0], [0.75, 0.0, 0.25])
    );
    let usage = |val: f64, test: f64| {
        let error = shares(val, test).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Usage);
        error.to_string()
    };
    assert_eq!(usage(1.5, 0.0), "--val 1.5: expected a proportion from 0 to below 1, such as 0.1 for 10 %");
    assert!(usage(0.1, -0.1).starts_with("--test -0.1: expected a proportion"));
    assert!(usage(f64::NAN, 0.0).starts_with("--val NaN"));
    assert_eq!(
        usage(0.6, 0.5),
        "--val 0.6 and --test 0.5 leave nothing for training; expected a sum below 1"
    );
    assert!(usage(0.0, 0.0).contains("nothing to split off"));
}

#[test]
fn of_parts_that_lack_as_much_each_is_as_likely() {
    // The first image is alone in its category and so the first to be put anywhere.
    let labels = LabelMatrix::from_values(2, &[1, 0, 0, 1, 0, 1]);
    let mut counts = [0; 3];
    for seed in 0..300 {
        let parts = split(&labels, &[1.0 / 3.0; 3], seed);
        counts[parts.iter().position(|part| part.contains(&0)).unwrap()] += 1;
    }
    // 100 each, give or take five standard deviations of 8.2.
    assert!(counts.iter().all(|count| (60..=140).contains(count)), "{counts:?}");
}
