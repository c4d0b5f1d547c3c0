//! Class descriptions: what label ids are called, in the files `*class-descriptions*.csv` of a folder.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use crate::files::folder_of;
use crate::formats::lines::{Lines, fields};
use crate::{Error, Result};

/// The header of class descriptions; some files have none.
pub(super) const HEADER: [&str; 2] = [super::LABEL, "DisplayName"];

/// What the label ids are called.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    names: HashMap<String, String>,
    /// Whether there was any file of names.
    pub described: bool,
}

/// Whether a file is called like class descriptions.
pub(super) fn is_descriptions(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.contains("class-descriptions") && name.ends_with(".csv")
}

/// All files of class descriptions in the folder of a label file, sorted.
pub(super) fn files_beside(path: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder_of(path);
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io(folder, error))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> = files.filter(|file| is_descriptions(file)).collect();
    files.sort();
    Ok(files)
}

impl Names {
    /// The names as the files have them; of several names of an id, the first.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let mut names = Self { described: !files.is_empty(), ..Self::default() };
        files.iter().try_for_each(|file| names.read_file(file))?;
        Ok(names)
    }

    /// Reads `id,name` lines, with or without the header `LabelName,DisplayName`.
    fn read_file(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
        while lines.advance()? {
            let Some(fields) = fields(&lines.bytes, &mut lines.report) else { continue };
            match fields.as_slice() {
                [id, name, ..] if lines.report.line == 1 && [id, name] == HEADER => {}
                [id, name] if !id.trim().is_empty() && !name.trim().is_empty() => {
                    self.add(id.trim(), name.trim());
                }
                _ => {
                    let count = fields.len();
                    lines.report.note(|| format!("{count} fields; expected a label id and its name"));
                }
            }
        }
        lines.report.problems.or(())
    }

    /// Names an id that has no name yet.
    pub fn add(&mut self, id: &str, name: &str) {
        self.names.entry(id.to_owned()).or_insert_with(|| name.to_owned());
    }

    /// With the id added where two labels have the same name: they are different categories.
    pub fn told_apart(mut self) -> Self {
        let mut seen = HashMap::new();
        for name in self.names.values() {
            *seen.entry(name.clone()).or_insert(0) += 1;
        }
        for (id, name) in &mut self.names {
            if seen[name] > 1 {
                *name += &format!(" ({id})");
            }
        }
        self
    }

    /// What an id is called: itself if it has no name.
    pub fn of<'a>(&'a self, id: &'a str) -> &'a str {
        self.get(id).unwrap_or(id)
    }

    /// The name that an id has.
    pub fn get(&self, id: &str) -> Option<&str> {
        self.names.get(id).map(String::as_str)
    }

    /// Ids with their names, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(|(id, name)| (id.as_str(), name.as_str()))
    }
}
