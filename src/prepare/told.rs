//! What a person should know of the labels before they are trained on.

use sarb_labels::words::Words;
use sarb_labels::{Annotations, Label, Split};

use super::{filled, positives_only, val_file};
use crate::Result;
use crate::inputs::Inputs;
use crate::recipe::Recipe;

/// What a person should know of the labels, and what makes a training on them worth little: of `annotations` with
/// what stays known, the `val.csv` that is selected on, and so many rows that are held out.
///
/// # Errors
/// If the data folder cannot be read.
pub fn told(
    recipe: &Recipe,
    inputs: &Inputs,
    annotations: &Annotations,
    words: Option<&Words>,
    val: Option<&Annotations>,
    held_out: usize,
) -> Result<(Vec<String>, Vec<String>)> {
    let mut notes = notes(annotations, words.is_none(), recipe);
    let mut warnings: Vec<String> = never_seen(annotations).into_iter().collect();
    match annotations.labels.count(Label::Negative) {
        0 if recipe.method.learns_from_unknown() => notes.push(positives_only::note(annotations)),
        0 => warnings.push(positives_only::warning(annotations)),
        _ => {}
    }
    notes.extend(words.iter().flat_map(|words| words.warnings.iter().cloned()));
    if val.is_some() {
        notes.extend(filled::open_given(&inputs.data, Split::Val)?.1);
    }
    notes.extend(match val {
        Some(val) => Some(val_file::note(val, annotations, recipe)),
        None => val_file::unused_note(recipe, inputs, held_out)?,
    });
    warnings.extend(val_file::bce_misleads(recipe));
    warnings.extend(val.and_then(|val| val_file::warning(val, recipe.train.select)));
    Ok((notes, warnings))
}

/// The categories of which no positive is known.
fn never_seen(annotations: &Annotations) -> Option<String> {
    const NAMED: usize = 100;
    let counts = annotations.labels.counts();
    let unseen = counts.iter().zip(&annotations.categories).filter(|((positive, _), _)| *positive == 0);
    let names: Vec<&str> = unseen.map(|(_, name)| name.as_str()).collect();
    let more = names.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = names[..names.len().min(NAMED)].join(", ");
    (!names.is_empty()).then(|| format!("no known positive, so these cannot be learned: {named}{more}"))
}

fn notes(annotations: &Annotations, words_learned: bool, recipe: &Recipe) -> Vec<String> {
    let labels = &annotations.labels;
    let mut notes = vec![format!(
        "{} images, {} categories, {:.0} % of the labels kept: {} positive, {} negative, {} unknown",
        labels.images(),
        labels.categories(),
        100.0 * recipe.data.known,
        labels.count(Label::Positive),
        labels.count(Label::Negative),
        labels.count(Label::Unknown)
    )];
    let without = |pick: fn(&(usize, usize)) -> bool| -> Vec<&str> {
        let counts = labels.counts();
        counts
            .iter()
            .zip(&annotations.categories)
            .filter(|(c, _)| pick(c))
            .map(|(_, name)| name.as_str())
            .collect()
    };
    let no_negative = without(|&(positive, known)| positive == known && known > 0);
    if !no_negative.is_empty() && labels.count(Label::Negative) > 0 {
        let learned = match recipe.method.learns_from_unknown() {
            true => "what is not there is learned from unknown labels",
            false => "these are learned from positives alone",
        };
        notes.push(format!("no known negative, so {learned}: {}", no_negative.join(", ")));
    }
    if words_learned {
        notes.push("no word vectors given: they are learned with the rest".into());
    }
    notes
}
