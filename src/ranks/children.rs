//! The other ranks of a training on this machine, as processes that rank 0 starts: the same program with the same
//! arguments, told who it is by the variables that torchrun sets.

use std::ffi::{OsStr, OsString};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ranks::secret;
use crate::{Error, Result};

/// Set for a process that another rank started: what goes wrong there, rank 0 says.
const STARTED: &str = "SARB_RANKS_STARTED";
/// A rank that was told of the end has so long until it is killed.
const LAST: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// Whether rank 0 started this process.
pub fn is_started() -> bool {
    std::env::var_os(STARTED).is_some()
}

/// The processes; dropping them waits for their end, and ends them.
#[derive(Debug)]
pub struct Children(Vec<(usize, Child)>);

impl Children {
    /// Starts the ranks from 1 to `count` − 1 with these arguments, `threads` each, and the secret as text.
    ///
    /// # Errors
    /// If one cannot be started.
    pub fn start(args: &[OsString], count: usize, port: u16, secret: &str, threads: usize) -> Result<Self> {
        let program = program()?;
        let mut children = Self(Vec::new());
        for rank in 1..count {
            let mut command = Command::new(&program);
            command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", count.to_string());
            command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", port.to_string());
            command.env_remove("TORCHELASTIC_USE_AGENT_STORE").env_remove(super::place::PORT);
            command.env(secret::VARIABLE, secret).env(STARTED, "1");
            command.env("RAYON_NUM_THREADS", threads.to_string());
            let child = command.spawn().map_err(|error| Error::io(&program, error))?;
            children.0.push((rank, child));
        }
        Ok(children)
    }

    /// Whether all of them are still there.
    ///
    /// # Errors
    /// [`Error::Rank`] with the first that is not.
    pub fn check(&mut self) -> Result<()> {
        for (rank, child) in &mut self.0 {
            if let Ok(Some(status)) = child.try_wait() {
                let code = status.code().unwrap_or(1);
                let message = format!("rank {rank} ended before it came to the others: {status}");
                return Err(Error::Rank { code, message });
            }
        }
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        let until = Instant::now() + LAST;
        for (_, child) in &mut self.0 {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                std::thread::sleep(POLL);
            }
            // One that has ended cannot be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The arguments of a rank, from those of rank 0: `--ranks env` in place of `--ranks N`, the threads as a variable says.
pub fn arguments(own: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut args, mut own) = (Vec::new(), own);
    while let Some(arg) = own.next() {
        let text = arg.to_str().unwrap_or_default();
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        if name != "--ranks" && name != "--threads" {
            args.push(arg);
            continue;
        }
        if name == "--ranks" {
            args.extend(["--ranks", "env"].map(OsStr::new).map(OsString::from));
        }
        if value.is_none() {
            own.next();
        }
    }
    args
}

/// The running program: on Linux the very one, even if its file has been replaced since.
fn program() -> Result<std::path::PathBuf> {
    let own = std::path::PathBuf::from("/proc/self/exe");
    if cfg!(target_os = "linux") && own.exists() {
        return Ok(own);
    }
    std::env::current_exe().map_err(|e| Error::io("the running program", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_has_the_arguments_of_rank_0_but_for_ranks_and_threads() {
        for (own, expected) in [
            ("train bce --ranks 2 --out run", "train bce --ranks env --out run"),
            ("--threads 4 train --ranks=3 --set a=--ranks", "train --ranks env --set a=--ranks"),
            ("train --threads=2 --ranks 2", "train --ranks env"),
        ] {
            let found = arguments(own.split(' ').map(OsString::from));
            assert_eq!(found.join(OsStr::new(" ")), expected);
        }
    }
}
