//! What the page calls its systems, and the place that gives each its color in every drawing.

use super::Row;
use super::reading::ReadRun;

/// Where scores come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A run, by its place among the runs.
    Run(usize),
    /// A file of another program's scores, by its place among them.
    File(usize),
    /// The anchor of a run.
    Anchor(usize),
}

/// All names of a page: runs, then files, then anchors.
#[derive(Debug, Clone)]
pub(super) struct Names {
    sources: Vec<Source>,
    names: Vec<String>,
}

impl Names {
    /// Of the runs, of what was measured, and of anchors that only validation images speak of.
    pub fn of(runs: &[ReadRun], rows: &[Row]) -> Self {
        let mut all: Vec<(Source, String)> =
            runs.iter().enumerate().map(|(place, run)| (Source::Run(place), run.name.clone())).collect();
        let files = rows.iter().filter(|row| matches!(row.source, Source::File(_)));
        all.extend(files.map(|row| (row.source, row.system.name.clone())));
        for (place, run) in runs.iter().enumerate() {
            let source = Source::Anchor(place);
            let measured = rows.iter().find(|row| row.source == source).map(|row| row.system.name.clone());
            let validated = run.info.anchor.map(|_| format!("anchor of {}", run.name));
            all.extend(measured.or(validated).map(|name| (source, name)));
        }
        let (sources, names) = all.into_iter().unzip();
        Self { sources, names }
    }

    /// The place of a source.
    pub fn place(&self, source: Source) -> usize {
        self.sources.iter().position(|other| *other == source).expect("a name for every source")
    }

    /// All names.
    pub fn all(&self) -> &[String] {
        &self.names
    }
}
