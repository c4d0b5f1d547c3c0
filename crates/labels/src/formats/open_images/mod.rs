//! Open Images' image-level labels: `ImageID,Source,LabelName,Confidence`, a line for each label.
//!
//! Confidence 1 is positive, 0 negative, both verified by people; what is not listed is unknown. Fractions,
//! and every line whose source is `machine`, were made by a classifier: unknown. The image is `ImageID.jpg`.
//! Names come from the files `*class-descriptions*.csv` beside the label file; `--hierarchy` fills in what
//! the labels imply. Specification: <https://storage.googleapis.com/openimages/web/download_v7.html>.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::hierarchy::Hierarchy;
use super::lines::{Lines, fields};
use super::marks::Marks;
use super::options::{Choice, Options};
use super::report::{Report, shown};
use super::{Reading, name_list};
use crate::categories::did_you_mean;
use crate::labels::Label;
use crate::{Error, Result};
use names::Names;

mod label_ids;
mod names;
mod writing;

use crate::formats::format::{Format, Keeps, NotListed, Written};

pub use writing::write;

/// This format.
pub const FORMAT: Format = Format {
    name: "open-images",
    title: "Open Images",
    about: "Open Images image-level labels CSV",
    example: r#"ImageID,Source,LabelName,Confidence
000026e7ee790996,verification,/m/01yrx,1
000026e7ee790996,verification,/m/0bt9lr,0"#,
    extensions: &[],
    takes: &[Choice::Hierarchy, Choice::Annotator],
    names_categories: false,
    unlisted: NotListed::Unknown,
    recognize,
    read,
    written: Some(Written { keeps: Keeps::AllStates, write }),
};

const IMAGE: &str = "ImageID";
const SOURCE: &str = "Source";
const LABEL: &str = "LabelName";
const CONFIDENCE: &str = "Confidence";
/// The source of labels that no person gave.
const MACHINE: &str = "machine";

/// Reads image-level labels line by line; the images are joined to `--images`, else to the folder of the
/// file. With `--categories` only those labels are kept that the named categories need, so that memory
/// does not grow with Open Images' 20,000 categories.
///
/// # Errors
/// All problems of the file at once, each with its line.
pub fn read(path: &Path, options: &Options) -> Result<Reading> {
    let names = Names::read(&names::files_beside(path)?)?.told_apart();
    let hierarchy = options.hierarchy.as_deref().map(Hierarchy::read).transpose()?;
    let wanted = options.categories.as_deref().map(|list| name_list::read(list, "categories")).transpose()?;
    let wanted = wanted.map(|wanted| needed(&wanted, &names, hierarchy.as_ref()));
    let folder = options.image_folder(path);
    let mut table = Table::new(folder, &names, wanted);
    table.annotator.clone_from(&options.annotator);
    table.read(path)?;
    table.refuse_an_annotator_without_labels(path)?;
    table.finish(path, hierarchy.as_ref(), options)
}

/// The sources of labels that people gave, such as `verification`, in the order of their names.
///
/// # Errors
/// Those of [`read`].
pub fn annotators(path: &Path) -> Result<Vec<String>> {
    let names = Names::read(&[])?.told_apart();
    // Of no category, so that nothing is kept but the sources.
    let mut table = Table::new(Path::new(""), &names, Some(HashSet::new()));
    table.read(path)?;
    Ok(table.sources.into_iter().collect())
}

/// Why a file is one of Open Images' label files.
pub fn recognize(_path: &Path, head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head.split(|byte| *byte == b'\n').next()?);
    let header: Vec<&str> = text.trim_start_matches('\u{feff}').split(',').map(str::trim).collect();
    let here = [IMAGE, LABEL, CONFIDENCE].iter().all(|name| header.contains(name));
    here.then(|| format!("a CSV file with the columns {IMAGE}, {LABEL} and {CONFIDENCE}"))
}

/// The ids of which labels are needed to know the wanted categories: those below them for positive ones,
/// those above them for negative ones.
fn needed(wanted: &[name_list::Entry], names: &Names, hierarchy: Option<&Hierarchy>) -> HashSet<String> {
    let ids = wanted.iter().map(|wanted| wanted.name.as_str());
    let mut by_name: HashMap<&str, &str> = ids.map(|id| (id, id)).collect();
    for (id, name) in names.iter() {
        if let Some(known) = by_name.get_mut(name) {
            *known = id;
        }
    }
    let ids = || by_name.values().copied();
    let implied = hierarchy.map(|hierarchy| hierarchy.implied(ids(), ids())).unwrap_or_default();
    ids().chain(implied).map(str::to_owned).collect()
}

