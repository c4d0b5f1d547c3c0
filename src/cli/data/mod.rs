//! `sarb data`: reads, checks, shows, hides, splits and converts labels.

pub mod check;
pub mod convert;
pub mod fetch;
pub mod formats;
pub mod hide;
pub mod inspect;
mod out_folder;
pub mod source;
pub mod split;

use sarb::Result;
use sarb_labels::{Annotations, Label};

/// Commands on labels.
#[derive(Debug, clap::Subcommand)]
pub enum DataCommand {
    /// Count images, categories and known labels, or show them on a page
    Inspect(inspect::Inspect),
    /// Find problems in labels and images
    Check(check::Check),
    /// Hide labels of the training split, as the official data sets do or otherwise
    Hide(hide::Hide),
    /// Split images into training, validation and test images, each with its share of every category
    Split(split::Split),
    /// Read labels of any format and write them in another
    Convert(convert::Convert),
    /// Fetch a public data set and make a data folder of it
    Fetch(fetch::Fetch),
    /// List the formats of labels, each with an example
    Formats(formats::Formats),
}

/// Runs one command.
pub fn run(command: DataCommand) -> Result<()> {
    match command {
        DataCommand::Inspect(command) => command.run(),
        DataCommand::Check(command) => command.run(),
        DataCommand::Hide(command) => command.run(),
        DataCommand::Split(command) => command.run(),
        DataCommand::Convert(command) => command.run(),
        DataCommand::Fetch(command) => command.run(&crate::cli::signals::listen()),
        DataCommand::Formats(command) => command.run(),
    }
}

/// Labels in one line: how many images, categories and labels of each kind.
pub fn counts(annotations: &Annotations) -> String {
    let labels = &annotations.labels;
    let [positive, negative, unknown] =
        [Label::Positive, Label::Negative, Label::Unknown].map(|label| labels.count(label));
    format!(
        "{} images, {} categories: {positive} positive, {negative} negative, {unknown} unknown",
        labels.images(),
        labels.categories()
    )
}

/// What [`counts`] says, for programs.
fn counts_as_json(annotations: &Annotations) -> serde_json::Value {
    let labels = &annotations.labels;
    serde_json::json!({
        "images": labels.images(),
        "categories": labels.categories(),
        "positive": labels.count(Label::Positive),
        "negative": labels.count(Label::Negative),
        "unknown": labels.count(Label::Unknown),
    })
}
