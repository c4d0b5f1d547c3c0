use proptest::prelude::*;

use super::*;
use crate::labels::Label;

/// Frequent, rare and never positive categories; a third unknown.
fn matrix(images: usize, categories: usize) -> LabelMatrix {
    let mut labels = LabelMatrix::unknown(images, categories);
    for (image, category) in
        (0..images).flat_map(|image| (0..categories).map(move |category| (image, category)))
    {
        let random = ((image * categories + category) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        let label = match random % 3 {
            0 => Label::Unknown,
            _ if (random / 3) as usize % (category * category + 1) == 1 => Label::Positive,
            _ => Label::Negative,
        };
        labels.set(image, category, label);
    }
    labels
}

proptest! {
    #[test]
    fn quotas_are_exact_in_all_near_their_share_and_nested(
        positives in 0..50usize, negatives in 0..200usize, known in 0.0..=1.0, more in 0.0..=1.0,
    ) {
        let all = positives + negatives;
        let [less, more] = [f64::min(known, more), f64::max(known, more)];
        let [negatives_kept, positives_kept] = quota((positives, all), less);
        prop_assert_eq!(negatives_kept + positives_kept, (less * all as f64).round() as usize);
        prop_assert!(negatives_kept <= negatives && positives_kept <= positives);
        let share = less * positives as f64;
        prop_assert!((positives_kept as f64 - share).abs() <= 1.0 + 1e-9, "{} for {}", positives_kept, share);
        let later = quota((positives, all), more);
        prop_assert!(negatives_kept <= later[0] && positives_kept <= later[1]);
    }
}

#[test]
fn quotas_equal_those_by_hand() {
    assert_eq!(quota((0, 0), 0.5), [0, 0]);
    // 100 labels, 30 of them positive: 10 stay, 3 of them positive.
    assert_eq!(quota((30, 100), 0.1), [7, 3]);
    // The share of a positive is 0.2; one stays all the same.
    assert_eq!(quota((2, 100), 0.1), [9, 1]);
    assert_eq!(quota((2, 100), 0.0), [0, 0]);
    // Halves go up: 2.5 labels are three.
    assert_eq!(quota((0, 5), 0.5), [3, 0]);
    assert_eq!(quota((5, 5), 0.5), [0, 3]);
    assert_eq!(quota((30, 100), 1.0), [70, 30]);
}

#[test]
fn of_every_category_its_quota_with_the_smallest_numbers_stays() {
    let (labels, numbers) = (matrix(2000, 70), CellNumbers::new(4));
    let hidden = hide(&labels, 0.1, numbers);
    for (category, counts) in labels.counts().into_iter().enumerate() {
        for (label, kept) in [Label::Negative, Label::Positive].into_iter().zip(quota(counts, 0.1)) {
            let of = |labels: &LabelMatrix| -> Vec<usize> {
                (0..2000).filter(|&image| labels.get(image, category) == label).collect()
            };
            let mut expected = of(&labels);
            expected.sort_by_key(|image| numbers.of(2 * image + category / 64, category % 64));
            expected.truncate(kept);
            expected.sort_unstable();
            assert_eq!(of(&hidden), expected, "{category} {label:?}");
        }
    }
}

#[test]
fn a_cut_outside_the_band_is_searched_again() {
    let (labels, numbers) = (matrix(2000, 70), CellNumbers::new(4));
    let cuts = find_cuts(&labels, 0.3, numbers, DEVIATIONS);
    // Without a deviation a band is one number, so nearly every cut lies outside, below or above.
    assert_eq!(find_cuts(&labels, 0.3, numbers, 0.0), cuts);
}

#[test]
fn of_equal_numbers_the_first_images_stay() {
    let search = CutSearch { kept: 4, band: [3, 7], found: None };
    let narrowed = |kept: usize| {
        let mut search = CutSearch { kept, ..search };
        search.narrow(2, &mut [(5, 8), (7, 0), (5, 1)]);
        (search.found, search.band)
    };
    assert_eq!(narrowed(3).0, Some(Cut { number: 5, images: 2 }));
    assert_eq!(narrowed(4).0, Some(Cut { number: 5, images: 9 }));
    assert_eq!(narrowed(2), (None, [0, 2]));
    assert_eq!(narrowed(6), (None, [8, u64::MAX]));
}
