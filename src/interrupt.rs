//! SIGINT and SIGTERM set a flag that the loops look at; a second one ends the program at once.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

/// The flag that a signal sets.
pub fn flag() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default)
}

/// Listens for SIGINT and SIGTERM from here on.
pub fn listen() {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The first sets the flag; the second finds it set and exits with 75.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, 75, flag().clone());
        let _ = signal_hook::flag::register(signal, flag().clone());
    }
}
