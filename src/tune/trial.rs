//! One trial on one rung: a training and its evaluation, each a process of this very program, as the cells of a
//! sweep are; and what is kept of it.
//!
//! ```text
//! OUT/trials/003/ninth.toml     its recipe
//!                ninth.log      what training and evaluation printed; also its lock
//!                ninth.json     how it ended
//!                ninth/         its run folder
//! ```

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use sarb_labels::Split;
use serde::{Deserialize, Serialize};

use super::Options;
use super::halving::Rung;
use super::state::{Begun, shortened};
use crate::recipe::{Recipe, Validation};
use crate::run::{Run, Status};
use crate::seal::{json, read_json};
use crate::sweep::child::{self, Ended};
use crate::sweep::claim::Claim;
use crate::sweep::{Failure, how_to_begin, write_with_folder};
use crate::{Error, Result};

/// How often a trial is looked at that a child of a killed tuning still has.
const HELD_POLL: Duration = Duration::from_millis(300);

/// How a trial ended on a rung, or how far it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Done, failed or interrupted.
    pub status: Status,
    /// mAP of the images that are held out, 0…1, if it is done.
    pub map: Option<f64>,
    /// Epochs that were trained; 0 of a closed form.
    pub epochs: usize,
    /// Wall-clock seconds over all attempts, with start, data and evaluation.
    pub seconds: f64,
    /// Of these, the training's own.
    pub training_seconds: f64,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// The exit code with which it failed.
    pub code: Option<i32>,
}

impl Record {
    /// Whether nothing is left to do.
    pub fn is_final(&self) -> bool {
        matches!(self.status, Status::Done | Status::Failed)
    }
}

/// The trials of a tuning.
pub(super) struct Trials<'a> {
    pub begun: &'a Begun,
    pub options: &'a Options,
    /// What is known of each, by its number and rung.
    pub records: BTreeMap<(usize, Rung), Record>,
}

impl<'a> Trials<'a> {
    /// What earlier invocations did is read.
    pub fn open(begun: &'a Begun, options: &'a Options) -> Result<Self> {
        let mut trials = Self { begun, options, records: BTreeMap::new() };
        for number in 0..begun.trials.len() {
            for rung in &begun.rungs {
                let path = trials.file(number, *rung, "json");
                if path.is_file() {
                    trials.records.insert((number, *rung), read_json(&path)?);
                }
            }
        }
        Ok(trials)
    }

    /// Seconds of all trials so far.
    pub fn spent(&self) -> f64 {
        self.records.values().map(|record| record.seconds).sum()
    }

    /// mAP of a trial on a rung, if it is done.
    pub fn map(&self, number: usize, rung: Rung) -> Option<f64> {
        self.records.get(&(number, rung)).and_then(|record| record.map)
    }

    /// Trains and evaluates a trial, unless it has ended, until `stop` says so.
    ///
    /// # Errors
    /// What reading or writing the tuning's own files says; how the trial ends is in its record.
    pub fn run(&mut self, number: usize, rung: Rung, stop: &dyn Fn() -> bool) -> Result<Record> {
        if let Some(record) = self.records.get(&(number, rung)).filter(|record| record.is_final()) {
            return Ok(record.clone());
        }
        let log = self.file(number, rung, "log");
        let claim = loop {
            match Claim::take(&log)? {
                Some(claim) => break claim,
                None if stop() => return Err(Error::Stopped),
                None => std::thread::sleep(HELD_POLL),
            }
        };
        let before = self.records.get(&(number, rung)).map_or(0.0, |record| record.seconds);
        let clock = Instant::now();
        let ended = self.compute(number, rung, &claim, stop)?;
        let record = self.record(number, rung, ended, before + clock.elapsed().as_secs_f64())?;
        write_with_folder(&self.file(number, rung, "json"), &json(&record))?;
        self.records.insert((number, rung), record.clone());
        Ok(record)
    }

