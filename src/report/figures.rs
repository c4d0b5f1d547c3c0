//! The figures of a report: mAP against the known proportion, and the training loss by epoch.

use sarb_labels::text::{listed, thousands};

use crate::report::chart::{Chart, Line, Panel, Point};
use crate::report::comparison::Mean;
use crate::report::history::History;
use crate::report::results::{Measured, Results};
use crate::report::words::known_label;
use crate::sweep::Table;

/// The loss term that is drawn: the BCE over the known labels of unblended images.
const TERM: &str = "bce";

/// mAP of the main table's rows at each proportion; none without a point.
pub fn map_by_known(results: &Results) -> Option<Chart> {
    let mut rows = results.rows(Table::Main);
    rows.retain(|&row| results.cells.iter().any(|done| done.cell.row == row));
    let known = results.known();
    let line = |(name, &row): (usize, &usize)| {
        let point = |&known: &f64| {
            let maps: Vec<f64> = results.at(row, known).iter().map(|done| done.scores.map).collect();
            let mean = Mean::of(&maps)?;
            let deviation = mean.deviation.map(|deviation| 100.0 * deviation);
            Some(Point { x: 100.0 * known, y: 100.0 * mean.mean, deviation })
        };
        Line { name, points: known.iter().filter_map(point).collect() }
    };
    let first = &results.cells[0].scores;
    (!rows.is_empty()).then(|| Chart {
        name: "map-by-known".into(),
        title: "mAP by proportion of known labels".into(),
        caption: format!(
            "mAP on the {} test images in percent against the proportion of known training labels in percent; a line \
             a system, means over seeds, bars of one sample standard deviation where there are several seeds.",
            thousands(first.images)
        ),
        x_label: "known labels [%]".into(),
        y_label: "mAP [%]".into(),
        names: rows.iter().map(|&row| results.name(row).to_owned()).collect(),
        emphasis: rows.iter().position(|&row| Some(row) == results.reference()),
        markers: true,
        panels: vec![Panel {
            title: String::new(),
            x_ticks: known.iter().map(|&known| (100.0 * known, known_label(known).replace(" %", ""))).collect(),
            lines: rows.iter().enumerate().map(line).collect(),
            diagonal: false,
        }],
    })
}

