//! The space of settings that a tuning tries: recipe keys, each with a list of values or a range.
//!
//! ```toml
//! [train]
//! learning_rate = { from = 1e-5, to = 1e-3, log = true }
//! weight_decay = [0.0, 5e-4]
//! ```
//!
//! Settings are drawn along a Kronecker sequence: the coordinate j of the i-th is the fraction of
//! u_j + i · g^−j, where g solves g^(d+1) = g + 1 in d dimensions (Roberts, *The Unreasonable Effectiveness of
//! Quasirandom Sequences*, 2018) and u is random. However many are drawn, they lie evenly, and a longer search
//! begins with those of a shorter one.

use std::path::Path;

use rand::RngExt;
use sarb_labels::random::{Stream, rng};
use serde::{Deserialize, Serialize};

use super::values::{Values, readable};
use crate::methods;
use crate::recipe::Recipe;
use crate::{Error, Result};

/// A value for a recipe key, as `--set` takes it.
pub type Setting = (String, toml::Value);

/// Keys that are not tuned, and why.
const REFUSED: [(&str, &str); 8] = [
    ("data.known", "it decides which labels the trials are judged on; use --known"),
    ("data.mask_seed", "it decides which labels the trials are judged on; use --mask-seed"),
    ("data.validation", "every trial selects its epoch on the same images; use --set"),
    ("method.name", "settings are tuned for one method at a time; sarb sweep compares methods"),
    ("seed", "the best seed is luck; tune settings"),
    ("protocol", "a tuning judges on training images alone"),
    ("extends", "only a recipe file extends another"),
    ("train.select", "\"test\" would read test.csv, and the other choices are better fixed with --set"),
];

/// Recipe keys with what may be their values, by key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "toml::Table", into = "toml::Table")]
pub struct Space {
    entries: Vec<(String, Values)>,
}

impl Space {
    /// Reads a space from a file.
    ///
    /// # Errors
    /// [`Error::Missing`] without the file; [`Error::Recipe`] naming file and key for what is no list or range, and
    /// for keys that are not tuned.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let named = |why: String| Error::Recipe(format!("{}: {why}", path.display()));
        let table: toml::Table = toml::from_str(&text).map_err(|e| {
            let line =
                e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Error::Recipe(format!("{}:{line}: {}", path.display(), e.message().trim().replace('\n', "; ")))
        })?;
        Self::try_from(table).map_err(named)
    }

    /// The space around a recipe where no other is given: of a network a learning rate and a weight decay up to ten
    /// times and down to a tenth, and half, the same or twice as many epochs; of `linear` with a fixed penalty its
    /// factor.
    ///
    /// # Errors
    /// [`Error::Usage`] where the method finds its settings itself.
    pub fn around(recipe: &Recipe) -> Result<Self> {
        let around = |value: f64| {
            let (from, to) = (readable(value / 10.0), readable(value * 10.0));
            Values::Range { from, to, log: true, whole: false }
        };
        let entries = if recipe.method.name() == methods::ANCHOR {
            let method = toml::Table::try_from(&recipe.method).expect("a recipe is a plain table");
            if method.get("penalty").and_then(toml::Value::as_str) != Some("fixed") {
                return Err(Error::Usage(
                    "linear finds the penalty of each category by leave-one-out, so there is nothing to tune; give \
                     --set method.penalty=fixed, or what shall be tried with --space FILE"
                        .into(),
                ));
            }
            let factor = method["penalty_factor"].as_float().expect("a number");
            vec![("method.penalty_factor".to_owned(), around(factor))]
        } else {
            let train = &recipe.train;
            let decay = match train.weight_decay {
                0.0 => Values::List([0.0, 1e-5, 1e-4, 1e-3].map(toml::Value::from).to_vec()),
                decay => around(decay),
            };
            let mut epochs = vec![train.epochs.div_ceil(2), train.epochs, 2 * train.epochs];
            epochs.dedup();
            let epochs = epochs.into_iter().map(|epochs| (epochs as i64).into()).collect();
            vec![
                ("train.epochs".to_owned(), Values::List(epochs)),
                ("train.learning_rate".to_owned(), around(train.learning_rate)),
                ("train.weight_decay".to_owned(), decay),
            ]
        };
        Ok(Self { entries })
    }

    /// The keys, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(key, _)| key.as_str())
    }

    /// Every listed value and both ends of every range, each alone.
    pub fn extremes(&self) -> Vec<Setting> {
        let of = |(key, values): &(String, Values)| -> Vec<Setting> {
            let values = match values {
                Values::List(values) => values.clone(),
                Values::Range { .. } => [0.0, 1.0].map(|place| values.at(place)).to_vec(),
            };
            values.into_iter().map(|value| (key.clone(), value)).collect()
        };
        self.entries.iter().flat_map(of).collect()
    }

    /// Up to `most` different settings, a value for every key each; fewer where there are no more.
    pub fn draw(&self, seed: u64, most: usize) -> Vec<Vec<Setting>> {
        let (steps, shifts) = (steps(self.entries.len()), self.shifts(seed));
        let mut drawn: Vec<Vec<Setting>> = Vec::new();
        // Of lists alone the same is drawn again and again.
        for number in 0..most * 20 {
            if drawn.len() == most {
                break;
            }
            let places =
                shifts.iter().zip(&steps).map(|(shift, step)| (shift + number as f64 * step).fract());
            self.add(&mut drawn, places);
        }
        self.fill_up(&mut drawn, most);
        drawn
    }

    fn add(&self, drawn: &mut Vec<Vec<Setting>>, places: impl Iterator<Item = f64>) {
        let values = self.entries.iter().zip(places).map(|((key, values), at)| (key.clone(), values.at(at)));
        let setting: Vec<Setting> = values.collect();
        if !drawn.contains(&setting) {
            drawn.push(setting);
        }
    }

    /// The rest of a small grid, in its order: what the sequence has missed.
    fn fill_up(&self, drawn: &mut Vec<Vec<Setting>>, most: usize) {
        let sizes: Option<Vec<usize>> = self.entries.iter().map(|(_, values)| values.count()).collect();
        let Some(sizes) = sizes else { return };
        let Some(all) = sizes.iter().try_fold(1_usize, |all, size| all.checked_mul(*size)) else { return };
        for number in 0..all.min(most * 20) {
            if drawn.len() == most {
                break;
            }
            let mut rest = number;
            let places = sizes.iter().map(|size| {
                let place = (rest % size) as f64;
                rest /= size;
                (place + 0.5) / *size as f64
            });
            self.add(drawn, places.collect::<Vec<_>>().into_iter());
        }
    }

    fn shifts(&self, seed: u64) -> Vec<f64> {
        (0..self.entries.len()).map(|key| rng(seed, Stream::Tuning, key as u64, 0).random()).collect()
    }
}

