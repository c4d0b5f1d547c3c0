//! What people see: results on stdout, everything else on stderr.

use std::io::Write;

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

/// A line on stderr; that nobody reads it any more is no reason to stop.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A warning on stderr.
pub fn warn(text: &str) {
    say(&format!("sarb: warning: {text}"));
}

/// A progress bar on stderr; nothing where stderr is not a terminal.
pub fn progress_bar(what: &str) -> ProgressBar {
    let style = "{msg} {wide_bar} {pos}/{len}  {eta} left";
    let bar = ProgressBar::new(0).with_message(what.to_string());
    bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
    bar
}
