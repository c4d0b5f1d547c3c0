//! Training on labels that a run filled in: as known ones, with their probability, or not at all.

use std::path::{Path, PathBuf};

use sarb_labels::Label;
use sarb_labels::formats::csv;
use serde_json::Value;

use crate::half_labeled::{CATEGORIES, IMAGES, trained};
use crate::support::{arg, sarb, sarb_fails, sarb_ok};

/// A table that the run of [`trained`] completed, with the folder of its features; the labels it began with.
fn completed(dir: &Path) -> (PathBuf, String) {
    let (run, ..) = trained(dir);
    let table = dir.join("completed/train.csv");
    sarb_ok(&["labels", "fill", &run, "--precision", "0.8", "-o", &arg(&table), "-q"]);
    (table, arg(dir.join("features.npy")))
}

/// The arguments of a training on it.
fn training(table: &Path, features: &str, method: &str, out: &Path, more: &[&str]) -> Vec<String> {
    let (data, out) = (arg(table.parent().unwrap()), arg(out));
    let args = ["train", "--method", method, "--data", &data, "--features", features, "--out", &out];
    args.into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
}

fn borrowed(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn count(path: &Path, label: Label) -> usize {
    csv::read(path).unwrap().labels.count(label)
}

#[test]
fn what_is_made_of_filled_labels_by_hand_is_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let (table, _) = completed(dir.path());
    let (folder, parquet) = (arg(table.parent().unwrap()), arg(dir.path().join("again.parquet")));
    let out = arg(dir.path().join("hidden"));
    for args in [
        vec!["data", "convert", &folder, "-o", &parquet, "-q"],
        vec!["data", "hide", &folder, "--known", "0.5", "--out", &out, "-q"],
        vec!["data", "inspect", &arg(&table), "-q"],
    ] {
        let said = String::from_utf8(sarb(&args).stderr).unwrap();
        assert!(
            said.contains("a run filled in some of its labels, as ") && said.contains("train.filled.csv"),
            "{said}"
        );
    }
    std::fs::remove_file(table.with_extension("filled.csv")).unwrap();
    let said = String::from_utf8(sarb(&["data", "inspect", &folder]).stderr).unwrap();
    assert!(!said.contains("filled"), "{said}");
}

#[test]
fn filled_labels_are_known_probable_or_unknown_as_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let (table, features) = completed(dir.path());
    let list = std::fs::read_to_string(dir.path().join("completed/train.filled.csv")).unwrap();
    let filled = list.lines().count() - 1;
    let given = count(&dir.path().join("data/train.csv"), Label::Unknown);
    assert!(filled > 500, "{filled}");
    for (what, unknown, said) in [
        ("known", given - filled, "they are taken for known"),
        ("soft", given, "they count with their probability"),
        ("unknown", given, "they are left unknown"),
    ] {
        let run = dir.path().join(what);
        let set = format!("data.filled={what}");
        let args =
            training(&table, &features, "linear", &run, &["--set", &set, "--set", "data.validation=0"]);
        let output = sarb(&borrowed(&args));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{stderr}");
        assert!(
            stderr.contains("labels of train.csv were filled in by a run") && stderr.contains(said),
            "{stderr}"
        );
        assert_eq!(count(&run.join("data/train.csv"), Label::Unknown), unknown, "{what}");
        let soft = std::fs::read_to_string(run.join("data/soft.csv"));
        assert_eq!(
            soft.map(|text| text.lines().count() - 1).unwrap_or(0),
            if what == "soft" { filled } else { 0 }
        );
        // What was filled knows of the known labels, so no score of these is without them.
        let out = arg(dir.path().join(format!("again-{what}.csv")));
        let fill = ["labels", "fill", &arg(&run), "--precision", "0.8", "-o", &out];
        match what {
            "unknown" => drop(sarb_ok(&fill)),
            _ => assert!(sarb_fails(4, &fill).contains("no out-of-fold scores")),
        }
    }
    // Left out, they change nothing; known and soft ones do, each in its way.
    let scores = |run: &str| {
        let run = arg(dir.path().join(run));
        sarb_ok(&["predict", &run, "--features", &features, "--format", "jsonl", "--top", "4"])
    };
    let [known, soft, unknown, first] = ["known", "soft", "unknown", "run"].map(scores);
    assert_eq!(unknown, first);
    assert!(known != first && soft != first && known != soft);
}

#[test]
fn a_training_on_filled_labels_has_a_cost() {
    let dir = tempfile::tempdir().unwrap();
    let (table, features) = completed(dir.path());
    for what in ["known", "soft", "unknown"] {
        let set = format!("data.filled={what}");
        let more = ["--set", &set, "--set", "train.epochs=2", "--dry-run", "--json"];
        let cost = sarb_ok(&borrowed(&training(&table, &features, "ssgrl", &dir.path().join("dry"), &more)));
        let cost: serde_json::Value = serde_json::from_str(&cost).unwrap();
        assert!(cost["seconds"]["training"].as_f64().unwrap() > 0.0, "{what}: {cost}");
    }
}