/// The training loss by epoch of the plan's `loss_curves`, a panel a proportion; and why a panel or
/// all of it is left out.
pub fn training_loss(results: &Results) -> (Option<Chart>, Vec<String>) {
    let names = &results.plan.loss_curves;
    if names.is_empty() {
        return (None, vec!["No training loss is drawn: the plan's loss_curves is empty.".into()]);
    }
    let rows: Vec<usize> =
        names.iter().filter_map(|name| results.plan.rows.iter().position(|row| row.name == *name)).collect();
    let (mut panels, mut seeds, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for known in results.known() {
        match panel(results, &rows, known) {
            Ok((panel, seed, more)) => {
                notes.extend(more);
                panels.push(panel);
                seeds.push(seed);
            }
            Err(why) => notes.push(format!("Training loss at {}: not drawn, {why}.", known_label(known))),
        }
    }
    seeds.sort_unstable();
    seeds.dedup();
    let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
    let chart = (!panels.is_empty()).then(|| Chart {
        name: "training-loss".into(),
        title: "Training loss by epoch".into(),
        caption: format!(
            "Mean binary cross-entropy over the known labels of the unblended training images, by epoch, of {} \
             (seed {}); a panel a proportion of known labels, each with its own scale.",
            listed(names),
            listed(&seeds)
        ),
        x_label: "epoch".into(),
        y_label: "loss".into(),
        names: names.clone(),
        emphasis: names.iter().position(|name| *name == results.plan.compare_with),
        markers: false,
        panels,
    });
    (chart, notes)
}

/// One panel, its seed, the lowest that all rows have, and what to know of it; or why there is none.
fn panel(results: &Results, rows: &[usize], known: f64) -> Result<(Panel, u64, Vec<String>), String> {
    let done: Vec<Vec<&Measured>> = rows.iter().map(|&row| results.at(row, known)).collect();
    let has = |cells: &Vec<&Measured>, seed: u64| cells.iter().any(|cell| cell.cell.seed == seed);
    let common = done
        .iter()
        .flatten()
        .map(|cell| cell.cell.seed)
        .filter(|&seed| done.iter().all(|cells| has(cells, seed)));
    let Some(seed) = common.min() else {
        return Err("no seed is done in all of these rows".into());
    };
    let (mut lines, mut notes) = (Vec::new(), Vec::new());
    for (name, cells) in done.iter().enumerate() {
        let Some(cell) = cells.iter().find(|cell| cell.cell.seed == seed) else { continue };
        let history = History::of(&cell.run).map_err(|error| error.to_string())?;
        notes.extend(history.note(&cell.run.dir().display().to_string()));
        let Some(losses) = history.column(TERM) else {
            return Err(format!("{} has no loss term {TERM:?}", results.name(rows[name])));
        };
        let points = losses.iter().map(|&(x, y)| Point { x, y, deviation: None }).collect();
        lines.push(Line { name, points });
    }
    let last = lines.iter().flat_map(|line| &line.points).map(|point| point.x as usize).max().unwrap_or(1);
    let title = format!("{} known", known_label(known));
    Ok((Panel { title, x_ticks: epoch_ticks(last), lines, diagonal: false }, seed, notes))
}

/// Places and labels of some epochs from the first to the last.
pub fn epoch_ticks(last: usize) -> Vec<(f64, String)> {
    let step = last.div_ceil(5).max(1);
    let ticks = (1..=last).filter(|epoch| epoch % step == 0 || *epoch == 1 && step > 1);
    ticks.map(|epoch| (epoch as f64, epoch.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{Fixture, PLAN};

    #[test]
    fn a_line_a_row_of_the_main_table_with_bars_where_seeds_differ() {
        let fixture = Fixture::new(PLAN);
        let chart = map_by_known(&fixture.results()).unwrap();
        assert_eq!(
            (chart.names.as_slice(), chart.emphasis),
            (&["SARB".to_owned(), "SSGRL".into()][..], Some(0))
        );
        let points = &chart.panels[0].lines[0].points;
        assert_eq!(points.iter().map(|point| point.deviation.is_some()).collect::<Vec<_>>(), [true, false]);
        assert_eq!(points.iter().map(|point| point.x).collect::<Vec<_>>(), [10.0, 50.0]);
    }

    #[test]
    fn the_loss_is_drawn_of_the_lowest_common_seed() {
        let fixture = Fixture::new(PLAN);
        let (chart, notes) = training_loss(&fixture.results());
        let chart = chart.unwrap();
        assert!(notes.is_empty() && chart.caption.contains("(seed 0)"), "{notes:?} {}", chart.caption);
        assert_eq!(chart.panels.len(), 2);
        // The fixture's epoch 0 has no loss; its term falls as 1 / epoch.
        let points = &chart.panels[0].lines[1].points;
        assert_eq!(
            points.iter().map(|point| (point.x, point.y)).collect::<Vec<_>>(),
            [(1.0, 1.0), (2.0, 0.5), (3.0, 0.333_333)]
        );
    }

    #[test]
    fn what_is_not_drawn_is_said() {
        let fixture = Fixture::new(PLAN).without(2, 0.5);
        let (chart, notes) = training_loss(&fixture.results());
        assert_eq!(chart.unwrap().panels.len(), 1);
        assert_eq!(notes, ["Training loss at 50 %: not drawn, no seed is done in all of these rows."]);

        let fixture = Fixture::new(&PLAN.replace("loss_curves", "# loss_curves"));
        let (chart, notes) = training_loss(&fixture.results());
        assert!(chart.is_none() && notes[0].contains("loss_curves is empty"));
    }
}
