//! `sarb labels`: what a run says of labels, those that it was trained on and others.

pub mod fill;
pub mod issues;
pub mod next;
mod pool;

use sarb::Result;

/// Commands on labels.
#[derive(Debug, clap::Subcommand)]
pub enum LabelsCommand {
    /// Fill in unknown labels where a wanted precision can be promised
    Fill(Box<fill::Fill>),
    /// List known labels that look wrong, the most doubtful first
    Issues(Box<issues::Issues>),
    /// List the unknown labels to ask people for next, the most useful first
    Next(Box<next::Next>),
}

/// Runs one command.
pub fn run(command: LabelsCommand) -> Result<()> {
    match command {
        LabelsCommand::Fill(command) => command.run(),
        LabelsCommand::Issues(command) => command.run(),
        LabelsCommand::Next(command) => command.run(),
    }
}
