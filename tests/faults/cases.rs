//! The commands whose every call is tried.

use std::path::{Path, PathBuf};

use crate::frozen::on_frozen_trunk;
use crate::support::{arg, borrow, copy, data, features, quick, random_trunk, sarb_ok, train_on_images};

/// A command in a folder of its own.
pub struct Case {
    pub name: &'static str,
    /// How many of its calls are tried where not all are.
    pub points: usize,
    /// What is in the folder before.
    pub prepare: fn(&Path),
    /// The command.
    pub args: fn(&Path) -> Vec<String>,
    /// What a person types after it failed, if `done` is not there.
    pub again: fn(&Path) -> Vec<String>,
    /// What is there once it has come to its end.
    pub done: fn(&Path) -> PathBuf,
    /// What it is for.
    pub result: fn(&Path) -> Vec<u8>,
}

pub const CASES: [Case; 25] = [
    Case {
        name: "train",
        points: 6,
        prepare: |_| {},
        args: |dir| train(dir, &[]),
        again: |dir| train(dir, &["--resume"]),
        done: never,
        result: scores,
    },
    Case {
        name: "train --force over a run",
        points: 5,
        prepare: linear,
        args: |dir| train(dir, &["--force"]),
        again: |dir| train(dir, &["--force"]),
        done: never,
        result: scores,
    },
    Case {
        name: "train on maps that are cached",
        points: 5,
        prepare: |dir| drop(random_trunk(dir)),
        args: |dir| cached(dir, &[]),
        again: |dir| cached(dir, &["--resume"]),
        done: never,
        result: scores_and_maps,
    },
    Case {
        name: "train --track, with nobody there",
        points: 3,
        prepare: |_| {},
        args: |dir| train(dir, &NOBODY),
        again: |dir| train(dir, &["--resume", NOBODY[0], NOBODY[1]]),
        done: never,
        result: scores,
    },
    Case {
        name: "evaluate",
        points: 5,
        prepare: trained,
        args: evaluate,
        again: evaluate,
        done: never,
        result: |dir| read(dir, "run/evaluation/test.json"),
    },
    Case {
        name: "sweep",
        points: 4,
        prepare: plan,
        args: |dir| sweep(dir, &[]),
        again: |dir| sweep(dir, &["--retry-failed"]),
        done: never,
        result: |dir| [cell(dir, 50), cell(dir, 90)].concat(),
    },
    Case {
        name: "report of a sweep",
        points: 3,
        prepare: |dir| {
            plan(dir);
            sarb_ok(&borrow(&sweep(dir, &[])));
        },
        args: |dir| report(dir, "sweep", "tables"),
        again: |dir| report(dir, "sweep", "tables"),
        done: never,
        result: |dir| [read(dir, "tables/main.csv"), read(dir, "tables/report.html")].concat(),
    },
    Case {
        name: "report of a run",
        points: 2,
        prepare: |dir| {
            trained(dir);
            sarb_ok(&borrow(&evaluate(dir)));
        },
        args: |dir| report(dir, "run", "page.html"),
        again: |dir| report(dir, "run", "page.html"),
        done: |dir| dir.join("page.html"),
        result: |dir| read(dir, "page.html"),
    },
    Case {
        name: "predict --out FILE.csv",
        points: 2,
        prepare: linear,
        args: |dir| predict(dir, "scores.csv"),
        again: |dir| predict(dir, "scores.csv"),
        done: |dir| dir.join("scores.csv"),
        result: |dir| read(dir, "scores.csv"),
    },
    Case {
        name: "predict --out FILE.parquet",
        points: 2,
        prepare: linear,
        args: |dir| predict(dir, "scores.parquet"),
        again: |dir| predict(dir, "scores.parquet"),
        done: |dir| dir.join("scores.parquet"),
        result: |dir| read(dir, "scores.parquet"),
    },
    Case {
        name: "predict --format label-studio",
        points: 1,
        prepare: on_images,
        args: |dir| predict_images(dir, "label-studio", "tasks.json"),
        again: |dir| predict_images(dir, "label-studio", "tasks.json"),
        done: |dir| dir.join("tasks.json"),
        result: |dir| read(dir, "tasks.json"),
    },
    Case {
        name: "predict --format cvat",
        points: 1,
        prepare: on_images,
        args: |dir| predict_images(dir, "cvat", "tags.xml"),
        again: |dir| predict_images(dir, "cvat", "tags.xml"),
        done: |dir| dir.join("tags.xml"),
        result: |dir| read(dir, "tags.xml"),
    },
    Case {
        name: "predict --format fiftyone",
        points: 1,
        prepare: on_images,
        args: |dir| predict_images(dir, "fiftyone", "samples.json"),
        again: |dir| predict_images(dir, "fiftyone", "samples.json"),
        done: |dir| dir.join("samples.json"),
        result: |dir| read(dir, "samples.json"),
    },
    Case {
        name: "predict --format coco",
        points: 1,
        prepare: on_images,
        args: |dir| predict_images(dir, "coco", "instances.json"),
        again: |dir| predict_images(dir, "coco", "instances.json"),
        done: |dir| dir.join("instances.json"),
        result: |dir| read(dir, "instances.json"),
    },
    Case {
        name: "predict --format npy",
        points: 1,
        prepare: on_images,
        args: |dir| predict_images(dir, "npy", "scores.npy"),
        again: |dir| predict_images(dir, "npy", "scores.npy"),
        done: |dir| dir.join("scores.npy"),
        result: |dir| read(dir, "scores.npy"),
    },
    Case {
        name: "export --to onnx",
        points: 2,
        prepare: on_images,
        args: |dir| export(dir, "onnx", "run.onnx"),
        again: |dir| export(dir, "onnx", "run.onnx"),
        done: |dir| dir.join("run.onnx"),
        result: |dir| read(dir, "run.onnx"),
    },
    Case {
        name: "export --to hub",
        points: 2,
        prepare: on_images,
        args: |dir| export(dir, "hub", "hub"),
        again: |dir| export(dir, "hub", "hub"),
        done: |dir| dir.join("hub"),
        result: |dir| {
            ["model.safetensors", "config.json"].map(|file| read(dir, &format!("hub/{file}"))).concat()
        },
    },
    Case {
        name: "labels next",
        points: 3,
        prepare: linear,
        args: next,
        again: next,
        done: |dir| dir.join("questions.csv"),
        result: |dir| read(dir, "questions.csv"),
    },
    Case {
        name: "labels fill",
        points: 4,
        prepare: linear,
        args: fill,
        again: fill,
        done: |dir| dir.join("filled.csv"),
        result: |dir| [read(dir, "filled.csv"), read(dir, "filled.filled.csv")].concat(),
    },
    Case {
        name: "data hide",
        points: 4,
        prepare: |_| {},
        args: hide,
        again: hide,
        done: |dir| dir.join("out"),
        result: |dir| read(dir, "out/train.csv"),
    },
    Case {
        name: "data split",
        points: 4,
        prepare: |_| {},
        args: split,
        again: split,
        done: |dir| dir.join("out"),
        result: |dir| ["train", "val", "test"].map(|part| read(dir, &format!("out/{part}.csv"))).concat(),
    },
    Case {
        name: "data convert --to voc",
        points: 5,
        prepare: |_| {},
        args: |dir| convert(dir, "voc", "out"),
        again: |dir| convert(dir, "voc", "out"),
        done: |dir| dir.join("out"),
        result: |dir| read(dir, "out/ImageSets/Main/trainval.txt"),
    },
    Case {
        name: "data convert --to coco",
        points: 2,
        prepare: |_| {},
        args: |dir| convert(dir, "coco", "instances.json"),
        again: |dir| convert(dir, "coco", "instances.json"),
        done: |dir| dir.join("instances.json"),
        result: |dir| read(dir, "instances.json"),
    },
    Case {
        name: "data convert --to webdataset",
        points: 3,
        prepare: |_| {},
        args: |dir| convert(dir, "webdataset", "train.tar"),
        again: |dir| convert(dir, "webdataset", "train.tar"),
        done: |dir| dir.join("train.tar"),
        result: |dir| read(dir, "train.tar"),
    },
    Case {
        name: "data convert --to parquet",
        points: 2,
        prepare: |_| {},
        args: |dir| convert(dir, "parquet", "train.parquet"),
        again: |dir| convert(dir, "parquet", "train.parquet"),
        done: |dir| dir.join("train.parquet"),
        result: |dir| read(dir, "train.parquet"),
    },
];

