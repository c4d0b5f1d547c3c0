//! Problems of one source file, each said as `file:line: what`.

use std::fmt::Display;
use std::path::Path;

use crate::error::Problems;

/// Collects the problems of one file while it is read.
pub(crate) struct Report<'a> {
    /// The file as the user named it.
    pub path: &'a Path,
    /// The line that is being read, from 1; 0 before the first.
    pub line: usize,
    /// What was found so far.
    pub problems: Problems,
}

impl<'a> Report<'a> {
    pub fn new(path: &'a Path) -> Self {
        Self { path, line: 0, problems: Problems::default() }
    }

    /// Notes a problem of the current line; the text is only made when it will be shown.
    pub fn note(&mut self, what: impl FnOnce() -> String) {
        let shown = self.problems.len() < Problems::SHOWN;
        let line = self.line.max(1);
        self.problems.push(if shown {
            format!("{}:{line}: {}", self.path.display(), what())
        } else {
            String::new()
        });
    }
}

/// What the user should know, each with its count; what did not happen is not said.
pub(crate) fn counted<T: Display>(
    counts: impl IntoIterator<Item = (usize, T)>,
) -> impl Iterator<Item = String> {
    counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"))
}

/// A value in quotes, cut where it is long, control characters escaped.
pub(crate) fn shown(value: &str) -> String {
    const LONGEST: usize = 80;
    match value.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}

/// What is wrong with a list of class numbers in which 0 or 1 is twice.
pub(crate) fn multi_hot(number: impl std::fmt::Display, list: &str) -> String {
    format!(
        "{number} is in {list} more than once, as where a list has one number per category; expected each label \
         once"
    )
}
