//! What people see: results on stdout, everything else on stderr.

use std::io::Write;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::{Error, Result};

/// A line on stdout. A reader that closed it early, such as `head`, is no failure.
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

/// A progress bar on stderr; nothing where stderr is no terminal.
pub fn progress_bar(what: &str) -> ProgressBar {
    let style = "{msg} {wide_bar} {pos}/{len}  {eta} left";
    let bar = ProgressBar::new(0).with_message(what.to_string());
    bar.set_style(ProgressStyle::with_template(style).expect("a valid template"));
    bar
}

/// Seconds as people say them: `48 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(seconds: f64) -> String {
    let s = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

/// Peak resident memory of this process in MiB; 0 where the system does not say.
pub fn peak_rss_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
    kib.map_or(0.0, |kib| kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_calmly() {
        assert_eq!([duration(48.4), duration(200.0), duration(7500.0)], ["48 s", "3 min 20 s", "2 h 5 min"]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_some_memory() {
        assert!(peak_rss_mb() > 1.0);
    }
}
