//! Every key of recipes and plans as text: a page of the documentation and `sarb recipes keys` are made here.
//! Types, ranges and meanings are listed beside the settings; defaults are read from the settings themselves.

use std::fmt::Write;

use serde::Deserialize;

use crate::METHODS;
use crate::methods::MethodRecipe;
use crate::methods::keys::{Key, Kind, Variant};
use crate::recipe::{Recipe, keys, library};
use crate::sweep::{MORE_SEEDS, PLAN, ROW};

/// The keys of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What the table is called, such as `data` or `method.network`.
    pub title: String,
    /// What it is.
    pub about: String,
    /// Its keys.
    pub keys: Vec<Row>,
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its full name, such as `data.known`.
    pub key: String,
    /// Its type.
    pub kind: String,
    /// Its default as TOML; none, or that it must be given.
    pub default: String,
    /// What is accepted.
    pub range: String,
    /// What it means.
    pub meaning: String,
}

/// Keys of a plan that have no default.
const REQUIRED: [&str; 6] =
    ["known", "row", "row.name", "row.recipe", "more_seeds.known", "more_seeds.seeds"];
/// The least that is a plan.
const SMALLEST_PLAN: &str =
    "known = [0.1]\n[[row]]\nname = 'A'\nrecipe = 'a'\nmore_seeds = [{ known = 0.1, seeds = [1] }]";

/// The tables of a recipe: those of every experiment, then those of each method.
pub fn of_recipes() -> Vec<Section> {
    let default = toml::Table::try_from(Recipe::default()).expect("a recipe is a plain table");
    let mut sections = vec![section("recipe", "Outside every table.", "", keys::TOP, &default)];
    let mut shared: Vec<Section> = Vec::new();
    for (name, about, table) in keys::TABLES {
        let defaults = default.get(name).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        sections.push(section(name, about, name, table, &defaults));
        shared.extend(inner(name, table, &default));
    }
    sections.append(&mut shared);
    let about =
        "The method. The keys that each has beside `name` follow, then the tables that several share.";
    let defaults = toml::Table::from_iter([("name".to_string(), MethodRecipe::default().name().into())]);
    sections.push(section("method", about, "method", &[keys::METHOD], &defaults));
    for method in METHODS {
        let default = resolved(toml::Table::from_iter([("name".to_string(), (*method).into())]));
        let own = MethodRecipe::keys(method).unwrap_or_default();
        let defaults = default["method"].as_table().cloned().unwrap_or_default();
        sections.push(section(&format!("method.name = \"{method}\""), "", "method", own, &defaults));
        for section in inner("method", own, &default) {
            if !shared.iter().any(|there| there.title == section.title) {
                shared.push(section);
            }
        }
    }
    sections.append(&mut shared);
    sections
}

/// The tables of a plan.
pub fn of_plans() -> Vec<Section> {
    let plan: crate::sweep::Plan = toml::from_str(SMALLEST_PLAN).expect("the smallest plan is one");
    let plan = toml::Table::try_from(plan).expect("a plan is a plain table");
    let first = |table: &toml::Table, key: &str| {
        let list = table.get(key).and_then(toml::Value::as_array);
        list.and_then(|list| list.first()?.as_table().cloned()).unwrap_or_default()
    };
    let row = first(&plan, "row");
    let more = first(&row, "more_seeds");
    let mut sections = vec![
        section("plan", "Outside every table.", "", PLAN, &plan),
        section("row", "One row of the tables: `[[row]]`.", "row", ROW, &row),
        section(
            "more_seeds",
            "Further seeds of a row: `[{ known = 0.1, seeds = [1, 2] }]`.",
            "more_seeds",
            MORE_SEEDS,
            &more,
        ),
    ];
    for row in sections.iter_mut().flat_map(|section| &mut section.keys) {
        if REQUIRED.contains(&row.key.as_str()) {
            row.default = "must be given".into();
        } else if row.key == "row.more_seeds" {
            row.default = "[]".into();
        }
    }
    sections
}

/// A table of keys with their defaults.
fn section(title: &str, about: &str, prefix: &str, keys: &[Key], defaults: &toml::Table) -> Section {
    let rows = keys.iter().map(|key| Row {
        key: if prefix.is_empty() { key.name.into() } else { format!("{prefix}.{}", key.name) },
        kind: key.kind.name(),
        default: match (key.kind, defaults.get(key.name)) {
            (_, None) => "none".into(),
            (Kind::Table(..), Some(_)) => String::new(),
            (Kind::Choice(tag, _), Some(value)) => {
                value.get(tag).map_or(String::new(), toml::Value::to_string)
            }
            (_, Some(value)) => value.to_string(),
        },
        range: key.kind.range(),
        meaning: key.meaning.into(),
    });
    Section { title: title.into(), about: about.into(), keys: rows.collect() }
}

