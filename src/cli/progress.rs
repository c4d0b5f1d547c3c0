//! What an experiment tells, for people: on a terminal a bar within an epoch and a line after it, and a bar
//! while feature maps are computed; elsewhere lines with the time, at least every 30 seconds. Notes as they come.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use sarb::labels::text::{duration, percent, thousands};
use sarb::{EpochRow, Event, Validated};

use super::console::{is_quiet, progress_bar, say, warn};
use super::heartbeat::{Heartbeat, stamped};

/// How long nothing may be said where there is no terminal.
pub(super) const SILENCE: Duration = Duration::from_secs(30);

/// Shows events on stderr.
pub struct Progress {
    epochs: usize,
    /// The first one that is told of, and when that was: maps and what comes before an epoch do not count.
    first_epoch: Cell<Option<(usize, Instant)>>,
    bar: RefCell<Option<ProgressBar>>,
    /// Where there is no terminal.
    heartbeat: Option<Heartbeat>,
    /// When counting began, and how many were there then.
    counted: Cell<Option<(Instant, usize)>>,
    warnings: RefCell<Vec<String>>,
    /// Whether bars are drawn.
    is_shown: bool,
}

impl Progress {
    /// Of a training of so many epochs.
    pub fn new(epochs: usize) -> Self {
        let lines = !std::io::stderr().is_terminal() && !is_quiet();
        Self {
            epochs,
            first_epoch: Cell::new(None),
            bar: RefCell::new(None),
            heartbeat: lines.then(|| Heartbeat::new(SILENCE, say)),
            counted: Cell::new(None),
            warnings: RefCell::default(),
            is_shown: true,
        }
    }

    /// Of work whose results go to standard output: quiet where these are seen on a terminal.
    pub fn beside_results() -> Self {
        Self { is_shown: !std::io::stdout().is_terminal(), ..Self::new(0) }
    }

    /// Says the warnings again, which hours of lines have carried away.
    pub fn repeat_warnings(&self) {
        self.warnings.take().iter().for_each(|warning| warn(warning));
    }

    /// Shows one event.
    pub fn show(&self, event: Event<'_>) {
        match event {
            Event::Note(note) => self.line(note),
            Event::Warning(warning) => {
                self.clear();
                warn(warning);
                self.warnings.borrow_mut().push(warning.to_owned());
            }
            Event::Anchor(anchor) => {
                self.line(&format!("anchor, linear on the same features: {}", validated(anchor)))
            }
            Event::Phase(what) => self.doing(|| what.to_owned()),
            Event::Maps { done, total } => self.counted("feature maps", done, Some(total)),
            Event::Step { at, losses, scalars, images_per_second } => {
                let (epoch, step) = (at.epoch + 1, at.step + 1);
                let text = || format!("{}{}", numbers(losses, scalars), speed(" ", images_per_second));
                self.doing(|| format!("epoch {epoch}/{} step {step}/{}  {}", self.epochs, at.steps, text()));
                self.move_to(step, at.steps, || format!("epoch {epoch} {}", text()));
            }
            Event::Epoch(row) => {
                let (first, begun) = self.first_epoch.get().unwrap_or((row.epoch, Instant::now()));
                self.first_epoch.set(Some((first, begun)));
                let left =
                    remaining(begun.elapsed(), row.epoch - first, self.epochs.saturating_sub(row.epoch));
                let line = self.epoch_line(row) + &left.replace(", ", "  ");
                self.line(&if self.heartbeat.is_some() { stamped(&line) } else { line });
            }
            _ => {}
        }
    }

    /// So many of `what` are done, of so many if that is known.
    pub fn counted(&self, what: &str, done: usize, total: Option<usize>) {
        let Some(total) = total else {
            return self.doing(|| format!("{what} {}", thousands(done)));
        };
        let (begun, before) = self.counted.get().unwrap_or((Instant::now(), done));
        self.counted.set((done < total).then_some((begun, before)));
        self.doing(|| {
            let left = remaining(begun.elapsed(), done - before.min(done), total - done);
            format!("{what} {} of {}{left}", thousands(done), thousands(total))
        });
        self.move_to(done, total, || what.into());
        if done == total {
            self.clear();
        }
    }

