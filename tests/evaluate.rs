//! `sarb evaluate` on score and label files of other programs.

use crate::support::{arg, sarb, sarb_fails, sarb_ok};

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
