//! `val.csv`: the best epoch is selected on it, in every way in which images are read.

use std::path::{Path, PathBuf};

use sarb_labels::arrays::npy;
use sarb_labels::formats::csv;
use serde_json::Value;

use crate::support::{
    arg, borrow, command, data_copy, features, quick, random_trunk, sarb_fails, sarb_ok, test_scores,
    write_features,
};

/// Rows of `val.csv`.
pub const VAL: usize = 12;

/// A copy of the generated data with the first test images as `val.csv`, and their features.
pub fn with_val() -> tempfile::TempDir {
    let folder = data_copy();
    let test = std::fs::read_to_string(folder.path().join("test.csv")).unwrap();
    let val: Vec<&str> = test.lines().take(1 + VAL).collect();
    std::fs::write(folder.path().join("val.csv"), val.join("\n")).unwrap();
    write_features(&folder.path().join("val.csv"), &val_features(folder.path()));
    folder
}

pub fn val_features(folder: &Path) -> PathBuf {
    folder.join("val.npy")
}

/// Arguments that train `method` on the features of `folder`, with more settings.
fn on_features(method: &str, folder: &Path, out: &Path, sets: &[&str]) -> Vec<String> {
    let mut args = quick(method, out);
    let at = args.iter().position(|arg| arg == "--data").unwrap();
    args[at + 1] = arg(folder);
    if folder.join("val.csv").exists() {
        args.extend(["--val-features".into(), arg(val_features(folder))]);
    }
    sets.iter().for_each(|set| args.extend(["--set".into(), (*set).into()]));
    args
}

/// Runs `sarb`, expects success and returns stderr.
fn said(args: &[String]) -> String {
    let output = command(&borrow(args)).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "sarb {args:?}: {stderr}");
    stderr
}

/// A column of `metrics.csv`.
fn metric(run: &Path, name: &str) -> Vec<f64> {
    let metrics = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let column = metrics.lines().next().unwrap().split(',').position(|column| column == name).unwrap();
    metrics.lines().skip(1).map(|row| row.split(',').nth(column).unwrap().parse().unwrap()).collect()
}

/// mAP of the last epoch of a run on `val.csv`.
fn last_map(run: &Path, more: &[&str]) -> f64 {
    let run = arg(run);
    let args = ["evaluate", &run, "--split", "val", "--checkpoint", "last", "--json"];
    let json: Value = serde_json::from_str(&sarb_ok(&[&args[..], more].concat())).unwrap();
    json["map"].as_f64().unwrap()
}

