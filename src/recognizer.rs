//! A trained run, ready to name what is in an image.
//!
//! ```no_run
//! let recognizer = sarb::Recognizer::open("RUN".as_ref(), sarb::Which::Best, &sarb::Device::flex())?;
//! for (category, probability) in recognizer.recognize("photo.jpg")?.top(3) {
//!     println!("{category} {probability:.2}");
//! }
//! # Ok::<(), sarb::Error>(())
//! ```

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::LabelMatrix;
use sarb_labels::categories::Categories;
use sarb_labels::images::transform::{PixelStatistics, Transform};
use sarb_labels::images::{Rgb8, decode, decode_bytes};

use crate::batch::Input;
use crate::extractor::{Extractor, MapSource, frozen, initial_backbone};
use crate::loader::features::Features;
use crate::loader::{Examples, View};
use crate::methods::Method;
use crate::model::{Inference, Model};
use crate::recipe::{PrecisionChoice, Recipe};
use crate::run::{MapOrigin, Run, Which};
use crate::{Error, Result, checkpoint, heat_map};

/// The file of a run that holds its wholly frozen backbone.
pub const EXTRACTOR_FILE: &str = "backbone.safetensors";

/// Most images of [`Recognizer::recognize_all`] that go through the network at once.
const AT_ONCE: usize = 8;

/// Letters of a checkpoint's hash that name a version.
const VERSION_LETTERS: usize = 12;

/// A trained model with its categories and its transform.
#[derive(Debug)]
pub struct Recognizer {
    recipe: Recipe,
    categories: Categories,
    source: MapSource,
    inference: Inference,
    /// Hash of the checkpoint's weights; an earlier version noted none.
    weights_hash: Option<String>,
    version: String,
    /// Of the maps that the head reads.
    channels: usize,
    device: Device,
}

/// One image in any of its forms; every one turns into this by itself.
#[derive(Debug, Clone, Copy)]
pub enum Picture<'a> {
    /// A file, or a member of a tar file: `shard.tar/0001.jpg`.
    File(&'a Path),
    /// The bytes of a file.
    Bytes(&'a [u8]),
    /// Decoded pixels.
    Pixels(&'a Rgb8),
}

impl<'a> From<&'a str> for Picture<'a> {
    fn from(path: &'a str) -> Self {
        Picture::File(Path::new(path))
    }
}

impl<'a> From<&'a Path> for Picture<'a> {
    fn from(path: &'a Path) -> Self {
        Picture::File(path)
    }
}

impl<'a> From<&'a std::path::PathBuf> for Picture<'a> {
    fn from(path: &'a std::path::PathBuf) -> Self {
        Picture::File(path)
    }
}

impl<'a> From<&'a [u8]> for Picture<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Picture::Bytes(bytes)
    }
}

impl<'a> From<&'a Rgb8> for Picture<'a> {
    fn from(pixels: &'a Rgb8) -> Self {
        Picture::Pixels(pixels)
    }
}

impl Picture<'_> {
    pub(crate) fn pixels(&self) -> Result<Cow<'_, Rgb8>> {
        Ok(match self {
            Picture::File(path) => Cow::Owned(decode(path)?),
            Picture::Bytes(bytes) => Cow::Owned(decode_bytes(bytes, "the image")?),
            Picture::Pixels(pixels) => Cow::Borrowed(pixels),
        })
    }
}

/// What a recognizer says of one image.
#[derive(Debug, Clone)]
pub struct Recognition<'a> {
    /// Names of the categories.
    pub names: &'a [String],
    /// Logit of each category.
    pub logits: Vec<f32>,
    /// The feature map, `[1, F, H, W]`, for [`Recognizer::attention`].
    pub(crate) maps: Tensor<4>,
}

/// Where each category is seen in an image.
#[derive(Debug, Clone)]
pub struct Attention {
    /// `C × height × width` values, row by row; larger is more.
    pub values: Vec<f32>,
    /// Rows of a category's map.
    pub height: usize,
    /// Columns of a category's map.
    pub width: usize,
}

