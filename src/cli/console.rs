//! What people see: results on stdout, everything else on stderr.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use sarb::{Error, Result};

/// A line on stdout. A reader that closed it early, such as `head`, is not a failure.
pub fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("standard output", error))
        }
        _ => Ok(()),
    }
}

/// Whether only results, warnings and errors are wanted.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From here on, says only results, warnings and errors.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Whether only results, warnings and errors are wanted.
pub fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// A line on stderr, unless it shall be quiet.
pub fn say(text: &str) {
    if !is_quiet() {
        tell(text);
    }
}

/// A warning on stderr.
pub fn warn(text: &str) {
    tell(&format!("sarb: warning: {text}"));
}

/// An error on stderr, a line each.
pub fn fail(error: &Error) {
    error.to_string().lines().for_each(|line| tell(&format!("sarb: {line}")));
}

/// That nobody reads it any more is no reason to stop.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A progress bar on stderr; nothing where stderr is not a terminal, or it shall be quiet.
pub fn progress_bar(what: &str) -> ProgressBar {
    if is_quiet() {
        return ProgressBar::hidden();
    }
    let style = "{msg} {wide_bar} {pos}/{len}  {eta} left";
    let bar = ProgressBar::new(0).with_message(what.to_string());
    bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
    bar
}
