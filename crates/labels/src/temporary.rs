//! The names of files and folders that are not whole yet. What a killed process leaves of them is swept by the next one
//! that writes to the same folder.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::{Error, Result};

/// So long after its last change nobody writes a temporary file any more, wherever its process was.
const STALE: Duration = Duration::from_hours(24);

/// Whether a file or folder of this name is not whole yet, or was left by a process that was killed.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(".sarb-") && name.ends_with(".tmp")
}

/// `.sarb-HOST-PROCESS-NUMBER.tmp`, new in `folder`.
pub(crate) fn create_in<T>(folder: &Path, create: impl Fn(PathBuf) -> std::io::Result<T>) -> Result<T> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    sweep_once(folder);
    loop {
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".sarb-{}-{}-{number}.tmp", host(), std::process::id()));
        match create(path) {
            // Left by a process that was killed and had the same number.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
            created => return created.map_err(|error| Error::io(folder, error)),
        }
    }
}

/// Removes what killed processes left in a folder, the first time that this process writes to it, or asks for it in a
/// folder to which it may never write again.
pub fn sweep_once(folder: &Path) {
    static SWEPT: OnceLock<Mutex<HashSet<PathBuf>>> = OnceLock::new();
    let Ok(folder) = folder.canonicalize() else { return };
    let swept = SWEPT.get_or_init(Mutex::default);
    let is_new = swept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(folder.clone());
    if is_new {
        sweep(&folder);
    }
}

/// Removes temporary files and folders of this host's dead processes, and those that nobody has touched for a day.
/// What cannot be looked at or removed stays: nothing depends on it.
fn sweep(folder: &Path) {
    let Ok(entries) = folder.read_dir() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_temporary(name)) else { continue };
        let age = entry.metadata().and_then(|it| it.modified()).ok().and_then(|at| at.elapsed().ok());
        if is_abandoned(name) || age.is_some_and(|age| age > STALE) {
            let path = entry.path();
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
    }
}

/// Whether a temporary name is that of a process of this host that is no more; false where it cannot be known.
fn is_abandoned(name: &str) -> bool {
    let mut parts = name.trim_start_matches(".sarb-").split('-');
    let (of_host, process) = (parts.next(), parts.next());
    let processes = Path::new("/proc");
    of_host == Some(host())
        && processes.join("self").exists()
        && process.is_some_and(|process| {
            process.bytes().all(|byte| byte.is_ascii_digit()) && !processes.join(process).exists()
        })
}

/// A few letters that tell hosts, and containers, apart that write to one disk: a process's number means nothing on
/// another.
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
        let processes = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let mut hash = blake3::Hasher::new();
        hash.update(&name).update(processes.as_os_str().as_encoded_bytes());
        hash.finalize().to_hex()[..8].to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        // Linux gives no process a number beyond 2²².
        let dead = format!(".sarb-{}-99999999-0.tmp", host());
        let alive = format!(".sarb-{}-{}-x.tmp", host(), std::process::id());
        let elsewhere = ".sarb-otherpod-99999999-0.tmp";
        let old = ".sarb-otherpod-99999999-1.tmp";
        for name in [&dead, &alive, elsewhere, old, "mine.tmp"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let past = std::time::SystemTime::now() - 2 * STALE;
        std::fs::File::options().write(true).open(dir.path().join(old)).unwrap().set_modified(past).unwrap();
        std::fs::create_dir(dir.path().join(format!(".sarb-{}-99999999-1.tmp", host()))).unwrap();
        create_in(dir.path(), |_| Ok(())).unwrap();
        let left = dir.path().read_dir().unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
        let mut left: Vec<String> = left.collect();
        left.sort();
        let mut kept = vec![alive, elsewhere.to_owned(), "mine.tmp".to_owned()];
        kept.sort();
        assert_eq!(left, kept);
    }

    #[test]
    fn a_name_that_is_taken_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let tries = std::cell::Cell::new(0);
        let created = create_in(dir.path(), |path| {
            tries.set(tries.get() + 1);
            if tries.get() < 3 { Err(std::io::Error::from(ErrorKind::AlreadyExists)) } else { Ok(path) }
        });
        assert_eq!(created.unwrap().parent(), Some(dir.path()));
        assert_eq!(tries.get(), 3);
    }
}
