//! A run as a file in ONNX form: from pixels to probabilities in one graph.
//!
//! ```text
//! image [N, 3, S, S], RGB from 0 to 1 ──normalize──► backbone ──► head ──► calibration ──► sigmoid
//!                                                                  └──► attention [N, C, H, W]
//! ```
//! Batch normalization is folded into the convolutions before it and the steps of propagation are written out, one after
//! the other. What does not depend on the image, such as classifiers that a graph of categories makes, is a constant.

use sarb_labels::images::transform::PixelStatistics;
use serde_json::json;

use crate::decisions::thresholds::Decisions;
use crate::extractor::MapSource;
use crate::methods::{Exported, Method};
use crate::onnx::encode::About;
use crate::onnx::graph::{Graph, Value};
use crate::recognizer::Recognizer;
use crate::{Error, Result};

/// The name of the input.
pub const IMAGE: &str = "image";

/// What the file gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// How probable each category is, [N, C]
    Probabilities,
    /// Their log-odds, [N, C]
    Logits,
    /// Where each category is seen, [N, C, H, W]; larger is more
    Attention,
}

impl Output {
    /// The name in the file.
    pub fn name(self) -> &'static str {
        match self {
            Output::Probabilities => "probabilities",
            Output::Logits => "logits",
            Output::Attention => "attention",
        }
    }
}

/// What is exported of a run.
#[derive(Debug, Clone, Copy)]
pub struct Contents<'a> {
    /// The outputs, each once.
    pub outputs: &'a [Output],
    /// Curves that make the run's logits calibrated ones, and thresholds; without them probabilities are the run's
    /// own, and the threshold is one half.
    pub decisions: Option<&'a Decisions>,
}

