//! The splits of a table, by the names of its shards or by its columns such as `split`.

use std::path::{Path, PathBuf};

use super::shard::{Rows, Shard};
use crate::formats::shards::{are_apart, meant, shard_files, split_of, splits};
use crate::formats::sheet::split_said;
use crate::formats::splits::Splits;
use crate::{Error, Result};

/// The shards of a folder, in order of their names, or those of one split; and the split that is still to be
/// chosen, by a column, where the names of the files tell none.
///
/// # Errors
/// A folder without shards, or with those of several splits of which none is chosen.
pub(super) fn shards<'a>(folder: &Path, set: Option<&'a str>) -> Result<(Vec<PathBuf>, Option<&'a str>)> {
    let files = shard_files(folder, "parquet")?;
    let all = splits(&files);
    if all.is_empty() && !files.is_empty() {
        return Ok((files, set));
    }
    let chosen = set.map(|set| meant(&all, set).and_then(|split| split.ok_or(format!("no shards of {set}"))));
    let wrong = match chosen.transpose() {
        Err(what) => what,
        Ok(None) if are_apart(files.iter().map(|file| split_of(file))) => {
            "shards of several splits, or of a split and of none".into()
        }
        Ok(_) if files.is_empty() => {
            return Err(Error::Data(format!("{}: no *.parquet files", folder.display())));
        }
        Ok(chosen) => {
            let is_chosen = |file: &PathBuf| chosen.is_none_or(|chosen| split_of(file) == Some(chosen));
            return Ok((files.iter().filter(|file| is_chosen(file)).cloned().collect(), None));
        }
    };
    let splits = all.join(", ");
    Err(Error::Usage(format!("{}: {wrong}; choose one with --set: {splits}", folder.display())))
}

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