/// g^−j for j = 1, …, d.
fn steps(dimensions: usize) -> Vec<f64> {
    let mut g = 2.0_f64;
    // A contraction: 40 rounds are exact to the last bit.
    (0..40).for_each(|_| g = (1.0 + g).powf(1.0 / (dimensions as f64 + 1.0)));
    (1..=dimensions as i32).map(|j| g.powi(-j)).collect()
}

impl TryFrom<toml::Table> for Space {
    type Error = String;

    fn try_from(table: toml::Table) -> Result<Self, String> {
        let mut entries = Vec::new();
        collect("", &table, &mut entries)?;
        if entries.is_empty() {
            return Err("no key to tune; expected such as train.learning_rate = [1e-4, 1e-3]".into());
        }
        Ok(Self { entries })
    }
}

impl From<Space> for toml::Table {
    fn from(space: Space) -> Self {
        space.entries.into_iter().map(|(key, values)| (key, values.to_toml())).collect()
    }
}

/// The keys of a table and of those in it, until a list or a range.
fn collect(prefix: &str, table: &toml::Table, entries: &mut Vec<(String, Values)>) -> Result<(), String> {
    for (key, value) in table {
        let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) if !inner.contains_key("from") && !inner.contains_key("to") => {
                collect(&key, inner, entries)?;
            }
            value => {
                if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == key) {
                    return Err(format!("{key} cannot be tuned: {why}"));
                }
                if entries.iter().any(|(other, _)| *other == key) {
                    return Err(format!("{key} is there twice"));
                }
                entries.push((key.clone(), Values::read(&key, value)?));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &str) -> Result<Space, String> {
        Space::try_from(toml::from_str::<toml::Table>(text).unwrap())
    }

    fn numbers(drawn: &[Vec<Setting>], key: usize) -> Vec<f64> {
        drawn.iter().map(|setting| setting[key].1.as_float().unwrap()).collect()
    }

    #[test]
    fn tables_and_dotted_keys_mean_the_same() {
        let dotted = space("train.learning_rate = { from = 1e-5, to = 1e-3, log = true }").unwrap();
        let quoted = space("'train.learning_rate' = { from = 1e-5, to = 1e-3, log = true }").unwrap();
        let table = space("[train.learning_rate]\nfrom = 1e-5\nto = 1e-3\nlog = true").unwrap();
        assert!(dotted == table && dotted == quoted, "{dotted:?} {table:?}");
        // As it is kept with the tuning.
        assert_eq!(Space::try_from(toml::Table::from(dotted.clone())), Ok(dotted));
    }

    #[test]
    fn what_is_no_space_is_refused_with_its_key() {
        for (text, expected) in [
            ("", "no key to tune"),
            ("train.epochs = 5", "train.epochs is 5; expected a list"),
            ("train.epochs = []", "empty list"),
            ("train.epochs = { from = 5 }", "train.epochs: a range needs from and to"),
            ("train.epochs = { from = 5, to = 9, step = 2 }", "train.epochs.step"),
            ("train.epochs = { from = 9, to = 5 }", "expected from below to"),
            ("train.epochs = { from = 0, to = 5, log = true }", "above 0"),
            ("train.epochs = { from = nan, to = 5 }", "train.epochs.from is nan; expected a number"),
            ("train.epochs = { from = 1, to = 5, log = 1 }", "expected true or false"),
            ("data.known = [0.1, 0.5]", "data.known cannot be tuned"),
            ("seed = [1, 2]", "luck"),
            ("'train.epochs' = [1]\ntrain.epochs = [2]", "train.epochs is there twice"),
        ] {
            let error = space(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn draws_of_a_range_lie_evenly_and_begin_alike() {
        let space =
            space("a = { from = 1e-4, to = 1e-2, log = true }\nb = { from = 0.0, to = 1.0 }").unwrap();
        let drawn = space.draw(3, 32);
        assert_eq!(drawn.len(), 32);
        assert_eq!(drawn[..7], space.draw(3, 7));
        assert_ne!(drawn, space.draw(4, 32));
        // In logarithms as many below the middle as above, to two; and every eighth of the other axis is met.
        let below = numbers(&drawn, 0).iter().filter(|value| **value < 1e-3).count();
        assert!((14..=18).contains(&below), "{below} of 32 below the middle");
        let eighths: std::collections::BTreeSet<usize> =
            numbers(&drawn, 1).iter().map(|value| (value * 8.0) as usize).collect();
        assert!(eighths.len() >= 8, "{eighths:?}");
        assert!(numbers(&drawn, 0).iter().all(|value| (1e-4..=1e-2).contains(value)));
    }

    #[test]
    fn a_grid_is_drawn_to_its_end_and_nothing_twice() {
        let space = space("a = [1, 2, 3]\nb = ['x', 'y']\nc = [true, false]").unwrap();
        let drawn = space.draw(0, 100);
        assert_eq!(drawn.len(), 12);
        assert_eq!(drawn, space.draw(0, 12));
        assert_eq!(space.draw(0, 5).len(), 5);
        assert_eq!(space.extremes().len(), 7);
    }

    #[test]
    fn a_range_of_whole_numbers_gives_whole_numbers_within_it() {
        let space = space("a = { from = 2, to = 6 }").unwrap();
        let values: Vec<i64> = space.draw(0, 50).iter().map(|s| s[0].1.as_integer().unwrap()).collect();
        assert!(values.iter().all(|value| (2..=6).contains(value)) && values.len() == 5, "{values:?}");
        assert_eq!(space.extremes(), [("a".into(), 2.into()), ("a".into(), 6.into())]);
    }

    #[test]
    fn the_space_around_a_recipe_is_that_of_its_method() {
        let recipe = |method: &str, sets: &[&str]| {
            let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
            Recipe::read(None, Some(method), &sets).unwrap()
        };
        let sarb = Space::around(&recipe("sarb", &["train.epochs=1", "train.weight_decay=0"])).unwrap();
        assert_eq!(
            sarb.keys().collect::<Vec<_>>(),
            ["train.epochs", "train.learning_rate", "train.weight_decay"]
        );
        let (key, value) = &sarb.extremes()[2];
        assert!(key == "train.learning_rate" && value.as_float() == Some(1e-6), "{key} {value}");
        let linear = Space::around(&recipe("linear", &["method.penalty=fixed"])).unwrap();
        assert_eq!(linear.extremes()[1], ("method.penalty_factor".into(), 20.0.into()));
        let error = Space::around(&recipe("linear", &[])).unwrap_err().to_string();
        assert!(error.contains("method.penalty=fixed"), "{error}");
    }
}
