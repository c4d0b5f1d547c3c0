//! Folders in use, and runs that did not come to their end.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::frozen::on_frozen_trunk;
use crate::support::{
    arg, borrow, change, command, data, features, quick, random_trunk, sarb, sarb_fails, sarb_ok,
};
use crate::sweep::{Fixture, LINEAR};

/// A training of many epochs, begun.
fn long_training(run: &Path) -> (Vec<String>, Child) {
    let mut args = quick("ssgrl", run);
    args.extend(["--set", "train.epochs=4000"].map(String::from));
    let child = command(&borrow(&args)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !run.join("checkpoints/last/state.json").exists() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no checkpoint appears");
        std::thread::sleep(Duration::from_millis(5));
    }
    (args, child)
}

/// What evaluating a run says on stderr.
fn said_of(run: &Path) -> String {
    let test = arg(features().join("test.npy"));
    let output = sarb(&["evaluate", &arg(run), "--features", &test]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    stderr
}

#[test]
fn a_run_in_use_is_refused_and_one_that_was_killed_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let (args, mut child) = long_training(&run);
    for flag in [None, Some("--resume"), Some("--force")] {
        let mut second = borrow(&args);
        second.extend(flag);
        let message = sarb_fails(2, &second);
        assert!(message.contains(&format!("is in use by process {}", child.id())), "{flag:?}: {message}");
    }
    let said = said_of(&run);
    assert!(
        said.contains(&format!("is still being trained by process {}, after epoch", child.id())),
        "{said}"
    );

    // SIGKILL: nothing is tidied up.
    child.kill().unwrap();
    child.wait().unwrap();
    let said = said_of(&run);
    assert!(
        said.contains("is not finished: it was killed after epoch") && said.contains("of 4000"),
        "{said}"
    );
    let state = std::fs::read_to_string(run.join("checkpoints/last/state.json")).unwrap();
    let epoch = serde_json::from_str::<serde_json::Value>(&state).unwrap()["epoch"].as_u64().unwrap();
    let short = format!("train.epochs={}", epoch.max(1) + 1);
    // Only the number of epochs may change, and only grow: the recipe that was saved is made shorter first.
    change(&run.join("recipe.toml"), "epochs = 4000", &short["train.".len()..].replace('=', " = "));
    let (data, train) = (arg(data()), arg(features().join("train.npy")));
    sarb_ok(&["train", "--data", &data, "--features", &train, "--out", &arg(&run), "--resume"]);
    assert!(!said_of(&run).contains("not finished"));
}

/// Holds a lock as process 12 on node-7 does until a command says so, and lets that come to its end.
fn is_waited_for_aloud(lock: &Path, args: &[String], expected: &str) {
    std::fs::write(lock, "12 node-7\n").unwrap();
    let held = File::options().write(true).open(lock).unwrap();
    held.try_lock().unwrap();
    let begun = Instant::now();
    let mut child = command(&borrow(args)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = said.find(|line| line.contains("waiting for"));
    assert!(line.as_ref().is_some_and(|line| line.contains(expected)), "{line:?}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    drop(held);
    let rest: Vec<String> = said.collect();
    assert!(child.wait().unwrap().success(), "{rest:?}");
    assert!(!rest.iter().any(|line| line.contains("waiting for")), "{rest:?}");
}

#[test]
fn a_command_that_waits_for_maps_of_another_process_says_for_whom() {
    let dir = tempfile::tempdir().unwrap();
    let (weights, run, cache) =
        (random_trunk(dir.path()), arg(dir.path().join("run")), dir.path().join("cache"));
    let mut args = on_frozen_trunk("ssgrl", &weights, &run, &["backbone.views=0"]);
    args.extend(["--cache".into(), arg(&cache)]);
    sarb_ok(&borrow(&args));
    // The other one is about to compute those of the test images.
    let ending = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "append");
    let locks = std::fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path()).filter(ending);
    let locks: Vec<PathBuf> = locks.collect();
    assert_eq!(locks.len(), 1, "the clean view");
    let evaluate = ["evaluate", &run, "--cache", &arg(&cache)].map(String::from);
    is_waited_for_aloud(
        &locks[0],
        &evaluate,
        "waiting for process 12 on node-7, which computes feature maps",
    );
    // They are there now, and nobody is waited for.
    let held = File::options().write(true).open(&locks[0]).unwrap();
    held.try_lock().unwrap();
    sarb_ok(&borrow(&evaluate));
}

#[test]
fn a_sweep_that_another_process_is_beginning_is_waited_for_aloud() {
    let fixture = Fixture::new("known = [0.5]", &[LINEAR]);
    std::fs::create_dir(fixture.out()).unwrap();
    let lock = fixture.out().join("sweep.lock");
    is_waited_for_aloud(
        &lock,
        &fixture.args(&[]),
        "waiting for process 12 on node-7, which is beginning this sweep",
    );
}

#[test]
fn a_run_that_is_open_needs_its_files_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    sarb_ok(&borrow(&quick("ssgrl", &run)));
    let recognizer = sarb::Recognizer::open(&run, sarb::Which::Best, &burn::tensor::Device::flex()).unwrap();
    let features = recognizer.features(&features().join("test.npy")).unwrap();
    // As a training does that goes on meanwhile, with its next checkpoint.
    std::fs::remove_dir_all(run.join("checkpoints")).unwrap();
    assert_eq!(recognizer.recognize_features(&features, 0..3).unwrap().len(), 3);
}

#[cfg(unix)]
#[test]
fn a_run_that_was_stopped_says_so_when_it_is_evaluated() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let (_, mut child) = long_training(&run);
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let said = said_of(&run);
    assert!(
        said.contains("is not finished: it was stopped after epoch") && said.contains("--resume"),
        "{said}"
    );
}

#[test]
fn a_run_that_diverged_says_so_when_it_is_evaluated() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut args = quick("ssgrl", &run);
    args.extend(["--set", "train.learning_rate=1e30"].map(String::from));
    sarb_fails(5, &borrow(&args));
    let said = said_of(&run);
    assert!(said.contains("is not finished: it failed after epoch 0 of 4: training diverged"), "{said}");
}

#[test]
fn many_weights_for_few_labels_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = quick("ssgrl", &dir.path().join("wide"));
    args.extend(["--set", "method.network.dim=256", "--set", "train.epochs=1"].map(String::from));
    let output = sarb(&borrow(&args));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("weights of ssgrl are trained on"), "{said}");
    assert!(said.contains("--method linear") && said.contains("method.network.dim=128"), "{said}");
    let output = sarb(&borrow(&quick("linear", &dir.path().join("linear"))));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("weights of"));
}
