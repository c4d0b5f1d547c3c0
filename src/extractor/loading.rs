//! The networks of a recipe, with the weights of a file.

use std::path::Path;

use burn::module::Module;
use burn::tensor::Device;

use super::Extractor;
use crate::backbone::{Backbone, Freeze};
use crate::recipe::{BackboneRecipe, Recipe};
use crate::{Error, Result};

/// The wholly frozen network of a recipe, whose maps are cached; none where its backbone is trained.
///
/// # Errors
/// Those of [`Extractor::onnx`], [`load_backbone`] and [`Extractor::new`].
pub fn frozen_extractor(
    recipe: &Recipe,
    weights: Option<&Path>,
    device: &Device,
) -> Result<Option<Extractor>> {
    if let Some(file) = &recipe.backbone.onnx {
        return Extractor::onnx(recipe, file).map(Some);
    }
    if recipe.backbone.freeze != Freeze::All {
        return Ok(None);
    }
    let backbone = load_backbone(recipe, weights, device)?;
    let weights = weights.expect("a frozen backbone has weights");
    Extractor::new(&backbone, &recipe.backbone, weights).map(Some)
}

/// The network, or the trunk of a network, whose maps a training of the recipe reads from the cache.
///
/// # Errors
/// Those of [`frozen_extractor`] and [`trunk_extractor`].
pub fn cached_extractor(
    recipe: &Recipe,
    weights: Option<&Path>,
    device: &Device,
) -> Result<Option<Extractor>> {
    if let Some(extractor) = frozen_extractor(recipe, weights, device)? {
        return Ok(Some(extractor));
    }
    if !recipe.backbone.caches_trunk() {
        return Ok(None);
    }
    trunk_extractor(&load_backbone(recipe, weights, device)?, recipe, weights).map(Some)
}

/// The frozen trunk of the recipe's backbone with the weights of a file.
///
/// # Errors
/// If the file cannot be read.
pub fn trunk_extractor(backbone: &Backbone, recipe: &Recipe, weights: Option<&Path>) -> Result<Extractor> {
    let weights = weights.expect("a frozen trunk has weights");
    Extractor::of_trunk(backbone, &recipe.backbone, weights)
}

/// The recipe's backbone with initial weights that depend on its seed alone.
pub fn initial_backbone(recipe: &Recipe, device: &Device) -> Backbone {
    // Burn draws weights from a generator of the device when they are first read.
    device.seed(recipe.seed);
    let BackboneRecipe { name, pool, precision, .. } = recipe.backbone;
    Backbone::new(name, device).with_pool(pool).with_precision(precision).materialize()
}

/// The backbone with the parts frozen that the recipe freezes.
pub fn frozen(backbone: Backbone, recipe: &BackboneRecipe) -> Backbone {
    let backbone = backbone.freeze(recipe.freeze);
    if recipe.freeze_batch_norm { backbone.freeze_batch_norm() } else { backbone }
}

/// The recipe's backbone with the weights of a file, or with initial ones where nothing of it is frozen.
///
/// # Errors
/// [`Error::Missing`] without weights where some are kept; [`Error::Recipe`] if nothing is left of an
/// image; [`Error::Usage`] if the device cannot compute in the recipe's precision; what loading weights says.
pub fn load_backbone(recipe: &Recipe, weights: Option<&Path>, device: &Device) -> Result<Backbone> {
    let r = &recipe.backbone;
    r.check_precision(r.precision, device)
        .map_err(|why| Error::Usage(format!("backbone.precision is \"{}\", but {why}", r.precision)))?;
    let backbone = initial_backbone(recipe, device);
    let backbone = match weights {
        Some(path) => backbone.load(path)?,
        None if r.freeze == Freeze::None => backbone,
        None => {
            return Err(Error::Missing(format!(
                "backbone.freeze = \"{}\" keeps {} as it was trained before, so it needs --weights FILE (.pth or .safetensors); backbone.freeze = \"none\" trains it from scratch",
                r.freeze, r.name
            )));
        }
    };
    if backbone.map_size(recipe.data.size_px) == 0 {
        return Err(Error::Recipe(format!(
            "data.size_px is {}, too small for {}{}: nothing is left of the image",
            recipe.data.size_px,
            r.name,
            if r.pool { " with backbone.pool = true" } else { "" }
        )));
    }
    Ok(frozen(backbone, r))
}
