//! From a file, what it extends and the command line to a checked recipe.

use std::path::Path;

use sarb_labels::cooccurrence::Cooccurrence;

use super::{Protocol, Recipe, Select, Validation};
use crate::methods::MethodRecipe;
use crate::{Error, Result};

/// So many recipes may extend one another; more is a circle.
const MOST_EXTENDED: usize = 8;

/// Keys that had another name, as `table.old` and `new`; the old one is read for as long as runs with it are.
const RENAMED: [(&str, &str, &str); 1] = [("method", "standardise", "standardize")];

/// Tables of a method's settings that other methods share: they stay where the method changes.
const SHARED: [&str; 3] = ["network", "head", "mixing"];

impl Recipe {
    /// Reads a recipe file, or starts from the defaults; `--method` and `--set key=value` come on top.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the key, the value and what is accepted.
    pub fn read(file: Option<&Path>, method: Option<&str>, sets: &[String]) -> Result<Self> {
        Self::read_with_notes(file, method, sets).map(|(recipe, _)| recipe)
    }

    /// [`read`](Self::read), and what a person should know of how it was read: keys under an old name.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn read_with_notes(
        file: Option<&Path>,
        method: Option<&str>,
        sets: &[String],
    ) -> Result<(Self, Vec<String>)> {
        let mut table = match file {
            Some(path) => parse_file(path, MOST_EXTENDED)?,
            None => toml::Table::new(),
        };
        if let Some(name) = method {
            set_method(&mut table, name);
        }
        for set in sets {
            apply(&mut table, set)?;
        }
        let name = file.map_or("recipe".to_string(), |path| path.display().to_string());
        if table.contains_key("extends") {
            return Err(Error::Usage("--set extends: only a recipe file extends another".into()));
        }
        let notes = rename_old_keys(&mut table, &name);
        let recipe: Recipe = table
            .clone()
            .try_into()
            .map_err(|e: toml::de::Error| Error::Recipe(format!("{name}: {}", one_line(&e))))?;
        let recipe = match recipe.protocol {
            Protocol::Corrected => recipe,
            Protocol::Reference => recipe.following_reference(&table, &name)?,
        };
        recipe.check(&name)?;
        Ok((recipe, notes))
    }

    /// The recipe with what [`Protocol::Reference`] means; `said` is what was written.
    fn following_reference(self, said: &toml::Table, file: &str) -> Result<Self> {
        let mut reference = self.clone();
        reference.data.cooccurrence = Cooccurrence::Reference;
        reference.data.validation = Validation::Share(0.0);
        reference.train.drop_last = true;
        reference.train.select = Select::Test;
        reference.method.follow_reference();
        let table = |recipe: &Self| toml::Table::try_from(recipe).expect("a recipe is a plain table");
        match contradiction(said, &table(&self), &table(&reference), "") {
            Some((key, value)) => Err(Error::Recipe(format!(
                "{file}: protocol = \"reference\" means {key} = {value}; leave {key} out, or choose protocol = \"corrected\""
            ))),
            None => Ok(reference),
        }
    }
}

/// Gives keys their present names; a note for each old one.
fn rename_old_keys(table: &mut toml::Table, file: &str) -> Vec<String> {
    let mut notes = Vec::new();
    for (part, old, new) in RENAMED {
        let Some(toml::Value::Table(settings)) = table.get_mut(part) else { continue };
        if let Some(value) = settings.remove(old) {
            settings.insert(new.into(), value);
            notes.push(format!("{file}: {part}.{old} is now called {part}.{new}"));
        }
    }
    notes
}

/// The first key that was written and that the reference protocol changes, with the value it wants.
fn contradiction(
    said: &toml::Table,
    before: &toml::Table,
    after: &toml::Table,
    path: &str,
) -> Option<(String, toml::Value)> {
    said.iter().find_map(|(key, value)| {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let (old, new) = (before.get(key)?, after.get(key)?);
        match (value, old, new) {
            (toml::Value::Table(said), toml::Value::Table(old), toml::Value::Table(new)) => {
                contradiction(said, old, new, &path)
            }
            _ => (old != new).then(|| (path, new.clone())),
        }
    })
}

