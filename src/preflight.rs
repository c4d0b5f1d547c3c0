//! What is wrong with the inputs of many experiments, found before the first of them is trained. No image is
//! decoded and no feature map computed; that files are there and fit one another is all that is looked at.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use sarb_labels::images::tar_member;
use sarb_labels::{Annotations, Split, dataset};

use crate::extractor::{Extractor, load_backbone};
use crate::inputs::Inputs;
use crate::loader::Examples;
use crate::loader::features::Features;
use crate::prepare::views::{mixing, strong_views};
use crate::prepare::{known_labels, needs_no_weights, one_source, selectable, val_file, word_vectors};
use crate::recipe::{Filled, Recipe, Select, Validation};
use crate::{Error, Result, device};

/// So many images that are not there are named.
const NAMED: usize = 5;

/// What experiments are evaluated on.
pub struct Evaluated<'a> {
    /// The split.
    pub split: Split,
    /// Features of its images, for experiments on features.
    pub features: Option<&'a Path>,
}

/// Everything that is wrong, once each: of the inputs that all `recipes` share, then of what each makes of
/// them.
pub fn check(recipes: &[&Recipe], inputs: &Inputs, evaluated: &Evaluated<'_>) -> Vec<Error> {
    let train = match shared(inputs, evaluated, recipes.is_empty()) {
        Ok(train) => train,
        Err(error) => return vec![error],
    };
    let mut problems: Vec<Error> = Vec::new();
    let mut seen = Seen::default();
    for recipe in recipes {
        if let Err(error) = seen.check(recipe, inputs, &train)
            && !problems.iter().any(|problem| problem.to_string() == error.to_string())
        {
            problems.push(error);
        }
    }
    problems
}

/// The training labels, once labels, words, images and features of both splits fit one another; where
/// everything `is_trained`, images of the training need not be there any more.
fn shared(inputs: &Inputs, evaluated: &Evaluated<'_>, is_trained: bool) -> Result<Annotations> {
    one_source(inputs)?;
    let train = dataset::open_split(&inputs.data, Split::Train)?;
    let test = dataset::open_split(&inputs.data, evaluated.split)?;
    let test = test.aligned(&train.categories, &train.source)?;
    word_vectors(inputs, &train)?;
    match (&inputs.features, evaluated.features) {
        (Some(features), Some(of_test)) => {
            let (ours, theirs) = (
                Features::open(features, train.images.len())?.shape()[0],
                Features::open(of_test, test.images.len())?.shape()[0],
            );
            if ours != theirs {
                return Err(Error::Data(format!(
                    "{}: features of {theirs} channels; those of the training images have {ours}",
                    of_test.display()
                )));
            }
        }
        (Some(_), None) => {
            return Err(Error::Usage(
                "--features needs --test-features, those of the images to evaluate".into(),
            ));
        }
        (None, _) if is_trained => images_are_there(&test)?,
        (None, _) => [&train, &test].into_iter().try_for_each(images_are_there)?,
    }
    Ok(train)
}

/// What was checked of other recipes already.
#[derive(Default)]
struct Seen {
    masks: HashSet<(u64, u32, Filled, bool)>,
    validations: Vec<(Validation, Select)>,
    backbones: Vec<(crate::recipe::BackboneRecipe, usize)>,
}

impl Seen {
    fn check(&mut self, recipe: &Recipe, inputs: &Inputs, train: &Annotations) -> Result<()> {
        needs_no_weights(recipe, inputs)?;
        selectable(recipe, inputs)?;
        mixing(recipe, inputs)?;
        strong_views(recipe, inputs)?;
        let data = &recipe.data;
        let takes_soft = recipe.method.takes_soft_labels();
        if self.masks.insert((data.known.to_bits(), data.mask_seed, data.filled, takes_soft)) {
            known_labels(train, recipe)?;
        }
        let validation = (recipe.data.validation, recipe.train.select);
        if !self.validations.contains(&validation) {
            self.validations.push(validation);
            val_file_fits(recipe, inputs, train)?;
        }
        let network = (recipe.backbone.clone(), recipe.data.size_px);
        if inputs.features.is_none() && !self.backbones.contains(&network) {
            self.backbones.push(network);
            match &recipe.backbone.onnx {
                Some(file) => Extractor::onnx(recipe, file).map(|_| ())?,
                None => {
                    load_backbone(recipe, inputs.weights.as_deref(), &device::open("cpu")?).map(|_| ())?
                }
            }
        }
        Ok(())
    }
}

/// Refuses a `val.csv` that `recipe` selects on and that does not fit the training labels, or whose images or
/// features are not there; and features of it that are of no use.
fn val_file_fits(recipe: &Recipe, inputs: &Inputs, train: &Annotations) -> Result<()> {
    let Some(val) = val_file::open(recipe, inputs, train)? else { return Ok(()) };
    let (Some(features), Some(of_val)) = (&inputs.features, &inputs.val_features) else {
        return images_are_there(&val);
    };
    let channels = Features::open(features, train.images.len())?.shape()[0];
    Features::open_for(of_val, val.images.len(), channels).map(|_| ())
}

/// Refuses labels whose images are not there, as files or in tar files.
fn images_are_there(annotations: &Annotations) -> Result<()> {
    let mut tars: HashMap<PathBuf, HashSet<PathBuf>> = HashMap::new();
    let mut missing = Vec::new();
    for path in &annotations.images {
        if std::fs::metadata(path).is_ok_and(|file| file.is_file()) {
            continue;
        }
        let there = match tar_member::split(path) {
            None => false,
            Some((tar, _)) => {
                if !tars.contains_key(tar) {
                    tars.insert(tar.into(), tar_member::members(tar)?.into_iter().collect());
                }
                tars[tar].contains(path)
            }
        };
        if !there {
            missing.push(path);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = missing.iter().take(NAMED).map(|path| path.display().to_string()).collect();
    let more = if missing.len() > NAMED { ", …" } else { "" };
    Err(Error::Missing(format!(
        "{}: {} of {} images are not there: {}{more}",
        annotations.source.display(),
        missing.len(),
        annotations.images.len(),
        named.join(", ")
    )))
}
