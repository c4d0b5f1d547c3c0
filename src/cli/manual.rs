//! `sarb completions` and `sarb man`: what shells and `man` want to know of the command line.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use sarb::{Error, Result};

use super::Cli;
use super::console::print;

/// Arguments of `sarb completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    pub fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "sarb", &mut script);
        print(String::from_utf8_lossy(&script).trim_end())
    }
}

/// Arguments of `sarb man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Folder for the pages: sarb.1 and one for each command
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
}

impl Man {
    /// Writes the pages, and prints the folder.
    pub fn run(&self) -> Result<()> {
        let failed = |error| Error::io(&self.out, error);
        std::fs::create_dir_all(&self.out).map_err(failed)?;
        clap_mangen::generate_to(Cli::command(), &self.out).map_err(failed)?;
        print(&self.out.display().to_string())
    }
}
