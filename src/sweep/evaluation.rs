//! Other inputs of the evaluation for a sweep that was begun: what is trained stays, its scores are made anew.

use std::path::PathBuf;

use super::claim::Claim;
use super::state::{Sweep, same_file};
use crate::run::remove;
use crate::{Error, Result};

/// Prepares the sweep `begun` for the evaluation inputs of `now`, where they differ or with `again`: scores of
/// cells that are trained are forgotten, and so are failures after the training.
///
/// # Errors
/// [`Error::Usage`] if cells are evaluated and it is not `again`, or while another process is at a cell.
pub(super) fn change(begun: &Sweep, now: &Sweep, again: bool) -> Result<()> {
    let change = difference(begun, now);
    if change.is_none() && !again {
        return Ok(());
    }
    let evaluated = begun.done()?.len();
    if let (Some(change), false, 1..) = (change, again, evaluated) {
        return Err(Error::Usage(format!(
            "{}: {evaluated} cells were evaluated {change}; --evaluate-again evaluates them anew, without training them",
            now.dir.display()
        )));
    }
    for cell in now.plan.cells() {
        if !begun.is_trained(&cell)? {
            continue;
        }
        let Some(_claim) = Claim::take(&now.log(&cell))? else {
            return Err(Error::Usage(format!(
                "{}: another process is at {}; stop it first, for cells are evaluated on other inputs from now on",
                now.dir.display(),
                now.name(&cell)
            )));
        };
        // Without it a cell counts as trained alone.
        let scores = now.folder(&cell).join(format!("evaluation/{}.json", now.split));
        remove(&scores, |path| std::fs::remove_file(path))?;
        now.set_failure(&cell, None)?;
    }
    Ok(())
}

/// What differs, as `with --split test, not val`.
fn difference(begun: &Sweep, now: &Sweep) -> Option<String> {
    if begun.split != now.split {
        return Some(format!("with --split {}, not {}", begun.split, now.split));
    }
    let shown =
        |path: &Option<PathBuf>| path.as_ref().map_or("none".into(), |path| path.display().to_string());
    (!same_file(begun.test_features.as_ref(), now.test_features.as_ref())).then(|| {
        format!("with --test-features {}, not {}", shown(&begun.test_features), shown(&now.test_features))
    })
}
