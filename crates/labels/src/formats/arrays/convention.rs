//! What 1, 0 and −1 mean in a label array, which programs do not agree on.
//!
//! HCP-MLR-PL (SARB's official code) and PartialLabelingCSL give −1 and 0 opposite meanings, in the same
//! field. Reading one as the other turns unknown labels into negative ones, so an array that could be
//! either is refused until the user says which it is.

use std::path::Path;

use super::numbers::Numbers;
use crate::formats::options::Convention;
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

/// Numbers of which it is not yet known what they mean: 1 as positive, −1 as negative, 0 as unknown.
pub(in crate::formats) struct Counted<'a> {
    pub values: &'a LabelMatrix,
    /// How many cells hold no number; they are unknown in `values`.
    pub missing: usize,
    /// What such cells are called.
    pub called: &'static str,
}

/// The convention of numbers, and a note if it was not said.
///
/// # Errors
/// [`Error::Usage`] if it was not said and the numbers leave it open.
pub(in crate::formats) fn decide(
    &Counted { values, missing, called }: &Counted<'_>,
    convention: Option<Convention>,
    path: &Path,
) -> Result<(Convention, Option<String>)> {
    if let Some(convention) = convention {
        return Ok((convention, None));
    }
    let negative = values.count(Label::Negative);
    let zeros = values.count(Label::Unknown) - missing;
    // Where other cells say what is unknown, 0 is left to say what is not there.
    if missing > 0 && negative == 0 {
        let note = format!("{missing} {called} read as unknown, {zeros} of 0 as not there");
        let note = format!("{note}; if not, pass --convention");
        return Ok((Convention::Complete, (zeros > 0).then_some(note)));
    }
    if let Some(doubt) = doubt(values) {
        let choices = "hcp or spml (-1 not there, 0 unknown), csl (0 not there, -1 unknown) or \
                       complete (0 not there)";
        return Err(Error::Usage(format!("{}: {doubt}; pass --convention {choices}", path.display())));
    }
    let note =
        format!("{negative} of -1 read as not there, {zeros} of 0 as unknown; if not, pass --convention");
    Ok((Convention::Hcp, (zeros > 0).then_some(note)))
}

/// The labels that the numbers of an array stand for, and a note if the convention was not said. NaN is
/// unknown under every convention.
///
/// # Errors
/// [`Error::Usage`] if it was not said and the array leaves it open.
pub(super) fn interpret(
    Numbers { values, missing }: Numbers,
    convention: Option<Convention>,
    path: &Path,
) -> Result<(LabelMatrix, Option<String>)> {
    let counted = Counted { values: &values, missing: missing.len(), called: "NaN" };
    let (convention, note) = decide(&counted, convention, path)?;
    if matches!(convention, Convention::Hcp | Convention::Spml) {
        return Ok((values, note));
    }
    Ok((labels(&values, &missing, convention, path)?, note))
}

/// The labels under a convention; `missing` cells are unknown.
fn labels(
    values: &LabelMatrix,
    missing: &[(usize, usize)],
    convention: Convention,
    path: &Path,
) -> Result<LabelMatrix> {
    let mut labels = LabelMatrix::unknown(0, values.categories());
    for image in 0..values.images() {
        let row: Option<Vec<Label>> = values.row(image).map(|number| convention.label(number)).collect();
        let row = row.ok_or_else(|| {
            let what = format!("row {image} (from 0) holds -1; expected 1 and 0 with --convention complete");
            Error::Data(format!("{}: {what}", path.display()))
        })?;
        labels.push(&row);
    }
    missing.iter().for_each(|&(image, category)| labels.set(image, category, Label::Unknown));
    Ok(labels)
}

