//! Children of a sweep: each training and each evaluation is a process of this very program, so that
//! a crash loses one cell only.
//!
//! A sweep holds the other end of each child's stdin and stops the child by closing it. That works
//! the same on every system, cannot be taken for a second Ctrl-C (which would end the child without a
//! checkpoint), and happens by itself when the sweep is killed.

use std::ffi::OsString;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::claim::Claim;
use super::state::Failure;
use crate::cancel::Cancel;
use crate::{Error, Result};

/// Set for children: stop when stdin is closed.
const STOP_WITH_STDIN: &str = "SARB_STOP_WITH_STDIN";
/// How often a sweep looks whether a child has ended.
const POLL: Duration = Duration::from_millis(20);

/// How a child ended.
pub(crate) enum Ended {
    /// With its work done.
    Done,
    /// Stopped, with what it takes to go on.
    Interrupted,
    /// With an error.
    Failed(Failure),
}

/// In a child of a sweep: when the sweep stops it or is gone, stop as on SIGTERM. Elsewhere nothing.
pub fn stop_with_parent(cancel: &Cancel) {
    let cancel = cancel.clone();
    if std::env::var_os(STOP_WITH_STDIN).is_none() {
        return;
    }
    std::thread::spawn(move || {
        let mut byte = [0];
        loop {
            match std::io::stdin().read(&mut byte) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
        cancel.cancel();
    });
}

/// Runs this program as a child and waits for it; once `stop` says so, asks it to stop.
pub(crate) fn run(
    args: &[OsString],
    claim: &Claim,
    threads: usize,
    stop: impl Fn() -> bool,
) -> Result<Ended> {
    let shown: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    claim.note(&format!("$ sarb {}", shown.join(" ")))?;
    let program = program()?;
    let mut command = Command::new(&program);
    command.args(args).env(STOP_WITH_STDIN, "1");
    command.stdin(Stdio::piped()).stdout(claim.output()?).stderr(claim.output()?);
    if std::env::var_os("RAYON_NUM_THREADS").is_none() {
        command.env("RAYON_NUM_THREADS", threads.to_string());
    }
    let failed = |e| Error::io(&program, e);
    let mut child = command.spawn().map_err(failed)?;
    // Our copies of the log.
    drop(command);
    let mut stdin = child.stdin.take();
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(ended(status, stdin.is_none(), claim));
        }
        if stop() {
            stdin = None;
        }
        std::thread::sleep(POLL);
    }
}

fn ended(status: ExitStatus, stopped: bool, claim: &Claim) -> Ended {
    match status.code() {
        Some(0) => Ended::Done,
        Some(75) => Ended::Interrupted,
        Some(code) => {
            let said = claim.last_words();
            let reason = if said.is_empty() { format!("ended with {status}") } else { said };
            Ended::Failed(Failure { code, reason })
        }
        // Whoever stops the sweep may have sent a signal to its children too.
        None if stopped => Ended::Interrupted,
        None => Ended::Failed(Failure {
            code: 1,
            reason: format!("killed ({status}); if the memory ran out, use fewer --jobs"),
        }),
    }
}

/// The running program: on Linux the very one, even if its file has been replaced by a newer build
/// since, so that all cells of one invocation are computed by the same.
fn program() -> Result<PathBuf> {
    let own = PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && own.exists() {
        return Ok(own);
    }
    std::env::current_exe().map_err(|e| Error::io("the running program", e))
}
