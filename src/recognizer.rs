//! A trained run, ready to name what is in an image.
//!
//! ```no_run
//! let recognizer = sarb::recognizer::Recognizer::open("RUN".as_ref(), sarb::run::Which::Best, &burn::tensor::Device::flex())?;
//! let recognition = recognizer.recognize("photo.jpg".as_ref())?;
//! for (category, probability) in recognition.top(3) {
//!     println!("{category} {probability:.2}");
//! }
//! # Ok::<(), sarb::Error>(())
//! ```

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use crate::batch::Input;
use crate::data::categories::Categories;
use crate::data::image::decode;
use crate::data::transform::Transform;
use crate::methods::Method;
use crate::model::{Inference, Model};
use crate::nn::backbone::Freeze;
use crate::prepare::{Extractor, frozen, initial_backbone};
use crate::recipe::Recipe;
use crate::run::{Run, Which};
use crate::{Error, Result};

/// The file of a run that holds its wholly frozen backbone.
pub const EXTRACTOR_FILE: &str = "backbone.safetensors";

/// A trained model with its categories and its transform.
#[derive(Debug)]
pub struct Recognizer {
    /// What was trained.
    pub recipe: Recipe,
    /// What it can name.
    pub categories: Categories,
    /// The network as it was trained.
    pub model: Model,
    /// The same, for use.
    pub inference: Inference,
    /// The frozen backbone in front of it, where there is one.
    pub extractor: Option<Extractor>,
    device: Device,
}

/// What a recognizer says of one image.
#[derive(Debug, Clone)]
pub struct Recognition<'a> {
    /// Names of the categories.
    pub names: &'a [String],
    /// Logit of each category.
    pub logits: Vec<f32>,
    /// The feature map, `[1, F, H, W]`, for [`Recognizer::attention`].
    maps: Tensor<4>,
}

/// Where each category is seen in an image.
#[derive(Debug, Clone)]
pub struct Attention {
    /// `C × side²` values, row by row; larger is more.
    pub values: Vec<f32>,
    /// Height and width of a category's map.
    pub side: usize,
}

impl Recognition<'_> {
    /// Probability of each category, 0…1.
    pub fn probabilities(&self) -> Vec<f32> {
        self.logits.iter().map(|logit| 1.0 / (1.0 + (-logit).exp())).collect()
    }

    /// The `count` most probable categories, most probable first; ties in category order.
    pub fn top(&self, count: usize) -> Vec<(&str, f32)> {
        self.ranking()
            .into_iter()
            .take(count)
            .map(|c| (self.names[c].as_str(), self.probabilities()[c]))
            .collect()
    }

    /// Categories, most probable first; ties in category order.
    pub fn ranking(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|&a, &b| self.logits[b].total_cmp(&self.logits[a]));
        order
    }
}

impl Recognizer {
    /// Opens a run folder.
    ///
    /// # Errors
    /// [`Error::Missing`] if the folder is no run or has no checkpoint, [`Error::Incompatible`] if a
    /// checkpoint is damaged or of another network.
    pub fn open(dir: &Path, which: Which, device: &Device) -> Result<Self> {
        let run = Run::open(dir)?;
        let recipe = run.recipe()?;
        let categories = run.categories()?;
        let info = run.info()?;
        let extractor = match info.extractor {
            None => None,
            Some(key) => {
                let path = run.path(EXTRACTOR_FILE);
                let loaded = initial_backbone(&recipe, device).load(&path)?;
                Some(Extractor { network: loaded.freeze(Freeze::All).folded(), key })
            }
        };
        let backbone = info.trains_backbone.then(|| frozen(initial_backbone(&recipe, device), &recipe));
        // The prior is in the checkpoint.
        let counts = vec![(0, 0); categories.names.len()];
        let model = Model::new(&recipe, &categories, counts, info.channels, backbone, device);
        let model = run.load_model(which, model)?;
        let inference = Inference::new(&model);
        Ok(Self { recipe, categories, model, inference, extractor, device: device.clone() })
    }

    /// Whether the run reads images; one trained with `--features` reads feature files only.
    pub fn reads_images(&self) -> bool {
        self.extractor.is_some() || self.inference.reads_images()
    }

    /// What is in the image of a file.
    ///
    /// # Errors
    /// What decoding says; [`Error::Usage`] if the run was trained on features.
    pub fn recognize(&self, path: &Path) -> Result<Recognition<'_>> {
        if !self.reads_images() {
            return Err(Error::Usage(
                "this run was trained with --features and has no backbone: it cannot read images".into(),
            ));
        }
        let transform = Transform::for_size(self.recipe.data.size_px);
        let size = self.recipe.data.size_px;
        let mut pixels = vec![0.0; 3 * size * size];
        transform.clean(&decode(path)?, &mut pixels);
        let images = Tensor::<4>::from_data(TensorData::new(pixels, [1, 3, size, size]), &self.device);
        let maps = match &self.extractor {
            Some(extractor) => extractor.network.forward(images),
            None => self.inference.maps(Input::Images(images)),
        };
        let logits = values(self.inference.head.forward(maps.clone()));
        Ok(Recognition { names: &self.categories.names, logits, maps })
    }

    /// Where each category of a recognition is seen.
    pub fn attention(&self, recognition: &Recognition) -> Attention {
        let side = recognition.maps.dims()[3];
        Attention { values: values(self.inference.head.attention(recognition.maps.clone())), side }
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("scores are f32")
}