    fn line(&self, text: &str) {
        self.clear();
        say(text);
        self.heartbeat.iter().for_each(Heartbeat::said);
    }

    fn doing(&self, what: impl FnOnce() -> String) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.doing(what());
        }
    }

    fn move_to(&self, done: usize, total: usize, message: impl FnOnce() -> String) {
        if self.heartbeat.is_some() || !self.is_shown {
            return;
        }
        let mut bar = self.bar.borrow_mut();
        let bar = bar.get_or_insert_with(|| progress_bar(""));
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(message());
    }

    fn clear(&self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn epoch_line(&self, row: &EpochRow) -> String {
        let mut parts = vec![match row.epoch {
            0 => "start".to_string(),
            epoch => format!("epoch {epoch}/{}", self.epochs),
        }];
        if !row.losses.is_empty() || !row.scalars.is_empty() {
            parts.push(numbers(&row.losses, &row.scalars));
        }
        if row.validation_loss.is_some() {
            let validation = Validated { loss: row.validation_loss, map: row.validation_map };
            parts.push(validated(&validation));
        }
        parts.join("  ") + &speed("  ", row.images_per_second)
    }
}

/// What the validation images say, in words.
pub fn validated(Validated { loss, map }: &Validated) -> String {
    match (loss, map) {
        (Some(loss), Some(map)) => format!("validation loss {loss:.4} mAP {}", percent(*map)),
        (Some(loss), None) => format!("validation loss {loss:.4}, no known positive for a mAP"),
        (None, _) => "nothing is held out to measure it on".into(),
    }
}

/// `, 3 min left` when so much of the work took so long, as far as that can be told: not by a clock that stands still.
fn remaining(took: Duration, done: usize, left: usize) -> String {
    if done == 0 || left == 0 || took.is_zero() {
        return String::new();
    }
    let seconds = took.as_secs_f64() / done as f64 * left as f64;
    format!(", {} left", duration(seconds))
}

/// `57 images/s` behind a blank, where it is known.
fn speed(blank: &str, images_per_second: f64) -> String {
    if images_per_second > 0.0 { format!("{blank}{images_per_second:.0} images/s") } else { String::new() }
}

fn numbers(losses: &[(String, f64)], scalars: &[(String, f64)]) -> String {
    let losses = losses.iter().map(|(name, value)| format!("{name} {value:.4}"));
    let scalars = scalars.iter().map(|(name, value)| format!("{name} {}", short(*value)));
    losses.chain(scalars).collect::<Vec<_>>().join(" ")
}

/// Three digits of a number of any size.
fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if (0.001..10.0).contains(&size) && value.fract() != 0.0 => format!("{value:.3}"),
        size if (10.0..1e6).contains(&size) || value.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_size_are_short() {
        let shown = [0.0, 0.4983, 2.0, 57.31, 180.0, 2.5e-7, 3.1e9].map(short);
        assert_eq!(shown, ["0", "0.498", "2", "57", "180", "2.5e-7", "3100000000"]);
    }

    #[test]
    fn what_a_clock_does_not_tell_is_not_said() {
        assert_eq!(remaining(Duration::from_secs(60), 2, 4), ", 2 min 0 s left");
        assert_eq!(remaining(Duration::ZERO, 2, 4), "");
        assert_eq!(remaining(Duration::from_secs(60), 0, 4), "");
        assert_eq!((speed(" ", 57.3), speed(" ", 0.0)), (" 57 images/s".into(), String::new()));
    }

    #[test]
    fn a_validation_says_what_is_not_there() {
        let said = |loss, map| validated(&Validated { loss, map });
        assert_eq!(said(Some(0.25), Some(0.5)), "validation loss 0.2500 mAP 50.0");
        assert!(said(Some(0.25), None).contains("no known positive"));
        assert!(said(None, None).contains("nothing is held out"));
    }
}
