//! What an experiment tells, for people: a bar within an epoch, a line after it; a bar while feature maps are
//! computed; notes as they come.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use indicatif::ProgressBar;
use sarb::labels::text::duration;
use sarb::{EpochRow, Event};

use super::console::{progress_bar, say, warn};

/// Shows events on stderr.
pub struct Progress {
    epochs: usize,
    started: Instant,
    first_epoch: Cell<Option<usize>>,
    bar: RefCell<Option<ProgressBar>>,
    warnings: RefCell<Vec<String>>,
}

impl Progress {
    /// Of a training of so many epochs.
    pub fn new(epochs: usize) -> Self {
        Self {
            epochs,
            started: Instant::now(),
            first_epoch: Cell::new(None),
            bar: RefCell::new(None),
            warnings: RefCell::default(),
        }
    }

    /// Says the warnings again, which hours of lines have carried away.
    pub fn repeat_warnings(&self) {
        self.warnings.take().iter().for_each(|warning| warn(warning));
    }

    /// Shows one event.
    pub fn show(&self, event: Event<'_>) {
        match event {
            Event::Note(note) => {
                self.clear();
                say(note);
            }
            Event::Warning(warning) => {
                self.clear();
                warn(warning);
                self.warnings.borrow_mut().push(warning.to_owned());
            }
            Event::Maps { done, total } => {
                self.move_to(done, total, || "feature maps".into());
                if done == total {
                    self.clear();
                }
            }
            Event::Step { at, losses, images_per_second } => self.move_to(at.step + 1, at.steps, || {
                format!("epoch {} {} {images_per_second:.0} images/s", at.epoch + 1, terms(losses))
            }),
            Event::Epoch(row) => {
                let first = self.first_epoch.get().unwrap_or(row.epoch);
                self.first_epoch.set(Some(first));
                let done = row.epoch - first;
                let left = self.epochs.saturating_sub(row.epoch) as f64
                    * self.started.elapsed().as_secs_f64()
                    / done.max(1) as f64;
                self.clear();
                say(&self.line(row, (done > 0).then_some(left)));
            }
            _ => {}
        }
    }

    fn move_to(&self, done: usize, total: usize, message: impl FnOnce() -> String) {
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

    fn line(&self, row: &EpochRow, left: Option<f64>) -> String {
        let mut parts = vec![match row.epoch {
            0 => "start".to_string(),
            epoch => format!("epoch {epoch}/{}", self.epochs),
        }];
        if !row.losses.is_empty() {
            parts.push(terms(&row.losses));
        }
        if let (Some(loss), Some(map)) = (row.validation_loss, row.validation_map) {
            parts.push(format!("validation loss {loss:.4} mAP {:.1}", 100.0 * map));
        }
        if row.images_per_second > 0.0 {
            parts.push(format!("{:.0} images/s", row.images_per_second));
        }
        parts.extend(left.filter(|left| *left > 0.0).map(|left| format!("{} left", duration(left))));
        parts.join("  ")
    }
}

fn terms(losses: &[(String, f64)]) -> String {
    losses.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(" ")
}
