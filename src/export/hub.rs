//! A run as a folder for a model hub: weights as safetensors under the names that PyTorch's users know, `config.json` with
//! timm's keys, a model card, and the code that loads them with PyTorch alone.
//!
//! A linear head on a ResNet is a state dict of torchvision and timm with its `fc`; every other network is one of SARB's
//! official code. Nothing is folded, so that the backbone can be trained on.

use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use sarb_labels::files::{Draft, write_atomically};
use sarb_labels::images::transform::PixelStatistics;
use serde_json::{Value, json};

use super::card;
use crate::backbone::Backbone;
use crate::decisions::thresholds::Decisions;
use crate::extractor::MapSource;
use crate::methods::Method;
use crate::methods::official::BACKBONE;
use crate::methods::torch::{MapPooling, Named, TorchHead};
use crate::recognizer::Recognizer;
use crate::run::{Run, Which};
use crate::{Error, Result};

/// What is written.
pub const FILES: [&str; 4] = ["model.safetensors", "config.json", "modeling.py", "README.md"];

/// The code that loads the folder.
const MODELING: &str = include_str!("modeling.py");

/// Writes a run's checkpoint to the folder `out`, with the calibration and thresholds of `decisions`.
///
/// # Errors
/// [`Error::Usage`] if its features are not one map of a backbone of this program; if a file cannot be read or written.
pub fn write(
    run: &Run,
    recognizer: &Recognizer,
    checkpoint: Which,
    decisions: Option<&Decisions>,
    out: &Path,
) -> Result<()> {
    let backbone = backbone(recognizer)?;
    let head = recognizer.inference().head.torch();
    let tensors = tensors(backbone, &head);
    let config = config(recognizer, backbone, &head, decisions);
    let card = card::text(run, recognizer, checkpoint, &config)?;
    // A new folder takes its place when all is in it; in one that holds something, files are replaced one by one.
    let is_new = std::fs::read_dir(out).map_or(true, |mut files| files.next().is_none());
    let draft = is_new.then(|| Draft::of(out)).transpose()?;
    let folder = draft.as_ref().map_or(out, Draft::folder);
    let contents = [safetensors(&tensors), pretty(&config), MODELING.into(), card.into_bytes()];
    for (name, bytes) in FILES.into_iter().zip(contents) {
        write_atomically(&folder.join(name), |file| file.write_all(&bytes))?;
    }
    Ok(draft.map_or(Ok(()), Draft::publish)?)
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(value).expect("plain data");
    text.push('\n');
    text.into_bytes()
}

/// The backbone of a run whose head reads its map.
fn backbone(recognizer: &Recognizer) -> Result<&Backbone> {
    match recognizer.source() {
        MapSource::Trained(backbone) => Ok(backbone),
        MapSource::Frozen(extractor) if extractor.blocks().is_some() => Err(Error::Usage(
            "this run is on descriptors, pooled blocks of several sizes and mirror images, for which hubs have no form; --to onnx writes them as one network".into(),
        )),
        MapSource::Frozen(extractor) => extractor.backbone(),
        MapSource::Given(_) => Err(Error::Usage(
            "this run was trained with --features and has no backbone: nothing in it reads images".into(),
        )),
    }
}

fn tensors(backbone: &Backbone, head: &TorchHead) -> Vec<Named> {
    let prefix = if matches!(head, TorchHead::Ssgrl { .. }) { BACKBONE } else { "" };
    let mut tensors = Vec::new();
    backbone.clone().tensors(&mut |name, slot| {
        tensors.push(Named { name: format!("{prefix}{name}"), shape: slot.shape(), values: slot.values() });
    });
    match head {
        TorchHead::Linear { weight, bias, .. } => {
            let name = backbone.name().classifier();
            tensors.push(Named::of(&format!("{name}.weight"), weight.clone()));
            tensors.push(Named::of(&format!("{name}.bias"), bias.clone()));
        }
        TorchHead::Ssgrl { tensors: own, .. } => tensors.extend(own.iter().cloned()),
    }
    tensors
}

fn safetensors(tensors: &[Named]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|it| it.values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = tensors.iter().zip(&bytes).map(|(tensor, bytes)| {
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes);
        (tensor.name.as_str(), view.expect("shape and values come from one tensor"))
    });
    let note = [("format".to_owned(), "pt".to_owned())].into_iter().collect();
    safetensors::serialize(views, Some(note)).expect("names are distinct and lengths fit")
}

fn config(
    recognizer: &Recognizer,
    backbone: &Backbone,
    head: &TorchHead,
    decisions: Option<&Decisions>,
) -> Value {
    let PixelStatistics { mean, std } = recognizer.statistics();
    let (size, names) = (recognizer.size_px(), recognizer.names());
    let pool = match head {
        TorchHead::Linear { pooling: MapPooling::Mean, .. } => "avg",
        TorchHead::Linear { pooling: MapPooling::Max, .. } => "max",
        // What timm has no word for.
        TorchHead::Linear { .. } | TorchHead::Ssgrl { .. } => "",
    };
    json!({
        "architecture": backbone.name().as_str(),
        "num_classes": names.len(),
        "num_features": backbone.channels(),
        "global_pool": pool,
        "label_names": names,
        "pretrained_cfg": {
            "input_size": [3, size, size],
            "fixed_input_size": true,
            "interpolation": "bicubic",
            "crop_pct": 1.0,
            "crop_mode": "squash",
            "mean": readable(mean),
            "std": readable(std),
            "num_classes": names.len(),
            "label_names": names,
            "first_conv": if backbone.name().classifier() == "fc" { "conv1" } else { "_conv_stem" },
            "classifier": backbone.name().classifier(),
        },
        "sarb": {
            "version": env!("CARGO_PKG_VERSION"),
            "method": recognizer.recipe().method.name(),
            "checkpoint": recognizer.weights_hash(),
            "pool": backbone.pools(),
            "head": described(head),
            "calibration": decisions.map(calibration),
            "thresholds": match decisions {
                Some(decisions) => decisions.categories.iter().map(|decision| decision.threshold).collect(),
                None => vec![Some(0.5); names.len()],
            },
        },
    })
}

/// The same numbers with the digits that tell them apart: 0.485, not what that is in 64 bits.
fn readable(values: [f32; 3]) -> [f64; 3] {
    values.map(|value| value.to_string().parse().expect("a number as it is printed"))
}

fn calibration(decisions: &Decisions) -> Value {
    let curves = || decisions.categories.iter().map(|decision| decision.curve);
    json!({
        "slope": curves().map(|curve| curve.slope).collect::<Vec<_>>(),
        "offset": curves().map(|curve| curve.offset).collect::<Vec<_>>(),
    })
}

/// What of a head is not in its weights.
fn described(head: &TorchHead) -> Value {
    match head {
        TorchHead::Linear { pooling, .. } => {
            let mut described = json!(pooling);
            described["kind"] = "linear".into();
            described
        }
        TorchHead::Ssgrl { steps, attention_pooling, .. } => {
            json!({ "kind": "ssgrl", "steps": steps, "attention_pooling": attention_pooling })
        }
    }
}
