//! What a tracking server is told: settings by name, and numbers by step.

use std::collections::BTreeSet;

use sarb_labels::metrics::{Ratios, Scores};
use serde::Serialize;

use crate::Result;
use crate::recipe::Recipe;
use crate::run::{EpochRow, RunInfo};
use crate::step_log::StepRow;

/// Most characters of a setting; `recipe.toml` beside it is whole.
const MOST_OF_VALUE: usize = 1000;
/// Most characters of a category's name.
const MOST_OF_NAME: usize = 100;

/// One number, as MLflow's log-batch takes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Number {
    /// Its name.
    pub key: String,
    /// Finite: others have no place in JSON.
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Where on the horizontal axis.
    pub step: i64,
}

/// Those of one moment that are finite.
fn at(timestamp: i64, step: i64, named: impl IntoIterator<Item = (String, f64)>) -> Vec<Number> {
    let finite = named.into_iter().filter(|(_, value)| value.is_finite());
    finite.map(|(key, value)| Number { key, value, timestamp, step }).collect()
}

/// Milliseconds of seconds.
pub fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

/// Losses, what the method reports, learning rate and throughput, at the step of the whole training.
pub fn of_steps(row: &StepRow) -> Vec<Number> {
    at(milliseconds(row.wall_time), row.of_training(), row.numbers())
}

/// What the validation images say, and the means of an epoch, at the epoch; the rest is told by step.
pub fn of_epoch(row: &EpochRow) -> Vec<Number> {
    let named = row.numbers().into_iter().filter_map(|(name, value)| match name.split_once('/') {
        Some(("validation", _)) => Some((name, value)),
        Some(_) => Some((format!("epoch/{name}"), value)),
        None => None,
    });
    at(milliseconds(row.wall_time), row.epoch as i64, named)
}

/// What an evaluation measured, below `prefix`, such as `test` or `test/anchor`. All of it is at step 0, so that the newest
/// counts as the latest.
pub fn of_scores(prefix: &str, scores: &Scores, timestamp: i64) -> Vec<Number> {
    let mut named = vec![("mAP".to_owned(), scores.map), ("mAP_plain".into(), scores.map_plain)];
    for (under, Ratios { op, or, of1, cp, cr, cf1 }) in [("", scores.all), ("top3/", scores.top3)] {
        let ratios = [("OP", op), ("OR", or), ("OF1", of1), ("CP", cp), ("CR", cr), ("CF1", cf1)];
        named.extend(ratios.map(|(name, value)| (format!("{under}{name}"), value)));
    }
    let counted = scores.per_category.iter().filter(|category| category.positives > 0);
    let mut used = BTreeSet::new();
    for category in counted {
        named.push((format!("AP/{}", unused(accepted(&category.name), &mut used)), category.ap));
    }
    at(timestamp, 0, named.into_iter().map(|(name, value)| (format!("{prefix}/{name}"), value)))
}

/// A name with the characters that MLflow takes in one part of a key.
fn accepted(name: &str) -> String {
    let takes = |c: char| c.is_alphanumeric() || "_-. ".contains(c);
    let name: String =
        name.trim().chars().take(MOST_OF_NAME).map(|c| if takes(c) { c } else { '_' }).collect();
    // A path of dots leads elsewhere.
    if name.chars().all(|c| c == '.') { name.replace('.', "_") + "_" } else { name }
}

/// The name, or with a number behind it if another category has it.
fn unused(name: String, used: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !used.contains(name));
    let free = free.expect("there are more numbers than names");
    used.insert(free.clone());
    free
}

/// Every key of the recipe, and what the run is made of and on.
pub fn params(recipe: &Recipe, info: &RunInfo) -> Vec<(String, String)> {
    let table: toml::Table = toml::from_str(&recipe.to_toml()).expect("a recipe is a table");
    let mut params = Vec::new();
    flatten("", &table, &mut params);
    let more = [
        ("version", Some(&info.version)),
        ("backend", Some(&info.backend)),
        ("device", Some(&info.device)),
        ("data_fingerprint", Some(&info.fingerprint)),
        ("weights_fingerprint", info.weights.as_ref()),
        ("words_fingerprint", info.words.as_ref()),
    ];
    params.extend(more.into_iter().filter_map(|(key, value)| Some((format!("sarb.{key}"), value?.clone()))));
    for (_, value) in &mut params {
        if let Some((end, _)) = value.char_indices().nth(MOST_OF_VALUE) {
            value.truncate(end);
        }
    }
    params
}

