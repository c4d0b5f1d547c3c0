//! What people see of downloads: a bar on a terminal, a line with the time every 30 seconds elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use sarb::Cancel;
use sarb::fetch::{Moved, Watch};

use super::console::{is_quiet, say};
use super::heartbeat::Heartbeat;
use super::progress::SILENCE;

/// Shows transfers on stderr.
pub struct Transfer {
    bar: RefCell<Option<(String, ProgressBar)>>,
    /// Where there is no terminal.
    heartbeat: Option<Heartbeat>,
}

impl Transfer {
    /// Nothing is shown yet.
    pub fn new() -> Self {
        let lines = !std::io::stderr().is_terminal() && !is_quiet();
        Self { bar: RefCell::default(), heartbeat: lines.then(|| Heartbeat::new(SILENCE, say)) }
    }

    /// Does `work`, which is shown and can be stopped.
    pub fn during<T>(&self, cancel: &Cancel, work: impl FnOnce(&Watch<'_>) -> T) -> T {
        let show = |moved: Moved<'_>| self.show(moved);
        let note = |note: &str| {
            self.clear();
            say(note);
            self.heartbeat.iter().for_each(Heartbeat::said);
        };
        let result = work(&Watch { show: &show, note: &note, cancel });
        self.clear();
        result
    }

    fn show(&self, moved: Moved<'_>) {
        if let Some(heartbeat) = &self.heartbeat {
            return heartbeat.doing(line(moved));
        }
        if is_quiet() {
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
