//! Files that changed on the disk, and numbers that were made of different things: neither is believed.

use std::path::Path;

use crate::frozen::on_frozen_trunk;
use crate::support::{arg, borrow, command, copy, features, quick, random_trunk, sarb_fails, sarb_ok};
use crate::sweep::{Fixture, LINEAR, SSGRL};

/// Changes one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

fn evaluate(run: &Path, more: &[&str]) -> Vec<String> {
    let features = arg(features().join("test.npy"));
    let args = ["evaluate".to_owned(), arg(run), "--features".into(), features];
    args.into_iter().chain(more.iter().map(|more| (*more).to_owned())).collect()
}

#[test]
fn a_flipped_bit_in_any_file_of_a_run_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    // A method with a state of its own.
    let train = |out: &Path| quick("sst", out);
    sarb_ok(&borrow(&train(&whole)));
    let damaged = |file: &str, args: &dyn Fn(&Path) -> Vec<String>| {
        let run = dir.path().join("damaged");
        copy(&whole, &run);
        flip(&run.join(file));
        let message = sarb_fails(7, &borrow(&args(&run)));
        let name = file.rsplit('/').next().unwrap();
        assert!(message.contains(name), "{file}: {message}");
        std::fs::remove_dir_all(&run).unwrap();
        message
    };
    for file in [
        "recipe.toml",
        "run.json",
        "data/categories.json",
        "data/cooccurrence.npy",
        "checkpoints/best/state.json",
        "checkpoints/best/model.bpk",
        "anchor.bpk",
    ] {
        let message = damaged(file, &|run| evaluate(run, &[]));
        if file.starts_with("checkpoints") {
            assert!(message.contains("the checkpoint `last`, of 4 epochs, is whole"), "{message}");
        }
    }
    for file in ["model.bpk", "optimizer.bpk", "state.json"] {
        let message = damaged(&format!("checkpoints/last/{file}"), &|run| {
            [train(run), vec!["--resume".into(), "--set".into(), "train.epochs=5".into()]].concat()
        });
        assert!(message.contains("take it by --checkpoint best"), "{message}");
    }
    // What is offered works.
    flip(&whole.join("checkpoints/best/model.bpk"));
    sarb_ok(&borrow(&evaluate(&whole, &["--checkpoint", "last"])));
}

#[test]
fn a_damaged_backbone_files_no_maps_in_the_cache() {
    let dir = tempfile::tempdir().unwrap();
    let weights = random_trunk(dir.path());
    let run = dir.path().join("run");
    sarb_ok(&borrow(&on_frozen_trunk("ssgrl", &weights, &arg(&run), &[])));
    let cache = dir.path().join("cache");
    let evaluate = || {
        let mut command = command(&["evaluate", &arg(&run)]);
        command.env("XDG_CACHE_HOME", &cache).output().unwrap()
    };
    let whole = std::fs::read(run.join("backbone.safetensors")).unwrap();
    flip(&run.join("backbone.safetensors"));
    let output = evaluate();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(7) && said.contains("backbone.safetensors: damaged"), "{said}");
    assert!(!cache.exists(), "nothing was computed with it");
    std::fs::write(run.join("backbone.safetensors"), whole).unwrap();
    assert!(evaluate().status.success() && cache.exists());
}

#[test]
fn a_checkpoint_that_is_lost_is_not_begun_anew_over_the_best_one() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    sarb_ok(&borrow(&quick("ssgrl", &run)));
    std::fs::remove_dir_all(run.join("checkpoints/last")).unwrap();
    let best = std::fs::read(run.join("checkpoints/best/model.bpk")).unwrap();
    let resumed = [quick("ssgrl", &run), vec!["--resume".into()]].concat();
    let message = sarb_fails(4, &borrow(&resumed));
    assert!(message.contains("checkpoints/last") && message.contains("--force"), "{message}");
    assert_eq!(std::fs::read(run.join("checkpoints/best/model.bpk")).unwrap(), best);
}

