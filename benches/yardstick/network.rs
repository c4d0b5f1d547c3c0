//! The network that `step` and `predict` measure: SARB with random weights, at any size.

use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use rand::RngExt;
use sarb::internals::{
    AnyMethod, Backbone, BackboneName, Batch, CategoryKnowledge, Freeze, Inference, Input, MethodRecipe,
    Model, NetworkRecipe, Precision, SarbRecipe, SoftLabels,
};
use sarb::labels::LabelMatrix;
use sarb::labels::random::{Stream, rng};
use sarb::{Error, PrecisionChoice, Result};

use super::Common;

/// Sizes, named as in the yardstick; the defaults are the paper's.
#[derive(Debug, Clone, Args)]
pub struct Network {
    /// Categories C
    #[arg(long, default_value_t = 80, value_parser = positive)]
    pub categories: usize,
    /// Side of the images in pixels
    #[arg(long, default_value_t = 448, value_parser = positive)]
    pub size: usize,
    /// Width D of a representation
    #[arg(long, default_value_t = 1024, value_parser = positive)]
    pub dim: usize,
    /// Width M of the joint space
    #[arg(long, default_value_t = 512, value_parser = positive)]
    pub joint: usize,
    /// Channels of ready 7×7 feature maps, in place of images and a ResNet-101
    #[arg(long, value_name = "CHANNELS", value_parser = positive)]
    pub cached: Option<usize>,
    /// cpu, vulkan, cuda or metal
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// In which numbers layers are multiplied, in `step` those that are trained too: f32, bf16, or auto, the faster one here
    #[arg(long, value_enum, default_value = "f32")]
    pub precision: PrecisionChoice,
}

pub fn positive(text: &str) -> std::result::Result<usize, String> {
    text.parse().ok().filter(|&n| n > 0).ok_or_else(|| format!("`{text}` is not a whole number above 0"))
}

/// The smallest image of which the backbone and the mean over 2×2 leave a position.
const SMALLEST_SIZE: usize = 33;

/// Prototypes a category.
const PROTOTYPES: usize = 10;

impl Network {
    /// The device without autodiff.
    ///
    /// # Errors
    /// [`Error::Usage`] for what cannot be measured, [`Error::Missing`] for a device not built in.
    pub fn open_device(&self) -> Result<Device> {
        let smallest = SMALLEST_SIZE;
        if self.cached.is_none() && self.size < smallest {
            let size = self.size;
            return Err(Error::Usage(format!(
                "--size {size} is too small for a ResNet-101; {smallest} or more"
            )));
        }
        sarb::device::open(&self.device)
    }

    /// SARB with all its branches: a backbone of which a part is frozen, the mean over 2×2, the head.
    pub fn model(&self, frozen: Freeze, device: &Device) -> Model {
        let (channels, backbone) = match self.cached {
            Some(channels) => (channels, None),
            None => {
                device.clone().seed(0);
                let backbone = Backbone::new(BackboneName::Resnet101, device).with_pool(true);
                let backbone = backbone.with_precision(self.precision.wanted());
                (backbone.channels(), Some(backbone.freeze(frozen)))
            }
        };
        let network = NetworkRecipe { dim: self.dim, joint: self.joint, ..NetworkRecipe::default() };
        let recipe = MethodRecipe::Sarb(SarbRecipe {
            network,
            blend_from_epoch: 0,
            prototypes_per_category: PROTOTYPES,
            ..SarbRecipe::default()
        });
        let mut random = rng(0, Stream::Synthetic, 0, 0);
        let knowledge = CategoryKnowledge {
            words: Some(((0..self.categories * 300).map(|_| random.random_range(-1.0..1.0)).collect(), 300)),
            cooccurrence: (0..self.categories * self.categories).map(|_| random.random()).collect(),
            counts: vec![(1, 2); self.categories],
            images: 2,
        };
        let head = recipe.init(channels, &knowledge, 0, device);
        if let AnyMethod::Sarb(sarb) = &head {
            let values = self.categories * PROTOTYPES * self.dim;
            let centers = (0..values).map(|_| random.random_range(-1.0..1.0)).collect();
            sarb.prototypes.set(centers, &vec![PROTOTYPES; self.categories]);
        }
        Model { backbone, head }
    }

    /// A batch of random images or maps, its labels −1, 0 and +1 in equal shares.
    pub fn batch(&self, images: usize, device: &Device) -> Batch {
        let mut random = rng(0, Stream::Synthetic, 1, 0);
        let shape = match self.cached {
            Some(channels) => [images, channels, 7, 7],
            None => [images, 3, self.size, self.size],
        };
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| random.random_range(-1.7..1.7)).collect();
        let tensor = Tensor::from_data(TensorData::new(values, shape), device);
        let labels: Vec<i8> = (0..images * self.categories).map(|_| random.random_range(-1..=1)).collect();
        Batch {
            input: if self.cached.is_some() { Input::Maps(tensor) } else { Input::Images(tensor) },
            labels: LabelMatrix::from_values(self.categories, &labels),
            soft: SoftLabels::default(),
            indices: (0..images).collect(),
            mixture: None,
            whole: None,
        }
    }

    /// Seconds of an inference pass over a batch of `images`.
    pub fn inference_s(
        &self,
        inference: &Inference,
        images: usize,
        device: &Device,
        common: &Common,
    ) -> Result<f64> {
        let input = self.batch(images, device).input;
        common.best(|| {
            inference.forward(input.clone()).into_data();
            Ok(())
        })
    }

    /// What is measured, for the report.
    pub fn describe(&self) -> serde_json::Value {
        serde_json::json!({
            "categories": self.categories,
            "size": self.size,
            "dim": self.dim,
            "joint": self.joint,
            "cached": self.cached.unwrap_or(0),
            "bf16": self.precision.wanted() == Precision::Bf16,
            "device": self.device,
        })
    }
}

/// Waits for a device: on a GPU, work goes on after a call returns.
pub fn wait(device: &Device) -> Result<()> {
    device.sync().map_err(|e| Error::Incompatible(format!("the device failed: {e}")))
}
