//! What a tuning found, for people and for machines: `trials.csv`, `best.toml`, a table, JSON.

use std::io::Write;
use std::path::PathBuf;

use sarb_labels::arrays::read_matrix;
use sarb_labels::files::write_atomically;
use sarb_labels::metrics;
use sarb_labels::text::{aligned, duration, percent};
use serde::Serialize;

use super::halving::Rung;
use super::state::Trial;
use super::trial::Trials;
use crate::compare::{Bootstrap, Difference, System, compare};
use crate::run::Status;
use crate::{Error, Result};

/// Resamples behind the interval of the difference, as those of `sarb evaluate`.
const RESAMPLES: usize = 1000;

/// A trial on a rung.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// Its number; 0 is the recipe's own setting.
    pub trial: usize,
    /// How long it was: a ninth or a third of a training, or a full one.
    pub rung: &'static str,
    /// Every tuned key with its value.
    pub settings: toml::Table,
    /// Epochs that were trained; 0 of a closed form.
    pub epochs: usize,
    /// mAP of the images that are held out, 0…1, if it is done.
    pub map: Option<f64>,
    /// Wall-clock seconds, with start, data and evaluation.
    pub seconds: f64,
    /// done, failed, interrupted or left-out.
    pub status: &'static str,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

/// What a tuning found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tuned {
    /// Every trial on every rung, by number.
    pub trials: Vec<Row>,
    /// The number of the best; 0 is the recipe's own setting.
    pub best: usize,
    /// mAP of the recipe's own setting, trained in full, 0…1.
    pub own_map: f64,
    /// That of the best.
    pub best_map: f64,
    /// The best less the recipe's own setting, with the paired bootstrap's interval over the images that are held
    /// out: optimistic, for the best was chosen on them. None where the recipe's own setting is the best.
    pub difference: Option<Difference>,
    /// Images that were held out.
    pub held_out: usize,
    /// Seconds of all trials.
    pub seconds: f64,
    /// The recipe of the best.
    pub recipe: PathBuf,
    /// The table of all trials.
    pub table: PathBuf,
}

/// What a search has found.
pub(super) struct Found {
    /// The trials that were left out because the budget was spent.
    pub left_out: Vec<(usize, Rung)>,
    /// The best setting on the full rung; 0 is the recipe's own.
    pub best: usize,
}

/// A setting in one line.
pub(super) fn described(trial: &Trial) -> String {
    match trial.settings.is_empty() {
        true => "the recipe's own setting".into(),
        false => {
            let of = |(key, value): &(String, toml::Value)| format!("{key} = {}", plain(value));
            trial.settings.iter().map(of).collect::<Vec<_>>().join(", ")
        }
    }
}

/// Writes what is known so far to `trials.csv`.
pub(super) fn save(trials: &Trials<'_>, left_out: &[(usize, Rung)]) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let keys: Vec<&str> = trials.begun.state.space.keys().collect();
    let heading = ["trial", "rung"].into_iter().chain(keys.iter().copied());
    let unwritten = "writing to memory";
    writer.write_record(heading.chain(["epochs", "map", "seconds", "status", "error"])).expect(unwritten);
    for row in rows(trials, left_out) {
        let mut cells = vec![row.trial.to_string(), row.rung.to_owned()];
        cells.extend(keys.iter().map(|key| row.settings.get(*key).map_or(String::new(), plain)));
        cells.push(row.epochs.to_string());
        cells.push(row.map.map_or(String::new(), |map| format!("{map:.6}")));
        cells.push(format!("{:.1}", row.seconds));
        cells.extend([row.status.to_owned(), row.error.unwrap_or_default().replace('\n', "; ")]);
        writer.write_record(cells).expect(unwritten);
    }
    let bytes = writer.into_inner().expect(unwritten);
    Ok(write_atomically(&file(trials, "trials.csv"), |file| file.write_all(&bytes))?)
}

/// Writes `best.toml`, and compares the best with the recipe's own setting.
pub(super) fn finish(trials: &Trials<'_>, found: Found) -> Result<Tuned> {
    save(trials, &found.left_out)?;
    let map = |number: usize| trials.map(number, Rung::Full).expect("trained in full");
    let tuned = Tuned {
        trials: rows(trials, &found.left_out),
        best: found.best,
        own_map: map(0),
        best_map: map(found.best),
        difference: if found.best == 0 { None } else { Some(difference(trials, found.best)?) },
        held_out: trials.begun.parts.held_out.len(),
        seconds: trials.spent(),
        recipe: file(trials, "best.toml"),
        table: file(trials, "trials.csv"),
    };
    let recipe = trials.begun.trials[found.best].recipe.to_toml();
    write_atomically(&tuned.recipe, |file| file.write_all(recipe.as_bytes()))?;
    Ok(tuned)
}

