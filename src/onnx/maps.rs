//! From what a network gives to maps `[B, F, H, W]`.

use crate::onnx::options::OnnxOptions;
use crate::{Error, Result};

/// Most values of one image's map: 256 MB, far beyond any that is of use.
const MOST_VALUES: usize = 64 << 20;
/// Most class and register tokens that a message looks for.
const MOST_SPECIAL_TOKENS: usize = 16;

/// How an output's values become maps.
#[derive(Debug, Clone, Default)]
pub(super) struct MapLayout {
    /// The output's shape without the axis of images.
    given: Vec<usize>,
    /// Whether all channels of a position lie together, in a map or tokens; so many positions at the beginning
    /// are left out.
    positions_first: Option<usize>,
    /// Channels, rows and columns before pooling.
    unpooled: [usize; 3],
    /// Whether a mean over 2 × 2 positions follows.
    pool: bool,
}

impl MapLayout {
    /// That of an output of `shape`: a map `[B, F, H, W]`, tokens `[B, P, F]` or a vector `[B, F]`.
    ///
    /// # Errors
    /// [`Error::Recipe`] where an option does not fit or is needed, [`Error::Incompatible`] for other shapes.
    pub(super) fn of(about: &str, shape: &[usize], images: usize, options: &OnnxOptions) -> Result<Self> {
        let refused = |why: &str| Error::Incompatible(format!("{about} is {shape:?}: {why}"));
        let (positions_first, unpooled) = match *shape {
            [batch, ..] if batch != images => {
                return Err(refused(&format!(
                    "expected one for each of {images} images along the first axis"
                )));
            }
            [_, a, b, c] => map(about, [a, b, c], options)?,
            [_, positions, channels] => tokens(about, [positions, channels], options)?,
            [_, channels] => vector(about, channels, options)?,
            _ => {
                return Err(refused("expected a map [B, F, H, W], tokens [B, P, F] or a vector [B, F]"));
            }
        };
        let layout = Self { given: shape[1..].to_vec(), positions_first, unpooled, pool: options.pool };
        let values = layout.given.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        match values {
            Some(0) => Err(refused("it holds nothing")),
            Some(values) if values <= MOST_VALUES => Ok(()),
            _ => Err(refused(&format!("more than {MOST_VALUES} values for an image"))),
        }?;
        if layout.shape().contains(&0) {
            return Err(Error::Recipe(format!("{about} is {shape:?}, too small for backbone.pool = true")));
        }
        Ok(layout)
    }

    /// Shape `[F, H, W]` of the maps.
    pub(super) fn shape(&self) -> [usize; 3] {
        let [channels, height, width] = self.unpooled;
        let side = |side: usize| if self.pool { side / 2 } else { side };
        [channels, side(height), side(width)]
    }

    /// Whether this is the output's shape for so many images.
    pub(super) fn fits(&self, shape: &[usize], images: usize) -> bool {
        shape.first() == Some(&images) && shape[1..] == self.given
    }

    /// `B × given` values `-> B × F × H × W`.
    pub(super) fn maps(&self, values: Vec<f32>, images: usize) -> Vec<f32> {
        let values = match self.positions_first {
            None => values,
            Some(skipped) => values
                .chunks_exact(values.len() / images)
                .flat_map(|image| channels_first(&image[skipped * self.unpooled[0]..], self.unpooled[0]))
                .collect(),
        };
        if self.pool { pooled(&values, self.unpooled) } else { values }
    }
}

/// `[P, F] -> [F, P]`.
fn channels_first(image: &[f32], channels: usize) -> impl Iterator<Item = f32> {
    (0..channels).flat_map(move |channel| image[channel..].iter().step_by(channels).copied())
}

