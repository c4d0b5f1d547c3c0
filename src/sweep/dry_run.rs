//! What the cells of a sweep will cost, before the first is begun. Cells that differ in their known labels and seeds
//! alone cost the same, so that one of them is forecast for all, each in a process of its own: the memory of one says
//! nothing of another's.

use std::collections::HashMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;

use sarb_labels::text::{aligned, duration, in_percent, thousands};
use serde::Serialize;

use super::child::{self, Ended};
use super::claim::Claim;
use super::plan::Cell;
use super::state::{CellStatus, Sweep, write_with_folder};
use crate::cancel::Cancel;
use crate::forecast::{Forecast, Maps, temporary_folder};
use crate::inputs::Inputs;
use crate::recipe::Recipe;
use crate::{Error, Result};

/// A cell, and what it will cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// The name of its row.
    pub row: String,
    /// Known proportion.
    pub known: f64,
    /// Seed.
    pub seed: u64,
    /// How far it is.
    pub status: CellStatus,
    /// What it costs; none if it is done. Maps are those that the cache lacks now, also where an earlier cell
    /// computes them.
    pub forecast: Option<Forecast>,
}

/// What all cells cost that are not done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Total {
    /// How many.
    pub cells: usize,
    /// Feature maps that are to be computed, those that cells share once.
    pub maps: usize,
    /// Bytes that these take.
    pub map_bytes: u64,
    /// Bytes of the run folders.
    pub run_bytes: u64,
    /// Seconds of all cells, one after another.
    pub seconds: f64,
    /// The most memory of a cell, in MiB.
    pub memory_mb: f64,
}

/// Forecasts every cell that is not done; `recipes` are those of [`Sweep::check`]. `arguments` say where feature maps
/// are cached and how many threads each child may use.
///
/// # Errors
/// What is wrong with a cell, with its name and exit code; [`Error::Stopped`] once `cancel` asks for an end.
pub fn dry_run(
    sweep: &Sweep,
    recipes: &[Recipe],
    device: &str,
    arguments: &[OsString],
    say: &dyn Fn(&str),
    cancel: &Cancel,
) -> Result<(Vec<Planned>, Total)> {
    let mut known: HashMap<String, Forecast> = HashMap::new();
    let (mut planned, mut maps) = (Vec::new(), HashMap::new());
    for (cell, recipe) in sweep.plan.cells().into_iter().zip(recipes) {
        let status = sweep.state(cell.clone())?.status;
        let mut forecast = None;
        if status != CellStatus::Done {
            let key = alike(recipe);
            if !known.contains_key(&key) {
                say(&format!("{}: looking", sweep.name(&cell)));
                known.insert(key.clone(), of_cell(sweep, &cell, recipe, device, arguments, cancel)?);
            }
            let found = known[&key].clone();
            if let Some(own) = found.maps {
                let shared: &mut (Maps, f64) = maps.entry(store(recipe)).or_insert((own, found.seconds.maps));
                if own.to_compute > shared.0.to_compute {
                    *shared = (own, found.seconds.maps);
                }
            }
            forecast = Some(found);
        }
        let row = sweep.plan.rows[cell.row].name.clone();
        planned.push(Planned { row, known: cell.known, seed: cell.seed, status, forecast });
    }
    let total = total(&planned, maps.values());
    Ok((planned, total))
}

fn total<'a>(planned: &[Planned], maps: impl Iterator<Item = &'a (Maps, f64)> + Clone) -> Total {
    let forecasts = || planned.iter().filter_map(|cell| cell.forecast.as_ref());
    let each = forecasts().map(|forecast| forecast.seconds.total - forecast.seconds.maps);
    Total {
        cells: forecasts().count(),
        maps: maps.clone().map(|(maps, _)| maps.to_compute).sum(),
        map_bytes: maps.clone().map(|(maps, _)| maps.bytes).sum(),
        run_bytes: forecasts().map(|forecast| forecast.run_bytes).sum(),
        seconds: each.sum::<f64>() + maps.map(|(_, seconds)| seconds).sum::<f64>(),
        memory_mb: forecasts().map(|forecast| forecast.memory_mb).fold(0.0, f64::max),
    }
}

/// What decides the cost of a cell.
fn alike(recipe: &Recipe) -> String {
    let mut recipe = recipe.clone();
    (recipe.data.known, recipe.data.mask_seed, recipe.seed) = (1.0, 0, 0);
    recipe.to_toml()
}

/// What decides which feature maps a cell reads; more views hold those of fewer.
fn store(recipe: &Recipe) -> String {
    let mut backbone = recipe.backbone.clone();
    backbone.views = 0;
    let mixed = recipe.method.mixed_views().map(|_| recipe.seed);
    format!("{backbone:?} {} {mixed:?}", recipe.data.size_px)
}

