//! `--decide` of `predict` and `evaluate`: the decisions of a run.

use std::path::Path;

use sarb::decisions::thresholds::{Decisions, Goal};
use sarb::labels::text::listed;
use sarb::{OutOfFold, Result, Run};

use super::console::say;

/// What a run decides for a goal; says which categories it never does.
pub fn decisions(run: &Path, goal: Goal) -> Result<Decisions> {
    let scores = OutOfFold::open(&Run::open(run)?)?;
    let decisions = Decisions::new(&scores, goal);
    let names = scores.annotations.categories.iter().zip(&decisions.categories);
    let never: Vec<&String> =
        names.filter(|(_, decision)| decision.threshold.is_none()).map(|(name, _)| name).collect();
    if !never.is_empty() {
        say(&format!("no threshold gives what was wanted of {}; they are never printed", listed(&never)));
    }
    Ok(decisions)
}
