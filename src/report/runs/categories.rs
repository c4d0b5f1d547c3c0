//! Average precision by category, with intervals, and differences between systems on the same resamples.

use std::fmt::Write;

use rayon::prelude::*;
use sarb_labels::text::{percent, thousands};

use super::html::{Cell, name, section, table};
use super::{Measured, Row};
use crate::bootstrap::{LEVEL, Resamples, interval};
use crate::compare::{Bootstrap, Difference, Interval};

/// One system's average precision in one category.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Precision {
    /// As `evaluate` says it; 0 without a known positive.
    pub ap: f64,
    /// Over the resamples that have a positive; none without resamples or positives.
    pub interval: Option<Interval>,
    /// To the first system; none for itself and where nothing is positive.
    pub difference: Option<Difference>,
}

/// The average precisions of all systems, a list a category.
pub(super) fn precisions(measured: &Measured, bootstrap: Bootstrap) -> Vec<Vec<Precision>> {
    let Measured { rows, labels, .. } = measured;
    let count = if labels.images() == 0 { 0 } else { bootstrap.resamples };
    let resamples = Resamples::draw(labels, count, bootstrap.seed);
    let of_category = |category: usize| -> Vec<Precision> {
        let drawn: Vec<Vec<Option<f64>>> =
            rows.iter().map(|row| resamples.precisions(&row.system.values, category)).collect();
        let ap = |row: &Row| row.system.scores.per_category[category].ap;
        let there = rows[0].system.scores.per_category[category].positives > 0;
        let of_row = |(place, row): (usize, &Row)| Precision {
            ap: ap(row),
            interval: middle(drawn[place].iter().flatten().copied().collect()),
            difference: (place > 0 && there).then(|| Difference {
                map: ap(row) - ap(&rows[0]),
                // Whether a positive was drawn is the same for all systems.
                interval: middle(
                    drawn[place]
                        .iter()
                        .flatten()
                        .zip(drawn[0].iter().flatten())
                        .map(|(own, other)| own - other)
                        .collect(),
                ),
            }),
        };
        rows.iter().enumerate().map(of_row).collect()
    };
    (0..labels.categories()).into_par_iter().map(of_category).collect()
}

fn middle(values: Vec<f64>) -> Option<Interval> {
    (!values.is_empty()).then(|| {
        let (low, high) = interval(values, LEVEL);
        Interval { low, high }
    })
}

/// The table of categories.
pub(super) fn categories(measured: &Measured, bootstrap: Bootstrap) -> String {
    let Measured { rows, labels, categories, .. } = measured;
    let known = labels.counts();
    let mut heading: Vec<String> = ["category", "positives", "known"].map(String::from).to_vec();
    let numbered = |what: &str, place: usize| match rows.len() {
        1 => what.to_owned(),
        _ => format!("{what} ({})", place + 1),
    };
    heading.extend((0..rows.len()).flat_map(|place| {
        let difference = (place > 0).then(|| format!("({}) − (1)", place + 1));
        std::iter::once(numbered("AP", place)).chain(difference)
    }));
    heading.extend(["precision", "recall", "F1"].map(|what| numbered(what, 0)));
    let of_all = precisions(measured, bootstrap);
    let line = |category: usize| -> Vec<Cell> {
        let first = &rows[0].system.scores.per_category[category];
        let (positives, all) = known[category];
        let mut cells = vec![
            Cell::html(name(&categories[category])).sorted_as(categories[category].as_str()),
            Cell::number(&thousands(positives), Some(positives as f64)),
            Cell::number(&thousands(all), Some(all as f64)),
        ];
        for (place, precision) in of_all[category].iter().enumerate() {
            cells.push(if positives == 0 { nothing() } else { average(precision) });
            if place > 0 {
                cells.push(precision.difference.map_or_else(nothing, difference));
            }
        }
        cells.extend([first.precision, first.recall, first.f1].map(|value| match positives {
            0 => nothing(),
            _ => Cell::number(&percent(value), Some(value)),
        }));
        cells
    };
    let lines: Vec<Vec<Cell>> = (0..categories.len()).map(line).collect();
    let intervals = match bootstrap.resamples {
        0 => "No intervals were asked for (--bootstrap 0). ".to_owned(),
        count => format!(
            "Below each number is its {:.0} % interval: {count} resamples of the images (paired, for differences); a \
             difference is bold where its interval leaves out 0. Among many categories some leave it out by chance. ",
            100.0 * LEVEL
        ),
    };
    let note = format!(
        "Percent; AP is interpolated at every recall, as in the papers. {intervals}Precision, recall and F1 are those of \
         claims at p ≥ 0.5. Each number rests on the known labels of its category alone; – where none of them is \
         positive. The headings sort the table."
    );
    let heading: Vec<&str> = heading.iter().map(String::as_str).collect();
    let mut content = String::new();
    if rows.len() > 1 {
        content += "<ol class=\"numbered\">";
        for row in rows {
            let _ = write!(content, "<li>{}</li>", name(&row.system.name));
        }
        content += "</ol>\n";
    }
    content += &table("Average precision by category", &heading, &lines, true);
    section("categories", "By category", &note, &content)
}

fn nothing() -> Cell {
    Cell::number("–", None)
}

/// The number, its interval, and both as a drawing.
fn average(precision: &Precision) -> Cell {
    let Precision { ap, interval, .. } = *precision;
    let drawn = interval.map_or(String::new(), |Interval { low, high }| {
        format!(
            "<span class=\"interval\">{} to {}</span><svg class=\"whisker\" viewBox=\"0 0 100 8\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\"><path d=\"M0 4H100\"/><rect x=\"{:.1}\" y=\"1.5\" \
             width=\"{:.1}\" height=\"5\"/></svg>",
            percent(low),
            percent(high),
            100.0 * low,
            (100.0 * (high - low)).max(0.8)
        )
    });
    Cell::number("", Some(ap)).with_html(format!("{}{drawn}", percent(ap)))
}

fn difference(difference: Difference) -> Cell {
    let words = difference.to_text();
    let (number, interval) = words.split_once(" (").unwrap_or((&words, ""));
    let sure = difference.interval.is_some_and(|interval| interval.excludes_zero());
    let number = if sure { format!("<strong>{number}</strong>") } else { number.to_owned() };
    let interval = match interval.strip_suffix(')') {
        Some(interval) => format!("<span class=\"interval\">{interval}</span>"),
        None => String::new(),
    };
    Cell::number("", Some(difference.map)).with_html(format!("{number}{interval}"))
}
