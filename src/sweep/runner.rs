//! Runs a sweep: hands its cells to workers, each of which trains and evaluates one after another.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sarb_labels::text::duration;

use super::child::{self, Ended};
use super::claim::Claim;
use super::plan::Cell;
use super::state::{Failure, Sweep, write_with_folder};
use crate::cancel::Cancel;
use crate::recipe::Recipe;
use crate::run::Run;
use crate::shard::Shard;
use crate::track::Target;
use crate::{Error, Result};

/// So many cells that fail in the same way, and none that does not, end a sweep.
const SAME_FAILURES: usize = 3;
/// How often a cell is looked at that another process has.
const HELD_POLL: Duration = Duration::from_millis(300);

/// How a sweep is run; what is computed does not depend on it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Cells to run at once.
    pub jobs: NonZeroUsize,
    /// Try again what failed in an earlier invocation.
    pub retry_failed: bool,
    /// The part of the cells that is this process's.
    pub shard: Option<Shard>,
    /// Where cells are trained, as of `sarb train --device`.
    pub device: String,
    /// More arguments for the children: where feature maps are cached, how many threads each may use.
    pub cache: Vec<OsString>,
    /// Where each cell is told of, as a run of its own.
    pub track: Option<Target>,
}

/// Does every cell of the sweep, or of the shard, that is not done; waits for those that another
/// process is at. `recipes` are those of [`Sweep::begin`].
///
/// # Errors
/// [`Error::Sweep`] with the exit code of the first cell that failed, or with 75 after a signal;
/// what reading or writing the sweep's own files says.
pub fn run(
    sweep: &Sweep,
    recipes: &[Recipe],
    options: &Options,
    say: &(dyn Fn(&str) + Sync),
    cancel: &Cancel,
) -> Result<()> {
    let runner = Runner::new(sweep, recipes, options, say, cancel)?;
    runner.announce();
    std::thread::scope(|scope| {
        let work = || runner.work().inspect_err(|_| runner.abort.store(true, Ordering::Relaxed));
        let workers: Vec<_> = (0..options.jobs.get()).map(|_| scope.spawn(work)).collect();
        // A worker that panicked has a bug to report, in its own words.
        let results = workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        results.collect::<Vec<_>>().into_iter().collect::<Result<()>>()
    })?;
    runner.finish()
}

struct Runner<'a> {
    sweep: &'a Sweep,
    recipes: &'a [Recipe],
    cells: Vec<Cell>,
    options: &'a Options,
    /// Hears what happens to which cell.
    say: &'a (dyn Fn(&str) + Sync),
    cancel: &'a Cancel,
    /// Threads of each child.
    threads: usize,
    progress: Mutex<Progress>,
    /// Set when this process itself cannot go on.
    abort: AtomicBool,
}

/// Cells by their number in the plan.
#[derive(Default)]
struct Progress {
    /// Not looked at yet.
    fresh: VecDeque<usize>,
    /// Seen in the hands of another process.
    held: VecDeque<usize>,
    /// Whether it has been said that there are such.
    told: bool,
    done: usize,
    failed: Vec<(usize, Failure)>,
    total: usize,
    /// Whether a cell has ended well since this invocation began.
    succeeded: bool,
    /// How many cells failed before that.
    failed_before: usize,
    /// What all cells fail with: nothing is gained by going on.
    in_common: Option<String>,
}

impl Progress {
    fn left(&self) -> usize {
        self.total - self.done - self.failed.len()
    }
}

impl<'a> Runner<'a> {
    fn new(
        sweep: &'a Sweep,
        recipes: &'a [Recipe],
        options: &'a Options,
        say: &'a (dyn Fn(&str) + Sync),
        cancel: &'a Cancel,
    ) -> Result<Self> {
        let cells = sweep.plan.cells();
        let mut progress = Progress::default();
        for (number, cell) in cells.iter().enumerate() {
            if options.shard.is_some_and(|shard| !shard.contains(number)) {
                continue;
            }
            sweep.tidy_failures(cell);
            if options.retry_failed {
                sweep.set_failure(cell, None)?;
            }
            progress.total += 1;
            match (sweep.result(cell)?, sweep.failure(cell)?) {
                (Some(_), _) => progress.done += 1,
                (None, Some(failure)) => progress.failed.push((number, failure)),
                (None, None) => progress.fresh.push_back(number),
            }
        }
        progress.failed_before = progress.failed.len();
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = (cores / options.jobs).max(1);
        let progress = Mutex::new(progress);
        Ok(Self {
            sweep,
            recipes,
            cells,
            options,
            say,
            cancel,
            threads,
            progress,
            abort: AtomicBool::new(false),
        })
    }

