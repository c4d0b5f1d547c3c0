//! `--decide` and `--audited`: the decisions of a run, and what they are founded on.

use std::path::{Path, PathBuf};

use sarb::decisions::evidence::Evidence;
use sarb::decisions::thresholds::{Decisions, Goal};
use sarb::labels::Split;
use sarb::labels::text::{listed, thousands};
use sarb::{Error, OutOfFold, Result, Run};

use super::console::say;
use super::data::source::ReadArgs;

/// What the decisions of a run are founded on.
#[derive(Debug, Clone, clap::Args)]
pub struct Audited {
    /// Labels of any format that were drawn at random and looked up (sarb labels next --by chance): decisions are
    /// founded on these alone. For runs whose known labels are not known by chance
    #[arg(long, value_name = "FILE")]
    pub audited: Option<PathBuf>,
}

impl Audited {
    /// Refuses audited labels where nothing is decided.
    pub fn only_with(&self, decide: Option<Goal>) -> Result<()> {
        match (&self.audited, decide) {
            (Some(file), None) => Err(Error::Usage(format!(
                "--audited {}: without --decide nothing is founded on it",
                file.display()
            ))),
            _ => Ok(()),
        }
    }

    /// The known labels of a run, or the audited ones.
    pub fn evidence<'a>(&self, scores: &'a OutOfFold) -> Result<Evidence<'a>> {
        let Some(file) = &self.audited else { return Ok(Evidence::known(scores)) };
        let sample = ReadArgs::default().read(file, Split::Train)?;
        let evidence = Evidence::audited(scores, sample)?;
        say(&format!(
            "{}: {} labels that the run does not know",
            file.display(),
            thousands(evidence.count())
        ));
        Ok(evidence)
    }
}

/// What a run decides for a goal; says which categories it never does.
pub fn decisions(run: &Path, goal: Goal, audited: &Audited) -> Result<Decisions> {
    let scores = OutOfFold::open(&Run::open(run)?)?;
    let decisions = Decisions::new(&audited.evidence(&scores)?, goal);
    let names = scores.annotations.categories.iter().zip(&decisions.categories);
    let never: Vec<&String> =
        names.filter(|(_, decision)| decision.threshold.is_none()).map(|(name, _)| name).collect();
    if !never.is_empty() {
        say(&format!("no threshold gives what was wanted of {}; they are never printed", listed(&never)));
    }
    Ok(decisions)
}
