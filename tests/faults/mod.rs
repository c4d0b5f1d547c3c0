//! The program at every point where it changes a file: killed there, or told that the disk is full. What was saved
//! before is whole, the next attempt comes to the numbers of an undisturbed one, and nothing has to be removed by hand.
//!
//! strace injects the faults. In CI some points of each command are tried;
//! `SARB_FAULTS=all cargo test --release --test integration -- --ignored faults --nocapture` tries all
//! (docs/reliability.md has the figures).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::{arg, borrow, copy, data, features, quick, sarb, sarb_ok};

/// The calls that change files.
const CALLS: &str =
    "write,pwrite64,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync,ftruncate";
/// Points of a command that are tried where not all are.
const POINTS: usize = 8;

/// A command in a folder of its own.
struct Case {
    name: &'static str,
    /// What is in the folder before.
    prepare: fn(&Path),
    /// The command.
    args: fn(&Path) -> Vec<String>,
    /// What a person types after it failed, if `done` is not there.
    again: fn(&Path) -> Vec<String>,
    /// What is there once it has come to its end.
    done: fn(&Path) -> PathBuf,
    /// What it is for.
    result: fn(&Path) -> Vec<u8>,
}

fn run_of(dir: &Path) -> PathBuf {
    dir.join("run")
}

fn scores(dir: &Path) -> Vec<u8> {
    let test = arg(features().join("test.npy"));
    sarb_ok(&["evaluate", &arg(run_of(dir)), "--features", &test]);
    std::fs::read(run_of(dir).join("evaluation/scores.npy")).unwrap()
}

fn train(dir: &Path, more: &[&str]) -> Vec<String> {
    let more = more.iter().map(|more| (*more).to_owned());
    quick("bce", &run_of(dir))
        .into_iter()
        .chain(["--set".into(), "train.epochs=2".into()])
        .chain(more)
        .collect()
}

fn trained(dir: &Path) {
    sarb_ok(&borrow(&train(dir, &[])));
}

fn hide(dir: &Path) -> Vec<String> {
    ["data", "hide", &arg(data()), "--known", "0.5", "--out", &arg(dir.join("out"))]
        .map(String::from)
        .to_vec()
}

fn convert(dir: &Path) -> Vec<String> {
    let (from, to) = (arg(data().join("train.csv")), arg(dir.join("out")));
    ["data", "convert", &from, "--to", "voc", "--out", &to].map(String::from).to_vec()
}

fn evaluate(dir: &Path) -> Vec<String> {
    ["evaluate", &arg(run_of(dir)), "--features", &arg(features().join("test.npy"))]
        .map(String::from)
        .to_vec()
}

fn next(dir: &Path) -> Vec<String> {
    let out = arg(dir.join("questions.csv"));
    ["labels", "next", &arg(run_of(dir)), "--budget", "9", "--out", &out].map(String::from).to_vec()
}

fn linear(dir: &Path) {
    sarb_ok(&borrow(&quick("linear", &run_of(dir))));
}

const CASES: [Case; 6] = [
    Case {
        name: "train",
        prepare: |_| {},
        args: |dir| train(dir, &[]),
        again: |dir| train(dir, &["--resume"]),
        done: |dir| dir.join("never"),
        result: scores,
    },
    Case {
        name: "train --force over a run",
        prepare: linear,
        args: |dir| train(dir, &["--force"]),
        again: |dir| train(dir, &["--force"]),
        done: |dir| dir.join("never"),
        result: scores,
    },
    Case {
        name: "evaluate",
        prepare: trained,
        args: evaluate,
        again: evaluate,
        done: |dir| dir.join("never"),
        result: |dir| std::fs::read(run_of(dir).join("evaluation/test.json")).unwrap(),
    },
    Case {
        name: "data hide",
        prepare: |_| {},
        args: hide,
        again: hide,
        done: |dir| dir.join("out"),
        result: |dir| std::fs::read(dir.join("out/train.csv")).unwrap(),
    },
    Case {
        name: "data convert --to voc",
        prepare: |_| {},
        args: convert,
        again: convert,
        done: |dir| dir.join("out"),
        result: |dir| std::fs::read(dir.join("out/ImageSets/Main/trainval.txt")).unwrap(),
    },
    Case {
        name: "labels next",
        prepare: linear,
        args: next,
        again: next,
        done: |dir| dir.join("questions.csv"),
        result: |dir| std::fs::read(dir.join("questions.csv")).unwrap(),
    },
];

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
    command.output().expect("strace")
}

/// The calls of the busiest thread.
fn points(log: &Path) -> Vec<Point> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut by_thread = HashMap::<&str, Vec<Point>>::new();
    for line in text.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        // A call that another thread interrupts in the log takes a second line, without its arguments.
        let Some((name, _)) = call.trim_start().split_once('(').filter(|(name, _)| !name.contains(' '))
        else {
            continue;
        };
        let calls = by_thread.entry(thread).or_default();
        let before = calls.iter().filter(|(other, _)| other == name).count();
        calls.push((name.to_owned(), before + 1));
    }
    by_thread.into_values().max_by_key(Vec::len).unwrap_or_default()
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
    let all = std::env::var("SARB_FAULTS").is_ok_and(|which| which == "all");
    for case in &CASES {
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
        assert!(count > 5, "{}: {points:?}", case.name);
        let step = if all { 1 } else { count.div_ceil(POINTS) };
        let mut hit = 0;
        for point in points.iter().step_by(step) {
            copy(&before, &dir);
            let output = traced(&(case.args)(&dir), Some((fault, point)), &log);
            let said = String::from_utf8_lossy(&output.stderr);
            let here = format!("{}, {fault} at {point:?}: {said}", case.name);
            assert!(!said.contains("panicked") && output.status.code() != Some(1), "{here}");
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
