//! A trained last stage on the cached maps of a frozen trunk.

use std::path::Path;

use serde_json::Value;

use crate::support::{arg, borrow, data, random_trunk, sarb_fails, sarb_ok};

/// Arguments that train the last stage and a head on maps in `cache`.
fn on_cached_trunk(method: &str, weights: &str, run: &str, cache: &Path, more: &[&str]) -> Vec<String> {
    let (data, cache) = (arg(data()), arg(cache));
    let args = ["train", "--method", method, "--known", "0.5", "--data", &data, "--out", run, "--weights"];
    let mut args: Vec<String> = args.map(String::from).to_vec();
    args.extend([weights, "--cache", &cache].map(String::from));
    let sets = [
        "data.size_px=32",
        "backbone.name=resnet-small",
        "backbone.freeze=trunk",
        "backbone.pool=false",
        "backbone.views=2",
        "train.epochs=2",
        "train.batch_size=16",
        "train.learning_rate=1e-3",
        "train.select=last",
    ];
    sets.iter().chain(more).for_each(|set| args.extend(["--set".to_string(), (*set).to_string()]));
    args
}

#[test]
fn the_last_stage_trains_on_cached_maps_and_resumes() {
    let dir = tempfile::tempdir().unwrap();
    let (weights, cache) = (random_trunk(dir.path()), dir.path().join("cache"));
    let train = |name: &str, parts: &[&[&str]]| {
        let run = arg(dir.path().join(name));
        for (part, more) in parts.iter().enumerate() {
            let mut args = on_cached_trunk("bce", &weights, &run, &cache, more);
            args.extend((part > 0).then(|| "--resume".to_string()));
            sarb_ok(&borrow(&args));
        }
        let json = sarb_ok(&["evaluate", &run, "--json"]);
        let scores = std::fs::read(Path::new(&run).join("evaluation/scores.npy")).unwrap();
        (serde_json::from_str::<Value>(&json).unwrap()["map"].as_f64().unwrap(), scores)
    };
    let (map, whole) = train("whole", &[&[]]);
    assert!(map > 0.0);
    let stores = sarb::Cache::in_folder(&cache).stores().unwrap();
    // The test-time view and two others.
    assert_eq!(stores.len(), 3);
    assert!(train("parts", &[&["train.epochs=1"], &[]]).1 == whole, "the resumed run took another way");
    let (_, kept) = train("head", &[&["backbone.learning_rate_factor=1e-12"]]);
    assert!(kept != whole, "the last stage is not trained");

    // The run keeps its backbone: neither weights nor cache are needed any more.
    std::fs::remove_file(&weights).unwrap();
    std::fs::remove_dir_all(&cache).unwrap();
    let whole = arg(dir.path().join("whole"));
    let images = arg(data().join("images"));
    assert!(!sarb_ok(&["predict", &whole, &images]).is_empty());
}

#[test]
fn images_are_mixed_before_the_trunk() {
    let dir = tempfile::tempdir().unwrap();
    let (weights, cache) = (random_trunk(dir.path()), dir.path().join("cache"));
    let run = arg(dir.path().join("mixed"));
    let more = ["method.mixing.from_epoch=0", "train.select=map"];
    sarb_ok(&borrow(&on_cached_trunk("ip-mixup", &weights, &run, &cache, &more)));
    // Three views, and two mixed ones.
    assert_eq!(sarb::Cache::in_folder(&cache).stores().unwrap().len(), 5);
}

#[test]
fn a_dry_run_counts_its_maps_and_a_trained_trunk_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let (weights, cache) = (random_trunk(dir.path()), dir.path().join("cache"));
    let run = arg(dir.path().join("run"));
    let mut args = on_cached_trunk("bce", &weights, &run, &cache, &[]);
    args.extend(["--dry-run".into(), "--json".into()]);
    let cost: Value = serde_json::from_str(&sarb_ok(&borrow(&args))).unwrap();
    let images = cost["images"].as_u64().unwrap() + cost["validation_images"].as_u64().unwrap();
    assert_eq!(cost["maps"]["to_compute"].as_u64().unwrap(), 3 * images, "{cost}");
    let refused = on_cached_trunk("bce", &weights, &run, &cache, &["backbone.freeze=none"]);
    let stderr = sarb_fails(2, &borrow(&refused));
    assert!(stderr.contains("maps are cached of what is frozen only"), "{stderr}");
}
