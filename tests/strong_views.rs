//! A method that reads a strongly augmented view of each image beside the augmented one: cached or read anew, resumed, and refused
//! where there is none.

use std::path::Path;

use serde_json::Value;

use crate::support::{arg, borrow, data, features, random_trunk, sarb_fails, sarb_ok};

/// Arguments that train `sr` on the generated images for two epochs.
fn on_images(run: &Path, more: &[&str]) -> Vec<String> {
    let (data, run) = (arg(data()), arg(run));
    let mut args = ["train", "--method", "sr", "--known", "0.5", "--data", &data, "--out", &run]
        .map(String::from)
        .to_vec();
    let sets = [
        "data.size_px=32",
        "backbone.name=resnet-small",
        "backbone.pool=false",
        "train.epochs=2",
        "train.batch_size=16",
        "train.learning_rate=0.01",
        "train.select=last",
        // A low threshold, so that the few steps believe something.
        "method.threshold=0.51",
    ];
    sets.iter().chain(more).for_each(|set| args.extend(["--set".to_string(), (*set).to_string()]));
    args
}

/// The scores of a run that is trained in parts, each with settings of its own.
fn scores(run: &Path, with: &[String], parts: &[&[&str]]) -> Vec<u8> {
    for (part, more) in parts.iter().enumerate() {
        let mut args = on_images(run, more);
        args.extend_from_slice(with);
        args.extend((part > 0).then(|| "--resume".to_string()));
        sarb_ok(&borrow(&args));
    }
    sarb_ok(&["evaluate", &arg(run)]);
    std::fs::read(run.join("evaluation/scores.npy")).unwrap()
}

#[test]
fn strong_views_are_cached_beside_the_others_and_a_resumed_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (weights, cache) = (random_trunk(dir.path()), dir.path().join("cache"));
    let with = ["--weights", &weights, "--cache", &arg(&cache)].map(String::from);
    let kept = || sarb::Cache::in_folder(&cache).stores().unwrap().len();
    let frozen = ["backbone.freeze=all", "backbone.views=2", "method.ema_decay=0.5"];
    let shorter = [&frozen[..], &["train.epochs=1"]].concat();
    let one_view = [&frozen[..], &["method.strong_views=false"]].concat();

    let one = scores(&dir.path().join("one"), &with, &[&one_view]);
    assert_eq!(kept(), 3, "the test-time view and two others");
    let whole = scores(&dir.path().join("whole"), &with, &[&frozen]);
    assert_eq!(kept(), 5, "each of the two with a strong one");
    assert!(whole != one, "strong views change nothing");
    let parts = scores(&dir.path().join("parts"), &with, &[&shorter, &frozen]);
    assert!(parts == whole, "the resumed run took another way");
    let metrics = std::fs::read_to_string(dir.path().join("whole/metrics.csv")).unwrap();
    assert!(metrics.lines().next().unwrap().contains("pseudo"), "{metrics}");

    let mut dry = on_images(&dir.path().join("dry"), &frozen);
    dry.extend_from_slice(&with);
    dry.extend(["--dry-run", "--json"].map(String::from));
    let cost: Value = serde_json::from_str(&sarb_ok(&borrow(&dry))).unwrap();
    let images = cost["images"].as_u64().unwrap() + cost["validation_images"].as_u64().unwrap();
    assert_eq!(cost["maps"]["wanted"].as_u64().unwrap(), 5 * images, "{cost}");
    assert_eq!(cost["maps"]["to_compute"].as_u64().unwrap(), 0, "{cost}");
}

#[test]
fn images_that_are_read_anew_are_strongly_augmented_too() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str, set: &str| {
        scores(&dir.path().join(name), &[], &[&["backbone.freeze=none", "train.epochs=1", set]])
    };
    assert!(read("two", "method.strong_views=true") != read("one", "method.strong_views=false"));
}

#[test]
fn where_no_view_is_strong_it_is_said_what_to_set() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let features = arg(features().join("train.npy"));
    let weights = random_trunk(dir.path());
    let frozen = "backbone.freeze=all";
    for (more, with, expected) in [
        (&[][..], ["--features", features.as_str()], "--features has no images"),
        (&["data.augment=false"], ["--weights", weights.as_str()], "data.augment is false"),
        (&[frozen], ["--weights", weights.as_str()], "backbone.views is 0"),
    ] {
        let mut args = on_images(&run, more);
        args.extend(with.map(String::from));
        let message = sarb_fails(2, &borrow(&args));
        assert!(
            message.contains(expected) && message.contains("set method.strong_views to false"),
            "{message}"
        );
        assert!(!run.exists(), "{message}");
    }
}
