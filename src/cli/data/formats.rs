//! `sarb data formats`: which formats of labels there are.

use clap::Args;
use sarb::Result;
use sarb_labels::formats::page;

use crate::cli::console::print;

/// Arguments of `sarb data formats`.
#[derive(Debug, Args)]
pub struct Formats {}

impl Formats {
    /// Prints every format with an example and its options.
    pub fn run(&self) -> Result<()> {
        print(page::listing().trim_end())
    }
}
