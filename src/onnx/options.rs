//! What has to be known of a network in ONNX form that its file does not say.

use std::fmt;

use sarb_labels::images::transform::PixelStatistics;
use serde::{Deserialize, Serialize};

/// How a network's images are made and its output is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OnnxOptions {
    /// Which input takes the images; the only one if it is not said.
    pub input: Option<String>,
    /// Which output is read; the only one if it is not said.
    pub output: Option<String>,
    /// What the images are normalized with.
    pub normalization: PixelNormalization,
    /// Of tokens: so many at the beginning are not patches.
    pub skip_tokens: Option<usize>,
    /// Of tokens: rows and columns of the patches; a square if it is not said.
    pub grid: Option<[usize; 2]>,
    /// Of a map: it is `[B, H, W, F]`, not `[B, F, H, W]`.
    pub channels_last: Option<bool>,
    /// Whether a mean over 2 × 2 positions follows.
    pub pool: bool,
}

impl OnnxOptions {
    /// All of them but the normalization, which belongs to the images, as part of the key of cached maps.
    pub fn key(&self) -> String {
        let Self { input, output, normalization: _, skip_tokens, grid, channels_last, pool } = self;
        serde_json::json!([input, output, skip_tokens, grid, channels_last, pool]).to_string()
    }
}

/// What pixels of 0 to 1 are normalized with, as recipes spell it.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[serde(
    untagged,
    expecting = "expected \"imagenet\", \"clip\", \"zero-one\", \"minus-one-one\" or { mean = [r, g, b], std = [r, g, b] }"
)]
pub enum PixelNormalization {
    /// By the name of who trained with it.
    Named(NormalizationName),
    /// In numbers.
    Given(GivenStatistics),
}

/// Normalizations with a name.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum NormalizationName {
    /// ImageNet's mean and standard deviation: torchvision, DINOv2, most of timm.
    Imagenet,
    /// Those of CLIP's training images.
    Clip,
    /// Values from 0 to 1 as they are.
    ZeroOne,
    /// Values from −1 to 1: the first ViT, SigLIP, TensorFlow's networks.
    MinusOneOne,
}

/// Statistics of the images that a network was trained on, of pixels from 0 to 1.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct GivenStatistics {
    /// Mean of red, green and blue.
    pub mean: [f64; 3],
    /// Standard deviation of red, green and blue.
    pub std: [f64; 3],
}

impl fmt::Display for PixelNormalization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PixelNormalization::Named(NormalizationName::Imagenet) => f.write_str("imagenet"),
            PixelNormalization::Named(NormalizationName::Clip) => f.write_str("clip"),
            PixelNormalization::Named(NormalizationName::ZeroOne) => f.write_str("zero-one"),
            PixelNormalization::Named(NormalizationName::MinusOneOne) => f.write_str("minus-one-one"),
            PixelNormalization::Given(GivenStatistics { mean, std }) => {
                write!(f, "mean {mean:?} and std {std:?}")
            }
        }
    }
}

impl Default for PixelNormalization {
    fn default() -> Self {
        PixelNormalization::Named(NormalizationName::Imagenet)
    }
}

impl PixelNormalization {
    /// In numbers.
    pub fn statistics(self) -> PixelStatistics {
        match self {
            PixelNormalization::Named(NormalizationName::Imagenet) => PixelStatistics::IMAGENET,
            // openai/CLIP, clip.py.
            PixelNormalization::Named(NormalizationName::Clip) => PixelStatistics {
                mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
                std: [0.268_629_54, 0.261_302_6, 0.275_777_1],
            },
            PixelNormalization::Named(NormalizationName::ZeroOne) => {
                PixelStatistics { mean: [0.0; 3], std: [1.0; 3] }
            }
            PixelNormalization::Named(NormalizationName::MinusOneOne) => {
                PixelStatistics { mean: [0.5; 3], std: [0.5; 3] }
            }
            PixelNormalization::Given(GivenStatistics { mean, std }) => {
                PixelStatistics { mean: mean.map(|value| value as f32), std: std.map(|value| value as f32) }
            }
        }
    }

    /// Whether its numbers make sense.
    pub fn is_valid(self) -> bool {
        let PixelStatistics { mean, std } = self.statistics();
        mean.iter().all(|value| value.is_finite()) && std.iter().all(|std| std.is_finite() && *std > 0.0)
    }
}