fn file(trials: &Trials<'_>, name: &str) -> PathBuf {
    trials.begun.state.dir.join(name)
}

fn rows(trials: &Trials<'_>, left_out: &[(usize, Rung)]) -> Vec<Row> {
    let row = |number: usize, rung: Rung| {
        let record = trials.records.get(&(number, rung));
        let status = match record.map(|record| record.status) {
            Some(Status::Done) => "done",
            Some(Status::Failed) => "failed",
            Some(Status::Interrupted | Status::Running) => "interrupted",
            None => "left-out",
        };
        Row {
            trial: number,
            rung: rung.name(),
            settings: settings(trials, number),
            epochs: record.map_or(0, |record| record.epochs),
            map: record.and_then(|record| record.map),
            seconds: record.map_or(0.0, |record| record.seconds),
            status,
            error: record.and_then(|record| record.error.clone()),
        }
    };
    let mut all: Vec<(usize, Rung)> = trials.records.keys().copied().collect();
    all.extend(left_out.iter().filter(|place| !trials.records.contains_key(place)));
    all.sort_unstable();
    all.into_iter().map(|(number, rung)| row(number, rung)).collect()
}

/// Every tuned key with what a trial has there, the recipe's own setting too.
fn settings(trials: &Trials<'_>, number: usize) -> toml::Table {
    let recipe =
        toml::Table::try_from(&trials.begun.trials[number].recipe).expect("a recipe is a plain table");
    let value = |key: &str| {
        let mut parts = key.split('.');
        let first = recipe.get(parts.next()?)?;
        parts.try_fold(first, |value, part| value.get(part)).cloned()
    };
    let keys = trials.begun.state.space.keys();
    keys.filter_map(|key| Some((key.to_owned(), value(key)?))).collect()
}

/// The best less the recipe's own setting, on the same images.
fn difference(trials: &Trials<'_>, best: usize) -> Result<Difference> {
    let parts = &trials.begun.parts;
    let labels = parts.all.labels.select(&parts.held_out);
    let system = |number: usize| {
        let path = trials.folder(number, Rung::Full).join("evaluation/scores.npy");
        let values = read_matrix(&path)?.values;
        if values.len() != labels.images() * labels.categories() {
            return Err(Error::Incompatible(format!(
                "{}: not the scores of the images that are held out; delete {} to try it again",
                path.display(),
                trials.folder(number, Rung::Full).parent().unwrap_or(&path).display()
            )));
        }
        let scores = metrics::evaluate(&values, &labels, &parts.all.categories, 0.0)?;
        Ok(System { name: number.to_string(), values, scores })
    };
    let bootstrap = Bootstrap { resamples: RESAMPLES, seed: trials.options.seed };
    let mut comparison = compare(&[system(0)?, system(best)?], &labels, bootstrap)?;
    Ok(comparison.systems.remove(1).difference.expect("compared with the first"))
}

/// A value as people read it.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Float(number) if *number != 0.0 && number.abs() < 1e-3 => format!("{number:e}"),
        value => value.to_string(),
    }
}

impl Tuned {
    /// Each trial at its longest, the best first, and what to make of it.
    pub fn to_text(&self) -> String {
        let mut longest: Vec<&Row> = Vec::new();
        for row in &self.trials {
            match longest.last_mut() {
                // Rows of a trial stand together, the longer ones later.
                Some(last) if last.trial == row.trial && (row.map.is_some() || last.map.is_none()) => {
                    *last = row
                }
                Some(last) if last.trial == row.trial => {}
                _ => longest.push(row),
            }
        }
        let rung = |row: &Row| ["full", "third", "ninth"].iter().position(|name| *name == row.rung);
        longest.sort_by(|a, b| {
            let maps = b.map.unwrap_or(-1.0).total_cmp(&a.map.unwrap_or(-1.0));
            a.map
                .is_none()
                .cmp(&b.map.is_none())
                .then(rung(a).cmp(&rung(b)))
                .then(maps)
                .then(a.trial.cmp(&b.trial))
        });
        let keys: Vec<&String> = self.trials[0].settings.keys().collect();
        let mut heading = vec!["trial".to_owned(), "trained".into()];
        heading.extend(keys.iter().map(|key| (*key).clone()));
        heading.push("mAP".into());
        let mut lines = vec![heading];
        for row in longest {
            let mut cells = vec![row.trial.to_string(), row.rung.to_owned()];
            cells.extend(keys.iter().map(|key| row.settings.get(*key).map_or(String::new(), plain)));
            cells.push(row.map.map_or(row.status.into(), percent));
            lines.push(cells);
        }
        format!("{}\n{}", aligned(&lines), self.verdict())
    }

