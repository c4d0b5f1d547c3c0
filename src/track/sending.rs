//! Brings a server up to date with a run folder: what is there and was not sent yet, in calls within the server's limits.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom};
use std::time::{SystemTime, UNIX_EPOCH};

use sarb_labels::Split;

use super::mlflow::{Client, Failure, Known, MOST_METRICS, MOST_PARAMS, NewRun, Sent};
use super::numbers::{self, Number};
use super::record::Record;
use super::{Message, Target, page};
use crate::run::{Run, RunInfo, Status, measurement_file};
use crate::step_log::{Told, told};
use crate::{Error, Result};

/// The tag by which a run is found again.
const KEY: &str = "sarb.key";

/// Sends what of one run is not there yet.
pub struct Sender {
    run: Run,
    client: Client,
    record: Record,
    /// Whether the server may have a run of the record's key, though nobody has heard so.
    may_be_there: bool,
    /// Whether this process has found the run on the server.
    is_found: bool,
    /// The newest step of every number that was there then. A process that was killed may have sent more than it noted, and a
    /// resumed run tells of that again at another time, which MLflow would take for another point.
    there: BTreeMap<String, i64>,
    /// Bytes of `events.jsonl` that are done with.
    offset: u64,
    /// Whether files of the run can be put on the server.
    takes_files: bool,
    /// What a person should know.
    pub messages: Vec<Message>,
}

/// Rows that were not sent, and how far they go.
struct Rows {
    numbers: Vec<Number>,
    step: Option<(usize, usize)>,
    epoch: Option<usize>,
    offset: u64,
}

impl Sender {
    /// Of a run that may have been told of before.
    ///
    /// # Errors
    /// If what was sent before cannot be read.
    pub fn open(run: Run, target: &Target, client: Client) -> Result<Self> {
        let read = Record::read(&run)?;
        let may_be_there = read.is_some();
        let record = read.unwrap_or_else(|| Record::new(target));
        Ok(Self {
            run,
            client,
            record,
            may_be_there,
            is_found: false,
            there: BTreeMap::new(),
            offset: 0,
            takes_files: true,
            messages: Vec::new(),
        })
    }

    /// Sends what is new, and the page of a run that has ended. One that says it is running and is not `alive` was killed.
    pub fn send(&mut self, alive: bool) -> Sent {
        let info = self.run.info()?;
        let status = match info.status {
            Status::Running if alive => "RUNNING",
            Status::Running | Status::Interrupted => "KILLED",
            Status::Done => "FINISHED",
            Status::Failed => "FAILED",
        };
        let run = self.found()?;
        if status == "RUNNING" {
            self.status(&run, status, None)?;
        }
        self.params(&run, &info)?;
        let path = self.run.path("recipe.toml");
        let recipe = std::fs::read(&path).map_err(|error| Error::io(&path, error))?;
        self.file(&run, "recipe.toml", "text/plain", &recipe)?;
        self.rows(&run)?;
        self.evaluations(&run)?;
        if status != "RUNNING" {
            self.page(&run)?;
            self.status(&run, status, Some(numbers::written(&self.run.path("run.json"))?))?;
        }
        Ok(())
    }

    /// The run on the server, which is made if it is not there.
    fn found(&mut self) -> Sent<Known> {
        if let Some(run) = self.record.run.clone() {
            if self.is_found {
                return Ok(run);
            }
            if let Some(there) = self.client.newest_steps(&run)? {
                self.there = there;
                self.tell_where(&run);
                return Ok(run);
            }
            self.messages.push(Message::Note(format!(
                "the server has no run {}: everything is sent anew",
                run.run_id
            )));
            self.record = self.record.anew();
            (self.may_be_there, self.offset) = (false, 0);
        }
        if !self.may_be_there {
            // Before anything is asked: names that were given are needed when the server is back, and with its key a run is
            // found that is made and not acknowledged.
            self.record.save(&self.run)?;
        }
        let experiment = self.client.experiment(&self.record.experiment)?;
        let key = self.record.key.clone();
        let there = if self.may_be_there { self.client.find(&experiment, (KEY, &key))? } else { None };
        let run = match there {
            Some(run) => run,
            None => {
                self.may_be_there = true;
                let mut tags = self.record.tags.clone();
                tags.extend(
                    [(KEY, &*key), ("mlflow.source.name", "sarb")].map(|(k, v)| (k.into(), v.into())),
                );
                let name = self.record.name.clone().unwrap_or_else(|| self.folder_name());
                let start = self.start()?;
                self.client.create(&experiment, &NewRun { name: &name, start, tags })?
            }
        };
        self.record.run = Some(run.clone());
        self.record.save(&self.run)?;
        self.tell_where(&run);
        Ok(run)
    }

    fn tell_where(&mut self, run: &Known) {
        if !std::mem::replace(&mut self.is_found, true) {
            self.messages.push(Message::Note(format!("tracked at {}", self.client.page_of(run))));
        }
    }

    fn folder_name(&self) -> String {
        let path = std::path::absolute(self.run.dir()).unwrap_or_default();
        path.file_name().map_or_else(|| "run".into(), |name| name.to_string_lossy().into_owned())
    }

    /// When the first row was written; now, if there is none.
    fn start(&self) -> Result<i64> {
        let first = self.unsent(0, 1)?.numbers.first().map(|number| number.timestamp);
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        Ok(first.unwrap_or_else(|| numbers::milliseconds(now())))
    }