/// A tracking server at a port where nothing listens.
const NOBODY: [&str; 2] = ["--track", "mlflow=http://127.0.0.1:9"];

fn run_of(dir: &Path) -> PathBuf {
    dir.join("run")
}

fn never(dir: &Path) -> PathBuf {
    dir.join("never")
}

fn read(dir: &Path, part: &str) -> Vec<u8> {
    std::fs::read(dir.join(part)).unwrap_or_else(|error| panic!("{part}: {error}"))
}

fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(String::from).to_vec()
}

fn scores(dir: &Path) -> Vec<u8> {
    sarb_ok(&borrow(&evaluate(dir)));
    read(dir, "run/evaluation/scores.npy")
}

fn train(dir: &Path, more: &[&str]) -> Vec<String> {
    [
        quick("bce", &run_of(dir)),
        words(["--set", "train.epochs=2"]),
        more.iter().map(|it| (*it).into()).collect(),
    ]
    .concat()
}

fn trained(dir: &Path) {
    sarb_ok(&borrow(&train(dir, &[])));
}

fn linear(dir: &Path) {
    sarb_ok(&borrow(&quick("linear", &run_of(dir))));
}

/// A run on images, and images beside it, where tasks of Label Studio must lie.
fn on_images(dir: &Path) {
    train_on_images(&run_of(dir));
    copy(&data().join("images"), &dir.join("images"));
}

