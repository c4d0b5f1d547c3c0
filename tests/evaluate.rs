//! `sarb evaluate` on score and label files of other programs.

use crate::support::{arg, borrow, features, quick, sarb, sarb_fails, sarb_ok};

fn files(scores: &[f32], labels: &str) -> (tempfile::TempDir, String, String) {
    let dir = tempfile::tempdir().unwrap();
    let (s, l) = (dir.path().join("scores.npy"), dir.path().join("labels.csv"));
    sarb_labels::arrays::npy::write(&s, scores, &[scores.len() / 2, 2]).unwrap();
    std::fs::write(&l, labels).unwrap();
    (dir, arg(s), arg(l))
}

const LABELS: &str = "image,cat,dog\na.jpg,1,0\nb.jpg,0,1\nc.jpg,?,1\n";

#[test]
fn json_holds_the_contracts_keys_and_a_perfect_ranking_has_map_one() {
    let (_dir, scores, labels) = files(&[2.0, -1.0, -2.0, 1.0, 9.0, 3.0], LABELS);
    let json = sarb_ok(&["evaluate", "--scores", &scores, "--labels", &labels, "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    for key in [
        "map",
        "map_plain",
        "op",
        "or",
        "of1",
        "cp",
        "cr",
        "cf1",
        "top3",
        "images",
        "categories",
        "skipped_categories",
        "per_category",
    ] {
        assert!(!value[key].is_null(), "{key}");
    }
    assert_eq!(value["map"], 1.0);
    // c.jpg's cat is unknown: its score of 9 is not a false positive.
    assert_eq!(value["op"], 1.0);
    assert_eq!(value["per_category"][1]["positives"], 2);
}

#[test]
fn values_between_0_and_1_draw_a_warning_unless_they_are_said_to_be_probabilities() {
    let (_dir, scores, labels) = files(&[0.9, 0.1, 0.2, 0.8, 0.3, 0.7], LABELS);
    let without = sarb(&["evaluate", "--scores", &scores, "--labels", &labels]);
    assert!(String::from_utf8_lossy(&without.stderr).contains("--probabilities"));
    let with = sarb(&["evaluate", "--scores", &scores, "--labels", &labels, "--probabilities"]);
    assert!(with.status.success() && with.stderr.is_empty());
}

#[test]
fn wrong_shapes_and_gates_have_their_exit_codes() {
    let (_dir, scores, labels) = files(&[1.0, 2.0], LABELS);
    assert!(sarb_fails(3, &["evaluate", "--scores", &scores, "--labels", &labels]).contains("1 × 2 scores"));
    let (_dir, scores, labels) = files(&[-2.0, -1.0, 2.0, 1.0, 9.0, 3.0], LABELS);
    assert!(
        sarb_fails(6, &["evaluate", "--scores", &scores, "--labels", &labels, "--fail-under", "99"])
            .contains("below")
    );
    sarb_fails(4, &["evaluate", "--scores", "nowhere.npy", "--labels", &labels]);
    sarb_fails(2, &["evaluate"]);
}

#[test]
fn bare_label_arrays_take_minus_one_as_negative() {
    let dir = tempfile::tempdir().unwrap();
    let (scores, labels) = (dir.path().join("s.npy"), dir.path().join("l.npy"));
    sarb_labels::arrays::npy::write(&scores, &[1.0, -1.0, -1.0, 2.0], &[2, 2]).unwrap();
    sarb_labels::arrays::npy::write(&labels, &[1.0, -1.0, 0.0, 1.0], &[2, 2]).unwrap();
    let json = sarb_ok(&["evaluate", "--scores", &arg(&scores), "--labels", &arg(&labels), "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["map"], 1.0);
    sarb_labels::arrays::npy::write(&labels, &[1.0, 0.5, 0.0, 1.0], &[2, 2]).unwrap();
    assert!(
        sarb_fails(3, &["evaluate", "--scores", &arg(&scores), "--labels", &arg(&labels)])
            .contains("row 0, column 1 (both from 0) is 0.5")
    );
}

#[test]
fn several_score_files_are_compared_with_the_first() {
    let (dir, good, labels) = files(&[2.0, -1.0, -2.0, 1.0, 9.0, 3.0], LABELS);
    let bad = dir.path().join("bad.npy");
    sarb_labels::arrays::npy::write(&bad, &[-2.0, 1.0, 2.0, -1.0, 9.0, 3.0], &[3, 2]).unwrap();
    let args = ["evaluate", "--scores", &good, "--scores", &arg(&bad), "--labels", &labels];
    let text = sarb_ok(&args);
    assert!(text.contains(&format!("difference: mAP less that of {good}")), "{text}");
    assert!(text.contains("AP by category") && text.contains(&format!("(2) {}", bad.display())), "{text}");
    let json = sarb_ok(&[&args[..], &["--json", "--bootstrap", "50", "--seed", "3"]].concat());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let [first, second] = &value["systems"].as_array().unwrap()[..] else { panic!("{json}") };
    assert!(first["difference"].is_null() && first["map_interval"]["high"] == 1.0, "{json}");
    assert!(second["difference"]["map"].as_f64().unwrap() < 0.0, "{json}");
    assert_eq!((&value["bootstrap"]["resamples"], &value["bootstrap"]["seed"]), (&50.into(), &3.into()));
    let again = sarb_ok(&[&args[..], &["--json", "--bootstrap", "50", "--seed", "3"]].concat());
    assert_eq!(json, again);
    // The gate names the one that fails.
    let gate = sarb_fails(6, &[&args[..], &["--fail-under", "99%"]].concat());
    assert!(gate.contains("bad.npy") && !gate.contains("scores.npy: mAP"), "{gate}");
}

#[test]
fn one_system_has_its_categories_an_interval_and_an_explanation_of_plain() {
    let (_dir, scores, labels) = files(&[2.0, -1.0, -2.0, 1.0, 9.0, 3.0], LABELS);
    let args = ["evaluate", "--scores", &scores, "--labels", &labels];
    let text = sarb_ok(&args);
    for part in
        ["mAP 100.0 (95 % interval", "category  positives", "precision  recall", "plain: average precision"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(
        !sarb_ok(&[&args[..], &["--bootstrap", "0"]].concat()).contains("interval "),
        "none was asked for"
    );
    let json = sarb_ok(&[&args[..], &["--json"]].concat());
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(value["map_interval"]["low"].as_f64().is_some() && value["level"] == 0.95, "{json}");
}

#[test]
fn runs_stand_beside_each_other_and_beside_scores_of_other_programs() {
    let dir = tempfile::tempdir().unwrap();
    let (bce, linear) = (dir.path().join("bce"), dir.path().join("linear"));
    for (method, out) in [("bce", &bce), ("linear", &linear)] {
        sarb_ok(&borrow(&quick(method, out)));
    }
    let test = arg(features().join("test.npy"));
    let (b, l) = (arg(&bce), arg(&linear));
    sarb_ok(&["evaluate", &l, "--features", &test]);
    // The anchor of one is the other: their scores are equal, and so are those of the file.
    let file = arg(dir.path().join("other.npy"));
    std::fs::copy(linear.join("evaluation/scores.npy"), &file).unwrap();
    let json =
        sarb_ok(&["evaluate", &l, &b, "--features", &test, "--scores", &file, "--json", "--bootstrap", "20"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let systems = value["systems"].as_array().unwrap();
    let names: Vec<&str> = systems.iter().map(|system| system["name"].as_str().unwrap()).collect();
    assert_eq!(names, [&l, &b, &file, "anchor (linear on the same features)"]);
    for same in [2, 3] {
        assert_eq!(systems[same]["difference"]["map"], 0.0);
        assert_eq!(systems[same]["difference"]["interval"]["high"], 0.0);
    }
    assert_ne!(systems[1]["difference"]["map"], 0.0);
    let alone = sarb_ok(&["evaluate", &b, "--features", &test, "--json"]);
    let alone: serde_json::Value = serde_json::from_str(&alone).unwrap();
    assert_eq!(alone["map"], systems[1]["scores"]["map"]);

    let message =
        sarb_fails(2, &["evaluate", &l, &b, "--features", &test, "--features", &test, "--features", &test]);
    assert!(message.contains("given 3 times, but 2 of the runs"), "{message}");
    assert!(sarb_fails(2, &["evaluate", "--scores", &file]).contains("--labels"));

    // Other labels are another measurement.
    let other = crate::support::data_copy();
    let csv = other.path().join("test.csv");
    let text = std::fs::read_to_string(&csv).unwrap();
    std::fs::write(&csv, text.replacen(",0", ",1", 30)).unwrap();
    let labels = arg(&csv);
    let message =
        sarb_fails(2, &["evaluate", &l, "--features", &test, "--scores", &file, "--labels", &labels]);
    assert!(message.contains("--labels"), "{message}");
}