/// Means over 2 × 2 positions; a last odd row or column is left out, as `avg_pool2d` does.
fn pooled(values: &[f32], [_, height, width]: [usize; 3]) -> Vec<f32> {
    let plane = |plane: &[f32]| {
        let mean = |y: usize, x: usize| {
            let [top, bottom] = [2 * y * width + 2 * x, (2 * y + 1) * width + 2 * x];
            (plane[top] + plane[top + 1] + plane[bottom] + plane[bottom + 1]) / 4.0
        };
        let rows = (0..height / 2).flat_map(|y| (0..width / 2).map(move |x| (y, x)));
        rows.map(|(y, x)| mean(y, x)).collect::<Vec<f32>>()
    };
    values.chunks_exact(height * width).flat_map(plane).collect()
}

/// Where channels are, and the shape `[F, H, W]`.
type Found = (Option<usize>, [usize; 3]);

fn map(about: &str, axes: [usize; 3], options: &OnnxOptions) -> Result<Found> {
    let [a, b, c] = axes;
    refuse_of_tokens(about, "a map", options)?;
    match options.channels_last {
        Some(true) => Ok((Some(0), [c, a, b])),
        Some(false) => Ok((None, axes)),
        // Square images give square maps, so this tells both layouts apart.
        None if b == c => Ok((None, axes)),
        None => Err(Error::Recipe(format!(
            "{about} is {axes:?} for an image, as [F, H, W] not a square; set backbone.channels_last = true if it is [H, W, F], or false if it is right"
        ))),
    }
}

fn tokens(about: &str, [positions, channels]: [usize; 2], options: &OnnxOptions) -> Result<Found> {
    refuse_channels_last(about, "tokens", options)?;
    let skipped = options.skip_tokens.unwrap_or(0);
    let Some(patches) = positions.checked_sub(skipped).filter(|&patches| patches > 0) else {
        return Err(Error::Recipe(format!(
            "{about} is {positions} tokens for an image, but backbone.skip_tokens is {skipped}"
        )));
    };
    let of_patches = format!("{about} is {positions} tokens for an image, {patches} of them of patches");
    if let Some([rows, columns]) = options.grid {
        if rows.checked_mul(columns) != Some(patches) {
            return Err(Error::Recipe(format!("{of_patches}, but backbone.grid is [{rows}, {columns}]")));
        }
        return Ok((Some(skipped), [channels, rows, columns]));
    }
    let side = patches.isqrt();
    if side * side != patches {
        let square = (1..=MOST_SPECIAL_TOKENS).find(|skip| {
            positions.checked_sub(*skip).is_some_and(|left| left > 1 && left.isqrt().pow(2) == left)
        });
        let hint = match square {
            Some(skip) => format!(
                "backbone.skip_tokens = {skip} leaves class and register tokens out and a square over"
            ),
            None => "say their rows and columns with backbone.grid".to_owned(),
        };
        return Err(Error::Recipe(format!("{of_patches}, which is not a square; {hint}")));
    }
    Ok((Some(skipped), [channels, side, side]))
}

fn vector(about: &str, channels: usize, options: &OnnxOptions) -> Result<Found> {
    refuse_of_tokens(about, "a vector", options)?;
    refuse_channels_last(about, "a vector", options)?;
    Ok((None, [channels, 1, 1]))
}

/// Options that the output has no use for are errors: somebody thinks of another network.
fn refuse_of_tokens(about: &str, kind: &str, options: &OnnxOptions) -> Result<()> {
    let key = match options {
        OnnxOptions { skip_tokens: Some(1..), .. } => "skip_tokens",
        OnnxOptions { grid: Some(_), .. } => "grid",
        _ => return Ok(()),
    };
    Err(Error::Recipe(format!("{about} is {kind}, but backbone.{key} is of tokens; leave it out")))
}

fn refuse_channels_last(about: &str, kind: &str, options: &OnnxOptions) -> Result<()> {
    match options.channels_last {
        None => Ok(()),
        Some(_) => Err(Error::Recipe(format!(
            "{about} is {kind}, but backbone.channels_last is of maps; leave it out"
        ))),
    }
}
