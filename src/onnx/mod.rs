//! Networks in ONNX form. Read: a frozen one, which turns images into feature maps: CLIP, DINOv2, ConvNeXt, whatever its
//! owner exported; it is run by the crate `rten`, on the CPU. Written: a run as a graph ([`graph`], [`encode`]).
//!
//! Nothing that such a file holds may end the program: it is looked at first ([`file`]), then loaded and run
//! behind a guard ([`threads`]), and tried on two images of noise before anything relies on it. The one thing
//! that no check bounds is the memory that its layers ask for.

pub mod encode;
pub mod file;
pub mod graph;
mod layers;
mod maps;
mod nesting;
pub mod options;
pub mod session;
mod threads;

use std::path::Path;
use std::sync::Arc;

use rten::{Model, ModelOptions, NodeId, RunOptions, Value};
use rten_tensor::{AsView, Layout};

use crate::{Error, Result};
use file::{Floats, NetworkFile, Port};
use maps::MapLayout;
use options::OnnxOptions;

/// Difference of the same image's values, alone and beside another, in parts of the largest: rounding, in
/// another order of additions, stays a hundred times below it.
const ROUNDING: f32 = 1e-3;

/// Most images that a network may want at once; memory for so many is asked for before it runs.
const MOST_AT_ONCE: usize = 256;

/// A network that turns images of one size into maps of one shape.
pub struct OnnxNetwork {
    model: Model,
    shown: String,
    input: NodeId,
    output: NodeId,
    output_name: String,
    size_px: usize,
    batch: Batch,
    layout: MapLayout,
}

/// How many images a network takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// As many as there are.
    Any,
    /// Always so many.
    Fixed(usize),
}

/// Values of an output with their shape, `[B, …]`.
struct Output {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl std::fmt::Debug for OnnxNetwork {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { shown, size_px, batch, layout, .. } = self;
        write!(f, "OnnxNetwork({shown}, {size_px} px, {batch:?}, {layout:?})")
    }
}

impl OnnxNetwork {
    /// The network of a file for images of `size_px`.
    ///
    /// # Errors
    /// [`Error::Recipe`] where an option has to be given or another one; [`Error::Incompatible`] if it is not a
    /// network from images to maps, or one that cannot be run.
    pub fn new(file: NetworkFile, options: &OnnxOptions, size_px: usize) -> Result<Self> {
        let shown = file.path.display().to_string();
        let input = file.input(options.input.as_deref())?.clone();
        let output = file.output(options.output.as_deref())?.clone();
        let batch = check_input(&shown, &input, size_px)?;
        check_floats(&shown, "output", &output)?;
        let model = load(file)?;
        let id = |kind: &str, name: &str| {
            let missing = || Error::Incompatible(format!("{shown}: its {kind} {name:?} leads nowhere"));
            model.find_node(name).ok_or_else(missing)
        };
        let (input, output_id) = (id("input", &input.name)?, id("output", &output.name)?);
        let mut network = Self {
            model,
            shown,
            input,
            output: output_id,
            output_name: output.name,
            size_px,
            batch,
            layout: MapLayout::default(),
        };
        network.try_out(options)?;
        Ok(network)
    }

    /// Shape `[F, H, W]` of its maps.
    pub fn shape(&self) -> [usize; 3] {
        self.layout.shape()
    }

    /// Maps of `images` normalized images, `B × 3 × S × S` values `-> B × F × H × W`.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if the network fails on them.
    pub fn maps(&self, pixels: &[f32], images: usize) -> Result<Vec<f32>> {
        let mut maps = Vec::with_capacity(images * self.shape().iter().product::<usize>());
        let each = 3 * self.size_px * self.size_px;
        let at_once = match self.batch {
            Batch::Any => images.max(1),
            Batch::Fixed(count) => count,
        };
        for some in pixels.chunks(at_once * each) {
            let count = some.len() / each;
            // A network of four images gets four, and what it says of the last ones is dropped.
            let padded = if self.batch == Batch::Any { count } else { at_once };
            let mut pixels = some.to_vec();
            pixels.resize(padded * each, 0.0);
            let mut output = self.run(pixels, padded)?;
            self.check_shape(&output, padded)?;
            output.values.truncate(output.values.len() / padded * count);
            maps.extend(self.layout.maps(output.values, count));
        }
        Ok(maps)
    }

    /// Finds the shape of its output, and whether it takes several images at once.
    fn try_out(&mut self, options: &OnnxOptions) -> Result<()> {
        let count = if let Batch::Fixed(count) = self.batch { count } else { 1 };
        let alone = self.run(self.noise(count), count)?;
        let about = format!("{}: output {:?}", self.shown, self.output_name);
        self.layout = MapLayout::of(&about, &alone.shape, count, options)?;
        check_finite(&about, &alone.values)?;
        if self.batch == Batch::Any && !self.treats_images_apart(&alone) {
            self.batch = Batch::Fixed(1);
        }
        Ok(())
    }

