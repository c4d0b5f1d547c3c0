//! Out-of-fold scores: no model scores an image whose labels it has learned.

use std::path::Path;

use sarb::{Cancel, Error, Event, Inputs, OutOfFold, Run};
use sarb_labels::arrays::npy;
use tempfile::TempDir;

use crate::support::{arg, borrow, change, command, data_copy, quick, sarb_fails, sarb_ok};

/// A folder of images whose labels are a coin's, and features by which each can be told from the others: what is
/// learned by heart is worth nothing.
fn coins(dir: &Path) -> TempDir {
    let data = data_copy();
    let path = data.path().join("train.csv");
    let labels = std::fs::read_to_string(&path).unwrap();
    let mut coin = 12345u32;
    let lines: Vec<String> = labels
        .lines()
        .enumerate()
        .map(|(number, line)| match line.split_once(',') {
            Some((image, labels)) if number > 0 => {
                let mut flip = || {
                    coin = coin.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (coin >> 31).to_string()
                };
                let labels: Vec<String> = labels.split(',').map(|_| flip()).collect();
                format!("{image},{}", labels.join(","))
            }
            _ => line.to_owned(),
        })
        .collect();
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let images = lines.len() - 1;
    let values: Vec<f32> =
        (0..images * images).map(|at| f32::from(at / images == at % images) * 3.0).collect();
    npy::write(&dir.join("features.npy"), &values, &[images, images]).unwrap();
    data
}

fn map(run: &Path) -> f64 {
    OutOfFold::open(&Run::open(run).unwrap()).unwrap().map().unwrap()
}

#[test]
fn what_is_learned_by_heart_is_worth_nothing_out_of_fold() {
    let dir = tempfile::tempdir().unwrap();
    let data = coins(dir.path());
    let (features, run) = (arg(dir.path().join("features.npy")), dir.path().join("run"));
    let mut args: Vec<String> =
        ["train", "--method", "bce", "--data", &arg(data.path()), "--features", &features]
            .map(String::from)
            .to_vec();
    args.extend(["--out".into(), arg(&run), "--folds".into(), "4".into()]);
    for set in ["data.validation=0", "train.epochs=30", "train.learning_rate=0.1", "train.select=last"] {
        args.extend(["--set".into(), set.into()]);
    }
    let output = command(&borrow(&args)).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("fold 4 of 4") && stderr.contains("out-of-fold mAP"), "{stderr}");
    let json = sarb_ok(&["evaluate", &arg(&run), "--split", "train", "--features", &features, "--json"]);
    let seen = serde_json::from_str::<serde_json::Value>(&json).unwrap()["map"].as_f64().unwrap();
    let (unseen, prior) = (map(&run), 0.5);
    assert!(seen > 0.99, "{seen} on what was trained on");
    assert!((unseen - prior).abs() < 0.15, "{unseen} out of fold");
    let scores = OutOfFold::open(&Run::open(&run).unwrap()).unwrap();
    let sizes: Vec<usize> = (0..4).map(|fold| scores.folds.iter().filter(|f| **f == fold).count()).collect();
    assert_eq!(sizes, [12; 4]);
    let left: Vec<_> = std::fs::read_dir(run.join("oof")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}

#[test]
fn a_closed_form_has_them_without_folds() {
    let dir = tempfile::tempdir().unwrap();
    let folder = coins(dir.path());
    let (features, run) = (arg(dir.path().join("features.npy")), dir.path().join("run"));
    let data = arg(folder.path());
    sarb_ok(&[
        "train",
        "--method",
        "linear",
        "--data",
        &data,
        "--features",
        &features,
        "--out",
        &arg(&run),
        "--known",
        "0.6",
        "--set",
        "data.validation=0.25",
    ]);
    let unseen = map(&run);
    assert!((unseen - 0.5).abs() < 0.15, "{unseen}");
    // What is unknown was never learned from: its scores are those of the run.
    let scores = OutOfFold::open(&Run::open(&run).unwrap()).unwrap();
    sarb_ok(&["evaluate", &arg(&run), "--split", "train", "--features", &features]);
    let own = sarb_labels::arrays::read_matrix(&run.join("evaluation/scores.npy")).unwrap();
    let mut differ = [0, 0];
    let trained = sarb_labels::formats::csv::read(&run.join("data/train.csv")).unwrap().images;
    for (row, image) in scores.annotations.images.iter().enumerate() {
        let trains = trained.iter().any(|trained| trained.file_name() == image.file_name());
        for category in 0..own.cols {
            let known = scores.labels().get(row, category) != sarb_labels::Label::Unknown;
            let gap = (scores.logit(row, category) - own.values[row * own.cols + category]).abs();
            differ[usize::from(known && trains)] += usize::from(gap > 1e-5);
        }
    }
    assert_eq!(differ[0], 0, "unknown labels and images that validate");
    assert!(differ[1] > 0, "known labels");
}

