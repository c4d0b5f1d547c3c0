//! The search: the recipe's own setting is trained and timed, the budget decides how many others are tried, and
//! those that do best go on from rung to rung.

use std::io::Write;
use std::path::PathBuf;

use sarb_labels::files::write_atomically;
use sarb_labels::text::duration;
use serde::{Deserialize, Serialize};

use super::Options;
use super::halving::{Cost, Plan, Rung};
use super::state::{Begun, is_closed_form};
use super::table::{self, Found};
use super::trial::{Record, Trials};
use crate::cancel::Cancel;
use crate::run::Status;
use crate::seal::{json, read_json};
use crate::{Error, Result};

/// What an estimate may be off by before trials are left out.
const TOLERANCE: f64 = 1.1;

/// What was decided of a tuning once its first trials were timed: `plan.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Decided {
    budget_seconds: f64,
    most_settings: usize,
    fixed_seconds: f64,
    full_seconds: f64,
    plan: Plan,
}

/// Does what is left of a tuning.
///
/// # Errors
/// [`Error::Usage`] where the budget does not suffice for two trials; [`Error::Sweep`] with 75 once `cancel` asks for
/// an end, and with the exit code of the recipe's own setting where that fails.
pub(super) fn run(trials: &mut Trials<'_>, say: &dyn Fn(&str), cancel: &Cancel) -> Result<Found> {
    let mut search =
        Search { begun: trials.begun, options: trials.options, trials, say, cancel, left_out: vec![] };
    let decided = match search.decided()? {
        Some(decided) => decided,
        None => search.decide()?,
    };
    search.announce(&decided);
    search.halve(&decided)
}

struct Search<'a, 'b> {
    begun: &'a Begun,
    options: &'a Options,
    trials: &'b mut Trials<'a>,
    say: &'b dyn Fn(&str),
    cancel: &'b Cancel,
    left_out: Vec<(usize, Rung)>,
}

impl Search<'_, '_> {
    fn budget(&self) -> f64 {
        self.options.budget.as_secs_f64()
    }

    fn plan_file(&self) -> PathBuf {
        self.begun.state.dir.join("plan.json")
    }

    /// What an earlier invocation decided.
    fn decided(&self) -> Result<Option<Decided>> {
        let path = self.plan_file();
        if !path.is_file() {
            return Ok(None);
        }
        let decided: Decided = read_json(&path)?;
        let dir = self.begun.state.dir.display();
        let differs = |flag: &str, was: String, now: String| {
            Err(Error::Usage(format!(
                "{dir}: the tuning in it was planned for {flag} {was}, not {now}; give the same, or another --out"
            )))
        };
        if decided.budget_seconds != self.budget() {
            return differs("--budget", duration(decided.budget_seconds), duration(self.budget()));
        }
        if decided.most_settings != self.options.most_settings {
            let (was, now) = (decided.most_settings, self.options.most_settings);
            return differs("--settings", was.to_string(), now.to_string());
        }
        if !decided.plan.fits(&self.begun.rungs, self.begun.trials.len() - 1) {
            return Err(Error::Incompatible(format!(
                "{}: not the plan of this tuning; delete it to plan anew",
                path.display()
            )));
        }
        Ok(Some(decided))
    }

