//! Which views of the training images a method reads beside the plain ones, and what it needs for them.

use crate::backbone::Freeze;
use crate::inputs::Inputs;
use crate::loader::mixing::MixtureDraw;
use crate::methods::mixup::Mixing;
use crate::recipe::Recipe;
use crate::{Error, Result};

/// The views of images that are read beside the test-time one: none, unless told otherwise.
#[derive(Default)]
pub(super) struct Views<'a> {
    pub count: usize,
    pub strong: bool,
    pub mixing: Option<&'a MixtureDraw>,
}

/// How images are mixed before the backbone, for a method that does so.
///
/// # Errors
/// If there is no image to mix, or only the test-time view of each.
pub fn mixing<'a>(recipe: &'a Recipe, inputs: &Inputs) -> Result<Option<&'a Mixing>> {
    let Some(mixing) = recipe.method.mixed_views() else { return Ok(None) };
    let name = recipe.method.name();
    if inputs.features.is_some() {
        return Err(Error::Usage(format!(
            "{name} mixes images before the backbone, but --features has no images; fm-mixup mixes feature maps"
        )));
    }
    if !recipe.data.augment {
        return Err(Error::Recipe(format!(
            "data.augment is false, but {name} mixes augmented views; leave it true"
        )));
    }
    Ok(Some(mixing))
}

/// Who of the training `rows` is mixed with whom, for a method that mixes images before the backbone.
///
/// # Errors
/// Those of [`mixing`].
pub fn mixtures(recipe: &Recipe, inputs: &Inputs, rows: &[usize]) -> Result<Option<MixtureDraw>> {
    let Some(mixing) = mixing(recipe, inputs)? else { return Ok(None) };
    Ok(Some(MixtureDraw {
        rows: rows.to_vec(),
        seed: recipe.seed,
        from_epoch: mixing.from_epoch as u64,
        concentration: mixing.concentration,
    }))
}

/// Whether each augmented view has a strongly augmented one beside it, for a method that reads both.
///
/// # Errors
/// If there is no image to augment, or only the test-time view of each.
pub fn strong_views(recipe: &Recipe, inputs: &Inputs) -> Result<bool> {
    if !recipe.method.reads_strong_views() {
        return Ok(false);
    }
    let reads = format!("{} reads a strongly augmented view beside each augmented one", recipe.method.name());
    let without = "or set method.strong_views to false";
    if inputs.features.is_some() {
        return Err(Error::Usage(format!("{reads}, but --features has no images; give images, {without}")));
    }
    if !recipe.data.augment {
        return Err(Error::Recipe(format!("data.augment is false, but {reads}; leave it true, {without}")));
    }
    if recipe.backbone.freeze == Freeze::All && recipe.backbone.views == 0 {
        return Err(Error::Recipe(format!(
            "backbone.views is 0, but {reads}, so with freeze = \"all\" at least 1 must be cached; raise it, {without}"
        )));
    }
    Ok(true)
}