#[test]
fn a_closed_form_on_positives_alone_has_a_score_of_every_label_without_its_image() {
    let dir = tempfile::tempdir().unwrap();
    let folder = coins(dir.path());
    let table = folder.path().join("train.csv");
    let labels = std::fs::read_to_string(&table).unwrap().replace(",0", ",");
    std::fs::write(&table, labels).unwrap();
    let (features, run) = (arg(dir.path().join("features.npy")), dir.path().join("run"));
    let data = arg(folder.path());
    let args = ["train", "--method", "linear", "--data", &data, "--features", &features, "--out", &arg(&run)];
    let output = command(&[&args[..], &["--set", "data.validation=0"]].concat()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("is learned from unknown labels"), "{stderr}");
    assert!(!stderr.contains("warning"), "{stderr}");
    let scores = OutOfFold::open(&Run::open(&run).unwrap()).unwrap();
    sarb_ok(&["evaluate", &arg(&run), "--split", "train", "--features", &features]);
    let own = sarb_labels::arrays::read_matrix(&run.join("evaluation/scores.npy")).unwrap();
    assert!(scores.labels().count(sarb_labels::Label::Unknown) > 50);
    // Each image has a feature of its own: learned by heart, which a score without it cannot know.
    let gaps = scores.logits.iter().zip(&own.values).map(|(unseen, seen)| (unseen - seen).abs());
    assert_eq!(gaps.filter(|gap| *gap < 1e-5).count(), 0);
}

#[test]
fn folds_resume_to_the_same_scores() {
    let dir = tempfile::tempdir().unwrap();
    let run = |name: &str| {
        let run = dir.path().join(name);
        sarb_ok(&borrow(&quick("bce", &run)));
        Run::open(&run).unwrap()
    };
    let (whole, parts) = (run("whole"), run("parts"));
    let features = crate::support::features().join("train.npy");
    let inputs = Inputs { features: Some(features), ..Inputs::new(crate::support::data()).unwrap() };
    let device = sarb::device::open("cpu").unwrap();
    let all = |run: &Run, cancel: &Cancel, events: &dyn Fn(Event<'_>)| {
        sarb::out_of_fold(run, &inputs, 3, &device, events, cancel)
    };
    let expected = all(&whole, &Cancel::new(), &|_| ()).unwrap();
    let cancel = Cancel::new();
    let stop = |event: Event<'_>| {
        if let Event::Note(note) = event
            && note.starts_with("fold 2 of 3")
        {
            cancel.cancel();
        }
    };
    let error = all(&parts, &cancel, &stop).unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. } | Error::Stopped), "{error}");
    assert!(OutOfFold::open(&parts).is_err_and(|error| error.to_string().contains("--folds 5")));
    assert!(parts.path("oof/of-3/0.npy").is_file() && !parts.path("oof/of-3/1.npy").exists());
    let resumed = all(&parts, &Cancel::new(), &|event| {
        if let Event::Note(note) = event {
            assert!(!note.starts_with("fold 1 of 3"), "trained again");
        }
    })
    .unwrap();
    assert!(!parts.path("oof/of-3").exists());
    let again = all(&parts, &Cancel::new(), &|event| panic!("{event:?}: trained again")).unwrap();
    assert_eq!(again.logits, resumed.logits);
    assert_eq!((expected.logits, expected.folds), (resumed.logits, resumed.folds));
}

#[test]
fn what_cannot_be_folded_is_refused_before_it_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let refused = |more: &[&str], expected: &str| {
        let mut args = quick("bce", &run);
        args.extend(more.iter().map(|more| more.to_string()));
        let stderr = sarb_fails(2, &borrow(&args));
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!run.exists());
    };
    refused(&["--folds", "1"], "1 folds; expected a number from 2 to 50");
    refused(&["--folds", "51"], "expected a number from 2 to 50");
    refused(&["--folds", "3", "--set", "protocol=reference"], "selects the epoch on the test images");
    refused(&["--folds", "3", "--dry-run"], "cannot be used with");
}

#[test]
fn folds_of_other_labels_or_of_more_images_than_there_are_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let args = quick("bce", &run);
    sarb_ok(&borrow(&args));
    let resume = |folds: &str| {
        let more = ["--resume", "--folds", folds].map(String::from);
        args.iter().cloned().chain(more).collect::<Vec<String>>()
    };
    let stderr = sarb_fails(2, &borrow(&resume("49")));
    assert!(stderr.contains("49 folds of 48 images"), "{stderr}");
    let text = std::fs::read_to_string(run.join("run.json")).unwrap();
    let info: serde_json::Value = serde_json::from_str(&text).unwrap();
    sarb_ok(&borrow(&resume("2")));
    change(&run.join("run.json"), info["fingerprint"].as_str().unwrap(), "of other labels");
    let error = OutOfFold::open(&Run::open(&run).unwrap()).unwrap_err();
    assert!(
        error.exit_code() == Error::Incompatible(String::new()).exit_code()
            && error.to_string().contains("of other labels"),
        "{error}"
    );
}
