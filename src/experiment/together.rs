//! One training on several processes: what its ranks agree on before the first step, and the part of those that are
//! not the first. Rank 0 writes the run and takes up what is resumed; the others write nothing, and begin with what
//! rank 0 sends them.

use burn::tensor::Device;

use super::{begun, model};
use crate::cancel::Cancel;
use crate::events::Event;
use crate::inputs::Inputs;
use crate::loader::Loader;
use crate::prepare::prepare;
use crate::ranks::Ranks;
use crate::recipe::Recipe;
use crate::run::{Run, RunInfo};
use crate::run_folder::Existing;
use crate::train::{Trainer, Training, adam};
use crate::{Error, Result, checkpoint};

/// [`train`](super::train) together with the other `ranks`, which are called with the same recipe and the same
/// inputs: the run, on rank 0.
///
/// The batches are those of a training of one process, and so are the numbers, up to the order in which they are
/// summed; a number of ranks always gives the same.
///
/// # Errors
/// Those of [`train`](super::train); [`Error::Rank`] if another rank ends, is lost or has something else than rank 0;
/// [`Error::Usage`] for a method that takes no steps, or keeps a state of single images.
pub fn train_together(
    ranks: &Ranks,
    recipe: &Recipe,
    inputs: &Inputs,
    (out, existing): (&std::path::Path, Existing),
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<Option<Run>> {
    let trained = check(recipe, device).and_then(|()| match ranks.is_first() {
        true => {
            super::train_as_first(ranks, recipe, inputs, (out, existing), device, events, cancel).map(Some)
        }
        false => follow(ranks, recipe, inputs, device, events, cancel).map(|()| None),
    });
    ranks.end(&trained);
    trained
}

/// Whether ranks can share this work.
fn check(recipe: &Recipe, device: &Device) -> Result<()> {
    let name = recipe.method.name();
    let why = match name {
        "linear" => "it is solved in closed form, without steps to share",
        "role" => "it keeps estimates of single images, which ranks do not exchange",
        _ if crate::device::name(device) == "cpu" => return Ok(()),
        _ => {
            return Err(Error::Usage(
                "--ranks needs --device cpu: sums over ranks are computed there".into(),
            ));
        }
    };
    Err(Error::Usage(format!("method {name} takes no --ranks: {why}; leave the option out")))
}

/// Every rank was asked for the same, and goes on with what rank 0 makes of it.
pub(super) fn settle_as_first(ranks: &Ranks, asked: &Recipe, settled: &Recipe) -> Result<()> {
    same_recipe(ranks, asked)?;
    ranks.from_first(|| settled.to_toml().into_bytes()).map(|_| ())
}

fn same_recipe(ranks: &Ranks, recipe: &Recipe) -> Result<()> {
    ranks.agree(&[("a recipe", blake3::hash(recipe.to_toml().as_bytes()))])
}

/// Every rank has the same labels, maps, weights and words.
pub(super) fn same_inputs(ranks: &Ranks, info: &RunInfo) -> Result<()> {
    let hash = |value: serde_json::Value| blake3::hash(value.to_string().as_bytes());
    let json = |of: &dyn Fn() -> serde_json::Result<serde_json::Value>| hash(of().expect("plain data"));
    ranks.agree(&[
        ("labels of train.csv", json(&|| serde_json::to_value(&info.fingerprint))),
        ("a val.csv", json(&|| serde_json::to_value(&info.val_file))),
        ("weights of the backbone", json(&|| serde_json::to_value(&info.weights))),
        ("feature maps", json(&|| serde_json::to_value((&info.maps, info.channels)))),
        ("word vectors", json(&|| serde_json::to_value(&info.words))),
    ])
}

/// What all ranks begin with.
pub(super) fn tell_beginning(ranks: &Ranks, Training { model, optimizer, state }: &Training) -> Result<()> {
    if ranks.is_alone() {
        return Ok(());
    }
    let beginning = checkpoint::to_bytes(model, optimizer, state)?;
    ranks.from_first(|| beginning).map(|_| ())
}

/// As a rank that is not the first.
fn follow(
    ranks: &Ranks,
    recipe: &Recipe,
    inputs: &Inputs,
    device: &Device,
    events: &dyn Fn(Event<'_>),
    cancel: &Cancel,
) -> Result<()> {
    inputs.check_name()?;
    same_recipe(ranks, recipe)?;
    let settled = ranks.from_first(Vec::new)?;
    let settled = std::str::from_utf8(&settled).ok().and_then(|text| toml::from_str::<Recipe>(text).ok());
    let recipe =
        &settled.ok_or_else(|| Error::Recipe("the recipe that rank 0 sent cannot be read".into()))?;
    let prepared = prepare(recipe, inputs, device, events, cancel)?;
    same_inputs(ranks, &begun(recipe, inputs, &prepared, device, ranks)?)?;
    let beginning = ranks.from_first(Vec::new)?;
    let (model, optimizer, state) =
        checkpoint::from_bytes(&beginning, model(recipe, &prepared, device), adam(recipe))?;
    let (prepared, loader) = (&prepared, Loader::default());
    let trainer = Trainer { recipe, prepared, run: None, ranks, device, loader: &loader, events, cancel };
    trainer.train(&mut Training { model, optimizer, state })
}
