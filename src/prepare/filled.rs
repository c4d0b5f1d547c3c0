//! Labels of `train.csv` that a run filled in: `sarb labels fill … -o DATA/train.csv` lists them beside it, in
//! `train.filled.csv`, with how probable they are. They are no labels that somebody gave, so they never validate, and
//! what a model learned from them is no evidence of how well they were filled.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use sarb_labels::files::folder_of;
use sarb_labels::formats::image_names::image_names;
use sarb_labels::text::thousands;
use sarb_labels::{Annotations, Label, LabelMatrix, Split, dataset};
use serde::Deserialize;

use crate::methods::{MethodRecipe, NAMES};
use crate::recipe::{DataRecipe, Filled, Recipe};
use crate::soft_labels::SoftLabels;
use crate::{Error, Result};

/// What a list with five digits calls certain is as sure as this: a probability of 0 would say nothing to a loss.
const SUREST: f32 = 1.0 - 5e-6;

/// A label that was filled in.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cell {
    row: usize,
    category: usize,
    label: Label,
    /// That this label is right.
    probability: f32,
}

/// A line of the list of filled labels.
#[derive(Debug, Deserialize)]
struct Line {
    image: String,
    category: String,
    label: u8,
    probability: f32,
}

/// What is known of the training images, and what is taken for known or probable because a run says so.
#[derive(Debug, Clone)]
pub struct Known {
    /// The labels to train on, `N × C`.
    pub labels: LabelMatrix,
    /// Probable ones among the unknown.
    pub soft: SoftLabels,
    /// Cells of `labels` that a run filled in, by row and category.
    pub filled: Vec<(usize, usize)>,
    /// What a person should know of that.
    pub note: Option<String>,
}

impl Known {
    /// What `recipe` leaves known of the labels of a training file, and what it makes of filled ones.
    ///
    /// # Errors
    /// [`Error::Data`] if no positive label stays known; what is wrong with the list of filled labels; [`Error::Recipe`]
    /// for probable labels with a method that cannot learn from them.
    pub fn of(annotations: &Annotations, recipe: &Recipe) -> Result<Self> {
        let (path, cells) = cells(annotations)?;
        let recipe = checked(recipe, !cells.is_empty(), &path)?;
        let mut labels = annotations.labels.clone();
        cells.iter().for_each(|cell| labels.set(cell.row, cell.category, Label::Unknown));
        let labels = labels.hide(recipe.known, recipe.mask_seed);
        if labels.count(Label::Positive) == 0 {
            return Err(Error::Data(format!(
                "{}: no known positive label is left of {} images; raise data.known ({}) or label more",
                annotations.source.display(),
                labels.images(),
                recipe.known
            )));
        }
        let known = Self { labels, soft: SoftLabels::default(), filled: Vec::new(), note: None };
        Ok(if cells.is_empty() { known } else { known.with(&cells, recipe.filled, &path) })
    }

    fn with(mut self, cells: &[Cell], what: Filled, path: &Path) -> Self {
        let taken = match what {
            Filled::Known => {
                cells.iter().for_each(|cell| self.labels.set(cell.row, cell.category, cell.label));
                self.filled = cells.iter().map(|cell| (cell.row, cell.category)).collect();
                "are taken for known"
            }
            Filled::Soft => {
                let there = |cell: &Cell| {
                    let right = cell.probability.min(SUREST);
                    if cell.label == Label::Positive { right } else { 1.0 - right }
                };
                let soft = cells.iter().map(|cell| (cell.row, cell.category, there(cell)));
                self.soft = SoftLabels::new(self.labels.images(), soft.collect());
                "count with their probability"
            }
            Filled::Unknown => "are left unknown",
        };
        self.note = Some(format!(
            "{} labels of train.csv were filled in by a run, as {} says; they {taken} (data.filled)",
            thousands(cells.len()),
            path.display()
        ));
        self
    }

    /// Whether what a run filled in is learned from.
    pub fn learns_from_filled(&self) -> bool {
        !self.filled.is_empty() || !self.soft.is_empty()
    }

