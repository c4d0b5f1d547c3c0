//! `val.csv` of the data folder: the images that the best epoch is selected on while all of `train.csv`
//! trains.

use sarb_labels::check::{Code, Settings, check};
use sarb_labels::error::Problems;
use sarb_labels::{Annotations, Label, Split, dataset};

use super::broken::{self, Broken};
use super::filled;
use super::fingerprint;
use crate::backbone::weights;
use crate::cancel::Cancel;
use crate::inputs::Inputs;
use crate::recipe::{Recipe, Select, Validation};
use crate::run::ValOrigin;
use crate::{Error, Result};

/// Images to select on, in the category order of `train`, where the recipe says `"val.csv"`.
///
/// Their labels are taken as they are: `data.known` hides none of them.
///
/// # Errors
/// [`Error::Missing`] without the file, [`Error::Usage`] where `--val-features` is needed or has no use,
/// [`Error::Data`] for other categories, images of `train` among them, or nothing to select by.
pub fn open(recipe: &Recipe, inputs: &Inputs, train: &Annotations) -> Result<Option<Annotations>> {
    if recipe.data.validation != Validation::File {
        return no_features(recipe.data.validation, inputs).map(|()| None);
    }
    if !dataset::has_split(&inputs.data, Split::Val)? {
        return Err(Error::Missing(format!(
            "{}: no such file, but data.validation is \"val.csv\"; put it there, or train with --set \
             data.validation=auto",
            inputs.data.join(Split::Val.file_name()).display()
        )));
    }
    same_kind_of_input(inputs)?;
    let (val, _) = filled::open_given(&inputs.data, Split::Val)?;
    let val = val.aligned(&train.categories, &train.source)?;
    check_apart(train, &val)?;
    check_measurable(&val, recipe.train.select)?;
    Ok(Some(val))
}

/// What [`open`] gives without the images that cannot be read, and these, as far as `inputs` allow.
///
/// # Errors
/// Those of [`open`] and of [`broken::left_out`].
pub(super) fn open_whole(
    recipe: &Recipe,
    inputs: &Inputs,
    train: &Annotations,
    cancel: &Cancel,
) -> Result<(Option<Annotations>, Vec<Broken>)> {
    let Some(val) = open(recipe, inputs, train)? else { return Ok((None, Vec::new())) };
    let (val, skipped) = broken::left_out(val, inputs, cancel)?;
    check_measurable(&val, recipe.train.select)?;
    Ok((Some(val), skipped))
}

/// Features of images that nobody looks at are not silently left aside.
fn no_features(validation: Validation, inputs: &Inputs) -> Result<()> {
    let why = match inputs.val_features {
        None => return Ok(()),
        Some(_) if dataset::has_split(&inputs.data, Split::Val)? => {
            format!("which is not used: data.validation is {validation}; leave out one of them")
        }
        Some(_) => format!("but {} has no such file", inputs.data.display()),
    };
    Err(Error::Usage(format!("--val-features holds features of val.csv, {why}")))
}

/// Of both files images are read, or of both features.
fn same_kind_of_input(inputs: &Inputs) -> Result<()> {
    let problem = match (&inputs.features, &inputs.val_features) {
        (None, None) | (Some(_), Some(_)) => return Ok(()),
        (None, Some(_)) => "--val-features goes with --features; without them the images of val.csv are read",
        (Some(_), None) => {
            "the epoch is selected on val.csv, but --features has those of train.csv only; give those of val.csv \
             with --val-features FILE, or hold out images of train.csv with --set data.validation=0.1"
        }
    };
    Err(Error::Usage(problem.into()))
}

/// No image trains and validates: the epoch that knows its training images best would be selected.
fn check_apart(train: &Annotations, val: &Annotations) -> Result<()> {
    let splits = [(Split::Train.to_string(), train), (Split::Val.to_string(), val)];
    let checkup = check(&splits, &Settings { images: false, ..Settings::default() }, &|_, _| ())?;
    let mut problems = Problems::default();
    for finding in checkup.findings.iter().filter(|finding| finding.code == Code::LeakPath) {
        let line = finding.line.map_or(String::new(), |line| format!(":{line}"));
        let file = train.source.display();
        problems.push(format!("{file}{line}: {}; remove it from one of them", finding.message));
    }
    Ok(problems.or(())?)
}

/// There is something to select an epoch by.
fn check_measurable(val: &Annotations, select: Select) -> Result<()> {
    let [positive, negative] = [Label::Positive, Label::Negative].map(|label| val.labels.count(label));
    let missing = match select {
        Select::Loss if positive + negative == 0 => "known label",
        Select::Map if positive == 0 => "known positive label",
        _ => return Ok(()),
    };
    Err(Error::Data(format!(
        "{}: no {missing}, so no epoch can be selected on it; label some of its images, or hold out images of \
         train.csv with --set data.validation=0.1",
        val.source.display()
    )))
}

/// What `run.json` notes of it.
pub fn origin(val: &Annotations, inputs: &Inputs) -> Result<ValOrigin> {
    let features = inputs.val_features.as_deref().map(weights::fingerprint).transpose()?;
    Ok(ValOrigin { fingerprint: fingerprint(val), features })
}

/// What is done with it.
pub(super) fn note(val: &Annotations, train: &Annotations, recipe: &Recipe) -> String {
    let selects = match recipe.train.select {
        Select::Last => "every epoch is measured on val.csv, and the last one is kept (train.select)",
        Select::Loss | Select::Map | Select::Test => "the epoch is selected on val.csv",
    };
    let hidden = if recipe.data.known < 1.0 { "; data.known hides none of its labels" } else { "" };
    let count = |label| val.labels.count(label);
    format!(
        "{selects}: {} images, {} positive, {} negative, {} unknown{hidden}; all {} images of train.csv train",
        val.images.len(),
        count(Label::Positive),
        count(Label::Negative),
        count(Label::Unknown),
        train.images.len()
    )
}

/// Where the lowest BCE of known labels may be that of an early epoch.
pub(super) fn bce_misleads(recipe: &Recipe) -> Option<String> {
    let misleads = recipe.train.select == Select::Loss && !recipe.method.is_measured_by_bce();
    misleads.then(|| {
        format!(
            "train.select is \"loss\", the BCE of the known validation labels, which {} does not minimize, so it may \
             keep an early epoch; set train.select to \"map\" or \"last\"",
            recipe.method.name()
        )
    })
}

/// What makes selecting on it worth little.
pub(super) fn warning(val: &Annotations, select: Select) -> Option<String> {
    let blind = select != Select::Last && val.labels.count(Label::Negative) == 0;
    blind.then(|| {
        format!(
            "{} has no known negative label, so it prefers an epoch that finds everything everywhere; label some \
             categories as not there (0), or hold out images of train.csv with --set data.validation=0.1",
            val.source.display()
        )
    })
}

/// That the folder's `val.csv` is not used because the recipe wants something else.
pub(super) fn unused_note(recipe: &Recipe, inputs: &Inputs, held_out: usize) -> Result<Option<String>> {
    let Validation::Share(share) = recipe.data.validation else { return Ok(None) };
    if recipe.train.select == Select::Test || !dataset::has_split(&inputs.data, Split::Val)? {
        return Ok(None);
    }
    let instead = match held_out {
        0 => "so nothing is held out and the last epoch is kept".to_owned(),
        held_out => format!("so {held_out} images of train.csv are held out"),
    };
    Ok(Some(format!(
        "val.csv is not used: data.validation is {share}, {instead}; --set data.validation=val.csv measures epochs \
         on it"
    )))
}