    /// Whether it says of an image beside another what it says of it `alone`. Exports that name their first axis
    /// may still have the number one built in, and batch normalization in training mode mixes images.
    fn treats_images_apart(&self, alone: &Output) -> bool {
        let Ok(both) = self.run(self.noise(2), 2) else { return false };
        let largest = alone.values.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let same = |(a, b): (&f32, &f32)| (a - b).abs() <= ROUNDING * largest;
        both.shape.first() == Some(&2)
            && both.shape[1..] == alone.shape[1..]
            && alone.values.iter().zip(&both.values).all(same)
    }

    /// Images of values between −1 and 1, each another one.
    fn noise(&self, images: usize) -> Vec<f32> {
        let values = 3 * self.size_px * self.size_px * images;
        let noise =
            |index: usize| (index as u32).wrapping_mul(2_654_435_761) as f32 / (1_u32 << 31) as f32 - 1.0;
        (0..values).map(noise).collect()
    }

    fn check_shape(&self, output: &Output, images: usize) -> Result<()> {
        if self.layout.fits(&output.shape, images) {
            return Ok(());
        }
        Err(Error::Incompatible(format!(
            "{}: output {:?} of {images} images is {:?}, which is not what it was of others",
            self.shown, self.output_name, output.shape
        )))
    }

    fn run(&self, pixels: Vec<f32>, images: usize) -> Result<Output> {
        let failed = |why: &str| Error::Incompatible(format!("{}: cannot be run: {why}", self.shown));
        let shape = [images, 3, self.size_px, self.size_px];
        let images = Value::from_shape(shape, pixels).expect("the values of whole images");
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(threads::pool())));
        let run = || self.model.run(vec![(self.input, images.into())], &[self.output], Some(options));
        let outputs = threads::guarded(run).ok_or_else(|| failed("a layer gets what it was not made for"))?;
        let output = outputs.map_err(|error| failed(&error.to_string()))?.pop();
        let Some(Value::FloatTensor(values)) = output else {
            return Err(failed(&format!(
                "output {:?} does not hold floating-point numbers",
                self.output_name
            )));
        };
        Ok(Output { shape: values.shape().to_vec(), values: values.to_vec() })
    }
}

/// The runtime's own form of a network.
fn load(file: NetworkFile) -> Result<Model> {
    let NetworkFile { path, bytes, parts, .. } = file;
    let failed = |why: &str| {
        let shown = path.display();
        Error::Incompatible(format!(
            "{shown}: cannot be loaded: {why}; docs/backbones.md says how to export one"
        ))
    };
    let work = move || {
        let mut options = ModelOptions::with_all_ops();
        options.prepack_weights(true);
        for (name, bytes) in parts {
            options.external_data(&name, bytes);
        }
        options.load(bytes)
    };
    threads::guarded(work)
        .ok_or_else(|| failed("a layer or a weight is not what it should be"))?
        .map_err(|error| failed(&error.to_string()))
}

/// Whether an input takes `[B, 3, S, S]`; how many images B at once.
fn check_input(shown: &str, input: &Port, size_px: usize) -> Result<Batch> {
    check_floats(shown, "input", input)?;
    let about = format!("{shown}: input {:?}", input.name);
    let Some([batch, channels, height, width]) = input.axes() else {
        return Err(Error::Incompatible(format!("{about} is {input}; expected images, [B, 3, S, S]")));
    };
    if channels.is_some_and(|channels| channels != 3) || batch == Some(0) {
        return Err(Error::Incompatible(format!("{about} is {input}; expected images, [B, 3, S, S]")));
    }
    if let Some(batch) = batch.filter(|&batch| batch > MOST_AT_ONCE) {
        return Err(Error::Incompatible(format!(
            "{about} takes {batch} images at once; expected at most {MOST_AT_ONCE}"
        )));
    }
    if [height, width].into_iter().flatten().any(|side| side != size_px) {
        return Err(Error::Recipe(format!(
            "{about} is {input}, but data.size_px is {size_px}{}",
            match input.size_px() {
                Some(size_px) => format!("; set data.size_px = {size_px}, or leave it out"),
                None => "; only networks of square images are read".to_owned(),
            }
        )));
    }
    Ok(batch.map_or(Batch::Any, Batch::Fixed))
}

fn check_floats(shown: &str, kind: &str, port: &Port) -> Result<()> {
    match &port.holds {
        Floats::Yes => Ok(()),
        Floats::No(what) => Err(Error::Incompatible(format!(
            "{shown}: {kind} {:?} holds {what}; expected floating-point numbers",
            port.name
        ))),
    }
}

fn check_finite(about: &str, values: &[f32]) -> Result<()> {
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(()),
        Some(value) => Err(Error::Data(format!(
            "{about} holds {value} for an image of noise: the network or its export is damaged"
        ))),
    }
}

/// Side of the images that a network reads, if its file says it.
///
/// # Errors
/// What reading the file says; [`Error::Recipe`] if it has several inputs and none is named.
pub fn size_px_of(path: &Path, input: Option<&str>) -> Result<Option<usize>> {
    Ok(NetworkFile::read(path)?.input(input)?.size_px())
}

#[cfg(test)]
mod tests;
