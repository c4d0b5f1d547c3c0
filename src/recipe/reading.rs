//! From a file or a name, what it extends and the command line to a checked recipe.

use std::path::Path;

use sarb_labels::cooccurrence::Cooccurrence;
use sarb_labels::files::folder_of;
use serde::Deserialize;

use super::keys::RENAMED;
use super::library::{Form, Source};
use super::overrides::Overrides;
use super::{Protocol, Recipe, Select, Validation, onnx};
use crate::methods::MethodRecipe;
use crate::{Error, Result};

/// So many recipes may extend one another; more is a circle.
const MOST_EXTENDED: usize = 8;

/// Tables of a method's settings that other methods share: they stay where the method changes.
const SHARED: [&str; 3] = ["network", "head", "mixing"];

impl Recipe {
    /// Reads a recipe, or starts from the defaults; `--method` and `--set key=value` come on top. `file` is a
    /// path, or the name of a recipe in the program such as `coco18/sarb`.
    ///
    /// # Errors
    /// [`Error::Recipe`] naming the key, the value and what is accepted.
    pub fn read(file: Option<&Path>, method: Option<&str>, sets: &[String]) -> Result<Self> {
        Self::read_with_notes(file, method, sets).map(|(recipe, _)| recipe)
    }

    /// [`read`](Self::read), and what a person should know of how it was read: a file in the place of the
    /// program's recipe, keys under an old name.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn read_with_notes(
        file: Option<&Path>,
        method: Option<&str>,
        sets: &[String],
    ) -> Result<(Self, Vec<String>)> {
        let Some(file) = file else { return resolve(toml::Table::new(), "recipe", method, sets) };
        let source = Source::find(file, Form::Recipe)?;
        let table = parse(&source, MOST_EXTENDED)?;
        let (recipe, mut notes) = resolve(table, &source.to_string(), method, sets)?;
        notes.extend(source.note(file));
        Ok((recipe, notes))
    }

    /// The recipe that a file in `folder` names, with `--set key=value` on top.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn read_from(folder: &Path, written: &Path, sets: &[String]) -> Result<Self> {
        let source = Source::seen_from(folder, written, Form::Recipe)?;
        resolve(parse(&source, MOST_EXTENDED)?, &source.to_string(), None, sets).map(|(recipe, _)| recipe)
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

/// The recipe called `name` in messages: its table, another method, and overrides on top.
fn resolve(
    mut table: toml::Table,
    name: &str,
    method: Option<&str>,
    sets: &[String],
) -> Result<(Recipe, Vec<String>)> {
    if let Some(name) = method {
        set_method(&mut table, name);
    }
    let mut notes = rename_old_keys(&mut table, name);
    let overrides = Overrides::parse(sets)?;
    let before = table.clone();
    overrides.apply(&mut table)?;
    // Without a recipe `--set method.…` is about the method that is trained then.
    if let Some(toml::Value::Table(method)) = table.get_mut("method") {
        method.entry("name").or_insert_with(|| MethodRecipe::default().name().into());
    }
    if table.contains_key("extends") {
        return Err(Error::Usage("--set extends: only a recipe file extends another".into()));
    }
    notes.extend(rename_old_keys(&mut table, name));
    overrides.check_keys(&table)?;
    let recipe: Recipe = table.clone().try_into().map_err(|e: toml::de::Error| {
        let read = |table| Recipe::deserialize(table).map(|_| ()).map_err(|e: toml::de::Error| one_line(&e));
        let culprit = overrides.first_refused(before, read);
        culprit.unwrap_or_else(|| Error::Recipe(format!("{name}: {}", one_line(&e))))
    })?;
    let recipe = match recipe.protocol {
        Protocol::Corrected => recipe,
        Protocol::Reference => recipe.following_reference(&table, name)?,
    };
    let recipe = recipe.following_onnx(&table)?;
    recipe.check(name).map_err(|error| overrides.named_in(error, name))?;
    Ok((recipe, notes))
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

/// The table of a recipe on top of that of the recipe it extends.
fn parse(source: &Source, depth: usize) -> Result<toml::Table> {
    let text = source.text(Form::Recipe)?;
    // Once as the typed recipe, for messages that know the line; once as a table, for overriding.
    let located = |e: toml::de::Error| {
        let line = e.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        Error::Recipe(format!("{source}:{line}: {}", one_line(&e)))
    };
    toml::from_str::<Recipe>(&text).map_err(located)?;
    let mut table: toml::Table = toml::from_str(&text).map_err(located)?;
    if let Source::File(path) = source {
        onnx::locate(&mut table, folder_of(path));
    }
    let Some(base) = table.remove("extends") else { return Ok(table) };
    if depth == 0 {
        return Err(Error::Recipe(format!("{source}: recipes extend one another in a circle")));
    }
    let base = source.beside(Path::new(base.as_str().unwrap_or_default()))?;
    let mut extended = parse(&base, depth - 1)?;
    if let Some(name) = table.get("method").and_then(|method| method.get("name")).and_then(|n| n.as_str()) {
        set_method(&mut extended, name);
    }
    merge(&mut extended, table);
    Ok(extended)
}

/// Puts what `table` says in the place of what `base` says. A table that chooses another `name` or `kind` replaces the
/// whole, for its settings are those of what it chooses; but `backbone` has the same for every backbone.
fn merge(base: &mut toml::Table, table: toml::Table) {
    for (key, value) in table {
        let chooses_another = |old: &toml::Table, new: &toml::Table| {
            ["name", "kind"]
                .iter()
                .any(|tag| new.get(*tag).is_some_and(|chosen| old.get(*tag) != Some(chosen)))
        };
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new))
                if key == "backbone" || !chooses_another(old, &new) =>
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
    let said = error.message().trim().replace('\n', "; ");
    if said.contains("value was too large") || said.contains(" as i128") {
        return format!("{said}; the whole numbers of a recipe end at {}", i64::MAX);
    }
    said
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