#[test]
fn labels_that_are_held_out_are_those_that_somebody_gave() {
    let dir = tempfile::tempdir().unwrap();
    let (table, features) = completed(dir.path());
    let known = |path: &Path| count(path, Label::Positive) + count(path, Label::Negative);
    let of = |what: &str| {
        let run = dir.path().join(what);
        let set = format!("data.filled={what}");
        let args =
            training(&table, &features, "linear", &run, &["--set", &set, "--set", "data.validation=0.2"]);
        sarb_ok(&borrowed(&args));
        let val = run.join("data/val.csv");
        assert!(csv::read(&val).unwrap().images.len() * 4 < IMAGES);
        known(&val)
    };
    let given = of("unknown");
    assert!(given > 100 && given < IMAGES / 5 * CATEGORIES / 2, "{given}");
    assert_eq!([of("known"), of("soft")], [given; 2]);
}

#[test]
fn a_training_with_probable_labels_resumes_with_these_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (table, features) = completed(dir.path());
    let run = dir.path().join("ssgrl");
    let small = [
        "data.filled=soft",
        "train.epochs=1",
        "method.network.dim=8",
        "method.network.joint=8",
        "train.schedule=constant",
    ];
    let sets: Vec<&str> = small.iter().flat_map(|set| ["--set", set]).collect();
    sarb_ok(&borrowed(&training(&table, &features, "ssgrl", &run, &sets)));
    let metrics = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    assert_eq!(metrics.lines().count(), 3, "{metrics}");
    let on = [&sets[..], &["--resume", "--set", "train.epochs=2"]].concat();
    let on = training(&table, &features, "ssgrl", &run, &on);
    let list = dir.path().join("completed/train.filled.csv");
    let text = std::fs::read_to_string(&list).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let (line, rest) = rest.split_once('\n').unwrap();
    let cells: Vec<&str> = line.split(',').collect();
    let other = format!("{first}\n{},{},{},0.51,0.5\n{rest}", cells[0], cells[1], cells[2]);
    std::fs::write(&list, other).unwrap();
    let stderr = sarb_fails(7, &borrowed(&on));
    assert!(stderr.contains("this table of labels is not what the run was begun with"), "{stderr}");
    std::fs::write(&list, text).unwrap();
    sarb_ok(&borrowed(&on));
    let info: Value = serde_json::from_slice(&std::fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(info["epochs"], 2);
}

#[test]
fn what_cannot_use_filled_labels_says_so_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let (table, features) = completed(dir.path());
    let run = dir.path().join("refused");
    let refused = |code: i32, method: &str, more: &[&str], expected: &str| {
        let stderr = sarb_fails(code, &borrowed(&training(&table, &features, method, &run, more)));
        assert!(stderr.contains(expected), "{stderr}");
        assert!(!run.exists());
    };
    let soft = ["--set", "data.filled=soft"];
    refused(2, "hill", &soft, "hill has no loss of a label that is only probable");
    refused(2, "hill", &soft, "linear, ml-gcn, ssgrl, kggr, sarb");
    refused(2, "bce", &["--folds", "2"], "--set data.filled=unknown leaves them out");
    let list = dir.path().join("completed/train.filled.csv");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, text.replacen("../data/", "../elsewhere/", 1)).unwrap();
    refused(3, "linear", &[], "train.filled.csv: line 2: \"../elsewhere/");
    std::fs::remove_file(&list).unwrap();
    refused(2, "linear", &soft, "train.filled.csv, which would say how probable labels are");
    std::fs::write(&list, text).unwrap();
    let data = arg(table.parent().unwrap());
    let out = arg(dir.path().join("tuned"));
    let stderr = sarb_fails(
        2,
        &[
            "tune",
            "--method",
            "bce",
            "--data",
            &data,
            "--features",
            &features,
            "--out",
            &out,
            "--budget",
            "1m",
        ],
    );
    assert!(stderr.contains("tune judges by the labels of train.csv"), "{stderr}");
}

#[test]
fn what_a_run_filled_in_is_no_evidence_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let (table, features) = completed(dir.path());
    let (run, data) = (arg(dir.path().join("run")), arg(table.parent().unwrap()));
    let fill = |data: &[&str], out: &str| {
        let out = arg(dir.path().join(out));
        let fill = ["labels", "fill", &run, "--precision", "0.9", "-o", &out, "--json"];
        let output = sarb(&[&fill[..], data].concat());
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        let mut said: Value = serde_json::from_slice(&output.stdout).unwrap();
        said.as_object_mut().unwrap().retain(|key, _| !["out", "list"].contains(&key.as_str()));
        (said, stderr)
    };
    let (own, _) = fill(&[], "own.csv");
    let (again, stderr) = fill(&["--data", &data, "--features", &features], "again.csv");
    assert!(
        stderr.contains("were filled in by a run") && stderr.contains("they are no evidence"),
        "{stderr}"
    );
    assert_eq!(again, own);

    // Nor is it what a run is measured with.
    for name in ["csv", "filled.csv"] {
        let [from, to] = ["train", "test"].map(|split| dir.path().join(format!("completed/{split}.{name}")));
        std::fs::copy(from, to).unwrap();
    }
    let output = sarb(&["evaluate", &run, "--data", &data, "--features", &features, "--json"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && stderr.contains("they are no evidence"), "{stderr}");
    let scores: Value = serde_json::from_slice(&output.stdout).unwrap();
    let positives = count(&dir.path().join("data/train.csv"), Label::Positive);
    let told: u64 =
        scores["per_category"].as_array().unwrap().iter().map(|it| it["positives"].as_u64().unwrap()).sum();
    assert_eq!(told as usize, positives);
}
