//! A generated data set, and `sarb` as a process.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// 48 + 24 generated images of 32 px, made once; tests only read it.
pub fn data() -> &'static Path {
    static DATA: OnceLock<tempfile::TempDir> = OnceLock::new();
    DATA.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        sarb::synthetic::generate(dir.path(), 48, 24, 32, 7).unwrap();
        dir
    })
    .path()
}

/// A copy of the generated data whose files a test may change.
pub fn data_copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(data(), dir.path());
    dir
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => std::fs::copy(entry.path(), target).map(|_| ()).unwrap(),
        }
    }
}

/// Features [N, 24, 3, 3] of the generated images that carry their labels, with noise: heads learn
/// from them in a second.
pub fn features() -> &'static Path {
    static FEATURES: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = FEATURES.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        for split in ["train", "test"] {
            write_features(&data().join(format!("{split}.csv")), &dir.path().join(format!("{split}.npy")));
        }
        dir
    });
    dir.path()
}

/// Writes such features of the images of a label file.
pub fn write_features(labels: &Path, path: &Path) {
    let labels = sarb_labels::formats::csv::read(labels).unwrap().labels;
    let (f, positions) = (24, 9);
    let mut values = Vec::new();
    for row in 0..labels.images() {
        for channel in 0..f {
            for position in 0..positions {
                let noise = ((row * 7919 + channel * 104_729 + position * 1299) % 1000) as f32 / 1000.0 - 0.5;
                let here = channel < labels.categories()
                    && labels.get(row, channel) == sarb_labels::Label::Positive
                    && position == (row + channel) % positions;
                values.push(noise + if here { 3.0 } else { 0.0 });
            }
        }
    }
    sarb_labels::arrays::npy::write(path, &values, &[labels.images(), f, 3, 3]).unwrap();
}

/// The file of a backbone that nobody trained, the same one at every call: Burn's generator belongs to
/// the process, and tests that run beside each other draw from it.
pub fn random_trunk(dir: &Path) -> String {
    static TRUNK: OnceLock<Vec<u8>> = OnceLock::new();
    let path = dir.join("trunk.safetensors");
    let trunk = TRUNK.get_or_init(|| {
        let device = burn::tensor::Device::flex();
        device.seed(1);
        sarb::internals::Backbone::new(sarb::internals::BackboneName::ResnetSmall, &device)
            .save(&path)
            .unwrap();
        std::fs::read(&path).unwrap()
    });
    std::fs::write(&path, trunk).unwrap();
    arg(path)
}

/// Replaces text in a file that a run wrote, and takes its seal out, as a person does who means it.
pub fn change(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from:?} in {text}");
    let text = text.replace(from, to);
    let changed = match text.rfind(",\n  \"seal\"") {
        Some(at) => format!("{}\n}}\n", &text[..at]),
        None => text[..text.rfind("# seal").unwrap_or(text.len())].to_owned(),
    };
    std::fs::write(path, changed).unwrap();
}

/// Runs `sarb` with a cache of its own.
pub fn sarb(args: &[&str]) -> Output {
    command(args).output().unwrap()
}

