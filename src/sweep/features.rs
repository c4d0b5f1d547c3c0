//! Features that the user gives for all rows of a plan: one file of them is of one encoder, and every row must
//! have a use for it.

use super::plan::Cell;
use super::state::Sweep;
use crate::recipe::{Recipe, Validation};
use crate::{Error, Result};

/// Refuses features for rows that name several encoders, and features of `val.csv` where some rows do not read
/// it. `recipes` are those of the plan's cells, settled for the data.
///
/// # Errors
/// [`Error::Usage`] naming the rows and what to do.
pub(super) fn check(sweep: &Sweep, recipes: &[Recipe]) -> Result<()> {
    if sweep.features.is_none() {
        return Ok(());
    }
    let cells = sweep.plan.cells();
    let rows_by = |what: &dyn Fn(&Recipe) -> String| rows_by(sweep, &cells, recipes, what);

    let encoders = rows_by(&|recipe| recipe.backbone.shown());
    if encoders.len() > 1 {
        let flags = if sweep.val_features.is_some() { "--features and --val-features" } else { "--features" };
        return Err(Error::Usage(format!(
            "the plan has rows of several encoders, {}, but {flags} would train all of them on the same features; \
             sweep the rows of each encoder with its own features, or, if these are meant for all, let the rows name \
             the same one, such as by set = ['backbone.name=resnet101'] in the plan",
            listed(&encoders)
        )));
    }
    let validations = rows_by(&|recipe| recipe.data.validation.to_string());
    let on_file = Validation::File.to_string();
    if sweep.val_features.is_some() && validations.len() > 1 {
        let others: Vec<_> =
            validations.into_iter().filter(|(validation, _)| *validation != on_file).collect();
        return Err(Error::Usage(format!(
            "--val-features holds features of val.csv, which some rows do not read, by their data.validation: {}; \
             sweep those rows by a plan of their own without --val-features, or let them select on val.csv",
            listed(&others)
        )));
    }
    Ok(())
}

/// The names of the plan's rows by `what` is said of their recipes, both in the order of the plan.
fn rows_by(
    sweep: &Sweep,
    cells: &[Cell],
    recipes: &[Recipe],
    what: &dyn Fn(&Recipe) -> String,
) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (cell, recipe) in cells.iter().zip(recipes) {
        let (said, row) = (what(recipe), format!("{:?}", sweep.plan.rows[cell.row].name));
        match groups.iter_mut().find(|(group, _)| *group == said) {
            Some((_, rows)) if rows.contains(&row) => {}
            Some((_, rows)) => rows.push(row),
            None => groups.push((said, vec![row])),
        }
    }
    groups
}

/// `resnet101 ("SARB", "SSGRL") and efficientnet-lite0 ("Linear")`.
fn listed(groups: &[(String, Vec<String>)]) -> String {
    let group = |(said, rows): &(String, Vec<String>)| format!("{said} ({})", rows.join(", "));
    groups.iter().map(group).collect::<Vec<_>>().join(" and ")
}
