//! `yardstick extraction`: photographs a second from JPEG files to the feature maps of a frozen backbone.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use sarb::internals::{Backbone, BackboneName, Freeze, ImageFiles, Loader, Precision, View};
use sarb::labels::images::transform::Transform;
use sarb::{PrecisionChoice, Result};
use sarb_benches::values;
use serde_json::{Value, json};

use super::Common;
use super::loader::Photographs;
use super::network::positive;

/// Images that go through the network at once, and bytes of those that wait, as where maps are cached.
const BATCH: usize = 16;
const QUEUE_BYTES: usize = 256 << 20;

/// Arguments of `yardstick extraction`.
#[derive(Debug, Clone, Args)]
pub struct Extraction {
    /// The network
    #[arg(long, default_value = "efficientnet-lite0")]
    backbone: BackboneName,
    /// Its weights [default: random ones]
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Side of the images in pixels
    #[arg(long, default_value_t = 224, value_parser = positive)]
    size: usize,
    /// In which numbers it multiplies: f32, bf16, or auto, the faster one here
    #[arg(long, value_enum, default_value = "f32")]
    precision: PrecisionChoice,
    #[command(flatten)]
    photographs: Photographs,
    #[command(flatten)]
    common: Common,
}

impl Extraction {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        self.common.run(|| self.measure())
    }

    /// The network on images that are ready, and from the files on.
    fn measure(&self) -> Result<Value> {
        let device = Device::flex();
        let mut backbone = Backbone::new(self.backbone, &device).with_precision(self.precision.wanted());
        if let Some(weights) = &self.weights {
            backbone = backbone.load(weights)?;
        }
        let folded = backbone.freeze(Freeze::All).folded();
        let shape = [BATCH, 3, self.size, self.size];
        let batch = Tensor::<4>::from_data(TensorData::new(values(shape.iter().product()), shape), &device);
        let network = self.common.best(|| {
            black_box(folded.forward(batch.clone()).into_data());
            Ok(())
        })?;

        let written = self.photographs.write()?;
        let files = Arc::new(ImageFiles { paths: written.paths, transform: Transform::for_size(self.size) });
        let rows: Vec<usize> = (0..files.paths.len()).collect();
        let from_files = self.common.best(|| {
            let batches = rows.chunks(BATCH).map(<[usize]>::to_vec).collect();
            let loader = Loader::new(rayon::current_num_threads(), QUEUE_BYTES);
            loader.batches(files.clone(), batches, View::Clean).try_for_each(|loaded| {
                let loaded = loaded?;
                let shape = [loaded.rows.len(), 3, self.size, self.size];
                let images = Tensor::from_data(TensorData::new(loaded.values, shape), &device);
                black_box(folded.forward(images).into_data());
                Ok(())
            })
        })?;
        Ok(json!({
            "backbone": self.backbone.as_str(),
            "size": self.size,
            "bf16": self.precision.wanted() == Precision::Bf16,
            "images": rows.len(),
            "images_per_s_network": BATCH as f64 / network,
            "images_per_s_from_files": rows.len() as f64 / from_files,
        }))
    }
}
