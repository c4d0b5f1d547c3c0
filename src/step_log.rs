//! What a run tells of its steps, every few of them: lines of `events.jsonl` and a run of its own for
//! TensorBoard, `tensorboard/steps`.
//!
//! Both are only ever appended to, and have no seal. A run that was killed has told of steps that no checkpoint holds;
//! when it is resumed these steps come again, and what was told of them before is taken out. Or it has not told of an
//! epoch that its checkpoint holds, or a line is torn, or says something else of an epoch than the checkpoint, which
//! is sealed; that is made good.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::run::{EpochRow, Run, State, epoch_event};
use crate::tensorboard::{self, Point};
use crate::{Error, Result};

const TENSORBOARD: &str = "tensorboard/steps/events.out.tfevents.sarb";

/// A few steps, up to one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// From 1.
    pub epoch: usize,
    /// The last of them in its epoch, from 1.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Means over these steps of each unweighted loss term.
    pub losses: Vec<(String, f64)>,
    /// Means over these steps of other numbers, and what the method reports after the last.
    pub scalars: Vec<(String, f64)>,
    /// The learning rate of the last.
    pub learning_rate: f64,
    /// Training throughput of the epoch so far.
    pub images_per_second: f64,
    /// When it ended, seconds since 1970.
    pub wall_time: f64,
}

impl StepRow {
    fn point(&self) -> Point {
        let scalars = self.numbers().into_iter().map(|(tag, value)| (tag, value as f32)).collect();
        Point { wall_time: self.wall_time, step: self.of_training(), scalars }
    }

    /// The last of them in the whole training, from 1.
    pub(crate) fn of_training(&self) -> i64 {
        (self.epoch.saturating_sub(1) * self.steps + self.step) as i64
    }

    /// What was measured, under the names that TensorBoard and tracking servers show, such as `loss/bce`.
    pub(crate) fn numbers(&self) -> Vec<(String, f64)> {
        let tagged = |kind: &'static str, values: &[(String, f64)]| {
            let tag = move |(name, value): &(String, f64)| (format!("{kind}/{name}"), *value);
            values.iter().map(tag).collect::<Vec<_>>()
        };
        let more = [("learning_rate", self.learning_rate), ("images_per_second", self.images_per_second)];
        let more = more.map(|(tag, value)| (tag.to_string(), value));
        [tagged("loss", &self.losses), tagged("train", &self.scalars), more.to_vec()].concat()
    }
}

/// What a line of `events.jsonl` tells of.
pub(crate) enum Told {
    /// A few steps.
    Step(StepRow),
    /// A whole epoch.
    Epoch(EpochRow),
}

/// What a line tells of steps or of an epoch; none where it tells of something else, or is damaged.
pub(crate) fn told(line: &str) -> Option<Told> {
    let Line { event, row } = serde_json::from_str(line).ok()?;
    match event.as_str() {
        "step" => serde_json::from_value(row).ok().map(Told::Step),
        "epoch" => serde_json::from_value(row).ok().map(Told::Epoch),
        _ => None,
    }
}

/// The log of a run's steps.
pub struct StepLog<'a> {
    run: &'a Run,
}

impl<'a> StepLog<'a> {
    /// Goes on with the log of a run that is at `state`.
    ///
    /// # Errors
    /// If a file cannot be read or written.
    pub fn open(run: &'a Run, state: &State) -> Result<Self> {
        let path = run.path("events.jsonl");
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(|error| Error::io(&path, error))?,
        };
        let text = String::from_utf8_lossy(&text);
        let kept = kept(&text, state);
        if text != kept.concat() {
            run.write("events.jsonl", kept.concat().as_bytes())?;
        }
        let points: Vec<Point> =
            kept.iter().filter_map(|line| step_row(line)).map(|row| row.point()).collect();
        match points.is_empty() {
            true => remove(&run.path(TENSORBOARD))?,
            false => run.write(TENSORBOARD, &tensorboard::encode(&points))?,
        }
        if !state.history.is_empty() {
            run.save_metrics(&state.history)?;
            run.save_tensorboard(&state.history)?;
        }
        Ok(Self { run })
    }

    /// Adds some steps.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn add(&self, row: &StepRow) -> Result<()> {
        self.run.event(&json!({ "event": "step", "row": row }))?;
        let path = self.run.path(TENSORBOARD);
        if !path.exists() {
            return self.run.write(TENSORBOARD, &tensorboard::encode(&[row.point()]));
        }
        let file = std::fs::OpenOptions::new().append(true).open(&path);
        let appended = file.and_then(|mut file| file.write_all(&tensorboard::encode_more(&[row.point()])));
        appended.map_err(|error| Error::io(&path, error))
    }
}