/// `sarb` with arguments, not yet started.
pub fn command(args: &[&str]) -> Command {
    static CACHE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let cache = CACHE.get_or_init(|| tempfile::tempdir().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_sarb"));
    command.args(args).env("XDG_CACHE_HOME", cache.path()).env("NO_COLOR", "1");
    command
}

/// Runs `sarb` and expects success; returns stdout.
pub fn sarb_ok(args: &[&str]) -> String {
    let output = sarb(args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "sarb {args:?} ended with {:?}:\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `sarb` and expects this exit code; returns stderr, which never shows a panic.
pub fn sarb_fails(code: i32, args: &[&str]) -> String {
    let output = sarb(args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "sarb {args:?}:\n{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

/// Every method that trains on features: ip-mixup needs images.
pub fn heads() -> impl Iterator<Item = &'static str> {
    sarb::METHODS.iter().copied().filter(|name| *name != "ip-mixup")
}

/// Arguments that train `method` on the generated features in about a second.
pub fn quick(method: &str, out: &Path) -> Vec<String> {
    let mut args: Vec<String> =
        ["train", "--method", method, "--known", "0.5", "--data"].map(String::from).to_vec();
    args.push(data().display().to_string());
    args.extend(["--features".into(), features().join("train.npy").display().to_string()]);
    args.extend(["--out".into(), out.display().to_string()]);
    let mut sets = vec!["train.batch_size=8", "train.learning_rate=0.003", "train.schedule=constant"];
    if method == "linear" {
        sets.push("train.epochs=0");
    } else {
        sets.push("train.epochs=4");
    }
    if ["ssgrl", "kggr", "fm-mixup", "sarb", "sst", "hst"].contains(&method) {
        sets.extend(["method.network.dim=32", "method.network.joint=16", "method.network.word_width=8"]);
    }
    match method {
        // Features have no other views.
        "sr" => sets.push("method.strong_views=false"),
        "sarb" => sets.extend([
            "method.blend_from_epoch=1",
            "method.prototype_interval=2",
            "method.prototypes_per_category=3",
        ]),
        // A low threshold, so that the few steps believe something.
        "sst" => sets.extend([
            "method.from_epoch=1",
            "method.pairs.width=8",
            "method.threshold=0.6",
            "method.threshold_min=0.5",
        ]),
        "hst" => sets.extend([
            "method.from_epoch=1",
            "method.pairs.width=8",
            "method.intra_margin=0.6",
            "method.inter_margin=0.6",
            "method.margin_learning_rate=1",
            "method.prototype_interval=2",
            "method.prototypes_per_category=3",
        ]),
        "fm-mixup" => sets.push("method.mixing.from_epoch=1"),
        "curriculum" => sets.push("method.relabel_before=[1, 3]"),
        // Focusing makes gradients small, and its lowest BCE is not its best epoch.
        "asl" => sets.extend(["train.select=last", "train.learning_rate=0.01"]),
        // Five an image would be all unknown labels.
        "csl" => sets.extend(["train.select=last", "method.left_out=1", "method.prior_epochs=1"]),
        "em" => sets.push("method.soft_negatives={share=0.9, from_epoch=1, epochs=2}"),
        "large-loss" => {
            sets.extend(["method.variant=correct-permanently", "method.delta_rel=2", "train.select=last"])
        }
        "ml-gcn" => sets.extend(["method.hidden=32", "method.word_width=8"]),
        _ => {}
    }
    for set in sets {
        args.extend(["--set".into(), set.into()]);
    }
    args
}

/// Borrows owned arguments.
pub fn borrow(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// Trains `linear` on maps of the generated images, by a backbone that nobody trained.
pub fn train_on_images(run: &Path) {
    let (data, run) = (arg(data()), arg(run));
    let mut args = vec!["train", "--method", "linear", "--data", &data, "--out", &run];
    for set in ["data.size_px=32", "backbone.name=resnet-small", "backbone.pool=false"] {
        args.extend(["--set", set]);
    }
    let dir = tempfile::tempdir().unwrap();
    let trunk = random_trunk(dir.path());
    args.extend(["--weights", &trunk]);
    sarb_ok(&args);
}

/// The test scores of a run trained by [`quick`].
pub fn test_scores(run: &Path) -> Vec<u8> {
    let features = features().join("test.npy");
    sarb_ok(&["evaluate", &run.display().to_string(), "--features", &features.display().to_string()]);
    std::fs::read(run.join("evaluation/scores.npy")).unwrap()
}

/// A path as an argument.
pub fn arg(path: impl Into<PathBuf>) -> String {
    path.into().display().to_string()
}

/// Compares what `predict` says of the generated test images, read one by one, with the scores of the evaluation,
/// which went through the cache in 16 bits; returns how many logits were compared.
pub fn compare_predictions(run: &Path) -> usize {
    let images = arg(data().join("images"));
    let jsonl = sarb_ok(&["predict", &arg(run), &images, "--format", "jsonl", "--checkpoint", "last"]);
    let scores = sarb_labels::arrays::read_matrix(&run.join("evaluation/scores.npy")).unwrap();
    let tests = sarb_labels::formats::csv::read(&data().join("test.csv")).unwrap();
    let mut compared = 0;
    for line in jsonl.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = Path::new(line["image"].as_str().unwrap()).file_name().unwrap().to_owned();
        let Some(row) = tests.images.iter().position(|path| path.file_name() == Some(&name)) else {
            continue;
        };
        for label in line["labels"].as_array().unwrap() {
            let c = tests.categories.iter().position(|c| c == label["name"].as_str().unwrap()).unwrap();
            let (predicted, evaluated) =
                (label["logit"].as_f64().unwrap() as f32, scores.values[row * scores.cols + c]);
            assert!((predicted - evaluated).abs() < 0.02, "{name:?} {c}: {predicted} or {evaluated}");
            compared += 1;
        }
    }
    compared
}
