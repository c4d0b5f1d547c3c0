//! Training: every method learns, the same seed gives the same numbers, a stopped run goes on.

use std::time::{Duration, Instant};

use crate::support::{
    arg, borrow, command, data, data_copy, features, heads, quick, sarb_fails, sarb_ok, test_scores,
};

fn map_of(run: &std::path::Path) -> f64 {
    let features = arg(features().join("test.npy"));
    let json = sarb_ok(&["evaluate", &arg(run), "--features", &features, "--json"]);
    serde_json::from_str::<serde_json::Value>(&json).unwrap()["map"].as_f64().unwrap()
}

#[test]
fn every_method_learns_from_half_of_the_labels() {
    let dir = tempfile::tempdir().unwrap();
    for method in heads() {
        let run = dir.path().join(method);
        let mut args = quick(method, &run);
        if method != "linear" {
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
fn the_number_of_threads_does_not_change_the_scores() {
    let dir = tempfile::tempdir().unwrap();
    let scores: Vec<Vec<u8>> = ["1", "2", "3"]
        .iter()
        .map(|threads| {
            let run = dir.path().join(threads);
            let output =
                command(&borrow(&quick("sarb", &run))).env("RAYON_NUM_THREADS", threads).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            test_scores(&run)
        })
        .collect();
    assert!(scores.iter().all(|s| *s == scores[0]));
}

#[test]
fn a_resumed_run_ends_where_an_uninterrupted_one_does() {
    let dir = tempfile::tempdir().unwrap();
    for method in heads().filter(|name| *name != "linear") {
        let (whole, parts) = (dir.path().join(method), dir.path().join(format!("{method}-in-parts")));
        let select_last = ["--set".to_string(), "train.select=last".to_string()];
        let mut args = quick(method, &whole);
        args.extend(select_last.clone());
        sarb_ok(&borrow(&args));
        let mut args = quick(method, &parts);
        args.extend(select_last);
        args.extend(["--set".into(), "train.epochs=2".into()]);
        sarb_ok(&borrow(&args));
        let len = args.len();
        args[len - 1] = "train.epochs=4".into();
        args.push("--resume".into());
        sarb_ok(&borrow(&args));
        assert!(test_scores(&whole) == test_scores(&parts), "{method}: the resumed run took another way");
        let rows =
            |run: &std::path::Path| std::fs::read_to_string(run.join("metrics.csv")).unwrap().lines().count();
        assert_eq!(rows(&whole), rows(&parts), "{method}");
    }
}

#[test]
fn variants_of_a_method_learn_too() {
    let dir = tempfile::tempdir().unwrap();
    let uncertainty = ["method.head.dropout=0.2", "method.strategy={name='uncertainty', passes=5}"];
    // It believes as many labels of an untrained model as of a trained one.
    let class_proportion = ["method.strategy={name='class-proportion'}", "method.relabel_before=[10, 15]"];
    let cases: &[(&str, &str, &[&str])] = &[
        ("attention", "sarb", &["method.representation=attention"]),
        ("instance", "sarb", &["method.blends=['instance']", "method.learn_alpha=false"]),
        ("prototype", "sarb", &["method.blends=['prototype']", "method.learn_beta=false"]),
        ("quadrants", "sarb", &["method.prototypes=quadrants", "method.prototypes_per_category=10"]),
        ("double", "kggr", &["method.double=true"]),
        ("zeros", "sst", &["method.queue_start=zeros", "method.pairs.unknown=negative"]),
        ("push", "hst", &["method.prototype_sign=push", "method.learn_margins=false"]),
        ("proportion", "curriculum", &["method.strategy={name='score-proportion'}", "method.keep=true"]),
        ("positives", "curriculum", &["method.strategy={name='positives-only', threshold=2.0}"]),
        ("class-proportion", "curriculum", &class_proportion),
        ("uncertainty", "curriculum", &uncertainty),
        ("weighted", "curriculum", &["method.weight={alpha=-4.45}"]),
        ("negative", "asl", &["method.unknown=negative"]),
        ("reject", "large-loss", &["method.variant=reject"]),
        ("correct", "large-loss", &["method.variant=correct"]),
        ("entropy", "em", &["method.soft_negatives.share=0"]),
        ("saliency", "sr", &["method.pseudo_labels=false"]),
        ("average", "sr", &["method.ema_decay=0.9"]),
        ("unselective", "csl", &["method.mode=negative", "method.prior_epochs=0"]),
        ("by-prior", "csl", &["method.prior_epochs=5", "method.eta=0.3"]),
        ("on-ssgrl", "partial-bce", &["method.head={kind='ssgrl', dim=32, joint=16, word_width=8}"]),
        ("all", "partial-bce", &["train.normalization=all"]),
        ("image", "ssgrl", &["train.normalization=image"]),
    ];
    for (name, method, sets) in cases {
        let run = dir.path().join(name);
        let mut args = quick(method, &run);
        sets.iter().chain(&["train.epochs=25"]).for_each(|set| args.extend(["--set".into(), (*set).into()]));
        sarb_ok(&borrow(&args));
        let map = map_of(&run);
        assert!(map > 0.6, "{name}: mAP {map}");
    }
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_a_checkpoint_and_the_run_goes_on_from_that_step() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, stopped) = (dir.path().join("whole"), dir.path().join("stopped"));
    let long = |out: &std::path::Path| {
        let mut args = quick("ssgrl", out);
        args.extend(["--set", "train.epochs=400", "--set", "train.select=last"].map(String::from));
        args
    };
    sarb_ok(&borrow(&long(&whole)));
    let args = long(&stopped);
    let mut child = command(&borrow(&args)).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while !stopped.join("checkpoints/last/state.json").exists() && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(200));
    let kill = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(child.wait().unwrap().code(), Some(75));
    let info = std::fs::read_to_string(stopped.join("run.json")).unwrap();
    assert!(info.contains("\"interrupted\""), "{info}");
    let state = std::fs::read_to_string(stopped.join("checkpoints/last/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert!(state["epoch"].as_u64().unwrap() < 400, "{state}");

    let mut args = long(&stopped);
    args.push("--resume".into());
    sarb_ok(&borrow(&args));
    assert!(test_scores(&whole) == test_scores(&stopped), "the resumed run took another way");
}

#[test]
fn at_the_end_of_its_time_a_run_stops_and_goes_on_from_there() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, stopped) = (dir.path().join("whole"), dir.path().join("stopped"));
    let long = |out: &std::path::Path| {
        let mut args = quick("ssgrl", out);
        args.extend(["--set", "train.epochs=400", "--set", "train.select=last"].map(String::from));
        args
    };
    sarb_ok(&borrow(&long(&whole)));
    let begun = Instant::now();
    let message = sarb_fails(75, &[&borrow(&long(&stopped))[..], &["--max-time", "0.4s"]].concat());
    assert!(begun.elapsed() < Duration::from_secs(30) && message.contains("--resume"), "{message}");
    sarb_ok(&[&borrow(&long(&stopped))[..], &["--resume", "--max-time", "1h"]].concat());
    assert!(test_scores(&whole) == test_scores(&stopped), "the resumed run took another way");
    let message = sarb_fails(2, &[&borrow(&long(&stopped))[..], &["--max-time", "20"]].concat());
    assert!(message.contains("such as 90s"), "{message}");
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
fn a_resumed_backbone_ends_where_an_uninterrupted_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let data = arg(data());
    let train = |out: &std::path::Path, epochs: usize, resume: bool| {
        let (out, epochs) = (arg(out), format!("train.epochs={epochs}"));
        let mut args = vec!["train", "--method", "sarb", "--known", "0.5", "--data", &data, "--out", &out];
        let sets = [
            "data.size_px=32",
            "backbone.name=resnet-small",
            "backbone.freeze=none",
            "backbone.pool=false",
            "train.batch_size=16",
            "train.learning_rate=0.001",
            "train.select=last",
            "method.network.dim=16",
            "method.network.joint=8",
            "method.blend_from_epoch=0",
            "method.prototypes_per_category=2",
            epochs.as_str(),
        ];
        sets.iter().for_each(|set| args.extend(["--set", set]));
        args.extend(resume.then_some("--resume"));
        sarb_ok(&args);
        sarb_ok(&["evaluate", &out]);
        std::fs::read(std::path::Path::new(&out).join("evaluation/scores.npy")).unwrap()
    };
    let whole = train(&dir.path().join("whole"), 2, false);
    train(&dir.path().join("parts"), 1, false);
    assert!(whole == train(&dir.path().join("parts"), 2, true), "the resumed run took another way");
}

#[test]
fn the_run_folder_holds_what_the_contract_names() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    sarb_ok(&borrow(&quick("sarb", &run)));
    test_scores(&run);
    for file in [
        "recipe.toml",
        "run.json",
        "metrics.csv",
        "events.jsonl",
        "data/train.csv",
        "data/val.csv",
        "data/categories.json",
        "checkpoints/best/model.bpk",
        "checkpoints/last/optimizer.bpk",
        "evaluation/test.json",
        "evaluation/scores.npy",
        "tensorboard/events.out.tfevents.sarb",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let labels =
        |split: &str| sarb_labels::formats::csv::read(&run.join(format!("data/{split}.csv"))).unwrap().labels;
    // 10 % of 48 images validate, and the hidden labels are hidden in the run's copy too.
    assert_eq!((labels("train").images(), labels("val").images()), (43, 5));
    assert!(labels("train").count(sarb_labels::Label::Unknown) > 200);
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
fn a_kill_between_two_renames_loses_no_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    sarb_ok(&borrow(&quick("ssgrl", &run)));
    let scores = test_scores(&run);
    for which in ["best", "last"] {
        let folder = run.join("checkpoints").join(which);
        std::fs::rename(&folder, folder.with_extension("old")).unwrap();
    }
    assert!(test_scores(&run) == scores);
    let mut args = quick("ssgrl", &run);
    args.push("--resume".into());
    sarb_ok(&borrow(&args));
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
    assert!(sarb_fails(7, &borrow(&args)).contains("not what the run was begun with"));
}

#[test]
fn positives_alone_are_warned_of_before_and_after_and_an_unused_val_csv_is_named() {
    let (folder, out) = (data_copy(), tempfile::tempdir().unwrap());
    let train = folder.path().join("train.csv");
    let text = std::fs::read_to_string(&train).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let positives: String = rows.lines().map(|row| row.replace(",0", ",") + "\n").collect();
    std::fs::write(&train, format!("{header}\n{positives}")).unwrap();
    std::fs::copy(folder.path().join("test.csv"), folder.path().join("val.csv")).unwrap();
    let mut args = quick("partial-bce", &out.path().join("run"));
    let place = args.iter().position(|arg| arg == "--data").unwrap() + 1;
    args[place] = arg(folder.path());
    args.extend(["--set", "data.validation=0.1"].map(String::from));
    let output = command(&borrow(&args)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said.matches("train.csv has no known negative label, so a model can only learn").count(),
        2,
        "{said}"
    );
    assert!(said.trim_end().ends_with("a method that learns from unknown labels, such as linear"), "{said}");
    let unused = "val.csv is not used: data.validation is 0.1, so 5 images of train.csv are held out";
    assert!(said.contains(unused), "{said}");
}
