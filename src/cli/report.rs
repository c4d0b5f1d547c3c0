//! `sarb report`: tables and figures of a sweep, or a page of runs.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::labels::Split;
use sarb::report::{Options, Report as Tables, Results};
use sarb::{Error, Result, Which};

use crate::cli::BootstrapArgs;
use crate::cli::console::{print, say, warn};
use crate::cli::systems::ScoreArgs;

/// Arguments of `sarb report`.
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// Folders of runs, side by side on one page; or folders of a sweep, several of which are shards of one plan
    #[arg(id = "runs", required_unless_present = "scores", value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// Of runs the page, a name that ends in .html [default: DIR/report.html]; of a sweep a folder for tables, figures
    /// and page, or one page if it ends in .html [default: DIR/report]
    #[arg(short, long, value_name = "OUT")]
    pub out: Option<PathBuf>,
    /// Data folder with the labels [default: the one of the runs or of the sweep]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Of runs: which images they are measured on, as `sarb evaluate` has kept them: train, val or test [default: test]
    #[arg(long, value_parser = |text: &str| text.parse::<Split>().map_err(|e| e.to_string()))]
    pub split: Option<Split>,
    /// Of runs: how many best and how many worst images are put into the page, at most 50; 0 for none [default: 6]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=50))]
    pub images: Option<u8>,
    /// Of runs: which checkpoint was evaluated and draws the heat maps [default: best]
    #[arg(long, value_enum)]
    pub checkpoint: Option<Which>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub others: ScoreArgs,
    /// Print one JSON object: the tables, the notes and the files that were written
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bootstrap: BootstrapArgs,
}

impl Report {
    /// Reads the folders, prints the tables, writes the files.
    pub fn run(&self) -> Result<()> {
        let runs = self.dirs.iter().filter(|dir| is_run(dir)).count();
        match runs {
            _ if runs == self.dirs.len() => self.page_of_runs(),
            0 => self.tables_of_sweep(),
            _ => {
                let other = self.dirs.iter().find(|dir| !is_run(dir)).expect("not all are runs");
                Err(Error::Usage(format!(
                    "{}: not a run folder (it has no recipe.toml), but others are; give runs only, or the folders of a sweep",
                    other.display()
                )))
            }
        }
    }

    fn tables_of_sweep(&self) -> Result<()> {
        let of_runs = [
            (!self.others.scores.is_empty(), "--scores"),
            (self.split.is_some(), "--split"),
            (self.images.is_some(), "--images"),
            (self.checkpoint.is_some(), "--checkpoint"),
        ];
        if let (Some((_, flag)), Some(dir)) = (of_runs.iter().find(|(given, _)| *given), self.dirs.first()) {
            return Err(Error::Usage(format!("{flag} is for runs; {} is not a run folder", dir.display())));
        }
        let results = Results::open(&self.dirs)?;
        let BootstrapArgs { bootstrap, seed } = self.bootstrap;
        let options = Options { data: self.data.clone(), bootstrap, seed };
        let report = Tables::of(&results, &options)?;
        let out = self.out.clone().unwrap_or_else(|| self.dirs[0].join("report"));
        let files = report.save(&out)?;
        if self.json {
            return print(&serde_json::to_string_pretty(&report.to_json(&files)).expect("plain data"));
        }
        print(&report.to_text())?;
        report.notes.iter().for_each(|note| warn(note));
        files.iter().for_each(|file| say(&file.display().to_string()));
        Ok(())
    }
}

/// Whether a folder is that of a run; what it is not, its reader says.
fn is_run(dir: &Path) -> bool {
    dir.join("recipe.toml").is_file()
}
