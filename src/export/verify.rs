//! Whether a file in ONNX form says of images what the run says: the file is read back and run by another program than
//! the one that made its numbers, `rten`.

use std::path::{Path, PathBuf};

use sarb_labels::images::transform::{PixelStatistics, Transform};

use super::onnx::Output;
use crate::decisions::thresholds::Decisions;
use crate::onnx::session::{Numbers, Session};
use crate::recognizer::{Picture, Recognition, Recognizer};
use crate::{Error, Result};

/// How far a number may be off, of the largest of its kind where that is above 1: both add up thousands of 32-bit
/// numbers, in other orders.
pub const TOLERANCE: f32 = 1e-4;

/// Images that go through the networks at once. More than one, so that the batch is tried too.
const AT_ONCE: usize = 4;

/// How far an output is from what the run says.
#[derive(Debug, Clone, Copy)]
pub struct Difference {
    /// Which output.
    pub output: Output,
    /// The largest difference of two numbers.
    pub largest: f32,
    /// The largest of the run's own numbers, without its sign.
    pub scale: f32,
}

impl Difference {
    /// Whether it is no more than rounding.
    pub fn is_rounding(&self) -> bool {
        // Written so that what is not a number is none.
        self.largest <= TOLERANCE * self.scale.max(1.0)
    }
}

/// How far the file is from the run, output by output; logits are compared whether they are an output or not, because
/// probabilities near 0 and 1 hide differences.
///
/// # Errors
/// What reading images, the file and running both says.
pub fn compare(
    file: &Path,
    recognizer: &Recognizer,
    outputs: &[Output],
    decisions: Option<&Decisions>,
    images: &[PathBuf],
) -> Result<Vec<Difference>> {
    let session = Session::open(file)?;
    let mut compared = outputs.to_vec();
    if !compared.contains(&Output::Logits) && session.has(Output::Logits.name()) {
        compared.push(Output::Logits);
    }
    let mut differences: Vec<Difference> =
        compared.iter().map(|&output| Difference { output, largest: 0.0, scale: 0.0 }).collect();
    let names: Vec<&str> = compared.iter().map(|output| output.name()).collect();
    for images in images.chunks(AT_ONCE) {
        let theirs = session.run(pixels(recognizer.size_px(), images)?, &names)?;
        let pictures: Vec<Picture<'_>> = images.iter().map(Picture::from).collect();
        let ours = recognizer.recognize_all(&pictures).into_iter().collect::<Result<Vec<_>>>()?;
        for (difference, theirs) in differences.iter_mut().zip(theirs) {
            let ours: Vec<f32> =
                ours.iter().flat_map(|it| said(recognizer, it, difference.output, decisions)).collect();
            difference.take(&ours, &theirs.values);
        }
    }
    Ok(differences)
}

impl Difference {
    fn take(&mut self, ours: &[f32], theirs: &[f32]) {
        if ours.len() != theirs.len() {
            self.largest = f32::INFINITY;
            return;
        }
        for (ours, theirs) in ours.iter().zip(theirs) {
            let apart = (ours - theirs).abs();
            self.largest = if apart.is_nan() { f32::INFINITY } else { self.largest.max(apart) };
            self.scale = self.scale.max(ours.abs());
        }
    }
}

/// The pixels of images as the file takes them, `[B, 3, S, S]` from 0 to 1.
fn pixels(size_px: usize, images: &[PathBuf]) -> Result<Numbers> {
    let as_they_are = PixelStatistics { mean: [0.0; 3], std: [1.0; 3] };
    let transform = Transform::for_size(size_px).normalized_with(as_they_are);
    let mut values = vec![0.0; images.len() * transform.values()];
    for (image, values) in images.iter().zip(values.chunks_exact_mut(transform.values())) {
        transform.clean(&*Picture::from(image).pixels()?, values);
    }
    Ok(Numbers { shape: vec![images.len(), 3, size_px, size_px], values })
}

/// What the run says of an image.
fn said(
    recognizer: &Recognizer,
    image: &Recognition<'_>,
    output: Output,
    decisions: Option<&Decisions>,
) -> Vec<f32> {
    let logits = decisions.map_or_else(|| image.logits.clone(), |it| it.calibrated(&image.logits));
    match output {
        Output::Logits => logits,
        Output::Probabilities => Recognition { logits, ..image.clone() }.probabilities(),
        Output::Attention => recognizer.attention(image).values,
    }
}

/// That a file is not the run, if it is not.
///
/// # Errors
/// [`Error::Gate`] naming the outputs that are off.
pub fn check(file: &Path, differences: &[Difference]) -> Result<()> {
    let off: Vec<String> = differences
        .iter()
        .filter(|difference| !difference.is_rounding())
        .map(|it| format!("{} by {:.2e}", it.output.name(), it.largest))
        .collect();
    match off.is_empty() {
        true => Ok(()),
        false => Err(Error::Gate(format!(
            "{}: does not say what the run says, within {TOLERANCE:.0e}: off are {}",
            file.display(),
            off.join(", ")
        ))),
    }
}