impl Attention {
    /// Rows and columns of a category's map.
    pub fn grid(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// The maps of some categories, or of all in another order.
    pub(crate) fn of_categories(&self, categories: &[usize]) -> Self {
        let values = categories.iter().flat_map(|&category| self.of(category).iter().copied()).collect();
        Self { values, ..*self }
    }

    /// The map of one category, row by row.
    pub fn of(&self, category: usize) -> &[f32] {
        let cells = self.height * self.width;
        &self.values[category * cells..(category + 1) * cells]
    }
}

impl Recognition<'_> {
    /// Probability of each category, 0…1.
    pub fn probabilities(&self) -> Vec<f32> {
        self.logits.iter().copied().map(probability).collect()
    }

    /// The `count` most probable categories, most probable first; ties in category order.
    pub fn top(&self, count: usize) -> Vec<(&str, f32)> {
        let ranking = self.ranking().into_iter().take(count);
        ranking.map(|c| (self.names[c].as_str(), probability(self.logits[c]))).collect()
    }

    /// Categories, most probable first; ties in category order, and last what is not a number.
    pub fn ranking(&self) -> Vec<usize> {
        ranking(&self.logits)
    }
}

/// [`Recognition::ranking`] of the logits.
pub(crate) fn ranking(logits: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..logits.len()).collect();
    let logit = |category: usize| Some(logits[category]).filter(|logit| !logit.is_nan());
    order.sort_by(|&a, &b| match (logit(a), logit(b)) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    order
}

