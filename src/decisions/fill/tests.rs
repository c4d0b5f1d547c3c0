use rand::RngExt;
use sarb_labels::LabelMatrix;
use sarb_labels::random::{Stream, rng};

use super::*;
use crate::out_of_fold::{How, OutOfFold};

fn fill(evidence: &Evidence, wanted: Wanted, rows: Range<usize>) -> Result<Filled> {
    Ok(Filling::of(evidence, wanted)?.fill(evidence, rows))
}

#[test]
fn evidence_in_pieces_says_what_it_says_as_a_whole() {
    let (scores, _) = drawn(2_000, 4, 0.3, -0.5, 1);
    let whole = Filling::of(&Evidence::known(&scores), wanted(0.9)).unwrap();
    let part = |rows: Range<usize>| OutOfFold {
        annotations: scores.annotations.select(&rows.clone().collect::<Vec<_>>()),
        logits: scores.logits[rows.start * 4..rows.end * 4].to_vec(),
        asked: rows.len(),
        ..scores.clone()
    };
    let parts = [0..700, 700..701, 701..2_000].map(part);
    let pieces = |each: &mut dyn FnMut(&Evidence) -> Result<()>| {
        parts.iter().try_for_each(|part| each(&Evidence::known(part)))
    };
    let pieces = Filling::of_pieces(&pieces, wanted(0.9)).unwrap();
    assert_eq!((pieces.images, &pieces.curves, pieces.known), (2_000, &whole.curves, whole.known));
    let cells = |filling: &Filling| filling.fill(&Evidence::known(&scores), 0..2_000).cells;
    assert_eq!(cells(&pieces), cells(&whole));
    assert!(cells(&whole).len() > 1_000);
}

/// Logits of `images` images, of which a category is there with just the probability that its logit says, shifted
/// by `shift` for every second category; a share of the labels stays known. Also the truth.
fn drawn(images: usize, categories: usize, known: f64, shift: f64, seed: u64) -> (OutOfFold, LabelMatrix) {
    let mut rng = rng(seed, Stream::Synthetic, 0, 0);
    let (mut logits, mut truth, mut labels) = (Vec::new(), Vec::new(), Vec::new());
    for at in 0..images * categories {
        let logit: f64 = rng.random_range(-5.0..3.0);
        let shift = if (at % categories).is_multiple_of(2) { 0.0 } else { shift };
        let positive = rng.random_range(0.0..1.0) < sigmoid(logit + shift);
        let label = if positive { 1 } else { -1 };
        logits.push(logit as f32);
        truth.push(label);
        labels.push(if rng.random_range(0.0..1.0) < known { label } else { 0 });
    }
    let annotations = Annotations {
        images: (0..images).map(|row| format!("{row}.png").into()).collect(),
        categories: (0..categories).map(|category| category.to_string()).collect(),
        labels: LabelMatrix::from_values(categories, &labels),
        source: "train.csv".into(),
    };
    let scores = OutOfFold { annotations, logits, how: How::LeaveOneOut, folds: Vec::new(), asked: images };
    (scores, LabelMatrix::from_values(categories, &truth))
}

fn wanted(precision: f64) -> Wanted {
    Wanted { precision, confidence: 0.9 }
}

#[test]
fn promises_are_kept_and_something_is_filled() {
    for precision in [0.8, 0.9, 0.95] {
        let (mut kept, mut promised, mut filled_labels) = (0, 0, 0);
        for seed in 0..12 {
            let (scores, truth) = drawn(2000, 10, 0.2, -1.5, seed);
            let filled = fill(&Evidence::known(&scores), wanted(precision), 0..2000).unwrap();
            for (category, positive) in (0..10).flat_map(|category| [(category, true), (category, false)]) {
                let cells =
                    || filled.cells.iter().filter(|it| (it.category, it.positive) == (category, positive));
                let right =
                    |cell: &&Cell| (truth.get(cell.row, category) == Label::Positive) == cell.positive;
                let (count, right) = (cells().count(), cells().filter(right).count());
                let it = &filled.categories[category];
                let side = if positive { it.positives } else { it.negatives };
                assert_eq!((side.filled, side.threshold.is_some()), (count, count > 0));
                filled_labels += count;
                promised += usize::from(count > 0);
                kept += usize::from(count > 0 && right as f64 >= precision * count as f64);
            }
        }
        assert!(kept * 10 >= promised * 9, "{precision}: {kept} of {promised} promises");
        assert!(promised >= 100 && filled_labels > 40_000, "{precision}: {promised}, {filled_labels}");
    }
}