    /// Whether another setting is better than the recipe's own, and how sure that is.
    pub fn verdict(&self) -> String {
        let tried = self.trials.iter().filter(|row| row.trial > 0 && row.map.is_some());
        let tried = tried.map(|row| row.trial).collect::<std::collections::BTreeSet<_>>().len();
        let settings = if tried == 1 { "setting" } else { "settings" };
        let how = format!(
            "{} images that are held out; {tried} other {settings} tried in {}",
            self.held_out,
            duration(self.seconds)
        );
        let recipe = self.recipe.display();
        let Some(difference) = self.difference else {
            return format!(
                "no setting is better than the recipe's own (trial 0): mAP {} on {how}; {recipe} is the recipe",
                percent(self.own_map)
            );
        };
        let sure = match difference.interval {
            Some(interval) if interval.low > 0.0 => "",
            _ => ", which may be the choice of the images",
        };
        format!(
            "trial {} is the best: mAP {}, the recipe's own setting (trial 0) {}; difference {}{sure}, on {how}.\n\
             The 95 % interval of the difference is optimistic: the best was chosen on the same images. Train {recipe} \
             and evaluate it on test.csv for a number to report",
            self.best,
            percent(self.best_map),
            percent(self.own_map),
            difference.to_text()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Interval;

    fn row(trial: usize, rung: &'static str, rate: f64, map: Option<f64>) -> Row {
        let status = if map.is_some() { "done" } else { "failed" };
        let settings = toml::Table::from_iter([("train.learning_rate".to_owned(), rate.into())]);
        Row { trial, rung, settings, epochs: 1, map, seconds: 2.0, status, error: None }
    }

    fn tuned(best: usize, difference: Option<(f64, f64)>) -> Tuned {
        Tuned {
            trials: vec![
                row(0, "ninth", 1e-5, Some(0.2)),
                row(0, "full", 1e-5, Some(0.5)),
                row(1, "ninth", 0.1, None),
                row(2, "ninth", 2e-5, Some(0.3)),
                row(2, "full", 2e-5, Some(0.6)),
                row(3, "ninth", 3e-5, Some(0.25)),
            ],
            best,
            own_map: 0.5,
            best_map: 0.6,
            difference: difference
                .map(|(low, high)| Difference { map: 0.1, interval: Some(Interval { low, high }) }),
            held_out: 40,
            seconds: 61.0,
            recipe: "out/best.toml".into(),
            table: "out/trials.csv".into(),
        }
    }

    #[test]
    fn the_table_shows_each_trial_at_its_longest_the_best_first() {
        let text = tuned(2, Some((0.02, 0.18))).to_text();
        let lines: Vec<Vec<&str>> =
            text.lines().take(5).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(
            lines,
            [
                ["trial", "trained", "train.learning_rate", "mAP"],
                ["2", "full", "2e-5", "60.0"],
                ["0", "full", "1e-5", "50.0"],
                ["3", "ninth", "3e-5", "25.0"],
                ["1", "ninth", "0.1", "failed"],
            ]
        );
        assert!(text.contains("+10.0 (+2.0 to +18.0), on 40 images"), "{text}");
        assert!(text.contains("2 other settings tried in 1 min 1 s"), "{text}");
        assert!(text.contains("optimistic"), "{text}");
    }

    #[test]
    fn a_difference_that_may_be_chance_is_called_so() {
        let text = tuned(2, Some((-0.02, 0.18))).verdict();
        assert!(text.contains("may be the choice of the images"), "{text}");
        let text = tuned(0, None).verdict();
        assert!(text.contains("no setting is better than the recipe's own"), "{text}");
    }
}
