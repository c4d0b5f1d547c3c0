//! The sets of images (training, validation, test) that the lines of a file belong to; they are never read as
//! one.

use std::collections::BTreeMap;
use std::path::Path;

use crate::formats::shards::usual;
use crate::{Error, Result};

/// Images without a set, beside others that have one; Vertex AI calls them so.
const NONE: &str = "unassigned";

/// What has been seen so far.
#[derive(Debug, Default)]
pub(super) struct Sets<'a> {
    wanted: Option<&'a str>,
    seen: BTreeMap<String, usize>,
}

impl<'a> Sets<'a> {
    pub fn new(wanted: Option<&'a str>) -> Self {
        Self { wanted, seen: BTreeMap::new() }
    }

    /// Whether an image of this set is wanted.
    pub fn takes(&mut self, set: Option<&str>) -> bool {
        let set = set.map_or(NONE.to_owned(), usual);
        let wanted = self.wanted.is_none_or(|wanted| usual(wanted) == set);
        *self.seen.entry(set).or_default() += 1;
        wanted
    }

    /// Refuses images of several sets, and a set that is not there.
    ///
    /// # Errors
    /// [`Error::Usage`] with the sets that there are.
    pub fn check(&self, path: &Path) -> Result<()> {
        let names: Vec<String> = self.seen.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        let all = names.join(", ");
        let told = self.seen.keys().any(|name| name != NONE);
        let what = match self.wanted {
            Some(_) if !told => "no line says which set its image belongs to; leave --set out".into(),
            Some(wanted) if !self.seen.contains_key(&usual(wanted)) => {
                format!("no images of {wanted}; choose with --set: {all}")
            }
            None if self.seen.len() > 1 => format!("images of several sets; choose one with --set: {all}"),
            _ => return Ok(()),
        };
        Err(Error::Usage(format!("{}: {what}", path.display())))
    }
}
