//! What was measured by epoch, as charts.

use super::names::{Names, Source};
use super::reading::ReadRun;
use crate::report::chart::{Chart, Line, Panel, Point};
use crate::report::figures::epoch_ticks;
use crate::report::history::{MAP, MOST_POINTS};

const LOSS: &str = "validation_loss";
const RATE: &str = "learning_rate";

/// One chart for each number that a run has: those of the validation images first, then losses and the rest.
pub(super) fn charts(runs: &[ReadRun], names: &Names) -> Vec<Chart> {
    let mut columns: Vec<&str> = vec![MAP, LOSS];
    for (name, _) in runs.iter().flat_map(|run| &run.history.columns) {
        if !columns.contains(&name.as_str()) && ![RATE, "images_per_second"].contains(&&**name) {
            columns.push(name);
        }
    }
    columns.push(RATE);
    columns.into_iter().filter_map(|column| chart(column, runs, names)).collect()
}

fn chart(column: &str, runs: &[ReadRun], names: &Names) -> Option<Chart> {
    let factor = if column == MAP { 100.0 } else { 1.0 };
    let line = |(place, run): (usize, &ReadRun)| {
        let values = run.history.column(column)?;
        // Before the first step there is no step with a rate.
        let values = match values {
            [(0.0, _), rest @ ..] if column == RATE => rest,
            all => all,
        };
        let every = values.len().div_ceil(MOST_POINTS).max(1);
        let kept = values.iter().enumerate().filter(|(at, _)| at % every == 0 || at + 1 == values.len());
        let points = kept.map(|(_, &(x, y))| Point { x, y: factor * y, deviation: None }).collect();
        (!values.is_empty()).then(|| Line { name: names.place(Source::Run(place)), points })
    };
    let mut lines: Vec<Line> = runs.iter().enumerate().filter_map(line).collect();
    let first = lines.iter().flat_map(|line| line.points.first()).map(|point| point.x as usize).min()?;
    let last = lines.iter().flat_map(|line| line.points.last()).map(|point| point.x as usize).max()?;
    if column == MAP {
        lines.extend(anchors(runs, names, last.max(1) as f64));
    }
    let start = (first == 0).then(|| (0.0, "0".to_owned()));
    Some(Chart {
        name: column.into(),
        title: title(column),
        caption: "by epoch; metrics.csv of the run has the numbers".into(),
        x_label: "epoch".into(),
        y_label: String::new(),
        names: names.all().to_vec(),
        emphasis: None,
        markers: false,
        panels: vec![Panel {
            title: String::new(),
            x_ticks: start.into_iter().chain(epoch_ticks(last)).collect(),
            lines,
            diagonal: false,
        }],
    })
}

/// The anchors' mAP as level lines; one that several runs share is there once.
fn anchors(runs: &[ReadRun], names: &Names, last: f64) -> Vec<Line> {
    let mut known = Vec::new();
    let anchors = runs.iter().enumerate().filter_map(|(place, run)| {
        let map = run.info.anchor?.map?;
        (!known.contains(&map)).then(|| {
            known.push(map);
            let point = |x: f64| Point { x, y: 100.0 * map, deviation: None };
            Line { name: names.place(Source::Anchor(place)), points: vec![point(0.0), point(last)] }
        })
    });
    anchors.collect()
}

/// What a column is called above its chart.
fn title(column: &str) -> String {
    match column {
        MAP => "mAP on the validation images [%]".into(),
        LOSS => "loss on the validation images".into(),
        "gradient_norm" => "norm of the gradients".into(),
        other => other.replace('_', " "),
    }
}