    /// Times the recipe's own setting, and plans what the budget allows besides.
    ///
    /// The first of its two trials also fills the cache of feature maps; the second tells what a trial takes.
    fn decide(&mut self) -> Result<Decided> {
        let short = self.begun.rungs[0];
        let closed = is_closed_form(&self.begun.state.recipe);
        let timed = if closed {
            // Only the whole fills the cache: a shorter one reads fewer images.
            self.measure(Rung::Full)?;
            self.measure(short)?
        } else {
            let record = self.measure(short)?;
            let (of_short, of_full) = (self.epochs(short), self.epochs(Rung::Full));
            let full = record.training_seconds * of_full / of_short;
            let more = if short == Rung::Full { full } else { 2.0 * full };
            if self.trials.spent() + more > TOLERANCE * self.budget() {
                return Err(self.too_little("about", self.trials.spent() + more));
            }
            self.measure(Rung::Full)?
        };
        let full = &self.trials.records[&(0, Rung::Full)];
        let cost =
            Cost { fixed: (timed.seconds - timed.training_seconds).max(0.0), full: full.training_seconds };
        let spent = self.trials.spent();
        let mut lengths = self.lengths();
        lengths.truncate(self.options.most_settings);
        let Some(plan) = Plan::new(&self.begun.rungs, cost, &lengths, self.budget() - spent) else {
            return Err(self.too_little("about", spent + cost.of(Rung::Full, lengths[0])));
        };
        let decided = Decided {
            budget_seconds: self.budget(),
            most_settings: self.options.most_settings,
            fixed_seconds: cost.fixed,
            full_seconds: cost.full,
            plan,
        };
        write_atomically(&self.plan_file(), |file| file.write_all(&json(&decided)))?;
        Ok(decided)
    }

    /// Trains the recipe's own setting on a rung, within the budget.
    fn measure(&mut self, rung: Rung) -> Result<Record> {
        (self.say)(&format!("the recipe's own setting {}, to see what a trial takes", rung.shown()));
        let (begun, spent) = (std::time::Instant::now(), self.trials.spent());
        let (budget, cancel) = (self.budget(), self.cancel);
        let over = || spent + begun.elapsed().as_secs_f64() > budget;
        let record = self.trials.run(0, rung, &|| cancel.is_cancelled() || over())?;
        table::save(self.trials, &self.left_out)?;
        match record.status {
            Status::Done => Ok(record),
            Status::Failed => {
                // Nothing was learned from it: the next invocation tries again.
                let path = self.trials.file(0, rung, "json");
                crate::run::remove(&path, |path| std::fs::remove_file(path))?;
                let reason = record.error.unwrap_or_default();
                let log = self.trials.file(0, rung, "log");
                Err(Error::Sweep {
                    code: record.code.unwrap_or(1),
                    message: format!("the recipe's own setting failed: {reason}; see {}", log.display()),
                })
            }
            _ if cancel.is_cancelled() => Err(self.stopped()),
            _ => Err(self.too_little_for_one(&record)),
        }
    }

    /// The budget ended within the first trial, which has done so many of its epochs.
    fn too_little_for_one(&self, record: &Record) -> Error {
        match record.epochs {
            0 => self.too_little("more than", 2.0 * record.seconds),
            done => {
                let full = record.seconds * (self.epochs(Rung::Full) / done as f64).max(1.0);
                self.too_little("about", 2.0 * full)
            }
        }
    }

    fn epochs(&self, rung: Rung) -> f64 {
        rung.of(self.begun.state.recipe.train.epochs) as f64
    }

    fn too_little(&self, about: &str, takes: f64) -> Error {
        Error::Usage(format!(
            "a --budget of {} does not suffice to compare the recipe's own setting with another; that takes {about} {}. \
             What was done is kept: the same command with a larger --budget continues",
            time(self.budget()),
            time(takes)
        ))
    }

    fn stopped(&self) -> Error {
        let done = self.trials.records.values().filter(|record| record.is_final()).count();
        Error::Sweep {
            code: 75,
            message: format!("stopped with {done} trials done; the same command continues"),
        }
    }

    /// How long the trainings of all settings are, relative to that of the recipe's own.
    fn lengths(&self) -> Vec<f64> {
        let own = self.begun.state.recipe.train.epochs;
        let length = |epochs: usize| if own == 0 { 1.0 } else { epochs as f64 / own as f64 };
        let closed = is_closed_form(&self.begun.state.recipe);
        self.begun.trials[1..]
            .iter()
            .map(|trial| if closed { 1.0 } else { length(trial.recipe.train.epochs) })
            .collect()
    }

