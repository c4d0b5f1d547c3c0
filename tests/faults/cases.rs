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

/// A command that a person types again as it was.
const fn tried_again(
    name: &'static str,
    points: usize,
    prepare: fn(&Path),
    args: fn(&Path) -> Vec<String>,
    done: fn(&Path) -> PathBuf,
    result: fn(&Path) -> Vec<u8>,
) -> Case {
    Case { name, points, prepare, args, again: args, done, result }
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
    tried_again("train --force over a run", 5, linear, |dir| train(dir, &["--force"]), never, scores),
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
    tried_again("evaluate", 5, trained, evaluate, never, |dir| read(dir, "run/evaluation/test.json")),
    Case {
        name: "sweep",
        points: 4,
        prepare: plan,
        args: |dir| sweep(dir, &[]),
        again: |dir| sweep(dir, &["--retry-failed"]),
        done: never,
        result: |dir| [cell(dir, 50), cell(dir, 90)].concat(),
    },
    tried_again(
        "report of a sweep",
        3,
        |dir| {
            plan(dir);
            sarb_ok(&borrow(&sweep(dir, &[])));
        },
        |dir| report(dir, "sweep", "tables"),
        never,
        |dir| [read(dir, "tables/main.csv"), read(dir, "tables/report.html")].concat(),
    ),
    tried_again(
        "report of a run",
        2,
        |dir| {
            trained(dir);
            sarb_ok(&borrow(&evaluate(dir)));
        },
        |dir| report(dir, "run", "page.html"),
        |dir| dir.join("page.html"),
        |dir| read(dir, "page.html"),
    ),
    tried_again(
        "predict --out FILE.csv",
        2,
        linear,
        |dir| predict(dir, "scores.csv"),
        |dir| dir.join("scores.csv"),
        |dir| read(dir, "scores.csv"),
    ),
    tried_again(
        "predict --out FILE.parquet",
        2,
        linear,
        |dir| predict(dir, "scores.parquet"),
        |dir| dir.join("scores.parquet"),
        |dir| read(dir, "scores.parquet"),
    ),
    tried_again(
        "predict --format label-studio",
        1,
        on_images,
        |dir| predict_images(dir, "label-studio", "tasks.json"),
        |dir| dir.join("tasks.json"),
        |dir| read(dir, "tasks.json"),
    ),
    tried_again(
        "predict --format cvat",
        1,
        on_images,
        |dir| predict_images(dir, "cvat", "tags.xml"),
        |dir| dir.join("tags.xml"),
        |dir| read(dir, "tags.xml"),
    ),
    tried_again(
        "predict --format fiftyone",
        1,
        on_images,
        |dir| predict_images(dir, "fiftyone", "samples.json"),
        |dir| dir.join("samples.json"),
        |dir| read(dir, "samples.json"),
    ),
    tried_again(
        "predict --format coco",
        1,
        on_images,
        |dir| predict_images(dir, "coco", "instances.json"),
        |dir| dir.join("instances.json"),
        |dir| read(dir, "instances.json"),
    ),
    tried_again(
        "predict --format npy",
        1,
        on_images,
        |dir| predict_images(dir, "npy", "scores.npy"),
        |dir| dir.join("scores.npy"),
        |dir| read(dir, "scores.npy"),
    ),
    tried_again(
        "export --to onnx",
        2,
        on_images,
        |dir| export(dir, "onnx", "run.onnx"),
        |dir| dir.join("run.onnx"),
        |dir| read(dir, "run.onnx"),
    ),
    tried_again(
        "export --to hub",
        2,
        on_images,
        |dir| export(dir, "hub", "hub"),
        |dir| dir.join("hub"),
        |dir| ["model.safetensors", "config.json"].map(|file| read(dir, &format!("hub/{file}"))).concat(),
    ),
    tried_again(
        "labels next",
        3,
        linear,
        next,
        |dir| dir.join("questions.csv"),
        |dir| read(dir, "questions.csv"),
    ),
    tried_again(
        "labels fill",
        4,
        linear,
        fill,
        |dir| dir.join("filled.csv"),
        |dir| [read(dir, "filled.csv"), read(dir, "filled.filled.csv")].concat(),
    ),
    tried_again("data hide", 4, |_| {}, hide, |dir| dir.join("out"), |dir| read(dir, "out/train.csv")),
    tried_again(
        "data split",
        4,
        |_| {},
        split,
        |dir| dir.join("out"),
        |dir| ["train", "val", "test"].map(|part| read(dir, &format!("out/{part}.csv"))).concat(),
    ),
    tried_again(
        "data convert --to voc",
        5,
        |_| {},
        |dir| convert(dir, "voc", "out"),
        |dir| dir.join("out"),
        |dir| read(dir, "out/ImageSets/Main/trainval.txt"),
    ),
    tried_again(
        "data convert --to coco",
        2,
        |_| {},
        |dir| convert(dir, "coco", "instances.json"),
        |dir| dir.join("instances.json"),
        |dir| read(dir, "instances.json"),
    ),
    tried_again(
        "data convert --to webdataset",
        3,
        |_| {},
        |dir| convert(dir, "webdataset", "train.tar"),
        |dir| dir.join("train.tar"),
        |dir| read(dir, "train.tar"),
    ),
    tried_again(
        "data convert --to parquet",
        2,
        |_| {},
        |dir| convert(dir, "parquet", "train.parquet"),
        |dir| dir.join("train.parquet"),
        |dir| read(dir, "train.parquet"),
    ),
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