#[derive(Deserialize)]
struct Line {
    event: String,
    row: serde_json::Value,
}

fn step_row(line: &str) -> Option<StepRow> {
    match told(line) {
        Some(Told::Step(row)) => Some(row),
        _ => None,
    }
}

/// A line that tells of an epoch, as [`Run::tell_epoch`] writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochLine {
    event: String,
    row: EpochRow,
    best: bool,
}

/// When what a line tells of was: an epoch and a step in it, from 1; the end of an epoch is after its last step.
type When = (usize, usize);

/// The lines of `text` that a run at `state` has reached and that are whole, and those of epochs that it lacks.
fn kept(text: &str, state: &State) -> Vec<String> {
    let reached = (state.epoch + 1, state.step);
    let mut kept: Vec<(Option<When>, String)> = Vec::new();
    for line in text.lines() {
        let Ok(Line { event, row }) = serde_json::from_str(line) else { continue };
        let when = match event.as_str() {
            "step" => match serde_json::from_value::<StepRow>(row) {
                Ok(row) if (row.epoch, row.step) <= reached => Some((row.epoch, row.step)),
                _ => continue,
            },
            "epoch" => match told_epoch(line, state) {
                Some(epoch) => Some((epoch, usize::MAX)),
                None => continue,
            },
            "learning_rate" => None,
            _ => continue,
        };
        kept.push((when, format!("{line}\n")));
    }
    for row in &state.history {
        let when = Some((row.epoch, usize::MAX));
        if !kept.iter().any(|(told, _)| *told == when) {
            let best = state.best.is_some_and(|(_, epoch)| epoch == row.epoch);
            let line = format!("{}\n", epoch_event(row, best));
            let place = kept.iter().position(|(told, _)| *told > when).unwrap_or(kept.len());
            kept.insert(place, (when, line));
        }
    }
    kept.into_iter().map(|(_, line)| line).collect()
}