    fn announce(&self, decided: &Decided) {
        let Decided { plan, fixed_seconds: fixed, full_seconds: full, .. } = decided;
        let takes = plan.takes(Cost { fixed: *fixed, full: *full }, &self.lengths());
        let rungs: Vec<String> =
            plan.rungs.iter().map(|(rung, count)| format!("{count} {}", rung.shown())).collect();
        let settings = if plan.settings() == 1 { "setting" } else { "settings" };
        (self.say)(&format!(
            "{} {settings} beside the recipe's own, {}; about {} in all, of a budget of {} of which {} were spent before",
            plan.settings(),
            rungs.join(", then "),
            duration(takes),
            duration(self.budget()),
            duration(self.trials.spent())
        ));
    }

    /// Every rung, from the shortest to the full one.
    fn halve(mut self, decided: &Decided) -> Result<Found> {
        let cost = Cost { fixed: decided.fixed_seconds, full: decided.full_seconds };
        let mut alive: Vec<usize> = (1..=decided.plan.settings()).collect();
        for (place, (rung, _)) in decided.plan.rungs.iter().enumerate() {
            self.rung(*rung, &alive, cost)?;
            if let Some((_, next)) = decided.plan.rungs.get(place + 1) {
                alive = self.ranked(&alive, *rung);
                alive.truncate(*next);
                // In the order of their draw, which decides where the budget ends.
                alive.sort_unstable();
            }
        }
        alive.push(0);
        let best = self.ranked(&alive, Rung::Full).first().copied().unwrap_or(0);
        Ok(Found { left_out: self.left_out, best })
    }

    /// Tries settings on a rung; the first in any case, others while the budget allows it.
    fn rung(&mut self, rung: Rung, settings: &[usize], cost: Cost) -> Result<()> {
        let lengths = self.lengths();
        for (place, number) in settings.iter().enumerate() {
            let length = lengths[number - 1];
            let later = if rung == Rung::Full { 0.0 } else { cost.of(Rung::Full, length) };
            let ended = self.trials.records.get(&(*number, rung)).is_some_and(Record::is_final);
            let takes = self.trials.spent() + cost.of(rung, length) + later;
            if !ended && place > 0 && takes > TOLERANCE * self.budget() {
                self.left_out.push((*number, rung));
                continue;
            }
            self.attempt(*number, rung, settings.len() - place - 1, ended)?;
        }
        table::save(self.trials, &self.left_out)
    }

    fn attempt(&mut self, number: usize, rung: Rung, left: usize, ended: bool) -> Result<()> {
        let cancel = self.cancel;
        if cancel.is_cancelled() {
            return Err(self.stopped());
        }
        let record =
            self.trials.run(number, rung, &|| cancel.is_cancelled()).map_err(|error| match error {
                Error::Stopped => self.stopped(),
                error => error,
            })?;
        table::save(self.trials, &self.left_out)?;
        if ended {
            return Ok(());
        }
        let name = table::described(&self.begun.trials[number]);
        match (record.status, record.map) {
            (Status::Done, Some(map)) => (self.say)(&format!(
                "trial {number}, {}: mAP {:.1} in {}, {left} left on this rung; {name}",
                rung.name(),
                100.0 * map,
                duration(record.seconds)
            )),
            (Status::Failed, _) => (self.say)(&format!(
                "trial {number}, {}: failed: {}; {name}",
                rung.name(),
                record.error.unwrap_or_default().replace('\n', "; ")
            )),
            _ => return Err(self.stopped()),
        }
        Ok(())
    }

    /// Those that are done, the best first; of equals the one that was drawn first.
    fn ranked(&self, settings: &[usize], rung: Rung) -> Vec<usize> {
        let mut done: Vec<(f64, usize)> =
            settings.iter().filter_map(|number| Some((self.trials.map(*number, rung)?, *number))).collect();
        done.sort_by(|(a, first), (b, second)| b.total_cmp(a).then(first.cmp(second)));
        done.into_iter().map(|(_, number)| number).collect()
    }
}

/// A time for people, with a digit more where it is short.
fn time(seconds: f64) -> String {
    if seconds < 10.0 { format!("{seconds:.1} s") } else { duration(seconds) }
}
