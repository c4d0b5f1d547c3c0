//! `sarb recipes`: the recipes and plans that are in the program, and every key of them.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use sarb::labels::files::write_atomically;
use sarb::recipes::{ALL, BuiltIn, Form, Source};
use sarb::sweep::Plan;
use sarb::{Error, Recipe, Result, key_page};

use super::console::{print, say};

/// What `sarb recipes` does.
#[derive(Debug, Clone, Subcommand)]
pub enum RecipesCommand {
    /// What is in the program
    List(List),
    /// Print a recipe or plan, complete with every default
    Show(Show),
    /// Write a copy to edit
    Write(Copy),
    /// Every key with its type, default, range and meaning
    Keys(Keys),
}

/// Arguments of `sarb recipes list`.
#[derive(Debug, Clone, Args)]
pub struct List {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarb recipes show`.
#[derive(Debug, Clone, Args)]
pub struct Show {
    /// Its name, such as coco18/sarb or plans/coco18; or a file
    name: PathBuf,
    /// The text with its comments, not resolved
    #[arg(long)]
    as_written: bool,
}

/// Arguments of `sarb recipes write`.
#[derive(Debug, Clone, Args)]
pub struct Copy {
    /// Its name, such as coco18/sarb or plans/coco18
    name: String,
    /// The file
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

/// Arguments of `sarb recipes keys`.
#[derive(Debug, Clone, Args)]
pub struct Keys {
    /// Only keys whose name holds this, such as train or network.dim
    #[arg(default_value = "", hide_default_value = true)]
    part: String,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Runs one of them.
pub fn run(command: &RecipesCommand) -> Result<()> {
    match command {
        RecipesCommand::List(list) => list.run(),
        RecipesCommand::Show(show) => show.run(),
        RecipesCommand::Write(copy) => copy.run(),
        RecipesCommand::Keys(keys) => keys.run(),
    }
}

impl List {
    fn run(&self) -> Result<()> {
        if self.json {
            let form = |built_in: &BuiltIn| match built_in.form() {
                Form::Recipe => "recipe",
                Form::Plan => "plan",
            };
            let entry = |built_in: &BuiltIn| serde_json::json!({ "name": built_in.name, "kind": form(built_in), "about": built_in.about() });
            return print(&serde_json::Value::from(ALL.iter().map(entry).collect::<Vec<_>>()).to_string());
        }
        let width = ALL.iter().map(|built_in| built_in.name.len()).max().unwrap_or(0);
        let line = |built_in: &BuiltIn| format!("{:width$}  {}", built_in.name, built_in.about());
        print(&ALL.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}

impl Show {
    fn run(&self) -> Result<()> {
        let form = form_of(&self.name)?;
        if self.as_written {
            return print(Source::find(&self.name, form)?.text(form)?.trim_end());
        }
        let text = match form {
            Form::Plan => Plan::read(&self.name)?.0.to_toml(),
            Form::Recipe => {
                let (recipe, notes) = Recipe::read_with_notes(Some(&self.name), None, &[])?;
                notes.iter().for_each(|note| say(note));
                recipe.to_toml()
            }
        };
        print(text.trim_end())
    }
}

/// Whether a name or a file is a recipe or a plan: a plan has rows.
fn form_of(name: &Path) -> Result<Form> {
    match Source::find(name, Form::Recipe) {
        Ok(Source::File(file)) if file.is_file() => {
            let text = Source::File(file).text(Form::Recipe)?;
            let has_rows = toml::from_str::<toml::Table>(&text).is_ok_and(|table| table.contains_key("row"));
            Ok(if has_rows { Form::Plan } else { Form::Recipe })
        }
        Ok(Source::BuiltIn(_)) => Ok(Form::Recipe),
        _ => BuiltIn::named(&name.to_string_lossy(), None).map(BuiltIn::form),
    }
}

impl Copy {
    fn run(&self) -> Result<()> {
        let built_in = BuiltIn::named(&self.name, None)?;
        if self.out.is_dir() {
            return Err(Error::Usage(format!("-o {}: a folder; expected a file", self.out.display())));
        }
        if self.out.symlink_metadata().is_ok() && !self.force {
            return Err(Error::Usage(format!(
                "-o {}: the file is there already; --force replaces it",
                self.out.display()
            )));
        }
        write_atomically(&self.out, |file| file.write_all(built_in.standing_alone().as_bytes()))?;
        print(&self.out.display().to_string())
    }
}

impl Keys {
    fn run(&self) -> Result<()> {
        let sections = [key_page::of_recipes(), key_page::of_plans()].concat();
        if self.json {
            let mut rows = Vec::new();
            for section in &sections {
                rows.extend(section.keys.iter().filter(|row| row.key.contains(&self.part)).map(|row| {
                    serde_json::json!({
                        "section": section.title, "key": row.key, "type": row.kind, "default": row.default,
                        "accepted": row.range, "meaning": row.meaning,
                    })
                }));
            }
            return print(&serde_json::Value::from(rows).to_string());
        }
        match key_page::listing(&sections, &self.part) {
            none if none.is_empty() => {
                Err(Error::Usage(format!("no key holds {:?}; without it all are listed", self.part)))
            }
            text => print(text.trim_end()),
        }
    }
}
