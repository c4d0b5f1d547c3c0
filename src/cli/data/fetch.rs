//! `sarb data fetch`: public data sets by name.

use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use sarb::datasets::{Entry, all};
use sarb::fetch::{Patience, home};
use sarb::{Cancel, Result};

use super::counts;
use crate::cli::console::{print, say};
use crate::cli::transfer::Transfer;

/// Arguments of `sarb data fetch`.
#[derive(Debug, Args)]
#[command(after_long_help = sources())]
pub struct Fetch {
    /// Which data set
    #[arg(value_parser = PossibleValuesParser::new(all().map(|entry| entry.name)))]
    name: String,
    /// The data folder to make
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Read the files from this folder instead of downloading them; they are checked as downloads are
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Keep the downloaded files after the data folder is made
    #[arg(long, conflicts_with = "from")]
    keep: bool,
}

impl Fetch {
    /// Fetches, unpacks, converts, and counts the labels.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        let entry = Entry::named(&self.name)?;
        let home = home()?;
        if self.from.is_none() {
            say(&format!("{}: {} MB; license: {}", entry.about, entry.megabytes, entry.license));
        }
        let data = Transfer::new().during(cancel, |watch| {
            let (keep, from) = ((&*home, self.keep), self.from.as_deref());
            sarb::datasets::fetch(&entry, &self.out, keep, from, &Patience::default(), watch)
        })?;
        say(&format!("train.csv: {}", counts(&data.train)));
        data.test.iter().for_each(|test| say(&format!("test.csv: {}", counts(test))));
        print(&self.out.display().to_string())
    }
}

/// What is fetched, for people without a network and for the curious.
fn sources() -> String {
    let mut text =
        String::from("What is fetched; --from DIR expects these files under the last part of their names:\n");
    for entry in all() {
        text.push_str(&format!("\n  {} ({} MB; {})\n", entry.name, entry.megabytes, entry.license));
        entry.files.iter().for_each(|file| text.push_str(&format!("    {}\n", file.url)));
    }
    text
}