    /// Those of some images, in this order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let places: HashMap<usize, usize> = rows.iter().copied().zip(0..).collect();
        let filled = self.filled.iter().filter_map(|&(row, category)| Some((*places.get(&row)?, category)));
        Self {
            labels: self.labels.select(rows),
            soft: self.soft.select(rows),
            filled: filled.collect(),
            note: self.note.clone(),
        }
    }

    /// The labels that somebody gave: what may validate.
    pub fn given(&self) -> LabelMatrix {
        let mut labels = self.labels.clone();
        self.filled.iter().for_each(|&(row, category)| labels.set(row, category, Label::Unknown));
        labels
    }

    /// Hash of labels, image paths seen from their file, and categories, and of what is probable.
    pub fn fingerprint(&self, annotations: &Annotations) -> String {
        let fingerprint = super::fingerprint_of(annotations, &self.labels);
        if self.soft.is_empty() {
            return fingerprint;
        }
        let mut hash = blake3::Hasher::new();
        hash.update(fingerprint.as_bytes());
        for row in 0..self.labels.images() {
            for (category, probability) in self.soft.row(row) {
                [row as u64, category as u64].iter().for_each(|at| {
                    hash.update(&at.to_le_bytes());
                });
                hash.update(&probability.to_le_bytes());
            }
        }
        hash.finalize().to_hex()[..16].to_string()
    }
}

/// The methods that learn from labels that are only probable.
fn soft_label_methods() -> Vec<&'static str> {
    let takes = |name: &&&str| {
        let recipe = MethodRecipe::from_settings(name, toml::Table::new());
        recipe.is_ok_and(|recipe| recipe.takes_soft_labels())
    };
    NAMES.iter().filter(takes).copied().collect()
}

/// What a recipe says of data, if its method can learn from what there is; `list` is where filled labels are named.
fn checked<'a>(recipe: &'a Recipe, are_filled: bool, list: &Path) -> Result<&'a DataRecipe> {
    if recipe.data.filled != Filled::Soft {
        return Ok(&recipe.data);
    }
    if !list.is_file() {
        return Err(Error::Recipe(format!(
            "data.filled is \"soft\", and there is no {}, which would say how probable labels are; sarb labels fill RUN --precision 0.8 \
             -o COMPLETED/train.csv writes both files for --data COMPLETED, and data.filled=known does without",
            list.display()
        )));
    }
    match are_filled && !recipe.method.takes_soft_labels() {
        false => Ok(&recipe.data),
        true => Err(Error::Recipe(format!(
            "data.filled is \"soft\", and {} has no loss of a label that is only probable; choose \"known\" or \"unknown\", \
             or a method that has: {}",
            recipe.method.name(),
            soft_label_methods().join(", ")
        ))),
    }
}

/// The labels that `recipe` leaves known of a training file, with the filled ones that are taken for known.
///
/// # Errors
/// Those of [`Known::of`].
pub fn known_labels(annotations: &Annotations, recipe: &Recipe) -> Result<LabelMatrix> {
    Known::of(annotations, recipe).map(|known| known.labels)
}

/// Refuses filled labels where a model is judged on labels of the training images.
///
/// # Errors
/// [`Error::Usage`] if there are any and the recipe learns from them.
pub fn refuse(annotations: &Annotations, recipe: &Recipe, what: &str) -> Result<()> {
    match Known::of(annotations, recipe)?.learns_from_filled() {
        false => Ok(()),
        true => Err(Error::Usage(format!(
            "{}: labels that a run filled in are no evidence, and {what} judges by the labels of train.csv; \
             --set data.filled=unknown leaves them out",
            list_of(annotations).display()
        ))),
    }
}

/// Labels without those that a run filled in, which are no evidence: these become unknown. Also what a person should know of that.
///
/// # Errors
/// What is wrong with the list of filled labels.
pub fn given(mut annotations: Annotations) -> Result<(Annotations, Option<String>)> {
    let (path, cells) = cells(&annotations)?;
    cells.iter().for_each(|cell| annotations.labels.set(cell.row, cell.category, Label::Unknown));
    let note = (!cells.is_empty()).then(|| {
        format!(
            "{} labels of {} were filled in by a run, as {} says; they are no evidence and count as unknown",
            thousands(cells.len()),
            annotations.source.display(),
            path.display()
        )
    });
    Ok((annotations, note))
}

/// [`given`] of a label file of a data folder.
///
/// # Errors
/// What reading the file says, and the list of filled labels.
pub fn open_given(folder: &Path, split: Split) -> Result<(Annotations, Option<String>)> {
    given(dataset::open_split(folder, split)?)
}

