//! SIGINT, SIGTERM and the end of the terminal (SIGHUP) ask for an end; a second one ends the program at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use sarb::Cancel;

/// The exit code of a program that was asked to stop.
const STOPPED: i32 = 75;

/// Those that ask for an end. SIGHUP does not where it was ignored at the start, as `nohup` has it.
fn signals() -> Vec<i32> {
    let mut signals = vec![signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM];
    #[cfg(unix)]
    if !is_ignored(signal_hook::consts::SIGHUP) {
        signals.push(signal_hook::consts::SIGHUP);
    }
    signals
}

#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    // SAFETY: without a new action the call only fills in the old one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &mut action) == 0 && action.sa_sigaction == libc::SIG_IGN
    }
}

/// They end the program at once, for work that leaves nothing half done: files are written under
/// another name and then renamed.
pub fn exit_at_once() {
    for signal in signals() {
        let _ = signal_hook::flag::register_conditional_shutdown(
            signal,
            STOPPED,
            Arc::new(AtomicBool::new(true)),
        );
    }
}

/// Listens for them from here on.
pub fn listen() -> Cancel {
    let flag: Arc<AtomicBool> = Arc::default();
    for signal in signals() {
        // The first sets the flag; the second finds it set and exits with 75.
        let _ = signal_hook::flag::register_conditional_shutdown(signal, STOPPED, flag.clone());
        let _ = signal_hook::flag::register(signal, flag.clone());
    }
    Cancel::from_flag(flag)
}
