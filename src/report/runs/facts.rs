//! What was trained on what, and with which settings: a column a run.

use std::collections::BTreeSet;

use sarb_labels::text::{duration, escape_xml, in_percent, percent, share, thousands};

use super::html::{Cell, details, name, section, table};
use super::reading::{LabelCounts, ReadRun};
use crate::methods::ANCHOR;
use crate::recipe::{Recipe, Select};
use crate::run::{MapOrigin, Status, Validated};

/// The table of facts.
pub(super) fn facts(runs: &[ReadRun]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let mut rows = Vec::new();
    let mut row = |what: &str, value: &dyn Fn(&ReadRun) -> String| {
        let cells: Vec<String> = runs.iter().map(value).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            let cells = cells.into_iter().map(Cell::html);
            rows.push(std::iter::once(Cell::text(what)).chain(cells).collect::<Vec<_>>());
        }
    };
    let plain = |text: String| escape_xml(&text);
    row("run", &|run| name(&run.name));
    row("method", &|run| plain(run.info.method.clone()));
    row("status", &|run| status(run.info.status).into());
    row("data folder", &|run| name(&run.info.data.display().to_string()));
    row("training images", &|run| plain(run.train.map_or("–".into(), |train| thousands(train.images))));
    row("categories", &|run| plain(run.train.map_or("–".into(), |train| thousands(train.categories))));
    row("known training labels", &|run| run.train.map_or("–".into(), known));
    row("labels that stayed known", &|run| plain(format!("{} %", in_percent(run.recipe.data.known))));
    row("selects the epoch", &|run| plain(selects(run)));
    row("features", &|run| plain(features(run)));
    row("epochs", &|run| plain(epochs(run)));
    row("steps", &|run| plain(if run.info.epochs > 0 { steps(&run.recipe) } else { String::new() }));
    row("validation images say", &|run| plain(validated(run.info.validation)));
    row("of the anchor they say", &|run| plain(validated(run.info.anchor)));
    row("seed", &|run| {
        let Recipe { seed, data, .. } = &run.recipe;
        format!("{seed}; of hiding labels {}", data.mask_seed)
    });
    row("time", &|run| plain(time(run)));
    row("computed on", &|run| plain(format!("{}, {}", run.info.device, run.info.backend)));
    row("most memory", &|run| plain(format!("{:.0} MiB", run.info.peak_rss_mb)));
    row("sarb", &|run| plain(run.info.version.clone()));
    let numbers: Vec<String> = (1..=runs.len()).map(|number| format!("run {number}")).collect();
    let heading: Vec<&str> = std::iter::once("").chain(numbers.iter().map(String::as_str)).collect();
    let note = "Every number of labels counts known labels only; what nobody looked at is in none of them.";
    section(
        "facts",
        "What was trained on what",
        note,
        &table("Facts of the training", &heading, &rows, false),
    )
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Running => "not finished",
        Status::Done => "done",
        Status::Interrupted => "interrupted",
        Status::Failed => "failed",
    }
}

fn known(counts: LabelCounts) -> String {
    let LabelCounts { images, categories, positives, negatives } = counts;
    let known = positives + negatives;
    format!(
        "{} of {} ({} %)<br>{} there, {} not there",
        thousands(known),
        thousands(images * categories),
        share(known, images * categories),
        thousands(positives),
        thousands(negatives)
    )
}

fn selects(run: &ReadRun) -> String {
    let Some(val) = run.val else { return chosen_by(run).into() };
    let whose = if run.info.val_file.is_some() { "of val.csv" } else { "held out of train.csv" };
    let images = format!("{} images {whose}", thousands(val.images));
    let known = thousands(val.positives + val.negatives);
    match run.recipe.train.select {
        Select::Loss | Select::Map => format!("{images}, {known} known labels"),
        Select::Last | Select::Test => format!("{}; {images} are measured only", chosen_by(run)),
    }
}

/// What selects where no validation images do.
fn chosen_by(run: &ReadRun) -> &'static str {
    match run.recipe.train.select {
        Select::Test => "the test images, as the official code does",
        Select::Loss | Select::Map | Select::Last => "nothing: the last epoch is kept",
    }
}