/// A label id that occurred.
struct Category {
    id: String,
    /// Whether its labels are kept.
    kept: bool,
    /// Its column, once it has a label of a person.
    column: Option<usize>,
    positive: bool,
    negative: bool,
}

/// What has been read so far.
struct Table<'a> {
    folder: &'a Path,
    names: &'a Names,
    /// The ids whose labels are kept; all without it.
    wanted: Option<HashSet<String>>,
    marks: Marks,
    categories: Vec<Category>,
    places: HashMap<String, usize>,
    /// The image of the last line: lines of one image stand together.
    last: (String, usize),
    machine: usize,
    /// The source whose labels are read; those of all without it.
    annotator: Option<String>,
    /// Sources of labels that people gave.
    sources: BTreeSet<String>,
}

/// Where the header has which column.
struct Columns {
    image: usize,
    source: Option<usize>,
    label: usize,
    confidence: usize,
    count: usize,
}

/// What a confidence says.
enum Confidence {
    Known(Label),
    Machine,
}

impl<'a> Table<'a> {
    fn new(folder: &'a Path, names: &'a Names, wanted: Option<HashSet<String>>) -> Self {
        Self {
            folder,
            names,
            wanted,
            marks: Marks::default(),
            categories: Vec::new(),
            places: HashMap::new(),
            last: (String::new(), 0),
            machine: 0,
            annotator: None,
            sources: BTreeSet::new(),
        }
    }

