//! Training: every method learns, the same seed gives the same numbers, a stopped run goes on.

use std::time::{Duration, Instant};

use crate::support::{arg, borrow, command, data, features, quick, sarb_fails, sarb_ok, test_scores};

fn map_of(run: &std::path::Path) -> f64 {
    let features = arg(features().join("test.npy"));
    let json = sarb_ok(&["evaluate", &arg(run), "--features", &features, "--json"]);
    serde_json::from_str::<serde_json::Value>(&json).unwrap()["map"].as_f64().unwrap()
}

#[test]
fn every_method_learns_from_half_of_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    for method in sarb::methods::NAMES {
        let run = dir.path().join(method);
        let mut args = quick(method, &run);
        if *method != "linear" {
            args.extend(["--set".into(), "train.epochs=25".into()]);
        }
        sarb_ok(&borrow(&args));
        // The generated prevalence alone gives a mAP of about 0.3.
        let map = map_of(&run);
        assert!(map > 0.6, "{method}: mAP {map}");
    }
}

#[test]
fn the_same_seed_gives_the_same_scores_and_another_seed_others() {
    let dir = tempfile::tempdir().unwrap();
    let scores: Vec<Vec<u8>> = ["0", "0", "1"]
        .iter()
        .enumerate()
        .map(|(i, seed)| {
            let run = dir.path().join(i.to_string());
            let mut args = quick("sarb", &run);
            args.extend(["--seed".into(), seed.to_string()]);
            sarb_ok(&borrow(&args));
            test_scores(&run)
        })
        .collect();
    assert!(scores[0] == scores[1], "two runs of one seed differ");
    assert!(scores[0] != scores[2], "two seeds agree");
}

#[test]
fn a_resumed_run_ends_where_an_uninterrupted_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, parts) = (dir.path().join("whole"), dir.path().join("parts"));
    let select_last = ["--set".to_string(), "train.select=last".to_string()];
    let mut args = quick("sarb", &whole);
    args.extend(select_last.clone());
    sarb_ok(&borrow(&args));
    let mut args = quick("sarb", &parts);
    args.extend(select_last);
    args.extend(["--set".into(), "train.epochs=2".into()]);
    sarb_ok(&borrow(&args));
    let len = args.len();
    args[len - 1] = "train.epochs=4".into();
    args.push("--resume".into());
    sarb_ok(&borrow(&args));
    assert!(test_scores(&whole) == test_scores(&parts), "the resumed run took another way");
    let rows =
        |run: &std::path::Path| std::fs::read_to_string(run.join("metrics.csv")).unwrap().lines().count();
    assert_eq!(rows(&whole), rows(&parts));
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_a_checkpoint_and_the_run_goes_on_from_that_step() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, stopped) = (dir.path().join("whole"), dir.path().join("stopped"));
    let long = |out: &std::path::Path| {
        let mut args = quick("ssgrl", out);
        args.extend(["--set", "train.epochs=60", "--set", "train.select=last"].map(String::from));
        args
    };
    sarb_ok(&borrow(&long(&whole)));
    let args = long(&stopped);
    let mut child = command(&borrow(&args)).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !stopped.join("checkpoints/last/state.json").exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(60));
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let info = std::fs::read_to_string(stopped.join("run.json")).unwrap();
    assert!(info.contains("\"interrupted\""), "{info}");

    let mut args = long(&stopped);
    args.push("--resume".into());
    sarb_ok(&borrow(&args));
    assert!(test_scores(&whole) == test_scores(&stopped), "the resumed run took another way");
}

#[test]
fn images_train_a_backbone_and_predict_names_files_and_folders() {
    let dir = tempfile::tempdir().unwrap();
    let run = arg(dir.path().join("run"));
    let sets =
        ["data.size_px=32", "backbone.name=resnet-small", "backbone.freeze=none", "backbone.pool=false"];
    let more = ["train.epochs=1", "train.batch_size=16", "train.learning_rate=0.001"];
    let data = arg(data());
    let mut args = vec!["train", "--method", "bce", "--data", &data, "--out", &run];
    sets.iter().chain(&more).for_each(|set| args.extend(["--set", set]));
    sarb_ok(&args);
    sarb_ok(&["evaluate", &run]);

    let images = arg(std::path::Path::new(&data).join("images"));
    let maps = arg(dir.path().join("maps"));
    let csv = sarb_ok(&["predict", &run, &images, "--format", "csv"]);
    assert_eq!(csv.lines().count(), 1 + 48 + 24);
    let first = csv.lines().nth(1).unwrap().split(',').next().unwrap().to_string();
    let jsonl = sarb_ok(&["predict", &run, &first, "--format", "jsonl", "--top", "2", "--maps", &maps]);
    let line: serde_json::Value = serde_json::from_str(jsonl.trim()).unwrap();
    assert_eq!(line["labels"].as_array().unwrap().len(), 2);
    assert_eq!(std::fs::read_dir(&maps).unwrap().count(), 2);
    assert_eq!(sarb_ok(&["predict", &run, &format!("{images}/*.png")]).lines().count(), 72);
}

#[test]
fn the_saved_recipe_repeats_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    sarb_ok(&borrow(&quick("sarb", &first)));
    let (recipe, features, data) =
        (arg(first.join("recipe.toml")), arg(features().join("train.npy")), arg(data()));
    sarb_ok(&["train", &recipe, "--data", &data, "--features", &features, "--out", &arg(&second)]);
    assert!(test_scores(&first) == test_scores(&second));
}

#[test]
fn a_run_is_not_resumed_with_other_settings_or_labels() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    sarb_ok(&borrow(&quick("ssgrl", &run)));
    let mut args = quick("ssgrl", &run);
    args.extend(["--resume", "--set", "train.batch_size=4"].map(String::from));
    assert!(sarb_fails(7, &borrow(&args)).contains("other settings"));
    let other = crate::support::data_copy();
    let csv = other.path().join("train.csv");
    let text = std::fs::read_to_string(&csv).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let flipped = rows.replacen(",0", ",1", 40);
    std::fs::write(&csv, format!("{header}\n{flipped}")).unwrap();
    let mut args = quick("ssgrl", &run);
    let at = args.iter().position(|a| a == "--data").unwrap();
    args[at + 1] = arg(other.path());
    args.push("--resume".into());
    assert!(sarb_fails(7, &borrow(&args)).contains("not those the run was begun with"));
}
