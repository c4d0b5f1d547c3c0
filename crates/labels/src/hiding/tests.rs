use proptest::prelude::*;

use super::*;
use crate::labels::Label;

const NESTED: [Scheme; 4] = [Scheme::Official, Scheme::PerCategory, Scheme::PerImage, Scheme::PositivesOnly];

// Printed by tests/fixtures/hiding.py.
const PER_IMAGE: [usize; 16] = [9, 17, 26, 34, 78, 79, 108, 111, 150, 178, 179, 188, 218, 254, 267, 272];
const POSITIVES_ONLY: [usize; 20] =
    [9, 12, 39, 48, 60, 69, 72, 78, 108, 111, 123, 150, 159, 189, 198, 210, 228, 249, 267, 279];
const SINGLE_POSITIVE: [usize; 4] = [9, 111, 150, 267];
const PER_CATEGORY: [usize; 140] = [
    9, 12, 15, 17, 22, 24, 25, 26, 27, 30, 31, 33, 34, 41, 42, 45, 46, 48, 49, 50, 51, 52, 54, 56, 60, 63,
    66, 68, 69, 70, 71, 72, 73, 74, 75, 77, 78, 79, 81, 82, 84, 85, 87, 88, 90, 93, 94, 96, 97, 99, 102, 105,
    106, 107, 108, 111, 112, 113, 114, 117, 120, 123, 124, 126, 127, 129, 131, 132, 134, 135, 136, 137, 138,
    139, 141, 142, 144, 145, 146, 147, 150, 151, 153, 156, 159, 160, 161, 162, 165, 168, 170, 171, 173, 174,
    177, 178, 179, 180, 183, 185, 186, 188, 189, 191, 192, 193, 195, 198, 200, 201, 203, 204, 205, 207, 210,
    213, 216, 218, 220, 223, 224, 226, 228, 229, 231, 233, 238, 239, 242, 245, 246, 249, 250, 254, 257, 265,
    267, 268, 269, 272,
];

