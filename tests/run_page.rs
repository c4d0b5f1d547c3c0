//! `sarb report` of runs: one page a reader can trust.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{arg, borrow, change, copy, data, features, quick, sarb, sarb_fails, sarb_ok};

/// Runs of `linear` and of `sarb` on features, trained and measured once; tests only read them.
fn runs() -> &'static (PathBuf, PathBuf) {
    static RUNS: OnceLock<(tempfile::TempDir, (PathBuf, PathBuf))> = OnceLock::new();
    let (_, runs) = RUNS.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let train = |method: &str| {
            let run = dir.path().join(method);
            sarb_ok(&borrow(&quick(method, &run)));
            sarb_ok(&[
                "evaluate",
                &arg(&run),
                "--features",
                &arg(features().join("test.npy")),
                "--bootstrap",
                "0",
            ]);
            run
        };
        let runs = (train("sarb"), train("linear"));
        (dir, runs)
    });
    runs
}

fn report(args: &[&str]) -> Value {
    let json = sarb_ok(&[&["report", "--bootstrap", "50", "--json"], args].concat());
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

/// What the script of a page reads.
fn data_of(page: &str) -> Value {
    let json = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_page_says_what_evaluate_says_the_same_each_time() {
    let (sarb_run, linear) = runs();
    let dir = tempfile::tempdir().unwrap();
    let (out, again) = (dir.path().join("new/page.html"), dir.path().join("again.html"));
    let said = report(&[&arg(sarb_run), &arg(linear), "-o", &arg(&out)]);
    report(&[&arg(sarb_run), &arg(linear), "-o", &arg(&again)]);
    let page = std::fs::read_to_string(&out).unwrap();
    assert_eq!(page, std::fs::read_to_string(again).unwrap());
    assert_eq!(said["files"], serde_json::json!([arg(&out)]));

    let test = arg(features().join("test.npy"));
    let args = ["evaluate", &arg(sarb_run), &arg(linear), "--features", &test, "--bootstrap", "50", "--json"];
    let measured: Value = serde_json::from_str(&sarb_ok(&args)).unwrap();
    // evaluate puts anchors into its comparison as well: the same systems, numbers and intervals.
    assert_eq!(said["comparison"], measured);
    let first = &measured["systems"][0];
    let percent = |fraction: &Value| format!("{:.1}", 100.0 * fraction.as_f64().unwrap());
    assert!(
        page.contains(&format!("mAP <strong>{}</strong> (95 % interval", percent(&first["scores"]["map"])))
    );
    for category in first["scores"]["per_category"].as_array().unwrap() {
        assert!(
            page.contains(&format!("{}<span class=\"interval\">", percent(&category["ap"]))),
            "{category}"
        );
    }
    let explorer = data_of(&page);
    assert_eq!(explorer["systems"][2]["name"], "anchor (linear on the same features)");
    // The recipes, what differs between them, the curves and where they come from.
    for part in [
        "Settings that differ",
        "method.name",
        "norm of the gradients",
        "[method.network]",
        "held out of train.csv",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let text = sarb_ok(&["report", &arg(sarb_run), "-o", &arg(&out), "--bootstrap", "0"]);
    assert!(text.starts_with("system") && text.contains("anchor"), "{text}");
}

#[test]
fn a_runs_own_thresholds_are_those_that_evaluate_decides_by() {
    let (sarb_run, linear) = runs();
    let dir = tempfile::tempdir().unwrap();
    let out = arg(dir.path().join("page.html"));
    report(&[&arg(linear), "-o", &out]);
    let page = std::fs::read_to_string(&out).unwrap();
    let test = arg(features().join("test.npy"));
    let cf1 = |more: &[&str]| {
        let evaluate = ["evaluate", &arg(linear), "--features", &test, "--bootstrap", "0", "--json"];
        let said: Value = serde_json::from_str(&sarb_ok(&[&evaluate[..], more].concat())).unwrap();
        format!("{:.1}", 100.0 * said["cf1"].as_f64().unwrap())
    };
    let told = format!("CF1 is {} % so and {} % at 50 %", cf1(&["--decide", "f1"]), cf1(&[]));
    assert!(page.contains(&told), "{told}");
    // Without out-of-fold scores there are none, and the page says so.
    report(&[&arg(sarb_run), "-o", &out]);
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.contains("it has no out-of-fold scores") && !page.contains("id=\"thresholds\""));
}

#[test]
fn scores_of_another_program_are_a_row() {
    let (sarb_run, linear) = runs();
    let dir = tempfile::tempdir().unwrap();
    let (out, scores) = (arg(dir.path().join("page.html")), arg(linear.join("evaluation/scores.npy")));
    let said = report(&[&arg(sarb_run), "--scores", &scores, "-o", &out]);
    let systems = said["comparison"]["systems"].as_array().unwrap();
    assert_eq!((systems.len(), &systems[1]["name"]), (3, &Value::from(scores.as_str())));
    // Alone, with labels, there is no run and no image; the page says so.
    let labels = arg(data().join("test.csv"));
    let said = report(&["--scores", &scores, "--labels", &labels, "-o", &out]);
    assert_eq!(said["comparison"]["systems"][0]["scores"], systems[1]["scores"]);
    assert!(said["notes"][0].as_str().unwrap().contains("No images are shown"), "{said}");
    assert!(!std::fs::read_to_string(&out).unwrap().contains("What was trained on what"));
}

#[test]
fn what_is_not_at_hand_is_said() {
    let (sarb_run, _) = runs();
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    copy(sarb_run, &run);
    let notes = |args: &[&str]| -> String {
        let said = report(&[&[&*arg(&run)], args].concat());
        assert!(Path::new(said["files"][0].as_str().unwrap()).is_file());
        let page = std::fs::read_to_string(run.join("report.html")).unwrap();
        let notes = said["notes"].as_array().unwrap();
        assert!(page.matches("<li><bdi>").count() >= notes.len(), "every note is on the page");
        serde_json::to_string(notes).unwrap()
    };
    // Features have no pictures to lay maps over; but the data folder has the photographs.
    let page = |run: &Path| std::fs::read_to_string(run.join("report.html")).unwrap();
    let only = notes(&[]);
    assert!(only.contains("it has no out-of-fold scores") && !only.contains("\",\""), "{only}");
    assert!(
        page(&run).contains("No heat maps: the run was trained on the user")
            && page(&run).contains("data:image/jpeg")
    );
    assert!(notes(&["--images", "0"]).contains("--images 0"));
    assert!(!page(&run).contains("data:image/jpeg"));
    // Another split was never measured.
    assert!(notes(&["--split", "train"]).contains("no scores of the train images"));
    // Of another checkpoint it is the page of that one.
    let test = arg(features().join("test.npy"));
    sarb_ok(&["evaluate", &arg(&run), "--features", &test, "--checkpoint", "last"]);
    let other = notes(&[]);
    assert!(
        other.contains("is of the checkpoint") && other.contains("--split test --checkpoint best"),
        "{other}"
    );
    assert_eq!(notes(&["--checkpoint", "last"]), only);
    sarb_ok(&["evaluate", &arg(&run), "--features", &test]);
    // Scores that are not of these labels are not measured.
    std::fs::copy(run.join("evaluation/scores-anchor.npy"), run.join("evaluation/scores.npy")).unwrap();
    assert!(notes(&[]).contains("is not of the scores beside it; run `sarb evaluate"));
    std::fs::remove_dir_all(run.join("evaluation")).unwrap();
    // Epochs are the checkpoint's, which is sealed; without it nothing vouches for metrics.csv.
    let state = run.join("checkpoints/last/state.json");
    let text = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, text.replacen("\"validation_map\": 0.", "\"validation_map\": 1.", 1)).unwrap();
    let said = notes(&[]);
    assert!(said.contains("nothing is shown by epoch") && said.contains("does not fit its seal"), "{said}");
    std::fs::remove_dir_all(run.join("checkpoints/last")).unwrap();
    assert!(notes(&[]).contains("what is shown by epoch is what metrics.csv says"));
    std::fs::remove_file(run.join("metrics.csv")).unwrap();
    let said = notes(&[]);
    assert!(said.contains("sarb evaluate") && said.contains("No mAP by epoch"), "{said}");
    assert!(page(&run).contains("What was trained on what") && !page(&run).contains("id=\"explorer\""));
    change(&run.join("run.json"), "\"done\"", "\"interrupted\"");
    assert!(notes(&[]).contains("was interrupted"));
}

#[test]
fn wrong_usage_says_what_to_do() {
    let (sarb_run, linear) = runs();
    let dir = tempfile::tempdir().unwrap();
    let (run, folder) = (arg(sarb_run), arg(dir.path()));
    assert!(sarb_fails(2, &["report", &run, "-o", &folder]).contains("give -o NAME.html"));
    assert!(sarb_fails(2, &["report", &run, &folder]).contains("not a run folder"));
    assert!(sarb_fails(2, &["report", &folder, "--split", "test"]).contains("--split is for runs"));
    sarb_fails(2, &["report"]);
    sarb_fails(2, &["report", &run, "--images", "51"]);
    let scores = arg(linear.join("evaluation/scores.npy"));
    let labels = arg(data().join("test.csv"));
    assert!(
        sarb_fails(2, &["report", "--scores", &scores, "--labels", &labels]).contains("give -o NAME.html")
    );
    assert!(sarb_fails(2, &["report", "--scores", &scores, "-o", "x.html"]).contains("--labels FILE"));
    assert!(sarb_fails(4, &["report", &run, "--data", "/nowhere", "-o", "x.html"]).contains("/nowhere"));
    // The page of a run goes when the run is replaced.
    let copied = dir.path().join("run");
    copy(sarb_run, &copied);
    report(&[&arg(&copied), "--images", "0"]);
    sarb_ok(&[&borrow(&quick("linear", &copied))[..], &["--force"]].concat());
    assert!(!copied.join("report.html").exists());
    let output = sarb(&["report", &arg(&copied), "--bootstrap", "0"]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("sarb evaluate"));
}
