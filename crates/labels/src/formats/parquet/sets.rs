//! The splits of the rows of a table, by its columns such as `split`.

use std::path::Path;

use super::shard::{Rows, Shard};
use crate::formats::sheet::split_said;
use crate::formats::splits::Splits;
use crate::{Error, Result};

/// Which rows are read.
pub(super) struct Sets<'a> {
    splits: Splits<'a>,
    /// Whether a split is to be chosen.
    chosen: bool,
    /// The rows that are of it.
    rows: Vec<usize>,
    /// Rows so far.
    count: usize,
    /// Whether the first shard has such columns.
    told: Option<bool>,
}

impl<'a> Sets<'a> {
    pub fn new(set: Option<&'a str>) -> Self {
        Self { splits: Splits::new(set), chosen: set.is_some(), rows: Vec::new(), count: 0, told: None }
    }

    /// Takes the rows of a group. A table without such columns says nothing of them.
    ///
    /// # Errors
    /// A shard that has such columns where another has none; one that cannot be read.
    pub fn add(&mut self, shard: &Shard<'_>, columns: &[(String, usize)], rows: Rows) -> Result<()> {
        if *self.told.get_or_insert(!columns.is_empty()) == columns.is_empty() {
            let what = "a column of splits in some shards alone; expected one table";
            return Err(Error::Data(format!("{}: {what}", shard.path().display())));
        }
        let words = columns.iter().map(|(name, leaf)| Ok((name, shard.words(rows, *leaf)?)));
        let words = words.collect::<Result<Vec<_>>>()?;
        for row in 0..rows.count {
            let said = words.iter().map(|(name, words)| split_said(name, words[row].as_deref()?));
            if self.splits.takes(said) && self.chosen {
                self.rows.push(self.count + row);
            }
        }
        self.count += rows.count;
        Ok(())
    }

    /// The rows of the chosen split; nothing where all are read.
    ///
    /// # Errors
    /// Rows of several splits without a choice; a split that is not there.
    pub fn rows(self, path: &Path) -> Result<Option<Vec<usize>>> {
        self.splits.check(path)?;
        Ok(self.chosen.then_some(self.rows))
    }
}
