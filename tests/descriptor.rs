//! Descriptors in place of maps, and what is trained where no method is named.

use std::path::Path;

use crate::support::{
    arg, borrow, command, compare_predictions, data, features, random_trunk, sarb_fails, sarb_ok,
};

/// Arguments that train `linear` at a fixed penalty on descriptors of the generated images.
fn on_descriptors(weights: &str, run: &str, more: &[&str]) -> Vec<String> {
    let data = arg(data());
    let args = ["train", "--method", "linear", "--data", &data, "--out", run, "--weights", weights];
    let sets = [
        "data.size_px=40",
        "backbone.name=resnet-small",
        "backbone.freeze=all",
        "backbone.pool=false",
        "backbone.descriptor.sizes_px=[32, 40]",
        "method.penalty=fixed",
    ];
    let sets = sets.iter().chain(more).flat_map(|set| ["--set", set]);
    args.into_iter().chain(sets).map(String::from).collect()
}

/// A trunk with a classifier of five classes beside it.
fn trunk_with_classifier(dir: &Path) -> String {
    use sarb::internals::{Backbone, BackboneName, Classifier};
    let path = dir.join("classifier.safetensors");
    let device = burn::tensor::Device::flex();
    device.seed(1);
    let backbone = Backbone::new(BackboneName::ResnetSmall, &device);
    let weight = (0..5 * backbone.channels()).map(|at| (at as f32 * 0.37).sin()).collect();
    backbone.save_with(&Classifier { weight, bias: vec![0.1; 5] }, &path).unwrap();
    arg(path)
}

#[test]
fn a_run_on_descriptors_keeps_all_that_they_are_made_of() {
    let dir = tempfile::tempdir().unwrap();
    let (run, weights) = (dir.path().join("run"), trunk_with_classifier(dir.path()));
    sarb_ok(&borrow(&on_descriptors(&weights, &arg(&run), &[])));
    std::fs::remove_file(&weights).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&sarb_ok(&["evaluate", &arg(&run), "--json"])).unwrap();
    assert!(json["map"].as_f64().unwrap() > 0.0);
    let info: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    // Two sizes of two blocks of 128 channels and two of five classes.
    assert_eq!(info["channels"], 2 * (2 * 128 + 2 * 5));
    assert_eq!(compare_predictions(&run), 24 * 12);

    let images = arg(data().join("images"));
    let maps = arg(dir.path().join("maps"));
    let message = sarb_fails(2, &["predict", &arg(&run), &images, "--maps", &maps]);
    assert!(message.contains("no places to show") && !Path::new(&maps).exists(), "{message}");
    let page = dir.path().join("page.html");
    sarb_ok(&["report", &arg(&run), "-o", &arg(&page)]);
    assert!(
        std::fs::read_to_string(page).unwrap().contains("No heat maps: the backbone gives one descriptor")
    );
}

#[test]
fn blocks_of_classes_need_the_classifier_and_the_others_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let (run, weights) = (arg(dir.path().join("run")), random_trunk(dir.path()));
    let message = sarb_fails(7, &borrow(&on_descriptors(&weights, &run, &[])));
    assert!(
        message.contains("no classifier fc.weight") && message.contains("backbone.descriptor.blocks"),
        "{message}"
    );
    let plain = ["backbone.descriptor.blocks=['mean', 'strongest']"];
    sarb_ok(&borrow(&on_descriptors(&weights, &run, &plain)));

    let other = arg(dir.path().join("other"));
    let message = sarb_fails(2, &borrow(&on_descriptors(&weights, &other, &["data.size_px=64"])));
    assert!(message.contains("the largest is data.size_px, 64"), "{message}");
    let trained = ["backbone.freeze=none"];
    let message = sarb_fails(2, &borrow(&on_descriptors(&weights, &other, &trained)));
    assert!(message.contains("freeze = \"all\""), "{message}");
}

#[test]
fn a_frozen_backbone_without_a_method_gives_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let channels = |name: &str, weights: &str, more: &[&str], expected: &str| {
        let (run, data) = (dir.path().join(name), arg(data()));
        let out = arg(&run);
        let mut args = vec!["train", "--data", &data, "--out", &out, "--weights", weights];
        ["backbone.name=resnet-small", "backbone.freeze=all"]
            .iter()
            .chain(more)
            .for_each(|set| args.extend(["--set", set]));
        let output = command(&args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains(expected), "{said}");
        let info: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
        assert_eq!(info["method"], "linear");
        info["channels"].as_u64().unwrap()
    };
    let (whole, trunk) = (trunk_with_classifier(dir.path()), random_trunk(dir.path()));
    // Two blocks of 128 channels, and two of five classes where there is a classifier; the images are small.
    assert_eq!(channels("whole", &whole, &[], "descriptors of the images at 224 px"), 2 * 128 + 2 * 5);
    assert_eq!(channels("trunk", &trunk, &["data.size_px=64"], "at 64 px, as in the recipe"), 2 * 128);
    // Who says how maps are read has maps.
    assert_eq!(
        channels(
            "maps",
            &whole,
            &["data.size_px=32", "backbone.pool=true"],
            "that is linear, which takes seconds"
        ),
        128
    );
}

#[test]
fn frozen_features_without_a_method_are_for_the_closed_form() {
    let dir = tempfile::tempdir().unwrap();
    let method = |name: &str, more: &[&str]| {
        let run = dir.path().join(name);
        let (data, file) = (arg(data()), arg(features().join("train.npy")));
        let args = ["train", "--data", &data, "--features", &file, "--out", &arg(&run)].map(String::from);
        sarb_ok(&args.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>());
        let info: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
        info["method"].as_str().unwrap().to_owned()
    };
    assert_eq!(method("silent", &[]), "linear");
    let short =
        ["--set", "train.epochs=1", "--set", "method.network.dim=16", "--set", "method.network.joint=8"];
    assert_eq!(method("named", &[&["--method", "ssgrl"][..], &short].concat()), "ssgrl");
    assert_eq!(method("settings", &short), "sarb", "settings of the paper's method name it");
}