#[cfg(unix)]
#[test]
fn a_run_that_cannot_be_written_to_is_evaluated_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    sarb_ok(&borrow(&quick("linear", &run)));
    // A file in the place of the folder: permissions do not keep root from writing.
    std::fs::remove_dir_all(run.join("evaluation")).unwrap();
    std::fs::write(run.join("evaluation"), "").unwrap();
    let output = command(&borrow(&evaluate(&run, &[]))).output().unwrap();
    let (out, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("mAP"), "{said}");
    assert!(said.contains("warning: the result is not kept in the run's folder"), "{said}");
}

/// A sweep of two rows, run.
fn swept() -> Fixture {
    let fixture = Fixture::new("known = [0.5]", &[LINEAR, SSGRL]);
    sarb_ok(&borrow(&fixture.args(&[])));
    fixture
}

fn report(fixture: &Fixture) -> Vec<String> {
    ["report".into(), arg(fixture.out()), "--bootstrap".into(), "0".into()].to_vec()
}

#[test]
fn a_table_takes_no_number_of_another_checkpoint_and_the_sweep_measures_it_anew() {
    let fixture = swept();
    let table = sarb_ok(&borrow(&report(&fixture)));
    let cell = fixture.out().join("runs/ssgrl-narrow/known-50/seed-0");
    sarb_ok(&borrow(&evaluate(&cell, &["--checkpoint", "last"])));
    let message = sarb_fails(3, &borrow(&report(&fixture)));
    assert!(message.contains("is of the checkpoint \"last\"") && message.contains("sarb sweep"), "{message}");
    sarb_ok(&borrow(&fixture.args(&[])));
    assert_eq!(sarb_ok(&borrow(&report(&fixture))), table);

    // The scores beside the number are of another split.
    let train = arg(features().join("train.npy"));
    sarb_ok(&["evaluate", &arg(&cell), "--split", "train", "--features", &train]);
    let message = sarb_fails(3, &borrow(&report(&fixture)));
    assert!(message.contains("is not of the scores beside it"), "{message}");
    sarb_ok(&borrow(&fixture.args(&[])));
    assert_eq!(sarb_ok(&borrow(&report(&fixture))), table);
}

#[test]
fn a_table_does_not_mix_cells_of_different_inputs() {
    let fixture = swept();
    let cell = fixture.out().join("runs/ssgrl-narrow/known-50/seed-0");
    // As if the row had been trained on other features under the same name.
    let info = std::fs::read_to_string(cell.join("run.json")).unwrap();
    let hash = serde_json::from_str::<serde_json::Value>(&info).unwrap()["features"].clone();
    crate::support::change(&cell.join("run.json"), hash.as_str().unwrap(), "0123");
    let message = sarb_fails(3, &borrow(&report(&fixture)));
    assert!(message.contains("differ in the features of --features"), "{message}");
    let message = sarb_fails(2, &borrow(&fixture.args(&[])));
    assert!(message.contains("train.npy is not what cells were trained with"), "{message}");

    crate::support::change(&cell.join("run.json"), "0123", hash.as_str().unwrap());
    let fingerprint = serde_json::from_str::<serde_json::Value>(&info).unwrap()["fingerprint"].clone();
    crate::support::change(&cell.join("run.json"), fingerprint.as_str().unwrap(), "4567");
    let message = sarb_fails(3, &borrow(&report(&fixture)));
    assert!(message.contains("differ in the labels of train.csv"), "{message}");

    crate::support::change(&cell.join("run.json"), "4567", fingerprint.as_str().unwrap());
    let measured = std::fs::read_to_string(cell.join("evaluation/test.json")).unwrap();
    let labels = serde_json::from_str::<serde_json::Value>(&measured).unwrap()["made_of"]["labels"].clone();
    crate::support::change(&cell.join("evaluation/test.json"), labels.as_str().unwrap(), "89ab");
    let message = sarb_fails(3, &borrow(&report(&fixture)));
    assert!(message.contains("differ in the labels that they are measured with"), "{message}");
}
