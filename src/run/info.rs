//! `run.json`: what a run says of itself without its checkpoints.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::extractor::NetworkOrigin;
use crate::seal::Hashes;

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Training, or killed while it was.
    Running,
    /// Finished.
    Done,
    /// Stopped by a signal, with a checkpoint.
    Interrupted,
    /// Ended with an error.
    Failed,
}

/// `run.json`: what a reader wants to know of a run without opening a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// How far it is.
    pub status: Status,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The [build](crate::program::build) that began it.
    pub version: String,
    /// The method's name.
    pub method: String,
    /// The folder of the data, as an absolute path.
    pub data: PathBuf,
    /// Hash of the training labels and image paths that were used.
    pub fingerprint: String,
    /// The `val.csv` that the best epoch is selected on, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_file: Option<ValOrigin>,
    /// Channels of the feature maps that the head reads.
    pub channels: usize,
    /// Where those maps come from.
    #[serde(flatten)]
    pub maps: MapOrigin,
    /// Hash of the file of `--weights` that a backbone was trained from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Hash of the file of `--words`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// Hashes of what was written when it began, and of its anchor; empty in a run of an earlier version.
    #[serde(default, skip_serializing_if = "Hashes::is_empty")]
    pub files: Hashes,
    /// What computed it.
    pub backend: String,
    /// Where it was computed.
    pub device: String,
    /// How many processes trained it together, the last time.
    #[serde(default = "alone", skip_serializing_if = "is_alone")]
    pub ranks: usize,
    /// Epochs completed.
    pub epochs: usize,
    /// The epoch of `checkpoints/best`, from 1; 0 is the state before the first step.
    pub best_epoch: usize,
    /// Training throughput of the last epoch.
    pub images_per_second: f64,
    /// Wall-clock seconds of the training, over all its parts.
    pub seconds: f64,
    /// Peak resident memory of the process in MiB.
    pub peak_rss_mb: f64,
    /// What the validation images say of `checkpoints/best`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validated>,
    /// What it says of the anchor, `linear` on the same maps, where there are maps before the training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Validated>,
}

fn alone() -> usize {
    1
}

fn is_alone(ranks: &usize) -> bool {
    *ranks == 1
}

impl RunInfo {
    /// Whether the run was trained on the user's own features.
    pub fn reads_features(&self) -> bool {
        matches!(self.maps, MapOrigin::Given(_))
    }

    /// What it means that `checkpoints/best` is from before the first step, where it is.
    pub fn about_epoch_0(&self) -> Option<String> {
        (self.best_epoch == 0 && self.epochs > 0).then(|| {
            format!(
                "best epoch 0 is the state before the first step: none of {} epochs was better on the validation \
                 split, so the training added nothing; more labels, a smaller train.learning_rate, a smaller head \
                 or method \"linear\" may help",
                self.epochs
            )
        })
    }
}

/// What the known labels of the validation images say of a model; nothing where there are none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Validated {
    /// Mean BCE.
    pub loss: Option<f64>,
    /// mAP, 0…1.
    pub map: Option<f64>,
}

/// The `val.csv` of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValOrigin {
    /// Hash of its labels and image paths.
    pub fingerprint: String,
    /// Hash of the user's own features of its images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
}

/// Where the maps of a run come from, as `run.json` says it: [`MapSource`](crate::extractor::MapSource)
/// without the networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "MapFields", into = "MapFields")]
pub enum MapOrigin {
    /// A wholly frozen backbone, kept in `backbone.safetensors`; the key of its cached maps.
    Frozen(String),
    /// A network in ONNX form, which the run does not keep.
    Onnx {
        /// The key of its cached maps.
        key: String,
        /// Which one.
        network: NetworkOrigin,
    },
    /// A backbone that the checkpoints hold.
    Trained,
    /// The user's own features; the hash of their file.
    Given(String),
}

/// How `run.json` writes a [`MapOrigin`].
#[derive(Clone, Serialize, Deserialize)]
struct MapFields {
    trains_backbone: bool,
    extractor: Option<String>,
    features: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    network: Option<NetworkOrigin>,
}

impl From<MapFields> for MapOrigin {
    fn from(fields: MapFields) -> Self {
        match fields {
            MapFields { extractor: Some(key), network: Some(network), .. } => {
                MapOrigin::Onnx { key, network }
            }
            MapFields { extractor: Some(key), .. } => MapOrigin::Frozen(key),
            MapFields { trains_backbone: true, .. } => MapOrigin::Trained,
            MapFields { features, .. } => MapOrigin::Given(features.unwrap_or_default()),
        }
    }
}

impl From<MapOrigin> for MapFields {
    fn from(origin: MapOrigin) -> Self {
        let trains_backbone = origin == MapOrigin::Trained;
        let (extractor, features, network) = match origin {
            MapOrigin::Frozen(key) => (Some(key), None, None),
            MapOrigin::Onnx { key, network } => (Some(key), None, Some(network)),
            MapOrigin::Trained => (None, None, None),
            MapOrigin::Given(hash) => (None, Some(hash), None),
        };
        Self { trains_backbone, extractor, features, network }
    }
}
