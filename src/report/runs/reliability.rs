//! Whether probabilities mean what they say, as a diagram and a table a system.

use sarb_labels::metrics::{Reliability, reliability};
use sarb_labels::text::{percent, share, thousands};

use super::html::{Cell, details, name, section, table};
use super::layout::figure;
use super::names::Names;
use super::{Measured, Row};
use crate::report::chart::{Chart, Line, Panel, Point};

/// The diagram of all systems, their errors, and the numbers behind.
pub(super) fn calibration(measured: &Measured, names: &Names) -> String {
    let found: Vec<(&Row, Reliability)> = measured
        .rows
        .iter()
        .map(|row| (row, reliability(&row.system.values, &measured.labels, row.scale)))
        .collect();
    let known: usize = found[0].1.bins.iter().map(|bin| bin.known).sum();
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .map(|(row, reliability)| {
            let error = reliability.error;
            vec![Cell::html(name(&row.system.name)), Cell::number(&percent(error), Some(error))]
        })
        .collect();
    let diagram = diagram(&found, names);
    let errors = table("Expected calibration error in percent", &["system", "ECE"], &rows, false);
    let mut content = format!(
        "<div class=\"charts\">\n{}<div>{errors}{}</div>\n</div>\n",
        figure(&diagram),
        if found.len() > 1 { diagram.legend() } else { String::new() }
    );
    for (row, reliability) in &found {
        content += &details(&format!("Bins of {}", name(&row.system.name)), &bins(reliability), false);
    }
    let note = format!(
        "Of the labels that get 70 %, 70 % should be positive. {} known labels of all categories, in ten bins of equal \
         width; the ECE is the mean distance of a bin from the diagonal, weighted by its labels. Nearly all labels are \
         in the lowest bin where most categories are absent from most images.",
        thousands(known)
    );
    section("calibration", "Calibration", &note, &content)
}

fn diagram(found: &[(&Row, Reliability)], names: &Names) -> Chart {
    let line = |(row, reliability): &(&Row, Reliability)| Line {
        name: names.place(row.source),
        points: reliability
            .bins
            .iter()
            .filter(|bin| bin.known > 0)
            .map(|bin| Point {
                x: 100.0 * bin.mean,
                y: 100.0 * bin.positive as f64 / bin.known as f64,
                deviation: None,
            })
            .collect(),
    };
    let ticks = [0, 20, 40, 60, 80, 100].map(|tick| (f64::from(tick), tick.to_string()));
    Chart {
        name: "reliability".into(),
        title: "share of positives by probability [%]".into(),
        caption: "the table below has the numbers".into(),
        x_label: "mean probability [%]".into(),
        y_label: String::new(),
        emphasis: None,
        names: names.all().to_vec(),
        markers: true,
        panels: vec![Panel {
            title: String::new(),
            x_ticks: ticks.to_vec(),
            lines: found.iter().map(line).collect(),
            diagonal: true,
        }],
    }
}

fn bins(reliability: &Reliability) -> String {
    let row = |(place, bin): (usize, &sarb_labels::metrics::Bin)| {
        let mean = if bin.known == 0 { "–".to_owned() } else { percent(bin.mean) };
        vec![
            Cell::text(&format!("{} to {} %", 10 * place, 10 * place + 10)),
            Cell::number(&thousands(bin.known), None),
            Cell::number(&thousands(bin.positive), None),
            Cell::number(&mean, None),
            Cell::number(&share(bin.positive, bin.known), None),
        ]
    };
    let rows: Vec<Vec<Cell>> = reliability.bins.iter().enumerate().map(row).collect();
    let heading =
        ["probability", "known labels", "positive", "mean probability [%]", "share of positives [%]"];
    table("Bins of the reliability diagram", &heading, &rows, false)
}
