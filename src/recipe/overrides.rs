//! `--set key=value`: settings on top of a recipe, and messages that name the flag and the key.

use sarb_labels::categories::did_you_mean;

use super::keys;
use crate::methods::keys::Kind;
use crate::{Error, Result};

/// What `--set` says, in its order.
pub(super) struct Overrides<'a> {
    sets: Vec<Override<'a>>,
}

/// One `--set a.b=value`.
struct Override<'a> {
    /// As it was typed.
    text: &'a str,
    /// `a.b`.
    key: &'a str,
    value: toml::Value,
}

impl<'a> Overrides<'a> {
    /// Reads them: the value is TOML, and a bare word is a string.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the flag where that is not `key=value`.
    pub fn parse(sets: &'a [String]) -> Result<Self> {
        let parse = |text: &'a String| {
            let bad = |why: &str| {
                Error::Usage(format!("--set {text}: {why}; expected key=value such as train.epochs=10"))
            };
            let (key, value) = text.split_once('=').ok_or_else(|| bad("no `=`"))?;
            let key = key.trim();
            if key.split('.').any(str::is_empty) {
                return Err(bad("empty key"));
            }
            let value = match toml::from_str::<toml::Table>(&format!("x = {value}")) {
                Ok(mut parsed) => parsed.remove("x").ok_or_else(|| bad("no value"))?,
                Err(_) => toml::Value::String(value.to_string()),
            };
            Ok(Override { text, key, value })
        };
        Ok(Self { sets: sets.iter().map(parse).collect::<Result<_>>()? })
    }

    /// Puts them into `table`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a key below a value.
    pub fn apply(&self, table: &mut toml::Table) -> Result<()> {
        self.sets.iter().try_for_each(|set| set.apply(table))
    }

    /// Refuses keys that the recipe in `table` does not have.
    ///
    /// # Errors
    /// [`Error::Usage`] with the flag, the key, and the one that is probably meant.
    pub fn check_keys(&self, table: &toml::Table) -> Result<()> {
        let method = table.get("method").and_then(|method| method.get("name")).and_then(|name| name.as_str());
        let known = keys::all(method);
        for set in &self.sets {
            if known.iter().any(|(name, _)| name == set.key) || keys::is_old(set.key) {
                continue;
            }
            let names = known.iter().map(|(name, _)| name.as_str());
            let of = method.filter(|_| set.key.starts_with("method.")).map(|name| format!(" of {name}"));
            return Err(Error::Usage(format!(
                "--set {}: there is no key {}{}{}",
                set.text,
                set.key,
                of.unwrap_or_default(),
                meant(set.key, &names.collect::<Vec<_>>())
            )));
        }
        Ok(())
    }

    /// The message for the first one with which `table`, that `read` took before, is refused.
    pub fn first_refused(
        &self,
        mut table: toml::Table,
        read: impl Fn(toml::Table) -> Result<(), String>,
    ) -> Option<Error> {
        read(table.clone()).ok()?;
        self.sets.iter().find_map(|set| {
            set.apply(&mut table).ok()?;
            let why = read(table.clone()).err()?;
            let of_value = ["invalid type", "invalid value", "unknown variant", "unknown method"]
                .iter()
                .any(|of| why.starts_with(of));
            let message = match set.expected(&table).filter(|_| of_value) {
                Some(expected) => format!("{} is {}; expected {expected}", set.key, set.value),
                None if set.key == "method.name" => format!(
                    "{why}; the recipe's other settings of its method stay with --set, --method leaves them out"
                ),
                None => why,
            };
            Some(Error::Recipe(format!("--set {}: {message}", set.text)))
        })
    }

    /// An error of the recipe called `name`; where it is about a key of a `--set`, that is named instead.
    pub fn named_in(&self, error: Error, name: &str) -> Error {
        let text = error.to_string();
        let said = text.strip_prefix(name).and_then(|text| text.strip_prefix(": "));
        let set = said.and_then(|said| {
            let is_of =
                |set: &&Override| said.strip_prefix(set.key).is_some_and(|rest| rest.starts_with([' ', '.']));
            Some((self.sets.iter().rev().find(is_of)?, said))
        });
        match set {
            Some((set, said)) => Error::Recipe(format!("--set {}: {said}", set.text)),
            None => error,
        }
    }
}

/// The key that was probably meant: one that ends alike, such as train.epochs by epochs, else the nearest.
fn meant(key: &str, known: &[&str]) -> String {
    const MOST: usize = 3;
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let mut alike: Vec<&str> = known.iter().copied().filter(|name| last(name) == last(key)).collect();
    alike.dedup();
    match alike.len() {
        0 => {}
        1..=MOST => {
            let quoted: Vec<String> = alike.iter().map(|name| format!("{name:?}")).collect();
            return format!("; did you mean {}?", quoted.join(" or "));
        }
        _ => return format!("; `sarb recipes keys {}` lists such keys", last(key)),
    }
    match did_you_mean(key, known.iter().copied()) {
        none if none.is_empty() => "; `sarb recipes keys` lists them".into(),
        hint => hint,
    }
}

impl Override<'_> {
    fn apply(&self, table: &mut toml::Table) -> Result<()> {
        let (tables, last) = self.key.rsplit_once('.').unwrap_or(("", self.key));
        let mut here = table;
        for part in tables.split('.').filter(|part| !part.is_empty()) {
            let next = here.entry(part).or_insert_with(|| toml::Table::new().into());
            here = next.as_table_mut().ok_or_else(|| {
                Error::Usage(format!("--set {}: `{part}` is a value, not a table", self.text))
            })?;
        }
        here.insert(last.to_string(), self.value.clone());
        Ok(())
    }

    /// What its key accepts, with the word that is probably meant.
    fn expected(&self, table: &toml::Table) -> Option<String> {
        let method = table.get("method").and_then(|method| method.get("name")).and_then(|name| name.as_str());
        let known = keys::all(method);
        let (_, key) = known.iter().find(|(name, _)| name == self.key)?;
        let hint = match (key.kind, self.value.as_str()) {
            (Kind::Word(words) | Kind::WordOrShare(words), Some(word)) => {
                did_you_mean(word, words.iter().copied())
            }
            _ => String::new(),
        };
        Some(format!("{}{hint}", key.kind.expected()))
    }
}