#[test]
fn known_labels_stay_and_filled_ones_are_listed() {
    let (scores, _) = drawn(500, 4, 0.3, 0.0, 1);
    let filled = fill(&Evidence::known(&scores), wanted(0.9), 0..500).unwrap();
    let mut changed = 0;
    for row in 0..500 {
        for (category, (before, after)) in
            scores.labels().row(row).zip(filled.annotations.labels.row(row)).enumerate()
        {
            let listed = filled.cells.iter().find(|cell| (cell.row, cell.category) == (row, category));
            match (before, listed) {
                (Label::Unknown, Some(cell)) => {
                    assert_eq!(cell.positive, after == Label::Positive);
                    assert!((0.5..1.0).contains(&cell.probability));
                    changed += 1;
                }
                _ => assert_eq!(before, after),
            }
        }
    }
    assert!(changed > 100, "{changed}");
}

#[test]
fn parts_are_filled_as_the_whole_is() {
    let (scores, _) = drawn(500, 4, 0.3, 0.0, 1);
    let whole = fill(&Evidence::known(&scores), wanted(0.9), 0..500).unwrap();
    let mut cells = Vec::new();
    let mut counts = [[0; 3]; 4];
    for begin in (0..500).step_by(120) {
        let part = fill(&Evidence::known(&scores), wanted(0.9), begin..(begin + 120).min(500)).unwrap();
        cells.extend(part.cells.iter().map(|cell| Cell { row: cell.row + begin, ..*cell }));
        for (count, it) in counts.iter_mut().zip(&part.categories) {
            let more = [it.unknown, it.positives.filled, it.negatives.filled];
            count.iter_mut().zip(more).for_each(|(count, more)| *count += more);
        }
    }
    assert_eq!(cells, whole.cells);
    for (count, it) in counts.iter().zip(&whole.categories) {
        assert_eq!(*count, [it.unknown, it.positives.filled, it.negatives.filled]);
    }
}

#[test]
fn scores_that_say_nothing_fill_nothing_that_is_rare() {
    let (mut scores, _) = drawn(1000, 5, 0.3, 0.0, 2);
    let mut rng = rng(3, Stream::Synthetic, 0, 0);
    scores.logits.iter_mut().for_each(|logit| *logit = rng.random_range(-1.0..1.0));
    let filled = fill(&Evidence::known(&scores), wanted(0.9), 0..1000).unwrap();
    assert!(filled.cells.is_empty(), "{} labels", filled.cells.len());
    assert!(filled.categories.iter().all(|it| it.positives.threshold.is_none()));
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let (scores, truth) = drawn(50, 2, 0.5, 0.0, 1);
    let refused = |scores: &OutOfFold, precision: f64, expected: &str| {
        let error = fill(&Evidence::known(scores), wanted(precision), 0..50).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    refused(&scores, 1.0, "precision 1: expected a number between 0 and 1");
    let with = |labels: LabelMatrix| OutOfFold {
        annotations: Annotations { labels, ..scores.annotations.clone() },
        ..scores.clone()
    };
    refused(&with(truth), 0.9, "no label is unknown");
    let mut positives = scores.labels().clone();
    positives.retain(|row, category| scores.labels().get(row, category) == Label::Positive);
    refused(&with(positives), 0.9, "no negative label is known");
}

#[test]
fn nothing_is_filled_of_a_category_without_a_known_negative_and_others_are_filled_as_without_it() {
    let (scores, _) = drawn(2_000, 4, 0.3, -0.5, 1);
    let mut labels = scores.labels().clone();
    labels.retain(|row, category| category > 0 || scores.labels().get(row, 0) == Label::Positive);
    let with = |labels: LabelMatrix| OutOfFold {
        annotations: Annotations { labels, ..scores.annotations.clone() },
        ..scores.clone()
    };
    let mut unknown = labels.clone();
    unknown.retain(|_, category| category > 0);
    let [tags, none] =
        [labels, unknown].map(|labels| fill(&Evidence::known(&with(labels)), wanted(0.8), 0..2_000).unwrap());
    assert_eq!(
        tags.categories.iter().map(|it| it.negative_known).collect::<Vec<_>>(),
        [false, true, true, true]
    );
    assert!(tags.cells.iter().all(|cell| cell.category > 0) && tags.cells.len() > 1_000);
    assert_eq!(tags.cells.len(), none.cells.len());
    assert_eq!(tags.known, none.known, "whether labels are known by chance is asked of the others");
}
