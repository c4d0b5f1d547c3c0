//! What runs tell: of their steps and epochs, of their anchor, to people and to programs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{arg, borrow, command, data, features, quick, sarb, sarb_fails, sarb_ok, test_scores};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// A column of `metrics.csv`, a cell per epoch.
fn column(run: &Path, name: &str) -> Vec<String> {
    let text = read(run.join("metrics.csv"));
    let place = text.lines().next().unwrap().split(',').position(|column| column == name);
    let place = place.unwrap_or_else(|| panic!("no column {name} in {text}"));
    text.lines().skip(1).map(|row| row.split(',').nth(place).unwrap().to_owned()).collect()
}

fn step_rows(run: &Path) -> Vec<Value> {
    let lines: Vec<Value> = read(run.join("events.jsonl")).lines().map(json).collect();
    lines.into_iter().filter(|line| line["event"] == "step").map(|line| line["row"].clone()).collect()
}

fn trained(method: &str, out: &Path, more: &[&str]) {
    sarb_ok(&[&borrow(&quick(method, out))[..], more].concat());
}

#[test]
fn what_a_method_learns_is_told_by_epoch_and_by_step() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("sarb");
    trained("sarb", &run, &[]);
    let alpha = column(&run, "alpha");
    assert_eq!((alpha.len(), &*alpha[0]), (5, "0.500000"), "an epoch each and the start");
    assert!(alpha[4] != alpha[0] && column(&run, "beta").len() == 5, "{alpha:?}");
    assert_eq!(column(&run, "gradient_norm")[0], "", "before the first step there is no gradient");
    assert!(column(&run, "gradient_norm")[1..].iter().all(|norm| norm.parse::<f64>().unwrap() > 0.0));

    // 43 images in batches of 8: six steps an epoch, of which the last is told.
    let rows = step_rows(&run);
    let places: Vec<(u64, u64)> =
        rows.iter().map(|row| (row["epoch"].as_u64().unwrap(), row["step"].as_u64().unwrap())).collect();
    assert_eq!(places, [(1, 6), (2, 6), (3, 6), (4, 6)]);
    let names: Vec<&str> =
        rows[3]["scalars"].as_array().unwrap().iter().map(|pair| pair[0].as_str().unwrap()).collect();
    assert_eq!(names, ["gradient_norm", "alpha", "beta", "prototypes"]);
    // An epoch is one window here: both say the same.
    let norm = rows[3]["scalars"][0][1].as_f64().unwrap();
    assert!((norm - column(&run, "gradient_norm")[4].parse::<f64>().unwrap()).abs() < 1e-6);
    let steps = std::fs::read(run.join("tensorboard/steps/events.out.tfevents.sarb")).unwrap();
    let holds = |bytes: &[u8], tag: &str| bytes.windows(tag.len()).any(|part| part == tag.as_bytes());
    assert!(holds(&steps, "train/gradient_norm") && holds(&steps, "train/beta"));
    let epochs = std::fs::read(run.join("tensorboard/events.out.tfevents.sarb")).unwrap();
    assert!(holds(&epochs, "train/alpha"));

    let run = dir.path().join("curriculum");
    trained("curriculum", &run, &[]);
    let believed: Vec<f64> = column(&run, "believed").iter().map(|cell| cell.parse().unwrap()).collect();
    assert!(
        believed[0] == 0.0 && believed[1] == 0.0,
        "labels are filled before the second epoch: {believed:?}"
    );
    assert!(believed.iter().all(|share| (0.0..=1.0).contains(share)), "{believed:?}");
}

#[test]
fn a_resumed_run_tells_what_an_uninterrupted_one_does() {
    let dir = tempfile::tempdir().unwrap();
    for method in ["sarb", "curriculum"] {
        let (whole, parts) = (dir.path().join(method), dir.path().join(format!("{method}-in-parts")));
        trained(method, &whole, &[]);
        trained(method, &parts, &["--set", "train.epochs=2"]);
        trained(method, &parts, &["--set", "train.epochs=4", "--resume"]);
        for name in ["gradient_norm", "bce", if method == "sarb" { "alpha" } else { "believed" }] {
            assert_eq!(column(&whole, name), column(&parts, name), "{method}: {name}");
        }
        let told = |run: &Path| {
            let what = |row: &Value| (row["epoch"].clone(), row["losses"].clone(), row["scalars"].clone());
            step_rows(run).iter().map(what).collect::<Vec<_>>()
        };
        assert_eq!(told(&whole), told(&parts), "{method}");
    }
}

