//! SIGINT and SIGTERM ask for an end; a second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sarb::Cancel;

/// The exit code of a program that was asked to stop.
const STOPPED: i32 = 75;

/// SIGINT and SIGTERM end the program at once, for work that leaves nothing half done: files are written under
/// another name and then renamed.
pub fn exit_at_once() {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let _ = signal_hook::flag::register_conditional_shutdown(
            signal,
            STOPPED,
            Arc::new(AtomicBool::new(true)),
        );
    }
}

/// Listens for SIGINT and SIGTERM from here on.
pub fn listen() -> Cancel {
    let flag: Arc<AtomicBool> = Arc::default();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The first sets the flag; the second finds it set and exits with 75.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, STOPPED, flag.clone());
        let _ = signal_hook::flag::register(signal, flag.clone());
    }
    Cancel::from_flag(flag)
}
