//! A wish to stop, which every long work looks at between two pieces.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{Error, Result};

/// Shared by the one who asks and those who work; clones are the same wish.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Nobody asks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that somebody else sets, such as a signal handler.
    pub fn from_flag(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Asks for an end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Asks for an end when so much time has passed.
    pub fn cancel_after(&self, time: Duration) {
        let wish = self.clone();
        // Ends with the program; nobody waits for it.
        std::thread::spawn(move || {
            std::thread::sleep(time);
            wish.cancel();
        });
    }

    /// Whether an end is asked for.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// [`Error::Stopped`] if an end is asked for.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Stopped) } else { Ok(()) }
    }
}