/// Why the numbers may not mean +1 there, −1 not there, 0 unknown.
fn doubt(numbers: &LabelMatrix) -> Option<String> {
    let [ones, minus, zeros] =
        [Label::Positive, Label::Negative, Label::Unknown].map(|label| numbers.count(label));
    if minus == 0 {
        let what = "holds 1 and 0 but no -1: 0 may mean unknown or not there";
        return (zeros > 0).then(|| what.to_owned());
    }
    // Images of several categories show at least one of them, mostly more.
    let per_image = numbers.categories() as f64 * ones as f64 / (ones + minus) as f64;
    if per_image <= 1.0 {
        return Some(format!(
            "if -1 means not there, an image shows {per_image:.2} of its {} categories on average; \
             -1 may mean unknown",
            numbers.categories()
        ));
    }
    // Labels hidden by chance are equally many in every category; labels that are not there are not.
    let spread = |of: Label| spread(numbers, of);
    let hidden_as_minus_one = zeros > 0 && spread(Label::Negative) < 2.0 && spread(Label::Unknown) > 4.0;
    hidden_as_minus_one
        .then(|| "-1 is equally frequent in every category, as hidden labels are; -1 may mean unknown".into())
}

/// How unequally often `of` is in the columns, in units of chance: about 1 if each cell was drawn.
fn spread(numbers: &LabelMatrix, of: Label) -> f64 {
    let (rows, columns) = (numbers.images() as f64, numbers.categories() as f64);
    let share = numbers.count(of) as f64 / (rows * columns);
    let count = |(positive, known): (usize, usize)| match of {
        Label::Positive => positive,
        Label::Negative => known - positive,
        Label::Unknown => numbers.images() - known,
    };
    let squares = numbers.counts().into_iter().map(|counts| (count(counts) as f64 - rows * share).powi(2));
    squares.sum::<f64>() / ((columns - 1.0).max(1.0) * rows * share * (1.0 - share)).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(categories: usize, values: &[i8], convention: Option<Convention>) -> Result<Vec<f32>> {
        let numbers = LabelMatrix::from_values(categories, values);
        let numbers = Numbers { values: numbers, missing: Vec::new() };
        interpret(numbers, convention, Path::new("a.npy")).map(|(labels, _)| labels.to_floats())
    }

    /// 10,000 images of 20 categories, the first in 31 % of them and each next one in 1.5 points fewer.
    fn complete() -> LabelMatrix {
        let share = |category: usize| 0.31 - 0.015 * category as f64;
        let mut labels = LabelMatrix::filled(10_000, 20, Label::Negative);
        for category in 0..20 {
            for step in 0..10_000 {
                if (step as f64 * share(category)).fract() < share(category) {
                    labels.set(step, category, Label::Positive);
                }
            }
        }
        labels
    }

    fn swapped(labels: &LabelMatrix) -> LabelMatrix {
        let mut swapped = LabelMatrix::unknown(0, labels.categories());
        for image in 0..labels.images() {
            swapped.push(&labels.row(image).map(|it| Convention::Csl.label(it).unwrap()).collect::<Vec<_>>());
        }
        swapped
    }

    #[test]
    fn minus_one_and_zero_mean_opposite_things_in_two_programs() {
        let values = [1, 0, -1, 1, 1, 0];
        assert_eq!(read(3, &values, Some(Convention::Hcp)).unwrap(), [1.0, 0.0, -1.0, 1.0, 1.0, 0.0]);
        assert_eq!(read(3, &values, Some(Convention::Spml)).unwrap(), [1.0, 0.0, -1.0, 1.0, 1.0, 0.0]);
        assert_eq!(read(3, &values, Some(Convention::Csl)).unwrap(), [1.0, -1.0, 0.0, 1.0, 1.0, -1.0]);
        assert_eq!(read(2, &[1, 0], Some(Convention::Complete)).unwrap(), [1.0, -1.0]);
        let error = read(2, &[1, 0, 0, -1], Some(Convention::Complete)).unwrap_err();
        assert!(error.to_string().contains("row 1 (from 0) holds -1; expected 1 and 0"), "{error}");
    }

    #[test]
    fn ones_and_zeros_alone_are_refused_without_a_convention() {
        let error = read(2, &[1, 0, 0, 1], None).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Usage);
        assert!(
            error.to_string().contains("but no -1: 0 may mean unknown or not there; pass --convention hcp")
        );
        assert_eq!(read(2, &[1, 1], None).unwrap(), [1.0, 1.0]);
    }

    #[test]
    fn what_is_missing_leaves_zero_to_say_what_is_not_there_and_a_note_counts_both() {
        let read = |values: &[i8], missing: (usize, usize)| {
            let values = LabelMatrix::from_values(2, values);
            let numbers = Numbers { values, missing: vec![missing] };
            let (labels, note) = interpret(numbers, None, Path::new("a.npy")).unwrap();
            (labels.to_floats(), note)
        };
        let note = "1 NaN read as unknown, 2 of 0 as not there; if not, pass --convention";
        assert_eq!(read(&[1, 0, 0, 0], (1, 0)), (vec![1.0, -1.0, 0.0, -1.0], Some(note.into())));
        assert_eq!(read(&[1, 1, 0, 1], (1, 0)), (vec![1.0, 1.0, 0.0, 1.0], None));
    }

    #[test]
    fn the_spread_is_the_variance_among_columns_in_units_of_chance() {
        // Of 4 images 3, 0 and 0: the variance is 3, by chance it would be 0.75.
        let labels = LabelMatrix::from_values(3, &[1, -1, -1, 1, -1, -1, 1, 0, 0, 0, 0, 0]);
        assert!((spread(&labels, Label::Positive) - 4.0).abs() < 1e-9);
        // 0, 2 and 2 of -1; 1, 2 and 2 of 0.
        assert!(
            (spread(&labels, Label::Negative) - 1.5).abs() < 1e-9,
            "{}",
            spread(&labels, Label::Negative)
        );
        assert!(spread(&labels, Label::Unknown) < 1.0);
    }

    #[test]
    fn an_image_of_less_than_one_category_draws_a_question() {
        // Single positives in the signs of PartialLabelingCSL: one 1 per row, the rest -1.
        let single = [1, -1, -1, -1, -1, 1, -1, -1];
        let error = read(4, &single, None).unwrap_err().to_string();
        assert!(error.contains("an image shows 1.00 of its 4 categories on average"), "{error}");
        assert!(read(4, &[1, 1, -1, -1, 1, 0, -1, 0], None).is_ok());
    }

    #[test]
    fn labels_hidden_by_chance_are_read_in_one_convention_and_refused_in_the_other() {
        for known in [0.1, 0.3, 0.5, 0.7, 0.9] {
            let hcp = complete().hide(known, 0);
            assert_eq!(doubt(&hcp), None, "{known}");
            assert!(doubt(&swapped(&hcp)).is_some(), "{known}");
        }
        assert_eq!(doubt(&complete()), None);
    }

    #[test]
    fn as_many_positives_as_negatives_of_every_category_are_refused_where_the_rest_is_minus_one() {
        // PartialLabelingCSL's fix_per_class: so many 1 and so many 0 of every category, the rest -1.
        let mut labels = LabelMatrix::filled(10_000, 20, Label::Negative);
        for category in 0..20 {
            for step in 0..200 {
                labels.set(step * 20 + category, category, Label::Positive);
                labels.set(step * 20 + 5000 + category, category, Label::Unknown);
            }
        }
        assert!(doubt(&labels).is_some());
    }

    #[test]
    #[ignore = "needs data that is not in the repository"]
    fn outside_data_the_nine_official_files_are_read_as_they_are() {
        let folder = crate::outside_data::outside_data("data/voc2007/masks");
        for tenth in 1..10 {
            let path = folder.join(format!("train_proportion_0.{tenth}.txt"));
            let text = std::fs::read_to_string(&path).unwrap();
            let values: Vec<i8> =
                text.split(['\n', ',']).filter_map(|value| value.trim().parse().ok()).collect();
            let hcp = LabelMatrix::from_values(20, &values);
            assert_eq!(doubt(&hcp), None, "{tenth}");
            assert!(doubt(&swapped(&hcp)).is_some(), "{tenth}");
        }
    }
}
