//! Frozen backbones: maps are cached, mixed where a method mixes images, and kept with the run.

use crate::support::{
    arg, borrow, command, compare_predictions, data, quick, random_trunk, sarb_fails, sarb_ok,
};

/// Arguments that train a method on the generated images for two epochs, with a frozen random trunk.
pub fn on_frozen_trunk(method: &str, weights: &str, run: &str, more: &[&str]) -> Vec<String> {
    let data = arg(data());
    let mut args: Vec<String> =
        ["train", "--method", method, "--known", "0.5", "--data", &data, "--out", run, "--weights", weights]
            .map(String::from)
            .to_vec();
    let sets = [
        "data.size_px=32",
        "backbone.name=resnet-small",
        "backbone.freeze=all",
        "backbone.pool=false",
        "backbone.views=2",
        "train.epochs=2",
        "train.batch_size=16",
        "method.network.dim=16",
        "method.network.joint=8",
    ];
    sets.iter().chain(more).for_each(|set| args.extend(["--set".to_string(), (*set).to_string()]));
    args
}

#[test]
fn ip_mixup_mixes_cached_images_resumes_and_predicts() {
    let dir = tempfile::tempdir().unwrap();
    let weights = random_trunk(dir.path());
    let scores = |name: &str, more: &[&[&str]]| {
        let run = dir.path().join(name);
        for (part, more) in more.iter().enumerate() {
            let mut args = on_frozen_trunk("ip-mixup", &weights, &arg(&run), more);
            args.extend((part > 0).then(|| "--resume".to_string()));
            sarb_ok(&borrow(&args));
        }
        sarb_ok(&["evaluate", &arg(&run)]);
        std::fs::read(run.join("evaluation/scores.npy")).unwrap()
    };
    let (mixed, last) = ("method.mixing.from_epoch=0", "train.select=last");
    let whole = scores("whole", &[&[mixed, last]]);
    assert!(scores("never", &[&["method.mixing.from_epoch=9", last]]) != whole, "mixing changes nothing");
    let parts: [&[&str]; 2] = [&[mixed, last, "train.epochs=1"], &[mixed, last]];
    assert!(scores("parts", &parts) == whole, "the resumed run took another way");
    let images = arg(data().join("images"));
    assert!(!sarb_ok(&["predict", &arg(dir.path().join("whole")), &images]).is_empty());
}

#[test]
fn ip_mixup_mixes_images_that_are_read_anew_and_refuses_features() {
    let dir = tempfile::tempdir().unwrap();
    let data = arg(data());
    let train = |name: &str, from_epoch: &str| {
        let run = arg(dir.path().join(name));
        let mut args = vec!["train", "--method", "ip-mixup", "--data", &data, "--out", &run];
        for set in [
            "data.size_px=32",
            "backbone.name=resnet-small",
            "backbone.freeze=none",
            "backbone.pool=false",
            "train.epochs=1",
            "train.batch_size=16",
            "train.learning_rate=0.001",
            "train.select=last",
            "method.network.dim=16",
            "method.network.joint=8",
            from_epoch,
        ] {
            args.extend(["--set", set]);
        }
        sarb_ok(&args);
        sarb_ok(&["evaluate", &run]);
        std::fs::read(std::path::Path::new(&run).join("evaluation/scores.npy")).unwrap()
    };
    assert!(train("mixed", "method.mixing.from_epoch=0") != train("not", "method.mixing.from_epoch=9"));
    let message = sarb_fails(2, &borrow(&quick("ip-mixup", &dir.path().join("features"))));
    assert!(message.contains("fm-mixup"), "{message}");
}

#[test]
fn the_reference_protocol_selects_on_the_test_set_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let weights = random_trunk(dir.path());
    let run = dir.path().join("run");
    let more = ["protocol=reference", "method.blend_from_epoch=0", "method.prototypes_per_category=2"];
    let output = command(&borrow(&on_frozen_trunk("sarb", &weights, &arg(&run), &more))).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.contains("chosen on the test set"), "{stderr}");
    assert!(!run.join("data/val.csv").exists(), "nothing is held out");
    let json = sarb_ok(&["evaluate", &arg(&run), "--json"]);
    let map = serde_json::from_str::<serde_json::Value>(&json).unwrap()["map"].as_f64().unwrap();
    let metrics = std::fs::read_to_string(run.join("metrics.csv")).unwrap();
    let column =
        metrics.lines().next().unwrap().split(',').position(|name| name == "validation_map").unwrap();
    let best = metrics
        .lines()
        .skip(1)
        .map(|row| row.split(',').nth(column).unwrap().parse::<f64>().unwrap())
        .fold(0.0, f64::max);
    assert!((map - best).abs() < 1e-5, "evaluate says {map}, the best epoch was {best}");

    let features = quick("sarb", &dir.path().join("features"));
    let features = [&borrow(&features)[..], &["--set", "protocol=reference"]].concat();
    assert!(sarb_fails(2, &features).contains("--features"));
}

#[test]
fn a_frozen_backbone_is_cached_kept_with_the_run_and_serves_predictions() {
    let dir = tempfile::tempdir().unwrap();
    let (run, weights) = (arg(dir.path().join("run")), random_trunk(dir.path()));
    sarb_ok(&borrow(&on_frozen_trunk("sarb", &weights, &run, &["method.network.start=ridge"])));
    // The run keeps its backbone: the weight file is needed no more.
    std::fs::remove_file(&weights).unwrap();
    let json = sarb_ok(&["evaluate", &run, "--json"]);
    assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["map"].as_f64().unwrap() > 0.0);
    sarb_ok(&["evaluate", &run, "--checkpoint", "last"]);

    assert_eq!(compare_predictions(std::path::Path::new(&run)), 24 * 12);
}
