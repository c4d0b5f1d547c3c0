//! What is trained where a user names neither recipe nor method and nothing of the backbone is trained: ridge regression, on
//! descriptors where the backbone can give them, as in the recipe `coco18/best`, else on the features that there are.

use std::path::{Path, PathBuf};

use sarb_labels::images::stored_size;
use sarb_labels::text::listed;
use sarb_labels::{Split, dataset};

use crate::backbone::BackboneName;
use crate::backbone::weights::classifier;
use crate::inputs::Inputs;
use crate::recipe::Recipe;
use crate::{Error, Result};

/// What it follows.
const BEST: &str = "sarb:coco18/best";
/// The larger of two sizes in pixels: the largest at which descriptors were measured (docs/results).
const LARGER_PX: usize = 320;
/// Photographs whose size is looked at.
const LOOKED_AT: usize = 100;
/// Keys by which a user says how images become features; then they become nothing else.
const SAID: [&str; 6] =
    ["backbone.descriptor", "backbone.onnx", "backbone.pool", "backbone.views", "data.augment", "backbone"];

/// The recipe of a training whose settings `sets` (`key=value`) make `frozen`, a recipe that trains nothing of the backbone; and
/// a note that says which it is.
///
/// # Errors
/// What is wrong with the settings, the labels or the weights.
pub fn recipe(frozen: &Recipe, sets: &[String], inputs: &Inputs) -> Result<(Recipe, String)> {
    let unnamed = "no recipe and no method is named: on frozen features that is linear";
    let Some((sizes_px, blocks)) = descriptor(frozen, sets, inputs)? else {
        let note = format!("{unnamed}, which takes seconds; --method sarb is the paper's");
        return Ok((Recipe::read(None, Some("linear"), sets)?, note));
    };
    let sizes: Vec<String> = sizes_px.iter().map(|size| format!("{size} px")).collect();
    let note = format!(
        "{unnamed} on descriptors of the images at {}, as in the recipe coco18/best; --method linear takes the mean of each map, \
         --method sarb is the paper's",
        listed(&sizes)
    );
    let mut more = vec![
        ("backbone.descriptor.sizes_px", format!("{sizes_px:?}")),
        // The recipe is for a table, and holds nothing out.
        ("data.validation", "auto".into()),
    ];
    more.extend(blocks.map(|blocks| ("backbone.descriptor.blocks", blocks.into())));
    more.extend(sizes_px.last().map(|size| ("data.size_px", size.to_string())));
    let unsaid = more.into_iter().filter(|(key, _)| !says(sets, key));
    let more: Vec<String> = unsaid.map(|(key, value)| format!("{key}={value}")).collect();
    Ok((Recipe::read(Some(Path::new(BEST)), None, &[sets, &more].concat())?, note))
}

/// The sizes of descriptors, ascending, and their blocks where these are not all; none where features or maps are read as the
/// user says.
fn descriptor(
    frozen: &Recipe,
    sets: &[String],
    inputs: &Inputs,
) -> Result<Option<(Vec<usize>, Option<&'static str>)>> {
    let Some(weights) = inputs.weights.as_ref().filter(|_| inputs.features.is_none()) else {
        return Ok(None);
    };
    if SAID.iter().any(|key| says(sets, key)) {
        return Ok(None);
    }
    let name = frozen.backbone.name;
    let blocks = match classifier(name, weights) {
        Ok(_) => None,
        // Weights of a trunk alone.
        Err(Error::Incompatible(_)) => Some("['mean', 'strongest']"),
        Err(error) => return Err(error),
    };
    if says(sets, "data.size_px") {
        return Ok(Some((vec![frozen.data.size_px], blocks)));
    }
    let images = dataset::open_split(&inputs.data, Split::Train)?.images;
    Ok(Some((sizes_px(name, &images), blocks)))
}

/// Whether settings give `key` a value.
fn says(sets: &[String], key: &str) -> bool {
    let is_key = |set: &String| set.split_once('=').is_some_and(|(set, _)| set.trim() == key);
    let is_part = |set: &String| key.contains('.') && set.starts_with(&format!("{key}."));
    sets.iter().any(|set| is_key(set) || is_part(set))
}

/// The size that the backbone was trained at, and a larger one where half of the photographs have it.
fn sizes_px(name: BackboneName, images: &[PathBuf]) -> Vec<usize> {
    let step = images.len().div_ceil(LOOKED_AT).max(1);
    let longer = |path: &PathBuf| stored_size(path).map(|(width, height)| width.max(height) as usize);
    let sides: Vec<usize> = images.iter().step_by(step).filter_map(longer).collect();
    let large = sides.iter().filter(|side| **side >= LARGER_PX).count();
    let mut sizes = vec![name.trained_px()];
    sizes.extend((2 * large >= sides.len().max(1)).then_some(LARGER_PX));
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(sides: &[(u32, u32)]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let write = |(at, &(width, height)): (usize, &(u32, u32))| {
            let path = folder.path().join(format!("{at}.png"));
            ::image::RgbImage::new(width, height).save(&path).unwrap();
            path
        };
        let paths = sides.iter().enumerate().map(write).collect();
        (folder, paths)
    }

    #[test]
    fn a_larger_size_is_read_where_half_of_the_photographs_have_it() {
        let (_folder, large) = images(&[(320, 240), (200, 400), (100, 100)]);
        assert_eq!(sizes_px(BackboneName::EfficientnetLite2, &large), [260, 320]);
        let (_folder, small) = images(&[(319, 240), (200, 300), (900, 900)]);
        assert_eq!(sizes_px(BackboneName::EfficientnetLite0, &small), [224]);
        assert_eq!(sizes_px(BackboneName::EfficientnetLite2, &[]), [260], "nothing is known of none");
    }

    #[test]
    fn settings_say_a_key_or_a_part_of_it() {
        let sets = ["backbone.descriptor.flip=false", "data.size_px = 64", "backbone.name=resnet18"];
        let sets = sets.map(String::from);
        assert!(says(&sets, "backbone.descriptor") && says(&sets, "data.size_px"));
        assert!(!says(&sets, "backbone") && !says(&sets, "data.size") && !says(&sets, "backbone.pool"));
        assert!(says(&["backbone={freeze='all'}".into()], "backbone"));
    }
}