/// Trains on the maps of a frozen backbone, of which the cache in the folder has none yet.
fn cached(dir: &Path, more: &[&str]) -> Vec<String> {
    let (weights, cache) = (arg(dir.join("trunk.safetensors")), arg(dir.join("cache")));
    let mut args =
        on_frozen_trunk("bce", &weights, &arg(run_of(dir)), &["backbone.views=1", "train.epochs=1"]);
    // A setting of other methods.
    let place = args.iter().position(|arg| arg == "method.network.dim=16").unwrap();
    args.drain(place - 1..place + 3);
    args.extend(words(["--cache", &cache]));
    args.extend(more.iter().map(|more| (*more).to_owned()));
    args
}

fn scores_and_maps(dir: &Path) -> Vec<u8> {
    let cache = dir.join("cache");
    sarb_ok(&["evaluate", &arg(run_of(dir)), "--cache", &arg(&cache)]);
    let stores = sarb::Cache::in_folder(&cache).stores().unwrap();
    let maps: Vec<String> = stores.iter().map(|store| store.maps.to_string()).collect();
    [read(dir, "run/evaluation/scores.npy"), maps.join(",").into_bytes()].concat()
}

fn evaluate(dir: &Path) -> Vec<String> {
    words(["evaluate", &arg(run_of(dir)), "--features", &arg(features().join("test.npy"))])
}

/// The plan of a sweep of two cells.
fn plan(dir: &Path) {
    std::fs::write(dir.join("linear.toml"), "[method]\nname = 'linear'\n").unwrap();
    let row = "[[row]]\nname = 'linear'\nrecipe = 'linear.toml'\n";
    std::fs::write(dir.join("plan.toml"), format!("known = [0.5, 0.9]\n{row}")).unwrap();
}

fn sweep(dir: &Path, more: &[&str]) -> Vec<String> {
    let (plan, out) = (arg(dir.join("plan.toml")), arg(dir.join("sweep")));
    let [train, test] = ["train.npy", "test.npy"].map(|name| arg(features().join(name)));
    let args = ["sweep", &plan, "--data", &arg(data()), "--out", &out, "--features", &train];
    [words(args), words(["--test-features", &test]), more.iter().map(|it| (*it).into()).collect()].concat()
}

fn cell(dir: &Path, known: usize) -> Vec<u8> {
    read(dir, &format!("sweep/runs/linear/known-{known}/seed-0/evaluation/scores.npy"))
}

fn report(dir: &Path, of: &str, out: &str) -> Vec<String> {
    words(["report", &arg(dir.join(of)), "--bootstrap", "20", "-o", &arg(dir.join(out))])
}

fn predict(dir: &Path, out: &str) -> Vec<String> {
    let test = arg(features().join("test.npy"));
    words(["predict", &arg(run_of(dir)), "--features", &test, "--out", &arg(dir.join(out))])
}

fn predict_images(dir: &Path, format: &str, out: &str) -> Vec<String> {
    let (images, out) = (arg(dir.join("images")), arg(dir.join(out)));
    words(["predict", &arg(run_of(dir)), &images, "--format", format, "--out", &out])
}

fn export(dir: &Path, to: &str, out: &str) -> Vec<String> {
    words(["export", &arg(run_of(dir)), "--to", to, "--out", &arg(dir.join(out))])
}

fn next(dir: &Path) -> Vec<String> {
    words(["labels", "next", &arg(run_of(dir)), "--budget", "9", "--out", &arg(dir.join("questions.csv"))])
}

fn fill(dir: &Path) -> Vec<String> {
    let out = arg(dir.join("filled.csv"));
    words(["labels", "fill", &arg(run_of(dir)), "--precision", "0.6", "--out", &out])
}

fn hide(dir: &Path) -> Vec<String> {
    words(["data", "hide", &arg(data()), "--known", "0.5", "--out", &arg(dir.join("out"))])
}

fn split(dir: &Path) -> Vec<String> {
    words(["data", "split", &arg(data()), "--val", "0.25", "--out", &arg(dir.join("out"))])
}

fn convert(dir: &Path, to: &str, out: &str) -> Vec<String> {
    words(["data", "convert", &arg(data().join("train.csv")), "--to", to, "--out", &arg(dir.join(out))])
}
