//! A checkpoint in the layout of the official code as a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use crate::support::{arg, sarb_fails, sarb_ok};

/// The side of the fixture's images.
const SIDE: u32 = 32;

/// Tensors by name: shape and values.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// What tests/fixtures/make_official.py made: the checkpoint, by its closed form, and PyTorch's logits of two images.
fn official() -> (Tensors, Vec<f32>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/official.safetensors");
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| data.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    let logits: Vec<f32> = floats(file.tensor("logits").unwrap().data());
    let shapes: BTreeMap<String, Vec<usize>> = file
        .iter()
        .filter_map(|(name, view)| {
            let shape = view.data().as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as usize);
            name.strip_prefix("shape.").map(|name| (name.to_owned(), shape.collect()))
        })
        .collect();
    let tensors = shapes.into_iter().enumerate().map(|(number, (name, shape))| {
        let (shift, scale) = match shape.len() {
            _ if name.ends_with("running_var") => (1.0, 0.5),
            2.. => (0.0, (2.0 / shape[1..].iter().product::<usize>() as f64).sqrt()),
            _ if name.ends_with("weight") => (1.0, 0.1),
            _ => (0.0, 0.1),
        };
        let value = |index: usize| (shift + scale * (0.37 * index as f64 + number as f64).sin()) as f32;
        let values = (0..shape.iter().product()).map(value).collect();
        (name, (shape, values))
    });
    (consistent(tensors.collect()), logits)
}

/// The graph is there four times.
fn consistent(mut tensors: Tensors) -> Tensors {
    let (shape, graph) = tensors["inMatrix"].clone();
    let (count, graph) = (shape[0], graph.into_iter().map(f32::abs).collect::<Vec<_>>());
    let turned: Vec<f32> = (0..count * count).map(|at| graph[at % count * count + at / count]).collect();
    for place in ["", "GraphNeuralNetwork."] {
        tensors.insert(format!("{place}inMatrix"), (shape.clone(), graph.clone()));
        tensors.insert(format!("{place}outMatrix"), (shape.clone(), turned.clone()));
    }
    tensors
}

/// Writes a checkpoint whose names have a prefix, as those of several GPUs do.
fn write(tensors: &Tensors, dir: &Path) -> String {
    let path = dir.join("checkpoint.safetensors");
    let bytes: Vec<(String, &[usize], Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            (format!("module.{name}"), &shape[..], bytes)
        })
        .collect();
    let views = bytes.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap())
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    arg(path)
}

/// The fixture's images.
fn images(dir: &Path) -> Vec<PathBuf> {
    let pixel = |index: u32, image: u32| ((7 * index * index + 31 * image) % 256) as u8;
    let draw = |image: u32| {
        let path = dir.join(format!("{image}.png"));
        image::RgbImage::from_fn(SIDE, SIDE, |x, y| {
            image::Rgb(std::array::from_fn(|color| pixel((y * SIDE + x) * 3 + color as u32, image)))
        })
        .save(&path)
        .unwrap();
        path
    };
    (0..2).map(draw).collect()
}

/// Arguments that import a checkpoint of the fixture's sizes.
fn import<'a>(checkpoint: &'a str, names: &'a str, run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let sets =
        ["data.size_px=32", "backbone.name=resnet-small", "method.network.dim=6", "method.network.joint=5"];
    let args = ["weights", "import", checkpoint, "-o", run, "--categories", names];
    args.into_iter().chain(sets.iter().flat_map(|set| ["--set", *set])).chain(more.iter().copied()).collect()
}

fn names(dir: &Path, names: &[&str]) -> String {
    let path = dir.join("names.txt");
    std::fs::write(&path, names.join("\n")).unwrap();
    arg(path)
}

const NAMES: [&str; 4] = ["cat", "dog", "sofa", "tree"];