/// The table of a file on top of that of the recipe it extends.
fn parse_file(path: &Path, depth: usize) -> Result<toml::Table> {
    let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => Error::Recipe(format!("{}: not UTF-8 text", path.display())),
        _ => Error::io(path, e),
    })?;
    // Once as the typed recipe, for messages that know the line; once as a table, for overriding.
    let located = |e: toml::de::Error| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::Recipe(format!("{}:{line}: {}", path.display(), one_line(&e)))
    };
    toml::from_str::<Recipe>(&text).map_err(located)?;
    let mut table: toml::Table = toml::from_str(&text).map_err(located)?;
    let Some(base) = table.remove("extends") else { return Ok(table) };
    if depth == 0 {
        return Err(Error::Recipe(format!("{}: recipes extend one another in a circle", path.display())));
    }
    let base = sarb_labels::files::folder_of(path).join(base.as_str().unwrap_or_default());
    let mut extended = parse_file(&base, depth - 1)?;
    if let Some(name) = table.get("method").and_then(|method| method.get("name")).and_then(|n| n.as_str()) {
        set_method(&mut extended, name);
    }
    merge(&mut extended, table);
    Ok(extended)
}

/// Puts what `table` says in the place of what `base` says; a table of another kind replaces the whole.
fn merge(base: &mut toml::Table, table: toml::Table) {
    for (key, value) in table {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new))
                if ["name", "kind"]
                    .iter()
                    .all(|tag| new.get(*tag).is_none_or(|new| old.get(*tag) == Some(new))) =>
            {
                merge(old, new);
            }
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

/// The message alone: file and line stand in front of it already.
fn one_line(error: &toml::de::Error) -> String {
    error.message().trim().replace('\n', "; ")
}

/// Chooses a method; settings of another one are dropped with it, but for the tables that both have.
fn set_method(table: &mut toml::Table, name: &str) {
    let old = table.remove("method");
    let mut method = toml::Table::new();
    method.insert("name".into(), name.into());
    if let Some(toml::Value::Table(old)) = old {
        if old.get("name").and_then(|n| n.as_str()) == Some(name) {
            method = old;
        } else {
            let kept = SHARED.iter().filter_map(|key| Some(((*key).to_string(), old.get(*key)?.clone())));
            let fits = |entry: &(String, toml::Value)| {
                MethodRecipe::from_settings(name, toml::Table::from_iter([entry.clone()])).is_ok()
            };
            method.extend(kept.filter(fits));
        }
    }
    table.insert("method".into(), method.into());
}

/// Applies one `--set a.b=value`: the value is TOML, and a bare word is a string.
fn apply(table: &mut toml::Table, set: &str) -> Result<()> {
    let bad =
        |why: &str| Error::Usage(format!("--set {set}: {why}; expected key=value such as train.epochs=10"));
    let (key, text) = set.split_once('=').ok_or_else(|| bad("no `=`"))?;
    let value = match toml::from_str::<toml::Table>(&format!("x = {text}")) {
        Ok(mut parsed) => parsed.remove("x").ok_or_else(|| bad("no value"))?,
        Err(_) => toml::Value::String(text.to_string()),
    };
    let mut parts = key.trim().split('.').peekable();
    let mut here = table;
    while let Some(part) = parts.next() {
        if part.is_empty() {
            return Err(bad("empty key"));
        }
        if parts.peek().is_none() {
            here.insert(part.to_string(), value);
            return Ok(());
        }
        here = here
            .entry(part)
            .or_insert_with(|| toml::Table::new().into())
            .as_table_mut()
            .ok_or_else(|| bad(&format!("`{part}` is a value, not a table")))?;
    }
    Err(bad("empty key"))
}
