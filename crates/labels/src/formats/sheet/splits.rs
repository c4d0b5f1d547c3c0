//! The splits that the rows of one table belong to.

use std::collections::BTreeSet;
use std::path::Path;

use super::usage;
use crate::Result;
use crate::formats::shards::is_same_set;

/// The splits of a table that is being read.
#[derive(Debug, Default)]
pub(in crate::formats) struct Splits {
    seen: BTreeSet<String>,
}

impl Splits {
    /// Whether a row of this split is read with this `--set`.
    pub fn keeps(&mut self, split: Option<&str>, set: Option<&str>) -> bool {
        if let Some(split) = split.filter(|split| !self.seen.contains(*split)) {
            self.seen.insert(split.to_owned());
        }
        set.is_none_or(|set| split.is_some_and(|split| is_same_set(set, split)))
    }

    /// Refuses several splits without a choice, and a choice that is not there.
    ///
    /// # Errors
    /// [`crate::Error::Usage`] with the splits to choose from.
    pub fn choice(&self, path: &Path, set: Option<&str>) -> Result<()> {
        let seen = self.seen.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        match set {
            Some(set) if self.seen.iter().any(|split| is_same_set(set, split)) => Ok(()),
            Some(_) if self.seen.is_empty() => usage(path, "--set: no column of the table holds splits"),
            Some(set) => usage(path, format!("no rows of {set}; choose one with --set: {seen}")),
            None if self.seen.len() > 1 => {
                usage(path, format!("its rows belong to several splits; choose one with --set: {seen}"))
            }
            None => Ok(()),
        }
    }
}