#[test]
fn the_epoch_is_selected_on_val_csv_and_all_of_train_csv_trains() {
    let (folder, out) = (with_val(), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let stderr = said(&on_features("partial-bce", folder.path(), &run, &[]));
    assert!(stderr.contains("the epoch is selected on val.csv: 12 images"), "{stderr}");
    assert!(stderr.contains("all 48 images of train.csv train"), "{stderr}");

    let labels = |path: PathBuf| csv::read(&path).unwrap().labels;
    assert_eq!(labels(run.join("data/train.csv")).images(), 48);
    let (kept, given) = (labels(run.join("data/val.csv")), labels(folder.path().join("val.csv")));
    assert_eq!(kept, given, "none of its labels are hidden");

    let losses = metric(&run, "validation_loss");
    let lowest = (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap();
    let info: Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(info["best_epoch"].as_u64(), Some(lowest as u64), "{losses:?}");
    let features = arg(val_features(folder.path()));
    let (measured, noted) =
        (last_map(&run, &["--features", &features]), *metric(&run, "validation_map").last().unwrap());
    // metrics.csv has six decimals.
    assert!((measured - noted).abs() < 1e-6, "evaluate says {measured}, the last epoch was {noted}");
}

#[test]
fn measuring_on_the_val_csv_that_selected_is_called_optimistic() {
    let (folder, out) = (with_val(), tempfile::tempdir().unwrap());
    let evaluated = |run: &Path, more: &[&str]| {
        let mut args = vec!["evaluate".to_string(), arg(run), "--features".into()];
        args.extend(more.iter().map(|more| more.to_string()));
        said(&args)
    };
    let val = arg(val_features(folder.path()));
    let test = arg(features().join("test.npy"));
    let optimistic = "val.csv: what is measured on it is optimistic";
    for (select, expected) in [("loss", true), ("last", false)] {
        let run = out.path().join(select);
        said(&on_features("partial-bce", folder.path(), &run, &[&format!("train.select={select}")]));
        assert_eq!(evaluated(&run, &[&val, "--split", "val"]).contains(optimistic), expected, "{select}");
        assert!(!evaluated(&run, &[&val, "--split", "val", "--checkpoint", "last"]).contains(optimistic));
        assert!(!evaluated(&run, &[&test]).contains(optimistic));
    }
}

#[test]
fn a_run_that_selects_on_val_csv_resumes_to_the_same_numbers() {
    let (folder, out) = (with_val(), tempfile::tempdir().unwrap());
    for method in ["ssgrl", "sarb"] {
        let (whole, parts) = (out.path().join(method), out.path().join(format!("{method}-parts")));
        said(&on_features(method, folder.path(), &whole, &[]));
        said(&on_features(method, folder.path(), &parts, &["train.epochs=2"]));
        let mut args = on_features(method, folder.path(), &parts, &["train.epochs=4"]);
        args.push("--resume".into());
        said(&args);
        assert!(test_scores(&whole) == test_scores(&parts), "{method}: the resumed run took another way");
        for name in ["validation_loss", "validation_map"] {
            assert_eq!(metric(&whole, name), metric(&parts, name), "{method}");
        }
    }
}

#[test]
fn a_val_csv_that_changed_or_is_gone_is_noticed_when_a_run_resumes() {
    let (folder, out) = (with_val(), tempfile::tempdir().unwrap());
    let run = out.path().join("run");
    let mut args = on_features("partial-bce", folder.path(), &run, &[]);
    said(&args);
    args.extend(["--resume", "--set", "train.epochs=5"].map(String::from));
    let (val, features) = (folder.path().join("val.csv"), val_features(folder.path()));
    let (text, bytes) = (std::fs::read_to_string(&val).unwrap(), std::fs::read(&features).unwrap());

    std::fs::write(&val, text.replacen(",0", ",1", 3)).unwrap();
    let message = sarb_fails(7, &borrow(&args));
    assert!(
        message.contains("val.csv, which selects the epoch, is not what the run was begun with"),
        "{message}"
    );
    std::fs::write(&val, &text).unwrap();

    npy::write(&features, &[0.0; VAL * 24 * 9], &[VAL, 24, 3, 3]).unwrap();
    let message = sarb_fails(7, &borrow(&args));
    assert!(message.contains("the file of --val-features is not what the run was begun with"), "{message}");
    std::fs::write(&features, &bytes).unwrap();

    std::fs::remove_file(&val).unwrap();
    let message = sarb_fails(4, &borrow(&args));
    assert!(message.contains("val.csv: no such file"), "{message}");
    std::fs::write(&val, &text).unwrap();
    said(&args);
}

#[test]
fn a_run_begun_without_val_csv_goes_on_as_it_was_begun_and_says_so() {
    let (folder, out) = (data_copy(), tempfile::tempdir().unwrap());
    let (whole, parts) = (out.path().join("whole"), out.path().join("parts"));
    said(&on_features("partial-bce", folder.path(), &whole, &[]));
    said(&on_features("partial-bce", folder.path(), &parts, &["train.epochs=2"]));
    let mut args = on_features("partial-bce", folder.path(), &parts, &["train.epochs=4"]);
    args.push("--resume".into());
    let val = with_val();
    std::fs::copy(val.path().join("val.csv"), folder.path().join("val.csv")).unwrap();
    let stderr = said(&args);
    assert!(stderr.contains("val.csv is not used: data.validation is 0.1, so 5 images"), "{stderr}");
    assert!(test_scores(&whole) == test_scores(&parts), "the resumed run took another way");
}

#[test]
fn images_of_val_csv_are_read_through_frozen_and_trained_backbones() {
    let (folder, out) = (with_val(), tempfile::tempdir().unwrap());
    let (data, weights) = (arg(folder.path()), random_trunk(out.path()));
    for (freeze, views) in [("all", 0), ("trunk", 0), ("trunk", 1), ("none", 0)] {
        let run = out.path().join(format!("{freeze}-{views}"));
        let mut args: Vec<String> =
            ["train", "--method", "bce", "--data", &data, "--out", &arg(&run), "--weights", &weights]
                .map(String::from)
                .to_vec();
        let (freeze, views) = (format!("backbone.freeze={freeze}"), format!("backbone.views={views}"));
        let sets = [
            "data.size_px=32",
            "backbone.name=resnet-small",
            "backbone.pool=false",
            "train.epochs=1",
            &freeze,
            &views,
        ];
        sets.iter().for_each(|set| args.extend(["--set".into(), (*set).to_string()]));
        let stderr = said(&args);
        assert!(stderr.contains("the epoch is selected on val.csv: 12 images"), "{stderr}");
        let (measured, noted) = (last_map(&run, &[]), *metric(&run, "validation_map").last().unwrap());
        // Cached maps have 16 bits: of 12 images that an untrained head scores almost alike, two may change places.
        let rounding = if freeze.ends_with("trunk") && views.ends_with('1') { 0.02 } else { 1e-6 };
        assert!(
            (measured - noted).abs() < rounding,
            "{freeze}, {views}: {measured}, the last epoch was {noted}"
        );
    }
}
