//! A sign of life where there is no terminal: when nothing was said for a while, a line with the time says
//! what is being done. Work tells what it is at; a thread of its own does the speaking, so that a step, a map
//! or a validation that takes minutes is not silent.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};

/// Speaks until it is dropped.
pub struct Heartbeat {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

struct State {
    /// When something was said last.
    said: Instant,
    /// What is being done; empty before anything is.
    doing: String,
    ended: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Heartbeat {
    /// Calls `say` whenever nothing was said for `period`.
    pub fn new(period: Duration, say: impl Fn(&str) + Send + 'static) -> Self {
        let state = State { said: Instant::now(), doing: String::new(), ended: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), wake: Condvar::new() });
        let of_thread = shared.clone();
        let thread = std::thread::spawn(move || speak(&of_thread, period, say));
        Self { shared, thread: Some(thread) }
    }

    /// Notes what is being done.
    pub fn doing(&self, what: String) {
        self.shared.lock().doing = what;
    }

    /// Notes that something was said just now.
    pub fn said(&self) {
        self.shared.lock().said = Instant::now();
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // It only prints; if that panicked, the work is done all the same.
            let _ = thread.join();
        }
    }
}

fn speak(shared: &Shared, period: Duration, say: impl Fn(&str)) {
    let mut state = shared.lock();
    while !state.ended {
        let waited = state.said.elapsed();
        if waited >= period {
            if !state.doing.is_empty() {
                say(&stamped(&state.doing));
            }
            state.said = Instant::now();
        } else {
            let woken = shared.wake.wait_timeout(state, period - waited);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A line with the time before it, in UTC as ISO 8601 writes it.
pub fn stamped(line: &str) -> String {
    let now = DateTime::<Utc>::from(SystemTime::now()).to_rfc3339_opts(SecondsFormat::Secs, true);
    format!("{now}  {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_while_nothing_else_is_said_and_says_what_is_done() {
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = lines.clone();
        let heartbeat = Heartbeat::new(Duration::from_millis(40), move |line| {
            heard.lock().unwrap().push(line.to_owned());
        });
        std::thread::sleep(Duration::from_millis(100));
        assert!(lines.lock().unwrap().is_empty(), "nothing is being done yet");
        heartbeat.doing("validation".into());
        let begun = Instant::now();
        while lines.lock().unwrap().len() < 2 && begun.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(heartbeat);
        let lines = lines.lock().unwrap();
        assert!(lines.len() >= 2 && lines[0].ends_with("Z  validation"), "{lines:?}");
        let time = lines[0].split("  ").next().unwrap();
        assert!(DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
    }

    #[test]
    fn it_ends_at_once_when_it_is_dropped() {
        let begun = Instant::now();
        drop(Heartbeat::new(Duration::from_secs(3600), |_| {}));
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