    fn announce(&self) {
        let progress = self.progress();
        let part = match self.options.shard {
            None => String::new(),
            Some(Shard { index, count, variable }) => {
                let from = variable.map_or(String::new(), |name| format!(", from {name}"));
                format!(" in shard {index}/{count}{from}")
            }
        };
        (self.say)(&format!(
            "{}: {} done before, {} failed before, {} to do{part}",
            self.sweep.dir.display(),
            progress.done,
            progress.failed.len(),
            progress.left()
        ));
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Counters stay counters if another worker panicked.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.cancel.is_cancelled() || self.abort.load(Ordering::Relaxed)
    }

    /// Notes what all cells so far failed with, once that is enough to stop: the same reason in several rows,
    /// and none that ended well.
    fn find_in_common(&self, progress: &mut Progress) {
        let failed = &progress.failed[progress.failed_before..];
        let reason = |(number, failure): &(usize, Failure)| {
            let folder = self.sweep.folder(&self.cells[*number]);
            failure.reason.replace(&*folder.to_string_lossy(), "RUN")
        };
        let Some(first) = failed.first().map(reason) else { return };
        let rows: HashSet<usize> = failed.iter().map(|(number, _)| self.cells[*number].row).collect();
        let enough = failed.len() >= SAME_FAILURES && rows.len() >= self.sweep.plan.rows.len().min(2);
        if enough && !progress.succeeded && progress.left() > 0 && failed.iter().all(|f| reason(f) == first) {
            progress.in_common = Some(first);
            self.abort.store(true, Ordering::Relaxed);
        }
    }

    /// Takes cells until none is left or the sweep is stopped.
    fn work(&self) -> Result<()> {
        while !self.stopped() {
            let next = {
                let mut progress = self.progress();
                let fresh = progress.fresh.pop_front().map(|number| (number, false));
                fresh.or_else(|| progress.held.pop_front().map(|number| (number, true)))
            };
            let Some((number, held)) = next else { break };
            if held {
                std::thread::sleep(HELD_POLL);
            }
            self.attempt(number)?;
        }
        Ok(())
    }

    /// Does a cell, unless another process is at it or has done it meanwhile.
    fn attempt(&self, number: usize) -> Result<()> {
        let (sweep, cell) = (self.sweep, &self.cells[number]);
        let Some(claim) = Claim::take(&sweep.log(cell))? else {
            let mut progress = self.progress();
            progress.held.push_back(number);
            if progress.fresh.is_empty() && !std::mem::replace(&mut progress.told, true) {
                (self.say)("the remaining cells are being run by other processes; waiting for them");
            }
            return Ok(());
        };
        if let Some((map, _)) = sweep.result(cell)? {
            self.end_done(cell, map, "by another process");
            return Ok(());
        }
        if let Some(failure) = sweep.failure(cell)? {
            self.end_failed(number, failure);
            return Ok(());
        }
        (self.say)(&format!("{}: started", sweep.name(cell)));
        let clock = Instant::now();
        match self.compute(number, &claim)? {
            Ended::Done => {
                let (map, _) = sweep.result(cell)?.ok_or_else(|| {
                    Error::Missing(format!(
                        "{}: no scores after its evaluation",
                        sweep.folder(cell).display()
                    ))
                })?;
                self.end_done(cell, map, &format!("in {}", duration(clock.elapsed().as_secs_f64())));
            }
            Ended::Interrupted => {
                (self.say)(&format!("{}: stopped; it continues the next time", sweep.name(cell)))
            }
            Ended::Failed(failure) => {
                sweep.set_failure(cell, Some(&failure))?;
                self.end_failed(number, failure);
            }
        }
        Ok(())
    }

    fn end_done(&self, cell: &Cell, map: f64, how: &str) {
        let mut progress = self.progress();
        progress.done += 1;
        progress.succeeded = true;
        let (name, left) = (self.sweep.name(cell), progress.left());
        (self.say)(&format!("{name}: mAP {:.1} {how}, {left} left", 100.0 * map));
    }

    fn end_failed(&self, number: usize, failure: Failure) {
        let mut progress = self.progress();
        let reason = failure.reason.replace('\n', "; ");
        progress.failed.push((number, failure));
        let (name, left) = (self.sweep.name(&self.cells[number]), progress.left());
        (self.say)(&format!("{name}: failed: {reason}, {left} left"));
        self.find_in_common(&mut progress);
    }

