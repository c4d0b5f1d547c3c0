//! How far a sweep is, for people and for machines.

use sarb_labels::text::{aligned, duration, in_percent};
use serde_json::{Value, json};

use super::state::{CellState, CellStatus, Sweep};

/// The statuses in the order in which they are counted.
const STATUSES: [CellStatus; 5] =
    [CellStatus::Done, CellStatus::Running, CellStatus::Interrupted, CellStatus::Failed, CellStatus::Waiting];

impl CellStatus {
    pub(super) fn name(self) -> &'static str {
        match self {
            CellStatus::Done => "done",
            CellStatus::Running => "running",
            CellStatus::Interrupted => "interrupted",
            CellStatus::Failed => "failed",
            CellStatus::Waiting => "waiting",
        }
    }
}

/// One object with every cell and the counts.
pub fn to_json(sweep: &Sweep, cells: &[CellState]) -> Value {
    let cell = |state: &CellState| {
        json!({
            "row": sweep.plan.rows[state.cell.row].name,
            "known": state.cell.known,
            "seed": state.cell.seed,
            "folder": state.folder,
            "status": state.status,
            "map": state.map,
            "seconds": state.seconds,
            "error": state.error,
        })
    };
    let mut object = json!({ "cells": cells.iter().map(cell).collect::<Vec<_>>() });
    for status in STATUSES {
        object[status.name()] = count(cells, status).into();
    }
    object
}

/// Rows × known proportions, a line a seed where there are several; counts and failures below.
pub fn to_table(sweep: &Sweep, cells: &[CellState]) -> String {
    let plan = &sweep.plan;
    let mut seeds: Vec<u64> = Vec::new();
    for state in cells {
        if !seeds.contains(&state.cell.seed) {
            seeds.push(state.cell.seed);
        }
    }
    let mut heading = vec!["mAP".to_string()];
    heading.extend((seeds.len() > 1).then(|| "seed".to_string()));
    heading.extend(plan.known.iter().map(|known| format!("{} %", in_percent(*known))));
    let mut table = vec![heading];
    for (row, planned) in plan.rows.iter().enumerate() {
        for &seed in &seeds {
            let find = |known: f64| {
                let is_it = |state: &&CellState| {
                    (state.cell.row, state.cell.known, state.cell.seed) == (row, known, seed)
                };
                cells.iter().find(is_it)
            };
            if plan.known.iter().all(|known| find(*known).is_none()) {
                continue;
            }
            let mut line = vec![planned.name.clone()];
            line.extend((seeds.len() > 1).then(|| seed.to_string()));
            line.extend(plan.known.iter().map(|known| find(*known).map_or(String::new(), shown)));
            table.push(line);
        }
    }
    let mut text = format!("{}\n{}", aligned(&table), summary(cells));
    for state in cells {
        if let Some(error) = &state.error {
            let (name, log) = (sweep.name(&state.cell), sweep.log(&state.cell));
            text.push_str(&format!("\n{name}: {}; see {}", error.replace('\n', "; "), log.display()));
        }
    }
    text
}

fn shown(state: &CellState) -> String {
    state.map.map_or(state.status.name().into(), |map| format!("{:.1}", 100.0 * map))
}

fn summary(cells: &[CellState]) -> String {
    let counts: Vec<String> = STATUSES
        .iter()
        .map(|status| (count(cells, *status), status.name()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let seconds: f64 = cells.iter().filter_map(|state| state.seconds).sum();
    format!("{} of {} cells; {} of training in those done", counts.join(", "), cells.len(), duration(seconds))
}

fn count(cells: &[CellState], status: CellStatus) -> usize {
    cells.iter().filter(|state| state.status == status).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sarb_labels::Split;

    #[test]
    fn the_table_shows_numbers_where_there_are_some() {
        let plan = "known = [0.1, 1.0]\n[[row]]\nname = 'SARB'\nrecipe = 'a.toml'\n\
                    more_seeds = [{ known = 0.1, seeds = [1] }]\n[[row]]\nname = 'B'\nrecipe = 'b.toml'";
        let sweep = Sweep {
            dir: "/sweep".into(),
            base: "/plans".into(),
            data: "/data".into(),
            weights: None,
            words: None,
            features: None,
            val_features: None,
            test_features: None,
            split: Split::Test,
            plan: toml::from_str(plan).unwrap(),
        };
        let statuses = [
            CellStatus::Done,
            CellStatus::Running,
            CellStatus::Failed,
            CellStatus::Waiting,
            CellStatus::Interrupted,
        ];
        let cells: Vec<CellState> = sweep
            .plan
            .cells()
            .into_iter()
            .zip(statuses)
            .map(|(cell, status)| {
                let done = status == CellStatus::Done;
                CellState {
                    folder: sweep.folder(&cell),
                    cell,
                    status,
                    map: done.then_some(0.7123),
                    seconds: done.then_some(61.0),
                    error: (status == CellStatus::Failed).then(|| "no space".to_string()),
                }
            })
            .collect();
        assert_eq!(
            to_table(&sweep, &cells),
            "mAP   seed         10 %    100 %\n\
             SARB     0         71.2   failed\n\
             SARB     1  interrupted\n\
             B        0      running  waiting\n\n\
             1 done, 1 running, 1 interrupted, 1 failed, 1 waiting of 5 cells; 1 min 1 s of training in those done\n\
             SARB, 100 % known, seed 0: no space; see /sweep/logs/sarb/known-100-seed-0.log"
        );
        let json = to_json(&sweep, &cells);
        assert_eq!((json["done"].as_u64(), json["waiting"].as_u64()), (Some(1), Some(1)));
        assert_eq!(json["cells"][4]["status"], "interrupted");
        assert_eq!(json["cells"][2]["map"], Value::Null);
    }
}
