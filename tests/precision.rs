//! Layers in bf16: near to f32, kept apart from it, and refused where nothing can be rounded.

use std::path::Path;

use crate::frozen::on_frozen_trunk;
use crate::support::{arg, borrow, data, features, quick, random_trunk, sarb_fails, sarb_ok};

fn train(dir: &Path, name: &str, weights: &str, more: &[&str]) -> String {
    let run = arg(dir.join(name));
    let args = on_frozen_trunk("ssgrl", weights, &run, &[]);
    sarb_ok(&[&borrow(&args)[..], more].concat());
    run
}

/// The probabilities that `predict` prints.
fn probabilities(run: &str, more: &[&str]) -> Vec<f64> {
    let images = arg(data().join("images"));
    let said = sarb_ok(&[&["predict", run, &images, "--format", "csv"], more].concat());
    let numbers = said.lines().skip(1).flat_map(|line| line.split(',').skip(1));
    numbers.map(|number| number.parse().unwrap()).collect()
}

fn difference(a: &[f64], b: &[f64]) -> f64 {
    assert!(a.len() == b.len() && a.len() > 100);
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_run_says_its_precision_and_another_one_is_near() {
    let dir = tempfile::tempdir().unwrap();
    let weights = random_trunk(dir.path());
    let [exact, rounded] = ["f32", "bf16"].map(|p| train(dir.path(), p, &weights, &["--precision", p]));
    for (run, precision) in [(&exact, "f32"), (&rounded, "bf16")] {
        let recipe = std::fs::read_to_string(Path::new(run).join("recipe.toml")).unwrap();
        assert!(recipe.contains(&format!("precision = \"{precision}\"")), "{recipe}");
        // Evaluation reads the maps in the cache, in 16 bits; predict computes them anew, in the run's precision.
        sarb_ok(&["evaluate", run]);
        assert!(crate::support::compare_predictions(Path::new(run)) > 100);
    }
    let plain = probabilities(&exact, &[]);
    assert_eq!(plain, probabilities(&exact, &["--precision", "f32"]));
    let near = difference(&plain, &probabilities(&exact, &["--precision", "bf16"]));
    assert!(near > 0.0 && near < 0.02, "{near}");
    let back = difference(&probabilities(&rounded, &[]), &probabilities(&rounded, &["--precision", "f32"]));
    assert!(back > 0.0 && back < 0.02, "{back}");
    // Whatever is faster here is one of them.
    let auto = probabilities(&exact, &["--precision", "auto"]);
    assert!(difference(&plain, &auto) < 0.02);
}

#[test]
fn what_cannot_be_rounded_is_refused_and_auto_leaves_it_alone() {
    let dir = tempfile::tempdir().unwrap();
    let run = arg(dir.path().join("run"));
    let whole = [
        "train",
        "--method",
        "bce",
        "--data",
        &arg(data()),
        "--out",
        &run,
        "--set",
        "data.size_px=32",
        "--set",
        "backbone.name=resnet-small",
        "--set",
        "backbone.freeze=none",
        "--set",
        "train.epochs=1",
    ];
    let said = sarb_fails(2, &[&whole[..], &["--precision", "bf16"]].concat());
    assert!(said.contains("a backbone that is trained whole is computed in f32"), "{said}");
    let said = sarb_fails(2, &[&whole[..], &["--set", "backbone.precision=bf16"]].concat());
    assert!(said.contains("backbone.precision is \"bf16\", but a backbone that is trained whole"), "{said}");
    sarb_ok(&[&whole[..], &["--precision", "auto"]].concat());

    let of_features = dir.path().join("features");
    sarb_ok(&borrow(&quick("linear", &of_features)));
    let features = arg(features().join("test.npy"));
    let of_features = arg(of_features);
    let predict = ["predict", &of_features, "--features", &features, "--precision", "bf16"];
    let said = sarb_fails(2, &predict);
    assert!(said.contains("'--features <FILE>' cannot be used with '--precision"), "{said}");
}

/// The loss of every step that the log has.
fn losses(run: &str) -> Vec<f64> {
    let log = std::fs::read_to_string(Path::new(run).join("events.jsonl")).unwrap();
    let rows = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let steps = rows.filter(|row| row["event"] == "step");
    steps.map(|row| row["row"]["losses"][0][1].as_f64().unwrap()).collect()
}

#[test]
fn what_is_trained_in_bf16_learns_nearly_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let [exact, rounded] = ["f32", "bf16"].map(|precision| {
        let run = dir.path().join(precision);
        let wanted = format!("train.precision={precision}");
        let wide = ["--set", "method.network.dim=64", "--set", "train.batch_size=32", "--set", &wanted];
        sarb_ok(&[&borrow(&quick("ssgrl", &run))[..], &wide].concat());
        losses(&arg(run))
    });
    assert!(difference_of_losses(&exact, &rounded) > 0.0, "nothing was rounded");
    assert!(difference_of_losses(&exact, &rounded) < 0.02, "{exact:?} {rounded:?}");
}

fn difference_of_losses(a: &[f64], b: &[f64]) -> f64 {
    assert!(a.len() == b.len() && a.len() > 3, "{a:?} {b:?}");
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / a).fold(0.0, f64::max)
}

#[test]
fn what_has_no_large_products_is_refused_in_bf16_and_the_word_means_both() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let said =
        sarb_fails(2, &[&borrow(&quick("bce", &run))[..], &["--set", "train.precision=bf16"]].concat());
    assert!(
        said.contains("train.precision is \"bf16\", but") && said.contains("bce here has neither"),
        "{said}"
    );
    let weights = random_trunk(dir.path());
    for (asked, expected) in [("bf16", ["bf16"; 2]), ("f32", ["f32"; 2])] {
        let run = train(dir.path(), asked, &weights, &["--precision", asked]);
        let recipe = std::fs::read_to_string(Path::new(&run).join("recipe.toml")).unwrap();
        let recipe: toml::Table = recipe.parse().unwrap();
        assert_eq!(["backbone", "train"].map(|part| recipe[part]["precision"].as_str().unwrap()), expected);
    }
}
