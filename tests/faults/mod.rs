//! The program at every point where it changes a file: killed there, or told that the disk is full. What was saved
//! before is whole, the next attempt comes to the numbers of an undisturbed one, and nothing has to be removed by hand.
//!
//! strace injects the faults. In CI some points of each command are tried;
//! `SARB_FAULTS=all cargo test --release --test integration -- --ignored faults --nocapture` tries all, and
//! `SARB_FAULTS=convert` all of the commands that are called so (docs/reliability.md has the figures).

mod cases;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{arg, borrow, copy, sarb};
use cases::CASES;

/// The calls that change files.
const CALLS: &str =
    "write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync,ftruncate";

/// A call by its name, and which of its kind it is, from 1.
type Point = (String, usize);

/// The program under strace, which injects `fault` at a point; the calls go to `log`.
fn traced(args: &[String], fault: Option<(&str, &Point)>, log: &Path) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", &arg(log), "-e", &format!("trace={CALLS}")]);
    if let Some((fault, (call, at))) = fault {
        // strace counts the calls of each kind for themselves.
        command.args(["-e", &format!("inject={call}:{fault}:when={at}")]);
    }
    command.arg(env!("CARGO_BIN_EXE_sarb")).args(args).env("NO_COLOR", "1");
    // Few threads, so that the calls of several attempts are alike.
    command.env("RAYON_NUM_THREADS", "2");
    command.output().expect("strace")
}

/// Every call of any thread or child, each once, in the order in which they came.
fn points(log: &Path) -> Vec<Point> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut counts = HashMap::<(&str, &str), usize>::new();
    let (mut seen, mut points) = (HashSet::new(), Vec::new());
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        // A call that another thread interrupts in the log takes a second line, without its arguments.
        let Some((name, _)) = call.trim_start().split_once('(').filter(|(name, _)| !name.contains(' '))
        else {
            continue;
        };
        // As strace counts for `when`: the calls of each kind, of each thread.
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        let point = (name.to_owned(), *count);
        if seen.insert(point.clone()) {
            points.push(point);
        }
    }
    points
}

/// Files of the program below a folder that are not whole.
fn unfinished(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with(".sarb-") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(unfinished(&path));
        }
    }
    found
}

fn try_points(fault: &str) {
    let wanted = std::env::var("SARB_FAULTS").ok();
    let all = wanted.is_some();
    for case in &CASES {
        if wanted.as_ref().is_some_and(|wanted| wanted != "all" && !case.name.contains(wanted.as_str())) {
            continue;
        }
        let root = tempfile::tempdir().unwrap();
        let before = root.path().join("before");
        std::fs::create_dir(&before).unwrap();
        (case.prepare)(&before);
        let (whole, log) = (root.path().join("whole"), root.path().join("log"));
        // Paths are written relative to the folder: the same place for every attempt.
        let dir = root.path().join("dir");
        copy(&before, &dir);
        assert!(traced(&(case.args)(&dir), None, &log).status.success(), "{}", case.name);
        let expected = (case.result)(&dir);
        std::fs::rename(&dir, &whole).unwrap();
        let points = points(&log);
        let count = points.len();
        assert!(count > 3, "{}: {points:?}", case.name);
        let step = if all { 1 } else { count.div_ceil(case.points) };
        let mut hit = 0;
        for point in points.iter().step_by(step) {
            copy(&before, &dir);
            let output = traced(&(case.args)(&dir), Some((fault, point)), &log);
            let said = String::from_utf8_lossy(&output.stderr);
            let here = format!("{}, {fault} at {point:?}: {said}", case.name);
            // Of a sweep, a cell that was killed is no bug of the sweep.
            let is_bug = output.status.code() == Some(1) && !said.contains("killed (signal");
            assert!(!said.contains("panicked") && !is_bug, "{here}");
            hit += usize::from(!output.status.success());
            if !(case.done)(&dir).exists() {
                let again = sarb(&borrow(&(case.again)(&dir)));
                let said = String::from_utf8_lossy(&again.stderr);
                assert!(again.status.success(), "{here}\nthen: {said}");
            }
            assert!((case.result)(&dir) == expected, "{here}\nthe result differs");
            let left = unfinished(&dir);
            assert!(left.is_empty(), "{here}\nleft over: {left:?}");
            std::fs::remove_dir_all(&dir).unwrap();
        }
        println!("{}: {fault}: {} points tried of {count}, {hit} ended it", case.name, count.div_ceil(step));
    }
}

#[test]
#[ignore = "needs strace"]
fn a_kill_at_any_call_that_changes_a_file_loses_nothing() {
    try_points("signal=SIGKILL");
}

#[test]
#[ignore = "needs strace"]
fn a_full_disk_at_any_call_is_an_error_and_loses_nothing() {
    try_points("error=ENOSPC");
}

#[test]
#[ignore = "needs strace"]
fn a_disk_that_fails_at_any_call_is_an_error_and_loses_nothing() {
    try_points("error=EIO");
}