    /// Trains, unless that is done, and evaluates.
    fn compute(&self, number: usize, claim: &Claim) -> Result<Ended> {
        let (sweep, cell) = (self.sweep, &self.cells[number]);
        let child = |args: Vec<OsString>| child::run(&args, claim, self.threads, || self.stopped());
        if !sweep.is_trained(cell)? {
            let how = how_to_begin(&sweep.folder(cell));
            // Resolved when the sweep began: an edit of the recipe in the meantime changes no cell.
            write_with_folder(&sweep.recipe_file(cell), self.recipes[number].to_toml().as_bytes())?;
            match child(self.train_args(cell, how))? {
                Ended::Done => {}
                ended => return Ok(ended),
            }
        }
        if self.stopped() {
            return Ok(Ended::Interrupted);
        }
        child(self.evaluate_args(cell))
    }

    fn train_args(&self, cell: &Cell, how: Option<&str>) -> Vec<OsString> {
        let sweep = self.sweep;
        let mut args: Vec<OsString> = vec!["train".into(), sweep.recipe_file(cell).into()];
        args.extend(["--out".into(), sweep.folder(cell).into()]);
        args.extend(sweep.inputs().arguments());
        args.extend(["--device".into(), self.options.device.clone().into()]);
        args.extend(how.map(OsString::from));
        args.extend(self.options.cache.iter().cloned());
        args.extend(self.track_args(cell));
        args
    }

    fn evaluate_args(&self, cell: &Cell) -> Vec<OsString> {
        let sweep = self.sweep;
        let mut args: Vec<OsString> = vec!["evaluate".into(), sweep.folder(cell).into()];
        args.extend(["--data".into(), sweep.data.clone().into()]);
        args.extend(["--split".into(), sweep.split.to_string().into()]);
        args.extend(sweep.test_features.iter().flat_map(|path| ["--features".into(), path.into()]));
        args.extend(self.options.cache.iter().cloned());
        args.extend(self.track_args(cell));
        args
    }

    fn track_args(&self, cell: &Cell) -> Vec<OsString> {
        let target = self.options.track.as_ref().map(|target| self.sweep.track(cell, target));
        target.map_or_else(Vec::new, |target| target.arguments())
    }

    /// What is left to say when the workers have ended.
    fn finish(self) -> Result<()> {
        let mut progress = self.progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let (Some(reason), Some((_, failure))) = (&progress.in_common, progress.failed.last()) {
            return Err(Error::Sweep {
                code: failure.code,
                message: format!(
                    "stopped: the first {} cells failed with the same error, {} of {} were not begun: {reason}\nonce that is repaired, the same command with --retry-failed goes on",
                    progress.failed.len() - progress.failed_before,
                    progress.left(),
                    progress.total
                ),
            });
        }
        if progress.left() > 0 {
            return Err(Error::Sweep {
                code: 75,
                message: format!(
                    "stopped with {} of {} cells done; the same command continues",
                    progress.done, progress.total
                ),
            });
        }
        progress.failed.sort_by_key(|(number, _)| *number);
        let Some((_, first)) = progress.failed.first() else { return Ok(()) };
        let heading = format!(
            "{} of {} cells failed; --retry-failed tries them again",
            progress.failed.len(),
            progress.total
        );
        let lines = progress.failed.iter().map(|(number, failure)| {
            let cell = &self.cells[*number];
            let (name, log) = (self.sweep.name(cell), self.sweep.log(cell));
            format!("{name}: {}; see {}", failure.reason.replace('\n', "; "), log.display())
        });
        let message = std::iter::once(heading).chain(lines).collect::<Vec<_>>().join("\n");
        Err(Error::Sweep { code: first.code, message })
    }
}

/// The flag of `sarb train` for what lies in a run's folder. What is neither a run nor the beginning of one is
/// not the sweep's: `sarb train` refuses it.
pub(crate) fn how_to_begin(folder: &Path) -> Option<&'static str> {
    match Run::open(folder) {
        Ok(run) if run.has_checkpoint() => Some("--resume"),
        Ok(run) if run.path("checkpoints").is_dir() => Some("--force"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_up_as_far_as_it_got() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("seed-0");
        assert_eq!(how_to_begin(&folder), None);
        // Killed between making the folders and the first file; what somebody put there stays.
        std::fs::create_dir_all(folder.join("checkpoints/last")).unwrap();
        std::fs::write(folder.join("notes.txt"), "mine").unwrap();
        assert_eq!(how_to_begin(&folder), None);
        assert!(folder.join("notes.txt").is_file());
        std::fs::write(folder.join("recipe.toml"), "").unwrap();
        assert_eq!(how_to_begin(&folder), Some("--force"));
        std::fs::write(folder.join("checkpoints/last/state.json"), "{}").unwrap();
        assert_eq!(how_to_begin(&folder), Some("--resume"));
    }
}
