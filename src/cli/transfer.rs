//! What people see of downloads: a bar on a terminal, a line every 30 seconds elsewhere.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sarb::Cancel;
use sarb::fetch::{Moved, Watch};

use super::console::say;

/// Between two lines where nobody watches a bar.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows transfers on stderr.
pub struct Transfer {
    bar: RefCell<Option<(String, ProgressBar)>>,
    said: Cell<Instant>,
    terminal: bool,
}

impl Transfer {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { bar: RefCell::default(), said: Cell::new(Instant::now()), terminal }
    }

    /// Does `work`, which is shown and can be stopped.
    pub fn during<T>(&self, cancel: &Cancel, work: impl FnOnce(&Watch<'_>) -> T) -> T {
        let show = |moved: Moved<'_>| self.show(moved);
        let note = |note: &str| {
            self.clear();
            say(note);
        };
        let result = work(&Watch { show: &show, note: &note, cancel });
        self.clear();
        result
    }

    fn show(&self, moved: Moved<'_>) {
        if !self.terminal {
            if self.said.get().elapsed() >= LINE_EVERY {
                self.said.set(Instant::now());
                say(&line(moved));
            }
            return;
        }
        if self.bar.borrow().as_ref().is_none_or(|(what, _)| what != moved.what) {
            self.clear();
            self.bar.replace(Some((moved.what.to_owned(), bar(moved))));
        }
        if let Some((_, bar)) = &*self.bar.borrow() {
            bar.set_position(moved.done);
        }
    }

    fn clear(&self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(moved: Moved<'_>) -> ProgressBar {
    let (bar, style) = match moved.total {
        Some(total) => {
            (ProgressBar::new(total), "{msg} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{msg} {bytes}  {bytes_per_sec}"),
    };
    bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
    // What was there before is not the speed of this transfer.
    bar.set_position(moved.done);
    bar.reset_eta();
    bar.with_message(moved.what.to_owned())
}

/// Such as `downloading train2014.zip: 1250 of 13511 MB`.
fn line(moved: Moved<'_>) -> String {
    let megabytes = |bytes: u64| format!("{:.0}", bytes as f64 / 1e6);
    match moved.total {
        Some(total) => format!("{}: {} of {} MB", moved.what, megabytes(moved.done), megabytes(total)),
        None => format!("{}: {} MB", moved.what, megabytes(moved.done)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_for_logs_count_in_megabytes() {
        let moved = Moved { what: "downloading a.zip", done: 1_250_400_000, total: Some(13_510_573_713) };
        assert_eq!(line(moved), "downloading a.zip: 1250 of 13511 MB");
        assert_eq!(line(Moved { total: None, ..moved }), "downloading a.zip: 1250 MB");
    }
}
