//! Runs in forms that other programs read.

use std::path::{Path, PathBuf};

use sarb::export::onnx::Output;
use sarb::export::verify;
use sarb::{Recognizer, Which};

use crate::support::{arg, borrow, data, quick, random_trunk, sarb, sarb_fails, sarb_ok};

/// Arguments that train a small head on the maps of a trunk.
fn on_trunk(method: &str, weights: &str, run: &Path, more: &[&str]) -> Vec<String> {
    let (data, run) = (arg(data()), arg(run));
    let args = ["train", "--method", method, "--data", &data, "--out", &run, "--weights", weights];
    let sets =
        ["data.size_px=32", "backbone.name=resnet-small", "backbone.freeze=all", "backbone.pool=false"];
    let sets = sets.iter().chain(more).flat_map(|set| ["--set", set]);
    args.into_iter().chain(sets).map(String::from).collect()
}

const SMALL: [&str; 4] =
    ["train.epochs=1", "method.network.dim=12", "method.network.joint=6", "data.known=0.5"];

/// Exports a run as ONNX with `--verify`; says what stderr says.
fn export(run: &Path, file: &Path, more: &[&str]) -> String {
    let args = ["export", &arg(run), "--to", "onnx", "-o", &arg(file), "--verify"].map(String::from);
    let args: Vec<&str> = args.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let output = sarb(&args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), arg(file));
    stderr
}

#[test]
fn a_run_becomes_a_network_that_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (run, file) = (dir.path().join("sarb"), dir.path().join("sarb.onnx"));
    sarb_ok(&borrow(&on_trunk("sarb", &random_trunk(dir.path()), &run, &SMALL)));
    let said = export(&run, &file, &["--outputs", "probabilities,logits,attention"]);
    assert!(said.contains("image [N, 3, 32, 32]") && said.contains("of 12 categories"), "{said}");
    assert!(said.contains("verified on 12 images") && said.contains("attention"), "{said}");
    let message = sarb_fails(2, &["export", &arg(&run), "--to", "onnx", "-o", &arg(&file)]);
    assert!(message.contains("add --force"), "{message}");
    let bytes = std::fs::read(&file).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    for part in ["Image.NominalPixelRange", "Normalized_0_1", "imgsz", "[32,32]", "sarb.checkpoint", "IMAGE"]
    {
        assert!(text.contains(part), "{part}");
    }
    // Without images there is nothing to compare on.
    let message = sarb_fails(
        4,
        &["export", &arg(&run), "--to", "onnx", "-o", &arg(&file), "--force", "--verify", "--data", "gone"],
    );
    assert!(message.contains("--data DIR names another"), "{message}");
}

#[test]
fn a_trained_backbone_is_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (run, file) = (dir.path().join("run"), dir.path().join("files/run.onnx"));
    let more = ["backbone.freeze=trunk", "backbone.pool=true", "train.epochs=1"];
    sarb_ok(&borrow(&on_trunk("bce", &random_trunk(dir.path()), &run, &more)));
    assert!(export(&run, &file, &["--checkpoint", "last"]).contains("probabilities"));
}

#[test]
fn calibration_and_thresholds_go_with_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let (run, [plain, calibrated]) = (
        dir.path().join("run"),
        ["plain", "calibrated"].map(|name| dir.path().join(name).with_extension("onnx")),
    );
    sarb_ok(&borrow(&on_trunk("linear", &random_trunk(dir.path()), &run, &["data.known=0.5"])));
    export(&run, &plain, &[]);
    export(&run, &calibrated, &["--decide", "f1"]);
    let text = |file: &Path| String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    assert!(text(&plain).contains("[0.5,0.5,0.5") && !text(&plain).contains("calibration.slope"));
    assert!(!text(&calibrated).contains("[0.5,0.5,0.5") && text(&calibrated).contains("calibration.slope"));

    // The calibrated file is not what the run says without its calibration.
    let recognizer = Recognizer::open(&run, Which::Best, &sarb::device::open("cpu").unwrap()).unwrap();
    let images: Vec<PathBuf> = sarb::labels::dataset::open_split(data(), sarb::labels::Split::Test)
        .unwrap()
        .images
        .into_iter()
        .take(3)
        .collect();
    let compare = |file: &Path| {
        let found = verify::compare(file, &recognizer, &[Output::Probabilities], None, &images).unwrap();
        verify::check(file, &found)
    };
    compare(&plain).unwrap();
    let error = compare(&calibrated).unwrap_err();
    assert_eq!(error.exit_code(), 6);
    assert!(error.to_string().contains("off are probabilities by"), "{error}");
}

