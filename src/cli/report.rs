//! `sarb report`: tables and figures of a sweep.

use std::path::PathBuf;

use clap::Args;
use sarb::Result;
use sarb::report::{Options, Report as Tables, Results};

use crate::cli::BootstrapArgs;
use crate::cli::console::{print, say, warn};

/// Arguments of `sarb report`.
#[derive(Debug, Clone, Args)]
pub struct Report {
    /// Folders of a sweep; several are shards of one plan
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,
    /// A folder for tables, figures and page, or one page if it ends in .html [default: DIR/report]
    #[arg(short, long, value_name = "OUT")]
    pub out: Option<PathBuf>,
    /// Data folder with the test labels [default: the one of the sweep]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print one JSON object: the tables, the notes and the files that were written
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub bootstrap: BootstrapArgs,
}

impl Report {
    /// Reads the sweep, prints the tables, writes the files.
    pub fn run(&self) -> Result<()> {
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