/// Asks a child what a cell costs.
fn of_cell(
    sweep: &Sweep,
    cell: &Cell,
    recipe: &Recipe,
    device: &str,
    arguments: &[OsString],
    cancel: &Cancel,
) -> Result<Forecast> {
    let folder = temporary_folder()?;
    let (file, log) = (folder.path().join("recipe.toml"), folder.path().join("log"));
    write_with_folder(&file, recipe.to_toml().as_bytes())?;
    let claim = Claim::take(&log)?.expect("nobody else knows of it");
    let mut args: Vec<OsString> = vec!["train".into(), file.into(), "--dry-run".into(), "--json".into()];
    args.extend(["--out".into(), folder.path().join("run").into()]);
    args.extend(["--then-evaluate".into(), sweep.split.to_string().into()]);
    args.extend(Inputs::arguments(&sweep.inputs()));
    args.extend(["--device".into(), device.into()]);
    args.extend(arguments.iter().cloned());
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    match child::run(&args, &claim, threads, || cancel.is_cancelled())? {
        Ended::Done => {}
        Ended::Interrupted => return Err(Error::Stopped),
        Ended::Failed(failure) => {
            let message = format!("{}: {}", sweep.name(cell), failure.reason);
            return Err(Error::Sweep { code: failure.code, message });
        }
    }
    let text = std::fs::read(&log).map_err(|e| Error::io(&log, e))?;
    let text = String::from_utf8_lossy(&text);
    let bug = || Error::Incompatible(format!("{}: its forecast cannot be read", sweep.name(cell)));
    // The object stands on lines of its own, below what else was said.
    let begin = text.rfind("\n{\n").ok_or_else(bug)?;
    let object = serde_json::Deserializer::from_str(&text[begin..]).into_iter::<Forecast>().next();
    object.and_then(|object| object.ok()).ok_or_else(bug)
}

/// A line for each cell, and the total.
pub fn planned_to_table(planned: &[Planned], total: &Total) -> String {
    let heading = ["row", "known", "seed", "epochs", "steps", "maps to compute", "time", "memory", "status"];
    let mut lines = vec![heading.map(String::from).to_vec()];
    for cell in planned {
        let mut line = vec![cell.row.clone(), format!("{} %", in_percent(cell.known)), cell.seed.to_string()];
        line.extend(match &cell.forecast {
            None => ["–"; 5].map(String::from),
            Some(forecast) => [
                forecast.epochs.to_string(),
                thousands(forecast.epochs * forecast.steps_per_epoch),
                forecast.maps.map_or("–".into(), |maps| thousands(maps.to_compute)),
                duration(forecast.seconds.total - forecast.seconds.maps),
                format!("{} MB", thousands(forecast.memory_mb.round() as usize)),
            ],
        });
        line.push(cell.status.name().into());
        lines.push(line);
    }
    let megabytes = |bytes: u64| thousands((bytes as f64 / 1e6).round() as usize);
    format!(
        "{}\n{} of {} cells to do: about {} one after another, feature maps included ({} to compute, {} MB); about {} MB of \
         runs; at most about {} MB of memory for each cell\n\
         Times were measured on a sample, one cell of each row; those of cells are without feature maps, which cells \
         share. What a method does before and between epochs is not in them (sarb train --dry-run says more). \
         Nothing was written",
        aligned(&lines),
        total.cells,
        planned.len(),
        duration(total.seconds),
        thousands(total.maps),
        megabytes(total.map_bytes),
        megabytes(total.run_bytes),
        thousands(total.memory_mb.round() as usize)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::Seconds;

    fn forecast(maps: usize) -> Forecast {
        Forecast {
            method: "bce".into(),
            images: 90,
            validation_images: 10,
            evaluated_images: 50,
            epochs: 2,
            steps_per_epoch: 12,
            maps: Some(Maps { wanted: 150, cached: 150 - maps, to_compute: maps, bytes: 1000 * maps as u64 }),
            run_bytes: 3_000_000,
            seconds: Seconds {
                maps: maps as f64,
                training: 8.0,
                total: 8.0 + maps as f64,
                ..Seconds::default()
            },
            memory_mb: 100.0 + maps as f64,
            how: Vec::new(),
        }
    }

    #[test]
    fn shared_maps_are_counted_once_and_done_cells_not_at_all() {
        let cell =
            |known: f64, status, forecast| Planned { row: "BCE".into(), known, seed: 0, status, forecast };
        let planned = [
            cell(0.1, CellStatus::Done, None),
            cell(0.5, CellStatus::Waiting, Some(forecast(100))),
            cell(1.0, CellStatus::Interrupted, Some(forecast(100))),
        ];
        let maps = [(forecast(100).maps.unwrap(), 100.0)];
        let total = total(&planned, maps.iter());
        let expected = Total {
            cells: 2,
            maps: 100,
            map_bytes: 100_000,
            run_bytes: 6_000_000,
            seconds: 116.0,
            memory_mb: 200.0,
        };
        assert_eq!(total, expected);
        let text = planned_to_table(&planned, &total);
        assert!(text.contains("2 of 3 cells to do: about 1 min 56 s"), "{text}");
        assert!(text.lines().nth(1).unwrap().ends_with("done"), "{text}");
    }

    #[test]
    fn cells_of_other_labels_and_seeds_cost_the_same() {
        let recipe = |sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
            Recipe::read(None, Some("bce"), &sets).unwrap()
        };
        assert_eq!(alike(&recipe(&["data.known=0.1", "seed=3"])), alike(&recipe(&[])));
        assert_ne!(alike(&recipe(&["train.epochs=3"])), alike(&recipe(&[])));
        let frozen = "backbone.freeze=all";
        assert_eq!(store(&recipe(&[frozen, "backbone.views=3"])), store(&recipe(&[frozen])));
        assert_ne!(store(&recipe(&["data.size_px=64"])), store(&recipe(&[])));
    }
}