#[test]
fn an_imported_checkpoint_says_what_pytorch_says() {
    let dir = tempfile::tempdir().unwrap();
    let (tensors, logits) = official();
    let (checkpoint, categories) = (write(&tensors, dir.path()), names(dir.path(), &NAMES));
    let images = images(dir.path());
    for method in ["sarb", "ssgrl", "hst", "sst"] {
        let run = arg(dir.path().join(method));
        sarb_ok(&import(&checkpoint, &categories, &run, &["--method", method]));
        let mut args = vec!["predict", &run, "--format", "jsonl"];
        args.extend(images.iter().map(|image| image.to_str().unwrap()));
        let said = sarb_ok(&args);
        let largest = logits.iter().fold(0.0, |most: f32, logit| most.max(logit.abs()));
        for (line, expected) in said.lines().zip(logits.chunks_exact(NAMES.len())) {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            for label in line["labels"].as_array().unwrap() {
                let at = NAMES.iter().position(|name| label["name"] == **name).unwrap();
                let apart = (label["logit"].as_f64().unwrap() as f32 - expected[at]).abs();
                // 32-bit sums in another order.
                assert!(apart <= 1e-4 * largest, "{method}, {}: off by {apart} of {largest}", NAMES[at]);
            }
        }
        assert_eq!(said.lines().count(), 2);
    }
    // What was learned beside the network comes along, and what is exported is what was imported.
    let folder = arg(dir.path().join("hub"));
    sarb_ok(&["export", &arg(dir.path().join("sarb")), "--to", "hub", "-o", &folder]);
    let bytes = std::fs::read(Path::new(&folder).join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for (name, (shape, values)) in &tensors {
        // Biases that change no score are 0 in a run, and α and β are no part of the network.
        let without_effect = ["alpha", "beta", "SemanticDecoupling.fc3.bias", "SemanticDecoupling.fc4.bias"];
        if without_effect.contains(&name.as_str()) {
            continue;
        }
        let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(view.shape() == shape && view.data() == bytes, "{name}");
        compared += 1;
    }
    assert_eq!(compared, tensors.len() - 4);
}

#[test]
fn what_is_not_such_a_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (tensors, _) = official();
    let run = arg(dir.path().join("run"));
    let categories = names(dir.path(), &NAMES);
    let checkpoint = write(&tensors, dir.path());
    let message = sarb_fails(2, &import(&checkpoint, &categories, &run, &["--set", "backbone.freeze=all"]));
    assert!(message.contains("the backbone is in the checkpoint"), "{message}");
    let wide = ["--set", "method.network.dim=8"];
    let message = sarb_fails(7, &import(&checkpoint, &categories, &run, &wide));
    assert!(
        message.contains("does not fit sarb on resnet-small") && message.contains("[8, 128, 1, 1]"),
        "{message}"
    );

    let fewer = names(dir.path(), &NAMES[..3]);
    let message = sarb_fails(3, &import(&checkpoint, &fewer, &run, &[]));
    assert!(message.contains("words of 4 categories") && message.contains("3 names are given"), "{message}");
    let twice = names(dir.path(), &["cat", "cat"]);
    assert!(sarb_fails(3, &import(&checkpoint, &twice, &run, &[])).contains("\"cat\" is there twice"));

    let categories = names(dir.path(), &NAMES);
    let mut other = tensors.clone();
    other.get_mut("outMatrix").unwrap().1[1] += 0.5;
    let message = sarb_fails(7, &import(&write(&other, dir.path()), &categories, &run, &[]));
    assert!(message.contains("outMatrix is not inMatrix transposed"), "{message}");
    let mut other = tensors.clone();
    other.get_mut("inMatrix").unwrap().1[1] = 1.5;
    let message = sarb_fails(3, &import(&write(&other, dir.path()), &categories, &run, &[]));
    assert!(message.contains("inMatrix holds 1.5; expected proportions"), "{message}");
    let mut other = tensors.clone();
    other.remove("fc.weight");
    let message = sarb_fails(7, &import(&write(&other, dir.path()), &categories, &run, &[]));
    assert!(message.contains("missing tensors: 1 (fc.weight)"), "{message}");
    let mut other = tensors;
    other.remove("wordFeatures");
    let message = sarb_fails(7, &import(&write(&other, dir.path()), &categories, &run, &[]));
    assert!(message.contains("has no wordFeatures"), "{message}");
    assert!(!Path::new(&run).exists());
}