#[test]
fn descriptors_of_several_sizes_and_mirror_images_are_one_graph() {
    let dir = tempfile::tempdir().unwrap();
    let (run, file) = (dir.path().join("run"), dir.path().join("run.onnx"));
    let more = [
        "data.size_px=40",
        "backbone.descriptor.sizes_px=[32, 40]",
        "backbone.descriptor.blocks=['mean', 'strongest']",
        "method.penalty=fixed",
    ];
    sarb_ok(&borrow(&on_trunk("linear", &random_trunk(dir.path()), &run, &more)));
    export(&run, &file, &["--outputs", "probabilities,logits"]);
    // Four passes of the backbone, and one copy of its weights.
    let weights = std::fs::metadata(run.join("backbone.safetensors")).unwrap().len();
    assert!(std::fs::metadata(&file).unwrap().len() < weights + weights / 2);
    let attention =
        ["export", &arg(&run), "--to", "onnx", "-o", &arg(&file), "--force", "--outputs", "attention"];
    let message = sarb_fails(2, &attention);
    assert!(message.contains("no places to show"), "{message}");
}

#[test]
fn what_cannot_be_one_network_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (run, file) = (dir.path().join("run"), arg(dir.path().join("run.onnx")));
    sarb_ok(&borrow(&quick("linear", &run)));
    let message = sarb_fails(2, &["export", &arg(&run), "--to", "onnx", "-o", &file]);
    assert!(message.contains("--features") && message.contains("no network from images"), "{message}");

    let network = dir.path().join("network");
    let patches = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/onnx/patches.onnx");
    let mut args = ["train", "--method", "linear", "--data", &arg(data()), "--out", &arg(&network)]
        .map(String::from)
        .to_vec();
    for set in
        [format!("backbone.onnx={}", arg(&patches)), "backbone.output=map".into(), "data.size_px=32".into()]
    {
        args.extend(["--set".into(), set]);
    }
    sarb_ok(&borrow(&args));
    let message = sarb_fails(2, &["export", &arg(&network), "--to", "onnx", "-o", &file]);
    assert!(message.contains("patches.onnx") && message.contains("does not keep"), "{message}");
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_folder_for_a_hub_says_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (run, folder) = (dir.path().join("sarb"), dir.path().join("hub"));
    sarb_ok(&borrow(&on_trunk("sarb", &random_trunk(dir.path()), &run, &SMALL)));
    let args = ["export", &arg(&run), "--to", "hub", "-o", &arg(&folder)];
    assert_eq!(sarb_ok(&args).trim(), arg(&folder));
    assert!(std::fs::read_to_string(folder.join("README.md")).unwrap().contains("Nothing was measured"));
    assert!(sarb_fails(2, &args).contains("add --force"));
    sarb_ok(&["evaluate", &arg(&run)]);
    sarb_ok(&[&args[..], &["--force"]].concat());

    let card = std::fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(card.starts_with("---\npipeline_tag: image-classification\n"), "{card}");
    for part in ["# sarb on resnet-small: 12 categories", "| test | 24 |", "43 training images", "## Limits"]
    {
        assert!(card.contains(part), "{part} in {card}");
    }
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["architecture"], "resnet-small");
    assert_eq!((&config["num_classes"], &config["num_features"]), (&12.into(), &128.into()));
    assert_eq!(config["label_names"].as_array().unwrap().len(), 12);
    assert_eq!(config["pretrained_cfg"]["input_size"], serde_json::json!([3, 32, 32]));
    assert_eq!(config["sarb"]["head"]["kind"], "ssgrl");
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape) in [
        ("backbone.conv1.weight", &[32, 3, 3, 3][..]),
        ("changeChannel.0.weight", &[12, 128, 1, 1]),
        ("SemanticDecoupling.fc4.weight", &[1, 6]),
        ("GraphNeuralNetwork.fc_1_w.weight", &[12, 24]),
        ("classifiers.weight", &[12, 12]),
    ] {
        assert_eq!(file.tensor(name).unwrap().shape(), shape, "{name}");
    }
    // The weights of the backbone are weights for other runs.
    let inspected = sarb_ok(&["weights", "inspect", &arg(folder.join("model.safetensors"))]);
    assert!(inspected.contains("backbone  resnet-small"), "{inspected}");
    let message = sarb_fails(2, &[&args[..], &["--force", "--verify"]].concat());
    assert!(message.contains("are for --to onnx"), "{message}");
}

#[test]
fn what_a_hub_has_no_form_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (run, folder) = (dir.path().join("run"), arg(dir.path().join("hub")));
    let more =
        ["backbone.descriptor.sizes_px=[32]", "backbone.descriptor.blocks=['mean']", "method.penalty=fixed"];
    sarb_ok(&borrow(&on_trunk("linear", &random_trunk(dir.path()), &run, &more)));
    let message = sarb_fails(2, &["export", &arg(&run), "--to", "hub", "-o", &folder]);
    assert!(message.contains("is on descriptors") && message.contains("--to onnx"), "{message}");
    let features = dir.path().join("features");
    sarb_ok(&borrow(&quick("linear", &features)));
    let message = sarb_fails(2, &["export", &arg(&features), "--to", "hub", "-o", &folder]);
    assert!(message.contains("nothing in it reads images") && !Path::new(&folder).exists(), "{message}");
}
