//! What the systems are worth as a whole, and what the page lacks.

use std::fmt::Write;

use sarb_labels::Split;
use sarb_labels::text::{percent, share, thousands};

use super::Measured;
use super::html::{Cell, name, paragraph, section, table};
use crate::compare::{Compared, Comparison};

/// The first lines: the number that matters, what it rests on, and what is not at hand.
pub(super) fn lead(
    measured: Option<&Measured>,
    comparison: Option<&Comparison>,
    split: Split,
    notes: &[String],
) -> String {
    let mut html = String::new();
    if let (Some(measured), Some(comparison)) = (measured, comparison) {
        let system = &comparison.systems[0];
        let sure = comparison.of_map(system).map_or(String::new(), |sure| format!(" ({sure})"));
        let _ = writeln!(
            html,
            "<p class=\"lead\">{}: mAP <strong>{}</strong>{sure}</p>\n{}",
            name(&system.name),
            percent(system.scores.map),
            paragraph(&rests_on(measured, split))
        );
    }
    if !notes.is_empty() {
        html += "<ul class=\"notes\">\n";
        notes.iter().for_each(|note| html += &format!("<li>{}</li>\n", name(note)));
        html += "</ul>\n";
    }
    html
}

fn rests_on(measured: &Measured, split: Split) -> String {
    let Measured { labels, categories, rows } = measured;
    let counts = labels.counts();
    let positives: usize = counts.iter().map(|(positives, _)| positives).sum();
    let known: usize = counts.iter().map(|(_, known)| known).sum();
    let cells = labels.images() * categories.len();
    let of = match rows[0].source {
        super::Source::Run(_) => format!("{} {split} images", thousands(labels.images())),
        _ => format!("{} images", thousands(labels.images())),
    };
    format!(
        "{of}, {} categories. Every number rests on the {} known labels ({} % of all; {} are there, {} are not); unknown \
         labels are in no count.",
        thousands(categories.len()),
        thousands(known),
        share(known, cells),
        thousands(positives),
        thousands(known - positives)
    )
}

/// The table of systems, as `evaluate` has it.
pub(super) fn section_of(measured: &Measured, comparison: &Comparison) -> String {
    let with_intervals = comparison.bootstrap.resamples > 0;
    let several = comparison.systems.len() > 1;
    let interval_name = format!("{:.0} % interval", 100.0 * comparison.level);
    let mut heading = vec!["system", "mAP"];
    heading.extend(with_intervals.then_some(&*interval_name));
    if several {
        heading.push("difference");
        heading.extend(with_intervals.then_some(&*interval_name));
    }
    heading.extend(["OP", "OR", "OF1", "CP", "CR", "CF1", "mAP plain"]);
    let row = |system: &Compared| {
        let mut cells = vec![Cell::html(name(&system.name)), number(system.scores.map)];
        cells.extend(with_intervals.then(|| {
            interval(system.map_interval.map(|interval| (percent(interval.low), percent(interval.high))))
        }));
        if several {
            let words = system.difference.map(|difference| difference.to_text());
            let (value, range) =
                words.as_deref().map_or(("–", ""), |words| words.split_once(" (").unwrap_or((words, "")));
            cells.push(Cell::number(value, system.difference.map(|difference| difference.map)));
            let range = range.strip_suffix(')').unwrap_or("–").to_owned();
            cells.extend(with_intervals.then(|| Cell::number(&range, None)));
        }
        let all = system.scores.all;
        cells.extend([all.op, all.or, all.of1, all.cp, all.cr, all.cf1, system.scores.map_plain].map(number));
        cells
    };
    let rows: Vec<Vec<Cell>> = comparison.systems.iter().map(row).collect();
    let mut note = "Percent. OP, OR, OF1 and CP, CR, CF1 are precision, recall and F1 of claims at p ≥ 0.5, overall and \
                    as means over categories; plain is without interpolation, as scikit-learn computes it."
        .to_owned();
    if several {
        note += " A difference is a mAP less that of the first system";
        note += match with_intervals {
            true => {
                ", on the same resamples of the images; an interval that leaves out 0 is more than their choice."
            }
            false => ".",
        };
    }
    let mut content = table("Systems; differences are to the first", &heading, &rows, several);
    let first = &measured.rows[0].system.scores;
    let without: Vec<String> = first.skipped_categories.iter().map(|category| name(category)).collect();
    if !without.is_empty() {
        let _ = writeln!(
            content,
            "<p class=\"note\">No known positive, left out of mAP, CP and CR: {}</p>",
            shortened(&without)
        );
    }
    let perfect: Vec<String> = first.without_negatives.iter().map(|category| name(category)).collect();
    if !perfect.is_empty() {
        let _ = writeln!(
            content,
            "<p class=\"note\">No known negative, so that every ranking there is perfect: {}</p>",
            shortened(&perfect)
        );
    }
    section("systems", "What it is worth", &note, &content)
}

/// Names in a sentence, of many the first.
fn shortened(names: &[String]) -> String {
    const MOST: usize = 20;
    let more = match names.len().saturating_sub(MOST) {
        0 => String::new(),
        more => format!(" and {} more", thousands(more)),
    };
    format!("{}{more}", names[..names.len().min(MOST)].join(", "))
}

fn number(fraction: f64) -> Cell {
    Cell::number(&percent(fraction), Some(fraction))
}

fn interval(ends: Option<(String, String)>) -> Cell {
    Cell::number(&ends.map_or("–".into(), |(low, high)| format!("{low} to {high}")), None)
}
