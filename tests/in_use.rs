//! Folders in use, and runs that did not come to their end.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::{arg, borrow, change, command, features, quick, sarb, sarb_fails, sarb_ok};

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
    let (data, train) = (arg(crate::support::data()), arg(features().join("train.npy")));
    sarb_ok(&["train", "--data", &data, "--features", &train, "--out", &arg(&run), "--resume"]);
    assert!(!said_of(&run).contains("not finished"));
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
