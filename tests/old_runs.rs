//! Run folders that version 0.1.0 wrote before its source was rearranged (commit 8c21957, on the generated
//! data and features of `support.rs`) open, score and resume as they did then.

use std::path::{Path, PathBuf};

use sarb_labels::arrays::read_matrix;

use crate::support::{arg, copy, data, features, sarb_ok};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/old_runs").join(name)
}

/// Scores of the test images, with those that the old program gave.
fn assert_scores(run: &Path, expected: &str) {
    let (data, features) = (arg(data()), arg(features().join("test.npy")));
    sarb_ok(&["evaluate", &arg(run), "--data", &data, "--features", &features]);
    let ours = read_matrix(&run.join("evaluation/scores.npy")).unwrap().values;
    let theirs = read_matrix(&fixture(expected)).unwrap().values;
    let largest = theirs.iter().fold(0.0, |a: f32, b| a.max(b.abs()));
    let difference = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // Another processor adds up in another order.
    assert!(ours.len() == theirs.len() && difference <= 1e-4 * largest, "{expected}: off by {difference}");
}

#[test]
fn an_old_run_gives_the_scores_that_it_gave() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["sarb", "linear"] {
        let run = dir.path().join(name);
        copy(&fixture(name), &run);
        assert_scores(&run, &format!("{name}_scores.npy"));
    }
}

#[test]
fn an_old_run_resumes_to_the_scores_that_it_would_have_had() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("sarb");
    copy(&fixture("sarb"), &run);
    let (data, features) = (arg(data()), arg(features().join("train.npy")));
    let more = ["--resume", "--data", &data, "--features", &features, "--set", "train.epochs=3"];
    sarb_ok(&[&["train", "--out", &arg(&run)], &more[..]].concat());
    assert_scores(&run, "sarb_resumed_scores.npy");
}

#[test]
fn a_key_of_an_old_recipe_is_read_under_its_new_name() {
    let recipe = std::fs::read_to_string(fixture("linear/recipe.toml")).unwrap();
    assert!(recipe.contains("standardise = true"), "the fixture is that of the old program");
    let read = sarb::Recipe::read(Some(&fixture("linear/recipe.toml")), None, &[]).unwrap();
    assert!(read.to_toml().contains("standardize = true"));
}