impl Contents<'_> {
    /// The bytes of the file.
    ///
    /// # Errors
    /// [`Error::Usage`] if the run cannot be written as one graph, or has no places for attention.
    pub fn encode(&self, recognizer: &Recognizer) -> Result<Vec<u8>> {
        self.check(recognizer)?;
        let mut graph = Graph::default();
        let size = recognizer.size_px();
        let image = graph.input(IMAGE, &[3, size, size]);
        let images = normalized(&mut graph, &image, recognizer.statistics());
        let maps = export_maps(&mut graph, recognizer.source(), &images)?;
        let head = &recognizer.inference().head;
        let Exported { logits, attention } = graph.within("head", |graph| head.export(graph, &maps));
        let logits = self.calibrated(&mut graph, &logits);
        // Under its name even where it is no output, for whoever looks into the file.
        let logits = graph.rename(&logits, Output::Logits.name());
        let probabilities = graph.each("Sigmoid", &logits);
        let [_, height, width] = maps.sizes();
        let attention = graph.reshaped(&attention, &[recognizer.names().len(), height, width]);
        let outputs: Vec<(&str, Value)> = self
            .outputs
            .iter()
            .map(|output| match output {
                Output::Probabilities => (output.name(), probabilities.clone()),
                Output::Logits => (output.name(), logits.clone()),
                Output::Attention => (output.name(), attention.clone()),
            })
            .collect();
        let about = About {
            description: "Multi-label image recognition: how probable each category is in an image",
            version: env!("CARGO_PKG_VERSION"),
            metadata: self.metadata(recognizer),
        };
        graph.encode(&outputs, &about)
    }

    fn check(&self, recognizer: &Recognizer) -> Result<()> {
        let repeated = |at: usize| self.outputs[..at].contains(&self.outputs[at]);
        if self.outputs.is_empty() || (0..self.outputs.len()).any(repeated) {
            return Err(Error::Usage("--outputs names none, or one twice".into()));
        }
        if self.outputs.contains(&Output::Attention) && !recognizer.sees_places() {
            return Err(Error::Usage(
                "--outputs attention: the backbone of this run gives one descriptor for each image, which has no places to show".into(),
            ));
        }
        Ok(())
    }

    /// The logits of the probabilities that the run stands for.
    fn calibrated(&self, graph: &mut Graph, logits: &Value) -> Value {
        let Some(decisions) = self.decisions else { return logits.clone() };
        let curves = || decisions.categories.iter().map(|decision| decision.curve);
        graph.within("calibration", |graph| {
            let slopes = curves().map(|curve| curve.slope as f32).collect();
            let slopes = graph.constant("slope", logits.axes(), slopes);
            let offsets = curves().map(|curve| curve.offset as f32).collect();
            let offsets = graph.constant("offset", logits.axes(), offsets);
            let scaled = graph.both("Mul", logits, &slopes);
            graph.both("Add", &scaled, &offsets)
        })
    }

    /// What readers look for: the image conventions of ONNX, the keys of Ultralytics, and what only we know.
    fn metadata(&self, recognizer: &Recognizer) -> Vec<(&'static str, String)> {
        let names = recognizer.names();
        let numbered: Vec<String> =
            names.iter().enumerate().map(|(at, name)| format!("{at}: {}", json!(name))).collect();
        let size = recognizer.size_px();
        let preprocessing = json!({
            "resize": [size, size],
            "aspect_ratio": "ignored",
            "interpolation": "bicubic, widened where it shrinks, as Pillow's",
            "color": "RGB",
            "range": [0, 1],
            "layout": "NCHW",
            "normalization": "in the graph",
        });
        let thresholds: Vec<Option<f64>> = match self.decisions {
            Some(decisions) => decisions.categories.iter().map(|decision| decision.threshold).collect(),
            None => vec![Some(0.5); names.len()],
        };
        let recipe = recognizer.recipe();
        let mut metadata = vec![
            ("Image.BitmapPixelFormat", "Rgb8".to_owned()),
            ("Image.ColorSpaceGamma", "SRGB".to_owned()),
            ("Image.NominalPixelRange", "Normalized_0_1".to_owned()),
            ("names", format!("{{{}}}", numbered.join(", "))),
            ("imgsz", json!([size, size]).to_string()),
            ("task", "classify".to_owned()),
            ("multi_label", "true".to_owned()),
            ("thresholds", json!(thresholds).to_string()),
            ("calibrated", self.decisions.is_some().to_string()),
            ("preprocessing", preprocessing.to_string()),
            ("sarb.version", env!("CARGO_PKG_VERSION").to_owned()),
            ("sarb.method", recipe.method.name().to_owned()),
            ("sarb.backbone", recipe.backbone.name.to_string()),
        ];
        // A checkpoint of an earlier version has no hash.
        metadata.extend(recognizer.weights_hash().map(|hash| ("sarb.checkpoint", hash.to_owned())));
        if let MapSource::Frozen(extractor) = recognizer.source() {
            metadata.push(("sarb.extractor", extractor.key().to_owned()));
        }
        metadata
    }
}

/// Pixels from 0 to 1 as the backbone reads them, `[3, S, S]`.
fn normalized(graph: &mut Graph, image: &Value, PixelStatistics { mean, std }: PixelStatistics) -> Value {
    graph.within("normalization", |graph| {
        let scale = graph.constant("scale", &[3, 1, 1], std.map(|std| 1.0 / std).to_vec());
        let shift = std::array::from_fn::<f32, 3, _>(|channel| mean[channel] / std[channel]);
        let shift = graph.constant("shift", &[3, 1, 1], shift.to_vec());
        let scaled = graph.both("Mul", image, &scale);
        graph.both("Sub", &scaled, &shift)
    })
}

/// What the head reads, `[3, S, S] -> [F, H, W]`.
fn export_maps(graph: &mut Graph, source: &MapSource, images: &Value) -> Result<Value> {
    match source {
        MapSource::Frozen(extractor) => match extractor.origin() {
            None => extractor.export(graph, images),
            Some(network) => Err(Error::Usage(format!(
                "the backbone of this run is itself a network in ONNX form, {}, which the run names and does not keep; only runs on a backbone of this program can be exported",
                network.file.display()
            ))),
        },
        MapSource::Trained(backbone) => Ok(graph.within("backbone", |graph| backbone.export(graph, images))),
        MapSource::Given(_) => Err(Error::Usage(
            "this run was trained with --features and has no backbone: nothing in it reads images, so there is no network from images to export".into(),
        )),
    }
}