    fn read(&mut self, path: &Path) -> Result<()> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
        let mut columns = None;
        while lines.advance()? {
            let fields = fields(&lines.bytes, &mut lines.report);
            match (&columns, fields) {
                (None, None) => break,
                (_, None) => {}
                (Some(columns), Some(fields)) => self.add(&fields, columns, &mut lines.report),
                (None, Some(fields)) => match Columns::find(&fields, &mut lines.report) {
                    Some(found) => columns = Some(found),
                    None => break,
                },
            }
        }
        if columns.is_none() && lines.report.problems.is_empty() {
            lines.report.note(|| format!("an empty file; expected a first line {}", Columns::EXPECTED));
        }
        lines.report.problems.or(())
    }

    /// Takes one line below the header.
    fn add(&mut self, fields: &[Cow<'_, str>], columns: &Columns, report: &mut Report<'_>) {
        if fields.len() != columns.count {
            return report.note(|| format!("{} fields; expected {}", fields.len(), columns.count));
        }
        let [image, label] = [columns.image, columns.label].map(|column| fields[column].trim());
        let source = columns.source.map_or("", |source| fields[source].trim());
        let machine = source == MACHINE;
        for (name, value) in [(IMAGE, image), (LABEL, label)] {
            if value.is_empty() {
                return report.note(|| format!("no {name}"));
            }
        }
        let confidence = match confidence(fields[columns.confidence].trim(), report) {
            Some(_) if machine => Confidence::Machine,
            Some(confidence) => confidence,
            None => return,
        };
        if !machine && !source.is_empty() && !self.sources.contains(source) {
            self.sources.insert(source.to_owned());
        }
        let row = self.image(image);
        if self.annotator.as_ref().is_some_and(|wanted| wanted != source) {
            return;
        }
        let place = self.category(label);
        let category = &mut self.categories[place];
        match confidence {
            Confidence::Machine => self.machine += usize::from(category.kept),
            Confidence::Known(label) if category.kept => {
                let column =
                    *category.column.get_or_insert_with(|| self.marks.category(self.names.of(&category.id)));
                category.positive |= label == Label::Positive;
                category.negative |= label == Label::Negative;
                self.marks.mark(row, column, label);
            }
            Confidence::Known(_) => {}
        }
    }

    fn refuse_an_annotator_without_labels(&self, path: &Path) -> Result<()> {
        match &self.annotator {
            Some(wanted) if !self.sources.contains(wanted) => {
                let hint = did_you_mean(wanted, self.sources.iter().map(String::as_str));
                let path = path.display();
                Err(Error::Usage(format!("--annotator {wanted}: no label in {path} has this {SOURCE}{hint}")))
            }
            _ => Ok(()),
        }
    }

    fn image(&mut self, id: &str) -> usize {
        if self.last.0 != id {
            let row = self.marks.image(&self.folder.join(format!("{id}.jpg")));
            self.last = (id.to_owned(), row);
        }
        self.last.1
    }

    fn category(&mut self, id: &str) -> usize {
        if let Some(&place) = self.places.get(id) {
            return place;
        }
        let kept = self.wanted.as_ref().is_none_or(|wanted| wanted.contains(id));
        let category = Category { id: id.into(), kept, column: None, positive: false, negative: false };
        self.places.insert(id.to_owned(), self.categories.len());
        self.categories.push(category);
        self.categories.len() - 1
    }

    fn finish(mut self, path: &Path, hierarchy: Option<&Hierarchy>, options: &Options) -> Result<Reading> {
        if let Some(hierarchy) = hierarchy {
            self.add_implied(hierarchy);
        }
        let mut notes = self.notes();
        if self.marks.categories().is_empty() && !self.marks.images().is_empty() {
            let what = match self.machine {
                0 => "no label of the wanted categories; expected names of class-descriptions*.csv or label ids"
                    .to_owned(),
                machine => format!(
                    "all {machine} labels were made by a machine; expected human-verified ones (Confidence 1 or 0)"
                ),
            };
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
        let columns: HashMap<String, usize> = self
            .categories
            .into_iter()
            .filter_map(|category| Some((category.id, category.column?)))
            .collect();
        let mut reading = self.marks.finish(Label::Unknown, path)?;
        if let (Some(hierarchy), Some(file)) = (hierarchy, &options.hierarchy) {
            let filled = hierarchy.apply(&mut reading.annotations.labels, |id| columns.get(id).copied());
            let mut note = format!("{} filled in {} unknown labels", file.display(), filled.cells);
            if filled.contradictions > 0 {
                note += &format!("; it contradicts {} labels, which are unknown", filled.contradictions);
            }
            notes.push(note);
        }
        reading.notes.extend(notes);
        Ok(reading)
    }

    /// Makes columns of the categories for which the hierarchy implies a label, but for the top of the
    /// hierarchy, which is not a category.
    fn add_implied(&mut self, hierarchy: &Hierarchy) {
        let with = |has: fn(&Category) -> bool| {
            self.categories.iter().filter(move |category| has(category)).map(|category| &*category.id)
        };
        let implied =
            hierarchy.implied(with(|category| category.positive), with(|category| category.negative));
        for id in implied.into_iter().filter(|id| *id != hierarchy.root()) {
            let place = self.category(id);
            let category = &mut self.categories[place];
            if category.kept {
                category.column.get_or_insert_with(|| self.marks.category(self.names.of(id)));
            }
        }
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.machine > 0 {
            notes.push(format!(
                "{} labels were made by a machine (fractional Confidence or Source machine): unknown",
                self.machine
            ));
        }
        let named = self.categories.iter().filter(|category| category.column.is_some());
        let unnamed = named.filter(|category| self.names.get(&category.id).is_none()).count();
        if unnamed > 0 {
            let why = if self.names.described { "does not name them" } else { "is not beside the file" };
            notes.push(format!(
                "{unnamed} categories are called by their label ids: class-descriptions*.csv {why}"
            ));
        }
        notes
    }
}

impl Columns {
    const EXPECTED: &str = "ImageID,Source,LabelName,Confidence";

    fn find(fields: &[Cow<'_, str>], report: &mut Report<'_>) -> Option<Self> {
        let place = |name: &str| fields.iter().position(|field| field.trim() == name);
        match (place(IMAGE), place(LABEL), place(CONFIDENCE)) {
            (Some(image), Some(label), Some(confidence)) => {
                Some(Self { image, source: place(SOURCE), label, confidence, count: fields.len() })
            }
            _ => {
                let header = fields.join(",");
                report.note(|| format!("the header is {}; expected {}", shown(&header), Self::EXPECTED));
                None
            }
        }
    }
}

fn confidence(value: &str, report: &mut Report<'_>) -> Option<Confidence> {
    match value.parse::<f64>() {
        Ok(1.0) => Some(Confidence::Known(Label::Positive)),
        Ok(0.0) => Some(Confidence::Known(Label::Negative)),
        Ok(fraction) if fraction > 0.0 && fraction < 1.0 => Some(Confidence::Machine),
        _ => {
            report.note(|| {
                let value = shown(value);
                let accepted = "expected 1 (positive), 0 (negative) or a fraction (made by a machine)";
                format!("{CONFIDENCE} {value}; {accepted}")
            });
            None
        }
    }
}

#[cfg(test)]
mod tests;