/// A matrix with some unknown cells, all values as likely.
fn matrix(images: usize, categories: usize) -> LabelMatrix {
    let value = |cell: u64| (cell.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 3;
    let values: Vec<i8> = (0..(images * categories) as u64).map(|cell| value(cell) as i8 - 1).collect();
    LabelMatrix::from_values(categories, &values)
}

fn known_of_row(labels: &LabelMatrix, image: usize) -> usize {
    labels.row(image).filter(|label| *label != Label::Unknown).count()
}

/// Whether every label that `few` knows is that of `more`.
fn is_part(few: &LabelMatrix, more: &LabelMatrix) -> bool {
    (0..more.images())
        .all(|image| few.row(image).zip(more.row(image)).all(|(a, b)| a == Label::Unknown || a == b))
}

proptest! {
    #[test]
    fn labels_are_hidden_and_never_made(
        (categories, values) in (1..140usize).prop_flat_map(|categories| {
            let row = prop::collection::vec(-1..=1i8, categories);
            (Just(categories), prop::collection::vec(row, 0..12))
        }),
        known in 0.0..=1.0, more in 0.0..=1.0, seed in 0..u64::from(u32::MAX),
    ) {
        let labels = LabelMatrix::from_values(categories, &values.concat());
        for scheme in &Scheme::ALL {
            prop_assert!(is_part(&hide(&labels, *scheme, known, seed), &labels));
        }
        for scheme in NESTED {
            let [few, more] =
                [f64::min(known, more), f64::max(known, more)].map(|known| hide(&labels, scheme, known, seed));
            prop_assert!(is_part(&few, &more), "{scheme:?}");
        }
        for image in 0..labels.images() {
            let (all, known) = (known_of_row(&labels, image) as f64, known * known_of_row(&labels, image) as f64);
            let kept = known_of_row(&hide(&labels, Scheme::PerImage, known / all.max(1.0), seed), image) as f64;
            prop_assert!(kept >= known - 1e-6 && kept < known + 1.0, "{kept} of {all}, {known} asked for");
        }
    }
}

#[test]
fn the_ends_are_exact() {
    let labels = matrix(300, 70);
    let positives_only = hide(&labels, Scheme::PositivesOnly, 1.0, 3);
    assert_eq!(positives_only.count(Label::Positive), labels.count(Label::Positive));
    assert_eq!(positives_only.count(Label::Negative), 0);
    for scheme in NESTED {
        assert_eq!(hide(&labels, scheme, 0.0, 3), LabelMatrix::unknown(300, 70), "{scheme:?}");
        if scheme != Scheme::PositivesOnly {
            assert_eq!(hide(&labels, scheme, 1.0, 3), labels, "{scheme:?}");
        }
    }
    for scheme in &Scheme::ALL {
        assert_eq!(hide(&LabelMatrix::unknown(0, 5), *scheme, 0.5, 0), LabelMatrix::unknown(0, 5));
        assert_eq!(hide(&LabelMatrix::unknown(9, 5), *scheme, 0.5, 0), LabelMatrix::unknown(9, 5));
        assert_eq!(hide(&LabelMatrix::unknown(9, 0), *scheme, 0.5, 0), LabelMatrix::unknown(9, 0));
    }
}

#[test]
fn the_official_scheme_is_the_one_of_hide() {
    let labels = matrix(100, 70);
    assert_eq!(hide(&labels, Scheme::Official, 0.3, 7), labels.hide(0.3, 7));
    assert_eq!(Scheme::default(), Scheme::Official);
}

#[test]
fn seeds_and_schemes_give_other_masks() {
    let labels = matrix(100, 70);
    let mut masks: Vec<LabelMatrix> =
        Scheme::ALL.iter().map(|scheme| hide(&labels, *scheme, 0.5, 7)).collect();
    masks.extend(Scheme::ALL.iter().map(|scheme| hide(&labels, *scheme, 0.5, 8)));
    for (at, mask) in masks.iter().enumerate() {
        assert!(masks[..at].iter().all(|other| other != mask), "{at}");
    }
}

#[test]
fn an_image_keeps_its_proportion_rounded_up_as_in_lcalem() {
    // (1 − P) · 20 and (1 − P) · 80 labels are dropped, rounded down; a partially labeled image is new.
    for (labels, known, kept) in
        [(20, 0.1, 2), (80, 0.3, 24), (18, 0.1, 2), (3, 0.1, 1), (30, 0.1, 3), (7, 1.0, 7)]
    {
        let mut values = vec![0; 100];
        (0..labels).for_each(|label| values[label * 37 % 100] = if label % 3 == 0 { 1 } else { -1 });
        let hidden = hide(&LabelMatrix::from_values(100, &values), Scheme::PerImage, known, 5);
        assert_eq!(known_of_row(&hidden, 0), kept, "{known} of {labels}");
    }
}

#[test]
fn masks_are_those_of_the_documented_numbers() {
    // tests/fixtures/hiding.py computes these from the definition in cell_numbers.rs, seed 0: four images
    // with 70 categories, of which every third is positive, the rest negative.
    let values: Vec<i8> = (0..4 * 70).map(|cell| if cell % 3 == 0 { 1 } else { -1 }).collect();
    let labels = LabelMatrix::from_values(70, &values);
    let kept = |scheme: Scheme, known: f64| -> Vec<usize> {
        let hidden = hide(&labels, scheme, known, 0);
        (0..4 * 70).filter(|cell| hidden.get(cell / 70, cell % 70) != Label::Unknown).collect()
    };
    assert_eq!(kept(Scheme::PerImage, 0.05), PER_IMAGE);
    assert_eq!(kept(Scheme::PositivesOnly, 0.2), POSITIVES_ONLY);
    assert_eq!(kept(Scheme::SinglePositive, 0.0), SINGLE_POSITIVE);
    assert_eq!(kept(Scheme::PerCategory, 0.5), PER_CATEGORY);
}

#[test]
fn positives_stay_with_the_probability_asked_for() {
    let labels = matrix(4000, 70);
    let positives = labels.count(Label::Positive) as f64;
    let kept = hide(&labels, Scheme::PositivesOnly, 0.3, 1).count(Label::Positive) as f64;
    // Five standard deviations.
    assert!((kept - 0.3 * positives).abs() < 5.0 * (0.21 * positives).sqrt(), "{kept} of {positives}");
}

#[test]
fn one_positive_stays_and_each_is_as_likely() {
    // 30,000 images with the same four positives among the 70 categories.
    let mut row = [-1; 70];
    [0, 13, 63, 69].into_iter().for_each(|category: usize| row[category] = 1);
    let labels = LabelMatrix::from_values(70, &row.repeat(30_000));
    let hidden = hide(&labels, Scheme::SinglePositive, 0.9, 2);
    assert_eq!((hidden.count(Label::Positive), hidden.count(Label::Negative)), (30_000, 0));
    assert!((0..30_000).all(|image| known_of_row(&hidden, image) == 1));
    for category in [0, 13, 63, 69] {
        // 7,500 expected, standard deviation 75.
        let (positives, _) = hidden.counts()[category];
        assert!(positives.abs_diff(7500) < 375, "{category}: {positives}");
    }
    let without = hide(&LabelMatrix::from_values(3, &[-1, 0, -1, -1, 1, 0]), Scheme::SinglePositive, 0.9, 2);
    assert_eq!(without.to_floats(), [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn masks_do_not_depend_on_the_number_of_threads() {
    let labels = matrix(5000, 70);
    for scheme in &Scheme::ALL {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| hide(&labels, *scheme, 0.2, 9))
        };
        assert!(with(1) == with(3), "{scheme:?}");
    }
}

#[test]
#[should_panic(expected = "known is 1.5, not a proportion")]
fn a_proportion_above_one_is_refused() {
    hide(&matrix(2, 2), Scheme::PerImage, 1.5, 0);
}

#[test]
fn all_schemes_but_one_positive_an_image_ask_for_a_proportion() {
    let without: Vec<Scheme> = Scheme::ALL.into_iter().filter(|scheme| !scheme.takes_proportion()).collect();
    assert_eq!(without, [Scheme::SinglePositive]);
}