fn flatten(prefix: &str, table: &toml::Table, params: &mut Vec<(String, String)>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            toml::Value::Table(table) => flatten(&format!("{key}."), table, params),
            toml::Value::String(text) => params.push((key, text.clone())),
            value => params.push((key, value.to_string())),
        }
    }
}

/// When a file was written, in milliseconds since 1970.
pub fn written(path: &std::path::Path) -> Result<i64> {
    let modified =
        path.metadata().and_then(|about| about.modified()).map_err(|e| crate::Error::io(path, e))?;
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Ok(milliseconds(since.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sarb_labels::metrics;
    use sarb_labels::{Label, LabelMatrix};

    #[test]
    fn names_of_categories_become_keys_that_mlflow_takes_and_stay_apart() {
        for (name, key) in [
            ("dining table", "dining table"),
            ("a/b", "a_b"),
            ("100 %", "100 _"),
            ("猫", "猫"),
            ("..", "___"),
            ("", "_"),
        ] {
            assert_eq!(accepted(name), key);
        }
        assert_eq!(accepted(&"x".repeat(300)).len(), MOST_OF_NAME);
        let mut used = BTreeSet::new();
        let keys = ["a_b", "a_b", "a_b_2", "a_b"].map(|name| unused(name.into(), &mut used));
        assert_eq!(keys, ["a_b", "a_b_2", "a_b_2_2", "a_b_3"]);
    }

    #[test]
    fn scores_are_told_with_the_average_precision_of_categories_that_have_positives() {
        let names = ["a/b", "a_b", "never"].map(String::from);
        let mut labels = LabelMatrix::unknown(2, 3);
        for (image, category, label) in [
            (0, 0, Label::Positive),
            (1, 0, Label::Negative),
            (1, 1, Label::Positive),
            (0, 2, Label::Negative),
        ] {
            labels.set(image, category, label);
        }
        let scores = metrics::evaluate(&[1.0, -1.0, -1.0, -1.0, 1.0, -1.0], &labels, &names, 0.0).unwrap();
        let numbers = of_scores("test", &scores, 7);
        let keys: Vec<&str> = numbers.iter().map(|number| number.key.as_str()).collect();
        assert_eq!(keys[..5], ["test/mAP", "test/mAP_plain", "test/OP", "test/OR", "test/OF1"]);
        assert_eq!(keys[8], "test/top3/OP");
        assert_eq!(keys[14..], ["test/AP/a_b", "test/AP/a_b_2"]);
        assert!(numbers.iter().all(|number| number.step == 0 && number.timestamp == 7));
        assert_eq!(numbers[0].value, 1.0);
    }

    #[test]
    fn every_key_of_a_recipe_is_a_setting_of_bounded_length() {
        let recipe = Recipe::read(None, Some("sarb"), &["seed=7".into()]).unwrap();
        let info = serde_json::json!({
            "status": "done", "version": "0", "method": "sarb", "data": "/d", "fingerprint": "f".repeat(5000),
            "channels": 1, "trains_backbone": true, "backend": "b", "device": "cpu", "epochs": 2, "best_epoch": 1,
            "images_per_second": 1.0, "seconds": 5.0, "peak_rss_mb": 1.0,
        });
        let params = params(&recipe, &serde_json::from_value(info).unwrap());
        let of = |key: &str| params.iter().find(|(it, _)| it == key).map(|(_, value)| value.as_str());
        assert_eq!(
            (of("seed"), of("method.name"), of("sarb.device")),
            (Some("7"), Some("sarb"), Some("cpu"))
        );
        assert!(of("train.learning_rate").is_some() && of("data.known").is_some(), "{params:?}");
        assert_eq!(of("sarb.data_fingerprint").unwrap().len(), MOST_OF_VALUE);
        assert_eq!(of("sarb.weights_fingerprint"), None);
        let keys: BTreeSet<&str> = params.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys.len(), params.len());
    }
}