    fn status(&mut self, run: &Known, status: &str, end: Option<i64>) -> Sent {
        if self.record.status.as_deref() != Some(status) {
            self.client.status(run, status, end)?;
            self.record.status = Some(status.to_owned());
            self.record.save(&self.run)?;
        }
        Ok(())
    }

    fn params(&mut self, run: &Known, info: &RunInfo) -> Sent {
        if self.record.params {
            return Ok(());
        }
        for part in numbers::params(&self.run.recipe()?, info).chunks(MOST_PARAMS) {
            match self.client.params(run, part) {
                // A setting that this server does not take is no reason to keep the metrics from it.
                Err(Failure::Refused { code, said }) if code == "INVALID_PARAMETER_VALUE" => {
                    self.messages
                        .push(Message::Warning(format!("settings of the run were not taken: {said}")));
                }
                sent => sent?,
            }
        }
        self.record.params = true;
        Ok(self.record.save(&self.run)?)
    }

    /// The rows of `events.jsonl` that are not there yet. What is acknowledged is noted; of a batch whose acknowledgement is
    /// lost the very same numbers are sent again, with the same times, of which MLflow's databases keep one.
    fn rows(&mut self, run: &Known) -> Sent {
        loop {
            let rows = self.unsent(self.offset, MOST_METRICS)?;
            if rows.offset == self.offset {
                return Ok(());
            }
            self.metrics(run, &rows.numbers)?;
            self.offset = rows.offset;
            if (rows.step, rows.epoch) != (self.record.step, self.record.epoch) {
                (self.record.step, self.record.epoch) = (rows.step, rows.epoch);
                self.record.save(&self.run)?;
            }
        }
    }

    fn metrics(&self, run: &Known, numbers: &[Number]) -> Sent {
        numbers.chunks(MOST_METRICS).try_for_each(|part| self.client.metrics(run, part))
    }

    /// Rows behind `offset`, of whole lines, until they have `most` numbers.
    fn unsent(&self, offset: u64, most: usize) -> Result<Rows> {
        let (step, epoch) = (self.record.step, self.record.epoch);
        let mut rows = Rows { numbers: Vec::new(), step, epoch, offset };
        let path = self.run.path("events.jsonl");
        let failed = |error| Error::io(&path, error);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(rows),
            file => file.map_err(failed)?,
        };
        // A resumed run takes lines out, and adds to what is left; they are read once more.
        if file.metadata().map_err(failed)?.len() < rows.offset {
            rows.offset = 0;
        }
        file.seek(SeekFrom::Start(rows.offset)).map_err(failed)?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while rows.numbers.len() < most {
            line.clear();
            lines.read_until(b'\n', &mut line).map_err(failed)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let new = match told(&String::from_utf8_lossy(&line)) {
                Some(Told::Step(row)) if !self.record.has_steps(&row) => {
                    rows.step = Some((row.epoch, row.step));
                    numbers::of_steps(&row)
                }
                Some(Told::Epoch(row)) if !self.record.has_epoch(&row) => {
                    rows.epoch = Some(row.epoch);
                    numbers::of_epoch(&row)
                }
                _ => Vec::new(),
            };
            rows.numbers.extend(new.into_iter().filter(|number| !self.is_there(number)));
            rows.offset += line.len() as u64;
        }
        Ok(rows)
    }

    fn is_there(&self, number: &Number) -> bool {
        self.there.get(&number.key).is_some_and(|&newest| number.step <= newest)
    }

    /// What `sarb evaluate` has kept and is not there yet.
    fn evaluations(&mut self, run: &Known) -> Sent {
        for split in [Split::Train, Split::Val, Split::Test] {
            for (suffix, prefix) in [("", split.to_string()), ("-anchor", format!("{split}/anchor"))] {
                let name = measurement_file(split, suffix);
                let path = self.run.path(&name);
                let Ok(bytes) = std::fs::read(&path) else { continue };
                let hash = hash(&bytes);
                if self.record.evaluations.get(&name) == Some(&hash) {
                    continue;
                }
                let measured = match suffix {
                    "" => self.run.measurement(split)?,
                    _ => self.run.anchor_measurement(split)?,
                };
                if let Some(measured) = measured {
                    let numbers = numbers::of_scores(&prefix, &measured.scores, numbers::written(&path)?);
                    self.metrics(run, &numbers)?;
                }
                self.record.evaluations.insert(name, hash);
                self.record.save(&self.run)?;
            }
        }
        Ok(())
    }

    fn page(&mut self, run: &Known) -> Sent {
        if !self.takes_files {
            return Ok(());
        }
        match page::of(&self.run) {
            Ok(html) => self.file(run, "report.html", "text/html", html.as_bytes()),
            Err(error) => {
                self.messages.push(Message::Warning(format!("the page of the run is not sent: {error}")));
                Ok(())
            }
        }
    }

    /// Puts a file beside the run, unless it is there as it is.
    fn file(&mut self, run: &Known, name: &str, content_type: &str, bytes: &[u8]) -> Sent {
        let hash = hash(bytes);
        if !self.takes_files || self.record.files.get(name) == Some(&hash) {
            return Ok(());
        }
        let why = match self.client.file(run, name, content_type, bytes) {
            Ok(true) => {
                self.record.files.insert(name.to_owned(), hash);
                return Ok(self.record.save(&self.run)?);
            }
            Ok(false) => format!("the server keeps them at {}, not behind itself", run.artifacts),
            Err(Failure::Refused { said, .. }) => said,
            Err(failure) => return Err(failure),
        };
        self.takes_files = false;
        self.messages.push(Message::Warning(format!("recipe and page are not sent: {why}")));
        Ok(())
    }
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}