/// Where the filled labels of a label file are listed.
fn list_of(annotations: &Annotations) -> PathBuf {
    annotations.source.with_extension("filled.csv")
}

/// The filled labels that are still what was filled: a label that was changed since is somebody's.
fn cells(annotations: &Annotations) -> Result<(PathBuf, Vec<Cell>)> {
    let path = list_of(annotations);
    if !path.try_exists().map_err(|error| Error::io(&path, error))? {
        return Ok((path, Vec::new()));
    }
    let wrong = |line: u64, what: String| Error::Data(format!("{}: line {line}: {what}", path.display()));
    let names = image_names(annotations, folder_of(&annotations.source))?;
    let rows: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
    let columns: HashMap<&str, usize> = annotations.categories.iter().map(String::as_str).zip(0..).collect();
    let unreadable = |error: csv::Error| Error::Data(format!("{}: {error}", path.display()));
    let mut reader = csv::Reader::from_path(&path).map_err(unreadable)?;
    let (mut cells, mut seen) = (Vec::new(), HashSet::new());
    for (at, line) in reader.deserialize::<Line>().enumerate() {
        let (line, number) = (line.map_err(unreadable)?, at as u64 + 2);
        let row = *rows.get(line.image.as_str()).ok_or_else(|| {
            wrong(number, format!("{:?} is no image of {}", line.image, annotations.source.display()))
        })?;
        let category = *columns
            .get(line.category.as_str())
            .ok_or_else(|| wrong(number, format!("{:?} is no category", line.category)))?;
        let label = match line.label {
            0 => Label::Negative,
            1 => Label::Positive,
            other => return Err(wrong(number, format!("label {other}; expected 0 or 1"))),
        };
        if !(line.probability > 0.0 && line.probability <= 1.0) {
            return Err(wrong(number, format!("probability {}; expected one in (0, 1]", line.probability)));
        }
        if !seen.insert((row, category)) {
            return Err(wrong(number, format!("{} of {} is listed twice", line.category, line.image)));
        }
        if annotations.labels.get(row, category) == label {
            cells.push(Cell { row, category, label, probability: line.probability });
        }
    }
    Ok((path, cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe(filled: Filled, known: f64) -> Recipe {
        Recipe { data: DataRecipe { filled, known, ..DataRecipe::default() }, ..Recipe::default() }
    }

    fn read(labels: &[i8], list: &str, filled: Filled, known: f64) -> Result<Known> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("train.filled.csv"), list).unwrap();
        let annotations = Annotations {
            images: ["a.png", "b.png"].map(|name| folder.path().join(name)).to_vec(),
            categories: ["cat", "dog"].map(str::to_owned).to_vec(),
            labels: LabelMatrix::from_values(2, labels),
            source: folder.path().join("train.csv"),
        };
        Known::of(&annotations, &recipe(filled, known))
    }

    const LIST: &str =
        "image,category,label,probability,threshold\na.png,dog,0,0.9,0.8\nb.png,cat,1,0.75,0.7\n";

    fn matrix(values: &[i8]) -> LabelMatrix {
        LabelMatrix::from_values(2, values)
    }

    #[test]
    fn filled_labels_are_taken_as_the_recipe_says() {
        let labels = [1, -1, 1, -1];
        let of = |filled| read(&labels, LIST, filled, 1.0).unwrap();
        let known = of(Filled::Known);
        assert_eq!((&known.labels, known.soft.is_empty()), (&matrix(&labels), true));
        assert_eq!(known.given(), matrix(&[1, 0, 0, -1]));
        assert!(known.learns_from_filled());
        assert!(known.note.unwrap().starts_with("2 labels of train.csv were filled in by a run"));
        let soft = of(Filled::Soft);
        assert_eq!((&soft.labels, soft.given()), (&matrix(&[1, 0, 0, -1]), matrix(&[1, 0, 0, -1])));
        let probabilities: Vec<_> = (0..2).flat_map(|row| soft.soft.row(row)).collect();
        assert_eq!(probabilities, [(1, 1.0 - 0.9), (0, 0.75)]);
        let unknown = of(Filled::Unknown);
        assert_eq!((&unknown.labels, unknown.learns_from_filled()), (&matrix(&[1, 0, 0, -1]), false));
        let second = soft.select(&[1]);
        assert_eq!((second.soft.get(0, 0), second.labels), (Some(0.75), matrix(&[0, -1])));
        assert_eq!(known.filled, [(0, 1), (1, 0)]);
        assert_eq!(of(Filled::Known).select(&[1]).filled, [(0, 0)]);
    }

    #[test]
    fn a_label_that_is_listed_as_certain_still_has_a_target() {
        let list = "image,category,label,probability\na.png,dog,0,1.00000\nb.png,cat,1,1.00000\n";
        let soft = read(&[1, -1, 1, -1], list, Filled::Soft, 1.0).unwrap().soft;
        let (absent, there) = (soft.get(0, 1).unwrap(), soft.get(1, 0).unwrap());
        assert!(absent > 0.0 && absent < 1e-5 && there < 1.0 && there > 1.0 - 1e-5, "{absent} {there}");
    }

    #[test]
    fn a_label_that_was_changed_since_is_somebody_s() {
        let known = read(&[1, 1, 0, -1], LIST, Filled::Soft, 1.0).unwrap();
        assert_eq!((&known.labels, known.soft.is_empty()), (&matrix(&[1, 1, 0, -1]), true));
        assert!(known.note.is_none());
    }

    #[test]
    fn hiding_does_not_touch_filled_labels_and_probabilities_are_part_of_the_fingerprint() {
        let folder = tempfile::tempdir().unwrap();
        let images: Vec<_> = (0..40).map(|row| folder.path().join(format!("{row}.png"))).collect();
        let values: Vec<i8> = (0..40).flat_map(|row| [if row % 2 == 0 { 1 } else { -1 }, -1]).collect();
        let annotations = Annotations {
            images,
            categories: ["cat", "dog"].map(str::to_owned).to_vec(),
            labels: matrix(&values),
            source: folder.path().join("train.csv"),
        };
        let list = |probability: &str| {
            let lines = (0..40).map(|row| format!("{row}.png,dog,0,{probability}\n"));
            let text = format!("image,category,label,probability\n{}", lines.collect::<String>());
            std::fs::write(folder.path().join("train.filled.csv"), text).unwrap();
        };
        let of = |filled| Known::of(&annotations, &recipe(filled, 0.5)).unwrap();
        list("0.9");
        let known = of(Filled::Known);
        assert_eq!(known.labels.column(1).filter(|label| *label == Label::Negative).count(), 40);
        assert!(known.labels.column(0).filter(|label| *label == Label::Unknown).count() > 5);
        let first = of(Filled::Soft).fingerprint(&annotations);
        list("0.8");
        assert_ne!(first, of(Filled::Soft).fingerprint(&annotations));
        assert_ne!(first, known.fingerprint(&annotations));
    }

    #[test]
    fn what_is_measured_with_are_labels_that_somebody_gave() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("test.csv"), "image,cat,dog\na.png,1,0\nb.png,1,\n").unwrap();
        let open = || open_given(folder.path(), Split::Test).unwrap();
        assert_eq!((open().0.labels, open().1), (matrix(&[1, -1, 1, 0]), None));
        std::fs::write(folder.path().join("test.filled.csv"), LIST).unwrap();
        let (test, note) = open();
        assert_eq!(test.labels, matrix(&[1, 0, 0, 0]));
        assert!(note.unwrap().starts_with("2 labels of "));
    }

    #[test]
    fn a_list_that_is_not_of_this_table_is_refused() {
        let refused = |list: &str, expected: &str| {
            let error = read(&[1, -1, 1, -1], list, Filled::Known, 1.0).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        let with = |line: &str| format!("image,category,label,probability\n{line}\n");
        refused(&with("c.png,dog,0,0.9"), "line 2: \"c.png\" is no image of");
        refused(&with("a.png,cow,0,0.9"), "line 2: \"cow\" is no category");
        refused(&with("a.png,dog,2,0.9"), "line 2: label 2; expected 0 or 1");
        refused(&with("a.png,dog,0,0.0"), "line 2: probability 0; expected one in (0, 1]");
        refused(&with("a.png,dog,0,NaN"), "line 2: probability NaN; expected one in (0, 1]");
        refused(&with("a.png,dog,0,0.9\na.png,dog,0,0.9"), "line 3: dog of a.png is listed twice");
        refused("image,category\na.png,dog\n", "missing field");
    }
}