    fn record(&self, number: usize, rung: Rung, ended: Ended, seconds: f64) -> Result<Record> {
        let info = Run::open(&self.folder(number, rung)).and_then(|run| run.info()).ok();
        let mut record = Record {
            status: Status::Interrupted,
            map: None,
            epochs: info.as_ref().map_or(0, |info| info.epochs),
            seconds,
            training_seconds: info.as_ref().map_or(0.0, |info| info.seconds),
            error: None,
            code: None,
        };
        match ended {
            Ended::Interrupted => {}
            Ended::Failed(Failure { code, reason }) => {
                record.status = Status::Failed;
                (record.error, record.code) = (Some(reason), Some(code));
            }
            Ended::Done => {
                record.status = Status::Done;
                record.map = Some(self.evaluated(number, rung)?);
            }
        }
        Ok(record)
    }

    /// mAP, as the evaluation wrote it.
    fn evaluated(&self, number: usize, rung: Rung) -> Result<f64> {
        let run = Run::open(&self.folder(number, rung))?;
        let measured = run.measurement(Split::Val)?;
        let measured = measured.ok_or_else(|| {
            Error::Missing(format!("{}: no scores after its evaluation", run.dir().display()))
        })?;
        Ok(measured.scores.map)
    }

    fn compute(&self, number: usize, rung: Rung, claim: &Claim, stop: &dyn Fn() -> bool) -> Result<Ended> {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let child = |args: Vec<OsString>| child::run(&args, claim, threads, stop);
        let folder = self.folder(number, rung);
        let trained =
            Run::open(&folder).and_then(|run| run.info()).is_ok_and(|info| info.status == Status::Done);
        if !trained {
            let recipe = self.file(number, rung, "toml");
            write_with_folder(&recipe, self.recipe(number, rung)?.to_toml().as_bytes())?;
            match child(self.train_args(number, rung))? {
                Ended::Done => {}
                ended => return Ok(ended),
            }
        }
        if stop() {
            return Ok(Ended::Interrupted);
        }
        child(self.evaluate_args(number, rung))
    }

    /// What a trial trains: its labels are hidden already, and its epoch is selected as the recipe says.
    fn recipe(&self, number: usize, rung: Rung) -> Result<Recipe> {
        let mut recipe = shortened(self.begun.trials[number].recipe.clone(), rung);
        recipe.data.known = 1.0;
        let validation: Validation = self.begun.state.recipe.data.validation;
        recipe.data.validation = validation;
        Ok(recipe)
    }

    fn train_args(&self, number: usize, rung: Rung) -> Vec<OsString> {
        let folder = self.folder(number, rung);
        let mut args: Vec<OsString> = vec!["train".into(), self.file(number, rung, "toml").into()];
        args.extend(["--out".into(), folder.clone().into()]);
        args.extend(self.begun.state.inputs_of(rung).arguments());
        args.extend(["--device".into(), self.options.device.clone().into()]);
        args.extend(how_to_begin(&folder).map(OsString::from));
        args.extend(self.options.arguments.iter().cloned());
        args
    }

    fn evaluate_args(&self, number: usize, rung: Rung) -> Vec<OsString> {
        let state = &self.begun.state;
        let mut args: Vec<OsString> = vec!["evaluate".into(), self.folder(number, rung).into()];
        args.extend(["--data".into(), state.held_out_folder().into()]);
        args.extend(["--split".into(), Split::Val.to_string().into(), "--bootstrap".into(), "0".into()]);
        args.extend(
            state.held_out_features().into_iter().flat_map(|path| ["--features".into(), path.into()]),
        );
        args.extend(self.options.arguments.iter().cloned());
        args
    }

    /// The run folder of a trial on a rung.
    pub fn folder(&self, number: usize, rung: Rung) -> PathBuf {
        self.begun.state.dir.join(format!("trials/{number:03}/{}", rung.name()))
    }

    /// A file beside it.
    pub fn file(&self, number: usize, rung: Rung, extension: &str) -> PathBuf {
        self.begun.state.dir.join(format!("trials/{number:03}/{}.{extension}", rung.name()))
    }
}
