//! What is in the cells of the tables.

use crate::report::comparison::{Difference, Mean, mean};
use crate::report::results::Measured;
use crate::report::table::{Cell, csv_percent, percent, signed_percent};
use crate::report::words::known_label;

/// Seconds, images per second, memory and best epochs of a row at a proportion.
pub(super) fn cost_row(name: &str, known: f64, done: &[&Measured]) -> Vec<Cell> {
    let value = |of: fn(&Measured) -> f64| mean(&done.iter().map(|cell| of(cell)).collect::<Vec<_>>());
    // 0 is what a run says that has no epoch, or a system that does not count memory.
    let number = |value: Option<f64>, decimals: usize| match value {
        Some(value) if value > 0.0 => {
            Cell { text: format!("{value:.decimals$}"), csv: vec![format!("{value:.2}")], best: false }
        }
        _ => Cell::nothing(1),
    };
    let epochs: Vec<String> = done.iter().map(|cell| cell.info.best_epoch.to_string()).collect();
    vec![
        Cell::text(name),
        Cell { text: known_label(known), csv: vec![known_label(known).replace(" %", "")], best: false },
        Cell::text(&done.len().to_string()),
        number(value(|cell| cell.info.seconds), 0),
        number(value(|cell| cell.info.images_per_second), 0),
        number(value(|cell| cell.info.peak_rss_mb), 0),
        Cell { text: epochs.join(", "), csv: vec![epochs.join(" ")], best: false },
    ]
}

/// Percent with its deviation, if there is one.
pub(super) fn with_deviation(value: f64, deviation: Option<f64>) -> String {
    percent(value) + &deviation.map_or(String::new(), |deviation| format!(" ± {}", percent(deviation)))
}

/// A mean over seeds with its deviation and, of several, the number of seeds.
pub(super) fn mean_cell(mean: Option<Mean>) -> Cell {
    let Some(Mean { mean, deviation, seeds }) = mean else { return Cell::nothing(3) };
    let count = if seeds > 1 { format!(" ({seeds})") } else { String::new() };
    Cell {
        text: with_deviation(mean, deviation) + &count,
        csv: vec![csv_percent(mean), deviation.map_or(String::new(), csv_percent), seeds.to_string()],
        best: false,
    }
}

/// A difference with its interval; starred where that leaves out 0.
pub(super) fn difference_cell(difference: Option<Difference>) -> Cell {
    let Some(difference) = difference else { return Cell::nothing(4) };
    let mut text = signed_percent(difference.value);
    let mut csv = vec![csv_percent(difference.value)];
    match difference.interval {
        Some((low, high)) => {
            text += &format!(" [{}, {}]", signed_percent(low), signed_percent(high));
            csv.extend([csv_percent(low), csv_percent(high)]);
        }
        None => csv.extend([String::new(), String::new()]),
    }
    if difference.excludes_zero() {
        text += " *";
    }
    csv.push(difference.seeds.to_string());
    Cell { text, csv, best: false }
}
