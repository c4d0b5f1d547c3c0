//! Clocks that stand still, go backward or are of another age: nothing but what is said of time depends on them.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{arg, borrow, data, features, quick, sarb_ok, test_scores};

/// `faketime` with a clock, as libfaketime understands it.
fn at(clock: &str, args: &[&str]) -> Output {
    let mut command = Command::new("faketime");
    command.args(["-f", clock, env!("CARGO_BIN_EXE_sarb")]).args(args).env("NO_COLOR", "1");
    command.output().expect("faketime")
}

fn ok(clock: &str, args: &[&str]) -> String {
    let output = at(clock, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{clock}: sarb {args:?} ended with {:?}:\n{said}", output.status);
    format!("{said}{}", String::from_utf8_lossy(&output.stdout))
}

fn train(run: &Path, epochs: &str) -> Vec<String> {
    [quick("bce", run), ["--set", epochs].map(String::from).to_vec()].concat()
}

#[test]
#[ignore = "needs faketime"]
fn a_clock_that_stands_still_or_goes_backward_changes_no_number() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    sarb_ok(&borrow(&train(&whole, "train.epochs=4")));
    let expected = test_scores(&whole);
    let (plan, test) = (arg(dir.path().join("plan.toml")), arg(features().join("test.npy")));
    std::fs::write(dir.path().join("linear.toml"), "[method]\nname = 'linear'\n").unwrap();
    std::fs::write(&plan, "known = [0.5]\n[[row]]\nname = 'linear'\nrecipe = 'linear.toml'\n").unwrap();
    // The first four stand still.
    for (number, clock) in [
        "1970-01-01 00:00:00",
        "1950-01-01 00:00:00",
        "2300-01-01 00:00:00",
        "2030-05-05 12:00:00",
        "@2020-01-01 00:00:00 i-0.01",
        "-5d i-1.0",
    ]
    .into_iter()
    .enumerate()
    {
        let folder = dir.path().join(number.to_string());
        let (run, sweep) = (folder.join("run"), arg(folder.join("sweep")));
        let said = ok(clock, &borrow(&train(&run, "train.epochs=2")));
        assert!(!said.contains("inf images") && !said.contains("NaN"), "{clock}: {said}");
        let resumed = [train(&run, "train.epochs=4"), vec!["--resume".into()]].concat();
        ok(clock, &borrow(&resumed));
        ok(clock, &["evaluate", &arg(&run), "--features", &test]);
        assert!(std::fs::read(run.join("evaluation/scores.npy")).unwrap() == expected, "{clock}");
        ok(clock, &["report", &arg(&run), "--bootstrap", "20"]);
        let args = ["sweep", &plan, "--data", &arg(data()), "--out", &sweep, "--features"];
        ok(clock, &[&args[..], &[&arg(features().join("train.npy")), "--test-features", &test]].concat());
        ok(clock, &["report", &sweep, "--bootstrap", "20"]);
    }
}