/// The tables within a table; `default` is the whole recipe.
fn inner(prefix: &str, keys: &[Key], default: &toml::Table) -> Vec<Section> {
    let outer = default.get(prefix).and_then(toml::Value::as_table).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for key in keys {
        let title = format!("{prefix}.{}", key.name);
        match key.kind {
            Kind::Table(_, keys) => {
                // Without a default here, another method has one.
                let Some(defaults) = outer.get(key.name).and_then(toml::Value::as_table) else { continue };
                found.push(section(&title, &format!("{}.", key.meaning), &title, keys, defaults));
            }
            Kind::Choice(tag, variants) => {
                found.extend(variants.iter().map(|variant| variant_of(prefix, key, tag, variant, &outer)));
            }
            _ => {}
        }
    }
    found
}

/// The keys of one of the tables that a key may be.
fn variant_of(prefix: &str, key: &Key, tag: &str, variant: &Variant, outer: &toml::Table) -> Section {
    let chosen = toml::Table::from_iter([(tag.to_string(), variant.name.into())]);
    let mut table = outer.clone();
    table.insert(key.name.into(), chosen.into());
    let recipe = match prefix {
        "method" => resolved(table),
        _ => with_defaults(toml::Table::from_iter([(prefix.to_string(), table.into())])),
    };
    let defaults = recipe[prefix][key.name].as_table().cloned().unwrap_or_default();
    let title = format!("{prefix}.{}", key.name);
    let heading = format!("{title}.{tag} = \"{}\"", variant.name);
    section(&heading, &format!("{}.", variant.meaning), &title, variant.keys, &defaults)
}

/// A recipe with this table as its method, and the defaults for the rest.
fn resolved(method: toml::Table) -> toml::Table {
    with_defaults(toml::Table::from_iter([("method".to_string(), method.into())]))
}

fn with_defaults(recipe: toml::Table) -> toml::Table {
    let recipe = Recipe::deserialize(recipe).expect("settings that the keys list");
    toml::Table::try_from(recipe).expect("a recipe is a plain table")
}

/// Sections as Markdown, each under a heading.
pub fn markdown(sections: &[Section]) -> String {
    let mut text = String::new();
    for Section { title, about, keys } in sections {
        write!(text, "### `{title}`\n\n").expect("in memory");
        if !about.is_empty() {
            write!(text, "{about}\n\n").expect("in memory");
        }
        if keys.is_empty() {
            text.push_str("No further keys.\n\n");
            continue;
        }
        text.push_str("| key | type | default | accepted | meaning |\n| --- | --- | --- | --- | --- |\n");
        for Row { key, kind, default, range, meaning } in keys {
            let default = match default.as_str() {
                "" | "none" | "must be given" => default.clone(),
                value => format!("`{value}`"),
            };
            writeln!(text, "| `{key}` | {kind} | {default} | {range} | {meaning} |").expect("in memory");
        }
        text.push('\n');
    }
    text
}

/// Sections for a terminal; of the keys, those whose name holds `part`.
pub fn listing(sections: &[Section], part: &str) -> String {
    let mut text = String::new();
    for Section { title, keys, .. } in sections {
        let keys: Vec<&Row> = keys.iter().filter(|row| row.key.contains(part)).collect();
        if keys.is_empty() {
            continue;
        }
        writeln!(text, "[{title}]").expect("in memory");
        for Row { key, kind, default, range, meaning } in keys {
            let range = if range.is_empty() { String::new() } else { format!(", {range}") };
            let default = if default.is_empty() { String::new() } else { format!(" (default {default})") };
            writeln!(text, "  {key}: {kind}{range}{default}\n      {meaning}").expect("in memory");
        }
        text.push('\n');
    }
    text
}

/// What is in the program, as Markdown.
pub fn built_in() -> String {
    let mut text = String::from("| name | what it is |\n| --- | --- |\n");
    for built_in in library::ALL {
        writeln!(text, "| `{}` | {} |", built_in.name, built_in.about()).expect("in memory");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::made_pages::between_marks;

    #[test]
    fn the_page_says_what_the_settings_say() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes.md");
        between_marks(&page, "recipes and plans", &built_in());
        between_marks(&page, "keys of recipes", &markdown(&of_recipes()));
        between_marks(&page, "keys of plans", &markdown(&of_plans()));
    }

    #[test]
    fn defaults_are_those_of_the_settings() {
        let sections = [of_recipes(), of_plans()].concat();
        let default = |key: &str| {
            let rows = sections.iter().flat_map(|section| &section.keys);
            rows.into_iter().find(|row| row.key == key).map(|row| row.default.clone()).unwrap()
        };
        assert_eq!(default("train.epochs"), Recipe::default().train.epochs.to_string());
        assert_eq!(default("method.network.dim"), "1024");
        assert_eq!(default("method.weight.alpha"), "-4.45");
        assert_eq!(default("method.strategy.passes"), "20");
        assert_eq!(default("data.cooccurrence"), "\"unbiased\"");
        assert_eq!((default("seeds"), default("known")), ("[0]".into(), "must be given".into()));
        assert_eq!((default("extends"), default("published")), ("none".into(), "none".into()));
    }

    #[test]
    fn a_listing_is_of_the_keys_that_are_asked_for() {
        let text = listing(&of_recipes(), "learning_rate");
        assert!(text.contains("  train.learning_rate: number, above 0 (default 0.00001)"), "{text}");
        assert!(!text.contains("train.epochs"), "{text}");
    }
}
