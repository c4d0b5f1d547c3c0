//! Several runs as one: the mean of their logits, measured and in use.

use std::path::Path;

use serde_json::Value;

use crate::support::{arg, data, data_copy, random_trunk, sarb_fails, sarb_ok};

/// Trains `linear` on images of a data folder.
fn train(data: &Path, run: &Path, weights: &str, sets: &[&str]) {
    let (data, run) = (arg(data), arg(run));
    let args = ["train", "--method", "linear", "--data", &data, "--out", &run, "--weights", weights];
    let always =
        ["data.size_px=32", "backbone.name=resnet-small", "backbone.freeze=all", "backbone.pool=false"];
    let sets = always.iter().chain(sets).flat_map(|set| ["--set", set]);
    sarb_ok(&args.into_iter().chain(sets).collect::<Vec<_>>());
}

const DESCRIPTOR: [&str; 2] =
    ["backbone.descriptor.blocks=['mean', 'strongest']", "backbone.descriptor.sizes_px=[32]"];

fn logits(run: &Path, cells: usize) -> Vec<f32> {
    let bytes = std::fs::read(run.join("evaluation/scores.npy")).unwrap();
    let values = bytes[bytes.len() - 4 * cells..].chunks_exact(4);
    values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

#[test]
fn runs_on_descriptors_and_on_maps_are_measured_and_used_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let (vectors, maps, weights) =
        (dir.path().join("vectors"), dir.path().join("maps"), random_trunk(dir.path()));
    train(data(), &vectors, &weights, &DESCRIPTOR);
    train(data(), &maps, &weights, &[]);

    let runs = [arg(&vectors), arg(&maps)];
    let evaluate = ["evaluate", &runs[0], &runs[1], "--together", "--json", "--bootstrap", "0"];
    let json: Value = serde_json::from_str(&sarb_ok(&evaluate)).unwrap();
    let systems = json["systems"].as_array().unwrap();
    assert_eq!(systems[2]["name"], "the mean of their scores");
    assert!(systems[2]["difference"]["map"].is_f64());

    let categories = systems[0]["scores"]["categories"].as_u64().unwrap() as usize;
    let images = systems[0]["scores"]["images"].as_u64().unwrap() as usize;
    let [first, second] = [&vectors, &maps].map(|run| logits(run, images * categories));
    let heat = arg(dir.path().join("heat"));
    let image = first_test_image();
    let predict =
        ["predict", &runs[0], &image, "--with", &runs[1], "--format", "jsonl", "--maps", &heat, "--top", "1"];
    let line: Value = serde_json::from_str(&sarb_ok(&predict)).unwrap();
    let found = line["labels"][0]["logit"].as_f64().unwrap();
    let means = first[..categories].iter().zip(&second).map(|(a, b)| f64::from(a + b) / 2.0);
    let expected = means.fold(f64::NEG_INFINITY, f64::max);
    assert!((found - expected).abs() < 2e-2, "{found} is not {expected}");
    assert_eq!(std::fs::read_dir(heat).unwrap().count(), 1, "the run on maps shows places");
}

/// The image of the first row of `test.csv`.
fn first_test_image() -> String {
    let text = std::fs::read_to_string(data().join("test.csv")).unwrap();
    arg(data().join(text.lines().nth(1).unwrap().split(',').next().unwrap()))
}

#[test]
fn what_has_no_mean_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (run, weights) = (dir.path().join("run"), random_trunk(dir.path()));
    train(data(), &run, &weights, &[]);
    let (run, image) = (arg(run), first_test_image());
    let message = sarb_fails(2, &["evaluate", &run, "--together"]);
    assert!(message.contains("at least two"), "{message}");

    let renamed = data_copy();
    for file in ["train.csv", "test.csv"] {
        let path = renamed.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let (heading, rows) = text.split_once('\n').unwrap();
        let last = heading.rsplit(',').next().unwrap();
        let heading = heading.replace(last, "zebra");
        std::fs::write(&path, format!("{heading}\n{rows}")).unwrap();
    }
    let other = dir.path().join("other");
    train(renamed.path(), &other, &weights, &[]);
    let message = sarb_fails(3, &["predict", &run, &image, "--with", &arg(&other)]);
    assert!(message.contains("has a category \"zebra\"") && message.contains("unlike"), "{message}");
}