fn features(run: &ReadRun) -> String {
    // A key is a name and a hash.
    let short = |key: &str| key.rsplit('-').next().unwrap_or_default().chars().take(16).collect::<String>();
    let Recipe { backbone, data, .. } = &run.recipe;
    let size = data.size_px;
    match &run.info.maps {
        MapOrigin::Frozen(key) => {
            format!("{}, frozen, {size} px; weights and transform {}", backbone.name, short(key))
        }
        MapOrigin::Onnx { network, .. } => {
            format!("{}, frozen, {size} px; file {}", network.file.display(), short(&network.hash))
        }
        MapOrigin::Trained => format!("{}, trained from layer to layer, {size} px", backbone.name),
        MapOrigin::Given(hash) => {
            format!("the user's own, {} channels; file {}", run.info.channels, short(hash))
        }
    }
}

fn epochs(run: &ReadRun) -> String {
    match (run.info.epochs, run.recipe.train.epochs, run.info.best_epoch) {
        (0, _, _) if run.info.method == ANCHOR => "none: solved in closed form".into(),
        (0, _, _) => "none yet".into(),
        (done, planned, best) if done < planned => format!("{done} of {planned}, best {best}"),
        (done, _, best) => format!("{done}, best {best}"),
    }
}

fn steps(recipe: &Recipe) -> String {
    let train = &recipe.train;
    format!("{} images each, learning rate {} at first", train.batch_size, train.learning_rate)
}

fn validated(validated: Option<Validated>) -> String {
    let Validated { loss, map } = validated.unwrap_or_default();
    let map = map.map(|map| format!("mAP {}", percent(map)));
    let parts: Vec<String> = map.into_iter().chain(loss.map(|loss| format!("loss {loss:.4}"))).collect();
    parts.join(", ")
}

fn time(run: &ReadRun) -> String {
    let speed = match run.info.images_per_second {
        speed if speed > 0.0 => format!(", {} images/s at the end", thousands(speed.round() as usize)),
        _ => String::new(),
    };
    format!("{}{speed}", duration(run.info.seconds))
}

/// The recipes: where several differ, and each as a whole.
pub(super) fn recipes(runs: &[ReadRun]) -> String {
    if runs.is_empty() {
        return String::new();
    }
    let mut content = if runs.len() > 1 { differences(runs) } else { String::new() };
    for run in runs {
        let recipe = format!("<pre tabindex=\"0\">{}</pre>\n", escape_xml(&run.recipe.to_toml()));
        content += &details(&format!("Recipe of {}", name(&run.name)), &recipe, true);
    }
    let note = "sarb train RUN/recipe.toml --data DIR --out NEW repeats a run.";
    section("recipe", if runs.len() == 1 { "Recipe" } else { "Recipes" }, note, &content)
}

fn differences(runs: &[ReadRun]) -> String {
    let settings: Vec<Vec<(String, String)>> = runs.iter().map(|run| flat(&run.recipe)).collect();
    let keys: BTreeSet<&String> = settings.iter().flatten().map(|(key, _)| key).collect();
    let value = |of_run: &[(String, String)], key: &String| {
        of_run.iter().find(|(known, _)| known == key).map_or("–".to_owned(), |(_, value)| value.clone())
    };
    let rows = keys.into_iter().filter_map(|key| {
        let values: Vec<String> = settings.iter().map(|of_run| value(of_run, key)).collect();
        let differ = values.iter().any(|value| *value != values[0]);
        let cells = values.iter().map(|value| Cell::text(value));
        differ.then(|| std::iter::once(Cell::text(key)).chain(cells).collect())
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    if rows.is_empty() {
        return "<p>All runs have the same settings.</p>\n".into();
    }
    let numbers: Vec<String> = (1..=runs.len()).map(|number| format!("run {number}")).collect();
    let heading: Vec<&str> = std::iter::once("setting").chain(numbers.iter().map(String::as_str)).collect();
    table("Settings that differ", &heading, &rows, false)
}

/// The settings of a recipe as `a.b.c` and their values.
fn flat(recipe: &Recipe) -> Vec<(String, String)> {
    fn walk(prefix: &str, table: &toml::Table, found: &mut Vec<(String, String)>) {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                toml::Value::Table(table) => walk(&key, table, found),
                value => found.push((key, value.to_string())),
            }
        }
    }
    let mut found = Vec::new();
    walk("", &recipe.to_toml().parse().expect("a recipe is TOML"), &mut found);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_as_set_names_them() {
        let recipe = Recipe::read(None, Some("sarb"), &["train.epochs=7".into()]).unwrap();
        let settings = flat(&recipe);
        assert!(settings.contains(&("train.epochs".into(), "7".into())), "{settings:?}");
        assert!(settings.contains(&("method.name".into(), "\"sarb\"".into())), "{settings:?}");
    }
}