/// The probability that a logit stands for.
pub(crate) fn probability(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

impl Recognizer {
    /// Opens a run folder.
    ///
    /// # Errors
    /// [`Error::Missing`] if the folder is not a run, has no checkpoint or needs a network in ONNX form that is
    /// not there, [`Error::Incompatible`] if a checkpoint is damaged or one of them is of another network.
    pub fn open(dir: &Path, which: Which, device: &Device) -> Result<Self> {
        Self::open_in(dir, which, device, None)
    }

    /// [`open`](Self::open), with the frozen layers in another precision than the run was trained with.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`Error::Usage`] if the backbone or the device cannot have the precision.
    pub fn open_in(
        dir: &Path,
        which: Which,
        device: &Device,
        precision: Option<PrecisionChoice>,
    ) -> Result<Self> {
        let run = Run::open(dir)?;
        let (mut recipe, categories, info) = (run.recipe()?, run.categories()?, run.info()?);
        if let Some(choice) = precision {
            recipe.backbone.precision = choice.settled(&recipe.backbone, device)?;
        }
        recipe.backbone.check_precision(recipe.backbone.precision, device).map_err(|why| {
            Error::Usage(format!(
                "{}: the run was trained in another precision than f32: {why}",
                dir.display()
            ))
        })?;
        let initial = || initial_backbone(&recipe, device);
        let source = match info.maps {
            MapOrigin::Frozen(key) => MapSource::Frozen(Extractor::load(
                &run.whole(EXTRACTOR_FILE)?,
                key,
                &recipe.backbone,
                initial(),
            )?),
            MapOrigin::Onnx { key, network } => {
                MapSource::Frozen(Extractor::onnx_of_run(&recipe, network, key, dir)?)
            }
            MapOrigin::Trained => MapSource::Trained(frozen(initial(), &recipe.backbone)),
            MapOrigin::Given(hash) => MapSource::Given(hash),
        };
        // The prior is in the checkpoint.
        let labels = LabelMatrix::unknown(0, categories.names.len());
        let backbone = source.trained().cloned();
        let model = Model::new(&recipe, &categories, &labels, info.channels, backbone, device);
        let (mut model, weights_hash) = checkpoint::load_model(&run, which, model)?;
        let inference = Inference::new(&model);
        let source = model.backbone.take().map_or(source, MapSource::Trained);
        let (channels, device) = (info.channels, device.clone());
        let hash = weights_hash.as_deref().unwrap_or(&info.fingerprint);
        // Without the name of the hash function before it.
        let version = hash.rsplit(':').next().unwrap_or_default().chars().take(VERSION_LETTERS).collect();
        Ok(Self { recipe, categories, source, inference, weights_hash, version, channels, device })
    }

    /// The best checkpoint of a run, or another one, if it shows where categories are seen; otherwise why it does not.
    pub(crate) fn open_to_see(run: &Run, which: Which) -> std::result::Result<Self, String> {
        let open = || {
            let reads_features = run.info()?.reads_features();
            let device = crate::device::open("cpu")?;
            (!reads_features).then(|| Self::open(run.dir(), which, &device)).transpose()
        };
        match open() {
            Err(error) => Err(Error::to_string(&error) + "."),
            Ok(None) => Err("the run was trained on the user's own features and cannot read images.".into()),
            Ok(Some(recognizer)) if recognizer.sees_places() => Ok(recognizer),
            Ok(Some(_)) => {
                Err("the backbone gives one descriptor for each image, which has no places to show.".into())
            }
        }
    }

    /// Names of the categories.
    pub fn names(&self) -> &[String] {
        &self.categories.names
    }

    /// The beginning of its weights' hash: another checkpoint has another version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Side of the images that the network reads, in pixels.
    pub fn size_px(&self) -> usize {
        self.recipe.data.size_px
    }

    /// Its resolved recipe.
    pub(crate) fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// What the pixels of its images are normalized with.
    pub(crate) fn statistics(&self) -> PixelStatistics {
        match &self.source {
            MapSource::Frozen(extractor) => extractor.statistics(),
            MapSource::Trained(_) | MapSource::Given(_) => PixelStatistics::IMAGENET,
        }
    }

    /// Where the maps come from.
    pub(crate) fn source(&self) -> &MapSource {
        &self.source
    }

    /// The network.
    pub(crate) fn inference(&self) -> &Inference {
        &self.inference
    }

    /// Hash of the weights of its head; none where an earlier version wrote the checkpoint.
    pub(crate) fn weights_hash(&self) -> Option<&str> {
        self.weights_hash.as_deref()
    }

    /// Where it computes.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Saves the backbone that was trained or kept, as weights for other runs.
    ///
    /// # Errors
    /// [`Error::Usage`] if the run has none or it is a network in ONNX form; if the file cannot be written.
    pub fn save_backbone(&self, path: &Path) -> Result<()> {
        match &self.source {
            MapSource::Frozen(extractor) => extractor.backbone()?.save(path),
            MapSource::Trained(backbone) => backbone.save(path),
            MapSource::Given(_) => Err(no_backbone()),
        }
    }

    /// What is in an image: a path, the bytes of a file, or pixels.
    ///
    /// # Errors
    /// What decoding says; [`Error::Usage`] if the run was trained on features.
    pub fn recognize<'a>(&self, image: impl Into<Picture<'a>>) -> Result<Recognition<'_>> {
        self.recognize_all(&[image.into()]).pop().expect("one for each image")
    }

    /// What is in each of several images; one that cannot be read does not keep the others from it.
    pub fn recognize_all(&self, images: &[Picture<'_>]) -> Vec<Result<Recognition<'_>>> {
        images.chunks(AT_ONCE).flat_map(|images| self.recognize_batch(images)).collect()
    }

    fn recognize_batch(&self, images: &[Picture<'_>]) -> Vec<Result<Recognition<'_>>> {
        let transform = match self.transform() {
            Ok(transform) => transform,
            Err(_) => return images.iter().map(|_| Err(no_backbone())).collect(),
        };
        let mut pixels = Vec::new();
        let read: Vec<Result<()>> = images
            .iter()
            .map(|image| {
                let mut values = vec![0.0; transform.values()];
                transform.clean(&*image.pixels()?, &mut values);
                pixels.extend(values);
                Ok(())
            })
            .collect();
        let count = read.iter().filter(|read| read.is_ok()).count();
        let mut named = match self.name(pixels, count) {
            Ok(named) => named.into_iter(),
            // An error cannot be copied, but each image is owed one.
            Err(error) => {
                let why = error.to_string();
                return read.into_iter().map(|read| read.and(Err(Error::Data(why.clone())))).collect();
            }
        };
        read.into_iter()
            .map(|read| read.and_then(|()| named.next().expect("one for each that was read")))
            .collect()
    }

    /// How images are made for the network.
    ///
    /// # Errors
    /// [`Error::Usage`] if the run was trained on features.
    pub(crate) fn transform(&self) -> Result<Transform> {
        match &self.source {
            MapSource::Given(_) => Err(no_backbone()),
            _ => Ok(Transform::for_size(self.size_px()).normalized_with(self.statistics())),
        }
    }

    /// What is in `count` images of the network's size, `count · 3 · S · S` values.
    pub(crate) fn name(&self, pixels: Vec<f32>, count: usize) -> Result<Vec<Result<Recognition<'_>>>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let size = self.size_px();
        let images = Tensor::<4>::from_data(TensorData::new(pixels, [count, 3, size, size]), &self.device);
        let maps = match &self.source {
            MapSource::Frozen(extractor) => extractor.forward(images)?,
            _ => self.inference.maps(Input::Images(images)),
        };
        Ok(self.name_maps(maps))
    }

    /// What is in the examples of `maps`, `[B, F, H, W]`.
    fn name_maps(&self, maps: Tensor<4>) -> Vec<Result<Recognition<'_>>> {
        let logits = values(self.inference.head.forward(maps.clone()));
        let names = self.names();
        let each = logits.chunks_exact(names.len()).zip(maps.split(1, 0));
        each.map(|(logits, maps)| match logits.iter().position(|logit| !logit.is_finite()) {
            Some(at) => Err(Error::Data(format!(
                "the score of {:?} is {}, which is no answer",
                names[at], logits[at]
            ))),
            None => Ok(Recognition { names, logits: logits.to_vec(), maps }),
        })
        .collect()
    }

    /// Opens a file of features, `[N, D]` or `[N, D, H, W]`, for a run that was trained on such.
    ///
    /// # Errors
    /// [`Error::Usage`] if the run was trained on images, [`Error::Missing`] without the file, [`Error::Data`]
    /// if it holds something else or another number of channels.
    pub fn features(&self, path: &Path) -> Result<Features> {
        match self.source {
            MapSource::Given(_) => Features::open_all_for(path, self.channels),
            _ => Err(Error::Usage(
                "this run was trained on images; --features is for a run trained with --features".into(),
            )),
        }
    }

    /// What is in the examples `rows` of a file of features.
    ///
    /// # Errors
    /// [`Error::Data`] if a number of theirs or a score is not finite.
    ///
    /// # Panics
    /// If there are not so many rows.
    pub fn recognize_features(
        &self,
        features: &Features,
        rows: Range<usize>,
    ) -> Result<Vec<Recognition<'_>>> {
        let [channels, height, width] = features.shape();
        let (count, size) = (rows.len(), channels * height * width);
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut values = vec![0.0; count * size];
        for (row, values) in rows.zip(values.chunks_exact_mut(size)) {
            features.read(row, View::Clean, values)?;
        }
        let data = TensorData::new(values, [count, channels, height, width]);
        self.name_maps(Tensor::from_data(data, &self.device)).into_iter().collect()
    }

    /// Whether the network tells places of an image apart, so that [`attention`](Self::attention) shows anything.
    pub fn sees_places(&self) -> bool {
        self.source.blocks().is_none()
    }

    /// A picture of a recognized photograph, in gray and tinted by where one category is seen: dark is least, yellow most.
    pub(crate) fn heat_map(&self, recognition: &Recognition, picture: &Rgb8, category: usize) -> Rgb8 {
        let attention = self.attention(recognition);
        let map = attention.of(category);
        heat_map::overlay(picture, map, attention.grid(), heat_map::Scale::of(map.iter().copied()))
    }

    /// Where each category of a recognition is seen; one place is all of it where [`sees_places`](Self::sees_places) is false.
    pub fn attention(&self, recognition: &Recognition) -> Attention {
        let [_, _, height, width] = recognition.maps.dims();
        let values = values(self.inference.head.attention(recognition.maps.clone()));
        Attention { values, height, width }
    }
}

fn no_backbone() -> Error {
    Error::Usage("this run was trained with --features and has no backbone: it cannot read images".into())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("scores are f32")
}