/// The epoch of a line that says of it what the checkpoint says.
fn told_epoch(line: &str, state: &State) -> Option<usize> {
    let EpochLine { event, row, best: _best } = serde_json::from_str(line).ok()?;
    (event == "epoch" && state.history.contains(&row)).then_some(row.epoch)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_folder::{self, Existing};

    fn row(epoch: usize, step: usize) -> StepRow {
        StepRow {
            epoch,
            step,
            steps: 20,
            losses: vec![("bce".into(), 0.5)],
            scalars: vec![("alpha".into(), 0.25)],
            learning_rate: 0.1,
            images_per_second: 8.0,
            wall_time: 3.0,
        }
    }

    fn epoch(epoch: usize) -> EpochRow {
        EpochRow {
            epoch,
            losses: vec![("bce".into(), 0.5)],
            scalars: Vec::new(),
            validation_loss: Some(0.25),
            validation_map: None,
            learning_rate: 0.1,
            images_per_second: 8.0,
            wall_time: 3.0,
        }
    }

    fn state(reached: usize, step: usize) -> State {
        State { epoch: reached, step, history: (1..=reached).map(epoch).collect(), ..State::default() }
    }

    fn contents(run: &Run) -> (String, Vec<u8>) {
        let text = std::fs::read_to_string(run.path("events.jsonl")).unwrap();
        (text, std::fs::read(run.path(TENSORBOARD)).unwrap_or_default())
    }

    #[test]
    fn steps_that_no_checkpoint_holds_are_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let (run, _lock) = run_folder::create(dir.path(), Existing::Refuse, None).unwrap();
        let log = StepLog::open(&run, &State::default()).unwrap();
        log.add(&row(1, 10)).unwrap();
        log.add(&row(1, 20)).unwrap();
        run.tell_epoch(&epoch(1), true).unwrap();
        log.add(&row(2, 10)).unwrap();
        let whole = contents(&run);
        assert_eq!(
            whole.1,
            tensorboard::encode(&[row(1, 10), row(1, 20), row(2, 10)].map(|row| row.point()))
        );

        // Killed in the second epoch, in the middle of a line, and resumed from the end of the first.
        std::fs::write(run.path("events.jsonl"), format!("{}{{\"event\":\"st", whole.0)).unwrap();
        let log = StepLog::open(&run, &state(1, 0)).unwrap();
        assert_eq!(contents(&run).0.lines().count(), 3);
        log.add(&row(2, 10)).unwrap();
        assert_eq!(contents(&run), whole);

        // Stopped by a signal with a checkpoint of that step: nothing was told too early.
        StepLog::open(&run, &state(1, 10)).unwrap();
        assert_eq!(contents(&run), whole);
        StepLog::open(&run, &State::default()).unwrap();
        let (text, tensorboard) = contents(&run);
        assert!(text.is_empty() && tensorboard.is_empty(), "nothing is reached: {text}");
    }

    #[test]
    fn an_epoch_that_was_not_told_of_is_made_good() {
        let dir = tempfile::tempdir().unwrap();
        let (run, _lock) = run_folder::create(dir.path(), Existing::Refuse, None).unwrap();
        let history = vec![epoch(0), epoch(1), epoch(2)];
        let state = State { epoch: 2, best: Some((0.25, 2)), history, ..State::default() };
        run.tell_epoch(&state.history[0], true).unwrap();
        run.tell_epoch(&state.history[1], false).unwrap();
        // Killed between the checkpoint of the second epoch and the files that tell of it.
        StepLog::open(&run, &state).unwrap();
        let text = std::fs::read_to_string(run.path("events.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines.iter().map(|line| line["row"]["epoch"].as_u64()).collect::<Vec<_>>(),
            [Some(0), Some(1), Some(2)]
        );
        assert_eq!(lines[2]["best"], true);
        assert_eq!(std::fs::read_to_string(run.path("metrics.csv")).unwrap().lines().count(), 4);
        assert!(run.path("tensorboard/events.out.tfevents.sarb").is_file());
        StepLog::open(&run, &state).unwrap();
        assert_eq!(std::fs::read_to_string(run.path("events.jsonl")).unwrap(), text, "told once");
    }

    #[test]
    fn a_torn_or_changed_line_of_an_epoch_is_made_anew_in_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (run, _lock) = run_folder::create(dir.path(), Existing::Refuse, None).unwrap();
        let log = StepLog::open(&run, &State::default()).unwrap();
        for number in 1..=2 {
            log.add(&row(number, 10)).unwrap();
            log.add(&row(number, 20)).unwrap();
            run.tell_epoch(&epoch(number), false).unwrap();
        }
        let rate = json!({ "event": "learning_rate", "row": { "after": (2, 0), "was": 0.1, "is": 0.01 } });
        run.event(&rate).unwrap();
        let whole = contents(&run);
        let lines: Vec<&str> = whole.0.lines().collect();
        let damaged = |at: usize, line: &str| {
            let lines: Vec<&str> = (0..lines.len()).map(|i| if i == at { line } else { lines[i] }).collect();
            std::fs::write(run.path("events.jsonl"), lines.join("\n") + "\n").unwrap();
            StepLog::open(&run, &state(2, 0)).unwrap();
            contents(&run)
        };
        let first = lines[2];
        for line in [
            &first.replace("0.25", "0.35"),
            &first.replace("\"best\"", "\"bess\""),
            &first.replace("\"epoch\":1", "\"epoch\":9"),
            &first.replace("\"event\":\"epoch\"", "\"event\":\"epocH\""),
            &first[..first.len() / 2],
            "",
        ] {
            assert!(line != first && damaged(2, line) == whole, "{line}");
        }
        // Of a step no checkpoint tells, so a line that is none is taken out.
        let (text, tensorboard) = damaged(3, &lines[3].replace("0.5", "0.5.5"));
        assert_eq!(text.lines().count(), lines.len() - 1);
        assert_eq!(
            tensorboard,
            tensorboard::encode(&[row(1, 10), row(1, 20), row(2, 20)].map(|row| row.point()))
        );
    }

    #[test]
    fn a_point_is_at_its_step_of_the_whole_training() {
        let point = row(3, 7).point();
        assert_eq!(point.step, 47);
        let tags: Vec<&str> = point.scalars.iter().map(|(tag, _)| tag.as_str()).collect();
        assert_eq!(tags, ["loss/bce", "train/alpha", "learning_rate", "images_per_second"]);
    }
}
