//! The thresholds that the first run chooses for itself, category by category, beside deciding at 50 %.

use sarb_labels::metrics::{self, reliability};
use sarb_labels::text::percent;

use super::html::{Cell, name, section, table};
use super::{Measured, ReadRun, Source};
use crate::Result;
use crate::decisions::evidence::Evidence;
use crate::decisions::thresholds::{Decision, Decisions, Goal};
use crate::out_of_fold::OutOfFold;

/// The part of the first system, if it is a run with out-of-fold scores that rank among what is measured.
pub(super) fn section_of(runs: &[ReadRun], measured: &Measured, notes: &mut Vec<String>) -> Option<String> {
    let Source::Run(place) = measured.rows[0].source else { return None };
    let run = &runs[place];
    if !OutOfFold::is_in(&run.run) {
        notes.push(format!(
            "No thresholds of {}: it has no out-of-fold scores (sarb train --folds).",
            run.name
        ));
        return None;
    }
    match decided(run, measured) {
        Ok(section) => Some(section),
        Err(error) => {
            notes.push(format!("No thresholds of {}: {error}.", run.name));
            None
        }
    }
}

fn decided(run: &ReadRun, measured: &Measured) -> Result<String> {
    let scores = OutOfFold::open(&run.run)?;
    // The columns of the page may stand in another order.
    let aligned = scores.aligned(&measured.categories)?;
    let decisions = Decisions::new(&Evidence::known(&aligned), Goal::F1);
    let row = &measured.rows[0];
    let margins = decisions.margins(&row.system.values);
    let at_own = metrics::evaluate(&margins, &measured.labels, &measured.categories, 0.0)?;
    let at_half = &row.system.scores;
    let line = |(category, decision): (usize, &Decision)| -> Vec<Cell> {
        let own = &at_own.per_category[category];
        let number = |value: f64| Cell::number(&percent(value), Some(value));
        let mut cells = vec![
            Cell::html(name(&measured.categories[category]))
                .sorted_as(measured.categories[category].as_str()),
            decision.threshold.map_or_else(nothing, number),
        ];
        cells.extend(match own.positives {
            0 => [nothing(), nothing(), nothing(), nothing()],
            _ => [own.precision, own.recall, own.f1, at_half.per_category[category].f1].map(number),
        });
        cells
    };
    let lines: Vec<Vec<Cell>> = decisions.categories.iter().enumerate().map(line).collect();
    let error = |logits: &[f32]| percent(reliability(logits, &measured.labels, metrics::Scale::Logits).error);
    let note = format!(
        "{}: from which calibrated probability on a category is said to be there, chosen for the best F1 on the training \
         images by scores of models that did not learn from them (sarb predict --decide f1). On the images of this page CF1 \
         is {} % so and {} % at 50 %; the expected calibration error is {} % before and {} % after calibration. Percent.",
        run.name,
        percent(at_own.all.cf1),
        percent(at_half.all.cf1),
        error(&row.system.values),
        error(&decisions.calibrated(&row.system.values)),
    );
    let heading = ["category", "threshold", "precision", "recall", "F1", "F1 at 50 %"];
    Ok(section(
        "thresholds",
        "Its own thresholds",
        &note,
        &table("Thresholds by category", &heading, &lines, true),
    ))
}

fn nothing() -> Cell {
    Cell::number("–", None)
}
