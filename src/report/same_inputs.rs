//! Numbers stand side by side in a table only if they were made of the same labels, images, weights and words.

use std::collections::HashMap;

use super::results::Measured;
use crate::run::{MapOrigin, Run};
use crate::{Error, Result};

/// Something that a cell was made of: cells of the same `kind` must have the same `hash`.
struct Ingredient {
    /// As a message calls it.
    what: &'static str,
    /// What two cells must have in common for their hashes to be compared.
    kind: String,
    hash: String,
}

impl Ingredient {
    fn new(what: &'static str, kind: impl ToString, hash: Option<&str>) -> Option<Self> {
        Some(Self { what, kind: kind.to_string(), hash: hash?.to_owned() })
    }
}

/// Refuses cells that were made of different inputs where they should be made of the same ones. Of what an earlier
/// version did not note, nothing is said.
///
/// # Errors
/// [`Error::Data`] naming two cells and what differs; if a cell's recipe cannot be read.
pub(super) fn check(cells: &[Measured]) -> Result<()> {
    let mut first: HashMap<(&str, String), (String, &Run)> = HashMap::new();
    for cell in cells {
        for Ingredient { what, kind, hash } in ingredients(cell)? {
            let (known, run) = first.entry((what, kind)).or_insert_with(|| (hash.clone(), &cell.run));
            if *known != hash {
                return Err(Error::Data(format!(
                    "{} and {} differ in {what}, so their numbers do not belong in one table; train or measure one of \
                     them anew, or leave it out",
                    run.dir().display(),
                    cell.run.dir().display()
                )));
            }
        }
    }
    Ok(())
}

fn ingredients(cell: &Measured) -> Result<Vec<Ingredient>> {
    let (info, recipe) = (&cell.info, cell.run.recipe()?);
    let (made_of, val) = (cell.made_of.as_ref(), info.val_file.as_ref());
    let data = &recipe.data;
    let mask = format!("{} {} {:?}", data.known, data.mask_seed, data.filled);
    let backbone = format!("{:?}", recipe.backbone);
    let maps = match &info.maps {
        MapOrigin::Frozen(key) | MapOrigin::Onnx { key, .. } => Some(key.as_str()),
        MapOrigin::Trained | MapOrigin::Given(_) => None,
    };
    let features = match &info.maps {
        MapOrigin::Given(hash) => Some(hash.as_str()),
        _ => None,
    };
    let all = [
        Ingredient::new("the labels of train.csv", mask, Some(&info.fingerprint)),
        Ingredient::new("the labels of val.csv", "", val.map(|val| val.fingerprint.as_str())),
        Ingredient::new("the features of --val-features", "", val.and_then(|val| val.features.as_deref())),
        Ingredient::new("the features of --features", "", features),
        Ingredient::new("the weights of their backbone", &backbone, maps),
        Ingredient::new("the weights of their backbone", &backbone, info.weights.as_deref()),
        Ingredient::new("their word vectors", "", info.words.as_deref()),
        Ingredient::new("the labels that they are measured with", "", made_of.map(|it| it.labels.as_str())),
        Ingredient::new(
            "the features that they are measured with",
            "",
            made_of.and_then(|it| it.features.as_deref()),
        ),
    ];
    Ok(all.into_iter().flatten().collect())
}