#[test]
fn a_run_on_maps_has_an_anchor_that_is_the_linear_method() {
    let dir = tempfile::tempdir().unwrap();
    let (run, linear) = (dir.path().join("bce"), dir.path().join("linear"));
    let output = command(&borrow(&quick("bce", &run))).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("anchor, linear on the same features: validation loss"), "{stderr}");
    trained("linear", &linear, &[]);
    test_scores(&run);
    let own = test_scores(&linear);
    assert_eq!(
        std::fs::read(run.join("evaluation/scores-anchor.npy")).unwrap(),
        own,
        "the same maps and labels"
    );
    let worth = |path: PathBuf| {
        let mut measured = json(&read(path));
        measured.as_object_mut().unwrap().retain(|key, _| key != "made_of" && key != "seal");
        measured
    };
    assert_eq!(worth(run.join("evaluation/test-anchor.json")), worth(linear.join("evaluation/test.json")));
    let info = |run: &Path| json(&read(run.join("run.json")));
    assert_eq!(info(&run)["anchor"], info(&linear)["validation"]);
    assert!(info(&linear)["anchor"].is_null() && !linear.join("anchor.bpk").exists());

    let test = arg(features().join("test.npy"));
    let args = ["evaluate", &arg(&run), "--features", &test];
    let text = sarb_ok(&args);
    assert!(text.contains("anchor (linear on the same features): mAP "), "{text}");
    let value = json(&sarb_ok(&[&args[..], &["--json"]].concat()));
    let anchor = &value["anchor"];
    let difference = anchor["scores"]["map"].as_f64().unwrap() - value["map"].as_f64().unwrap();
    assert!((anchor["difference"]["map"].as_f64().unwrap() - difference).abs() < 1e-12, "{anchor}");

    // A file that is no anchor is named, with what to do.
    std::fs::write(run.join("anchor.bpk"), b"nothing").unwrap();
    let message = sarb_fails(7, &args);
    assert!(message.contains("anchor.bpk") && message.contains("delete it"), "{message}");
    std::fs::remove_file(run.join("anchor.bpk")).unwrap();
    assert!(!sarb_ok(&args).contains("anchor"));
}

#[test]
fn programs_get_json_and_who_wants_quiet_gets_it() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let quick = quick("bce", &run);
    let args = [&borrow(&quick)[..], &["--json", "--quiet", "--threads", "1"]].concat();
    let output = sarb(&args);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let value = json(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(
        (&value["status"], &value["method"], &value["run"]),
        (&"done".into(), &"bce".into(), &arg(&run).into())
    );
    assert!(value["validation"]["loss"].as_f64().is_some(), "{value}");
    // As many threads as there are give the same.
    let other = dir.path().join("other");
    trained("bce", &other, &["--threads", "3"]);
    assert!(test_scores(&run) == test_scores(&other));
    assert!(sarb_fails(2, &["doctor", "--threads", "0"]).contains("--threads"));
    // Errors are told even so.
    assert!(sarb_fails(4, &["evaluate", "/nowhere", "--quiet"]).contains("not a run folder"));

    let (hidden, parts) = (arg(dir.path().join("hidden")), arg(dir.path().join("parts")));
    let value = json(&sarb_ok(&["data", "hide", &arg(data()), "--known", "10%", "-o", &hidden, "--json"]));
    assert_eq!(value["images"], 48);
    assert!(value["unknown"].as_u64().unwrap() > 400, "{value}");
    let source = arg(data().join("train.csv"));
    let value = json(&sarb_ok(&["data", "split", &source, "--test", "25%", "-o", &parts, "--json"]));
    assert_eq!((&value["train"]["images"], &value["test"]["images"]), (&36.into(), &12.into()));
    let value = json(&sarb_ok(&["doctor", "--json", "--threads", "2"]));
    assert_eq!((&value["threads"], &value["devices"][0]["built_in"]), (&2.into(), &true.into()));
}

#[test]
fn without_a_terminal_epochs_have_their_time() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(&borrow(&quick("bce", &dir.path().join("run")))).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let epoch = stderr.lines().find(|line| line.contains("epoch 4/4")).unwrap_or_else(|| panic!("{stderr}"));
    let (time, _) = epoch.split_once("  ").unwrap();
    assert!(time.len() == 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{epoch}");
    assert!(epoch.contains("gradient_norm"), "{epoch}");
}

#[test]
fn shares_on_the_command_line_mean_what_people_mean() {
    let dir = tempfile::tempdir().unwrap();
    let known = |run: &Path| read(run.join("recipe.toml")).lines().any(|line| line == "known = 0.3");
    let run = dir.path().join("run");
    let mut args = quick("linear", &run);
    let place = args.iter().position(|word| word == "--known").unwrap() + 1;
    args[place] = "30%".into();
    sarb_ok(&borrow(&args));
    assert!(known(&run));
    args[place] = "30".into();
    let message = sarb_fails(2, &borrow(&args));
    assert!(message.contains("write 30% or 0.3"), "{message}");
    let features = arg(features().join("test.npy"));
    let evaluate = |bar: &'static str| {
        vec![
            "evaluate".into(),
            arg(&run),
            "--features".into(),
            features.clone(),
            "--fail-under".into(),
            bar.to_owned(),
        ]
    };
    ["99.9", "0.999", "99.9%"].iter().for_each(|bar| {
        assert!(sarb_fails(6, &borrow(&evaluate(bar))).contains("is below --fail-under 99.9 %"), "{bar}");
    });
    ["0.01", "1%", "2"].iter().for_each(|bar| drop(sarb_ok(&borrow(&evaluate(bar)))));
    assert!(sarb_fails(2, &borrow(&evaluate("1"))).contains("write 1% or 100%"));
}
