//! Scores of training images by models that have not learned from them, which is what thresholds, filled labels and
//! doubts about labels are founded on.
//!
//! ```text
//! RUN/oof/train.csv          all images of train.csv, with the labels that stayed known
//!         scores.npy         their logits, N × C
//!         folds.csv          the fold of each image, where there are folds
//!         out_of_fold.json   how they were made; written last
//! ```

use std::io::Write;
use std::ops::Range;
use std::path::Path;

use sarb_labels::arrays::npy;
use sarb_labels::files::{folder_of, write_atomically};
use sarb_labels::formats::csv;
use sarb_labels::formats::image_names::image_names;
use sarb_labels::metrics;
use sarb_labels::{Annotations, Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use crate::loader::features::Features;
use crate::loader::{Examples, View};
use crate::run::{Run, remove};
use crate::seal::{Hashes, json, read_json};
use crate::{Error, Result};

/// The folder in a run.
pub const FOLDER: &str = "oof";
const IMAGES: &str = "train.csv";
const SCORES: &str = "scores.npy";
const FOLDS: &str = "folds.csv";
const ABOUT: &str = "out_of_fold.json";

/// How no model saw what it scored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The closed form without this one label, known or assumed; it never saw the others.
    LeaveOneOut,
    /// One of so many models, which was trained on the images of the other folds.
    Folds(usize),
}

/// Out-of-fold scores of a run's training images.
#[derive(Debug, Clone)]
pub struct OutOfFold {
    /// All images of `train.csv`, N, with the labels that stayed known.
    pub annotations: Annotations,
    /// Logits, `N × C` row by row.
    pub logits: Vec<f32>,
    /// How they were made.
    pub how: How,
    /// The fold of each image, from 0; none without folds.
    pub folds: Vec<usize>,
    /// How many of the images, from the first on, are asked about: all, or those of another data folder
    /// ([`joined`](crate::decisions::joined)). The others are evidence alone.
    pub asked: usize,
}

/// What is said of them beside the numbers.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    how: How,
    /// Of labels, images and categories, as `run.json` has it.
    fingerprint: String,
    /// Of the files beside it; empty where an earlier version wrote them.
    #[serde(default)]
    files: Hashes,
}

impl OutOfFold {
    /// Those of a closed form with these `logits` of all images. Of its training `rows` it gives those that each category was
    /// fitted to in `left_out`, each with its logit without that row.
    pub fn of_closed_form(
        annotations: Annotations,
        rows: &[usize],
        mut logits: Vec<f32>,
        left_out: &[Vec<(usize, f32)>],
    ) -> Self {
        let categories = annotations.categories.len();
        for (category, left_out) in left_out.iter().enumerate() {
            for &(row, logit) in left_out {
                logits[rows[row] * categories + category] = logit;
            }
        }
        let asked = annotations.images.len();
        Self { annotations, logits, how: How::LeaveOneOut, folds: Vec::new(), asked }
    }

    /// Writes them into a run whose training file has this fingerprint.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save(&self, run: &Run, fingerprint: &str) -> Result<()> {
        let path = |name: &str| run.path(FOLDER).join(name);
        let folder = run.path(FOLDER);
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        // The last file says that all others are there.
        forget(&path(ABOUT))?;
        csv::write(&path(IMAGES), &self.annotations)?;
        let shape = [self.annotations.images.len(), self.annotations.categories.len()];
        npy::write(&path(SCORES), &self.logits, &shape)?;
        forget(&path(FOLDS))?;
        if let How::Folds(_) = self.how {
            self.write_folds(&path(FOLDS))?;
        }
        let mut files = Hashes::default();
        for name in [IMAGES, SCORES, FOLDS].into_iter().filter(|name| path(name).is_file()) {
            files.note(&folder, name)?;
        }
        let about = About { how: self.how.clone(), fingerprint: fingerprint.into(), files };
        Ok(write_atomically(&path(ABOUT), |file| file.write_all(&json(&about)))?)
    }

    fn write_folds(&self, path: &Path) -> Result<()> {
        let images = image_names(&self.annotations, folder_of(path))?;
        let written = write_atomically(path, |file| {
            let mut lines = ::csv::Writer::from_writer(file);
            lines.write_record(["image", "fold"])?;
            for (image, fold) in images.iter().zip(&self.folds) {
                lines.write_record([image, &fold.to_string()])?;
            }
            lines.flush()
        });
        Ok(written?)
    }

    /// Whether a run has some.
    pub fn is_in(run: &Run) -> bool {
        run.path(FOLDER).join(ABOUT).is_file()
    }

    /// With the categories in another order.
    ///
    /// # Errors
    /// [`Error::Data`] if the categories are others.
    pub fn aligned(self, categories: &[String]) -> Result<Self> {
        if self.annotations.categories == categories {
            return Ok(self);
        }
        let own = self.annotations.categories.clone();
        let annotations = self.annotations.aligned(categories, Path::new("what is measured"))?;
        let column = |name: &String| own.iter().position(|other| other == name).expect("they are the same");
        let columns: Vec<usize> = categories.iter().map(column).collect();
        let rows = self.logits.chunks_exact(own.len());
        let logits = rows.flat_map(|row| columns.iter().map(|&column| row[column])).collect();
        Ok(Self { annotations, logits, ..self })
    }

    /// Those of a run.
    ///
    /// # Errors
    /// [`Error::Missing`] where there are none, with what makes them; [`Error::Incompatible`] if they are of other
    /// labels than the run; what reading the files says.
    pub fn open(run: &Run) -> Result<Self> {
        let mut whole = None;
        Self::in_pieces(run, usize::MAX, &mut |piece| {
            whole = Some(piece);
            Ok(())
        })?;
        Ok(whole.expect("a run has images"))
    }

    /// Those of some of a run's images.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); [`Error::Data`] if the run has not so many images.
    pub fn open_rows(run: &Run, rows: Range<usize>) -> Result<Self> {
        let (mut first, mut some): (usize, Option<Self>) = (0, None);
        Self::in_pieces(run, PIECE, &mut |piece| {
            let here = first..first + piece.annotations.images.len();
            let own: Vec<usize> =
                (rows.start.max(here.start)..rows.end.min(here.end)).map(|row| row - first).collect();
            first = here.end;
            if !own.is_empty() || some.is_none() {
                let own = piece.select(&own);
                match &mut some {
                    None => some = Some(own),
                    Some(some) => some.append(own),
                }
            }
            Ok(())
        })?;
        let nothing =
            || Error::Data(format!("{}: it has {first} images, so none of {rows:?}", run.dir().display()));
        some.filter(|some| some.annotations.images.len() == rows.len()).ok_or_else(nothing)
    }

    fn select(&self, rows: &[usize]) -> Self {
        let categories = self.annotations.categories.len();
        let logits = rows.iter().flat_map(|row| &self.logits[row * categories..(row + 1) * categories]);
        Self {
            annotations: self.annotations.select(rows),
            logits: logits.copied().collect(),
            how: self.how.clone(),
            folds: if self.folds.is_empty() {
                Vec::new()
            } else {
                rows.iter().map(|&row| self.folds[row]).collect()
            },
            asked: rows.len(),
        }
    }

    fn append(&mut self, other: Self) {
        let labels = &other.annotations.labels;
        (0..labels.images())
            .for_each(|row| self.annotations.labels.push(&labels.row(row).collect::<Vec<_>>()));
        self.annotations.images.extend(other.annotations.images);
        self.logits.extend(other.logits);
        self.folds.extend(other.folds);
        self.asked += other.asked;
    }

    /// Those of a run, `most` images at a time in their order, so that they may be more than fit into memory.
    ///
    /// # Errors
    /// Those of [`open`](Self::open); what `each` says.
    pub fn in_pieces(run: &Run, most: usize, each: &mut dyn FnMut(Self) -> Result<()>) -> Result<()> {
        let path = |name: &str| run.path(FOLDER).join(name);
        if !Self::is_in(run) {
            return Err(Error::Missing(format!(
                "{}: no out-of-fold scores, scores of the training images by models that did not learn from them; \
                 train a run with --folds 5, or add them with sarb train --resume --folds 5 and the inputs that the \
                 run was trained with (a run of linear has them without)",
                run.dir().display()
            )));
        }
        let about: About = read_json(&path(ABOUT))?;
        let info = run.info()?;
        if about.fingerprint != info.fingerprint {
            return Err(Error::Incompatible(format!(
                "{}: out-of-fold scores of other labels than the run was trained with; train it anew",
                run.path(FOLDER).display()
            )));
        }
        for name in [IMAGES, SCORES, FOLDS] {
            about.files.check(&run.path(FOLDER), name)?;
        }
        let scores = Features::open_all(&path(SCORES))?;
        let folds = match about.how {
            How::Folds(_) => read_folds(&path(FOLDS), scores.rows())?,
            How::LeaveOneOut => Vec::new(),
        };
        let mut first = 0;
        csv::in_pieces::<Error>(&path(IMAGES), most, &mut |annotations| {
            let rows = first..first + annotations.images.len();
            let logits = read_scores(&scores, &path(SCORES), rows.clone(), &annotations)?;
            first = rows.end;
            let folds = if folds.is_empty() { Vec::new() } else { folds[rows].to_vec() };
            let asked = annotations.images.len();
            each(Self { annotations, logits, how: about.how.clone(), folds, asked })
        })?;
        if first == scores.rows() { Ok(()) } else { Err(other_rows(&scores, &path(SCORES), first)) }
    }

    /// The known labels.
    pub fn labels(&self) -> &LabelMatrix {
        &self.annotations.labels
    }

    /// The logit of a category in an image.
    pub fn logit(&self, row: usize, category: usize) -> f32 {
        self.logits[row * self.annotations.categories.len() + category]
    }

    /// The known cells of a category: logit, and whether it is positive.
    pub fn known(&self, category: usize) -> impl Iterator<Item = (f32, bool)> {
        let labels = self.annotations.labels.column(category).enumerate();
        labels
            .filter(|(_, label)| *label != Label::Unknown)
            .map(move |(row, label)| (self.logit(row, category), label == Label::Positive))
    }

    /// mAP over the known labels, 0…1.
    ///
    /// # Errors
    /// If a logit is not finite.
    pub fn map(&self) -> Result<f64> {
        let Annotations { labels, categories, .. } = &self.annotations;
        Ok(metrics::evaluate(&self.logits, labels, categories, 0.0)?.map)
    }
}

/// So many images are read at a time where all may be more than fit into memory.
pub const PIECE: usize = 1 << 16;

fn other_rows(scores: &Features, path: &Path, images: usize) -> Error {
    let rows = scores.rows();
    Error::Incompatible(format!(
        "{}: scores of {rows} images; train.csv beside it has {images}",
        path.display()
    ))
}

/// The scores of some rows, whose images these are.
fn read_scores(
    scores: &Features,
    path: &Path,
    rows: Range<usize>,
    annotations: &Annotations,
) -> Result<Vec<f32>> {
    let categories = annotations.categories.len();
    if rows.end > scores.rows() {
        return Err(other_rows(scores, path, rows.end));
    }
    if scores.shape() != [categories, 1, 1] {
        return Err(Error::Incompatible(format!(
            "{}: scores of {} categories; train.csv beside it has {categories}",
            path.display(),
            scores.shape()[0]
        )));
    }
    let mut logits = vec![0.0; rows.len() * categories];
    for (row, into) in rows.zip(logits.chunks_exact_mut(categories)) {
        scores.read(row, View::Clean, into)?;
    }
    match logits.iter().find(|logit| !logit.is_finite()) {
        Some(value) => Err(Error::Incompatible(format!("{}: a score is {value}", path.display()))),
        None => Ok(logits),
    }
}

fn read_folds(path: &Path, images: usize) -> Result<Vec<usize>> {
    let damaged = |what: String| Error::Incompatible(format!("{}: {what}", path.display()));
    let mut reader = ::csv::Reader::from_path(path).map_err(|e| damaged(e.to_string()))?;
    let folds: Result<Vec<usize>> = reader
        .records()
        .map(|record| {
            let record = record.map_err(|e| damaged(e.to_string()))?;
            let fold = record.get(1).unwrap_or_default();
            fold.parse().map_err(|_| damaged(format!("{fold:?} is no fold")))
        })
        .collect();
    let folds = folds?;
    if folds.len() != images {
        return Err(damaged(format!("folds of {} images; train.csv beside it has {images}", folds.len())));
    }
    Ok(folds)
}

fn forget(path: &Path) -> Result<()> {
    remove(path, |path| std::fs::remove_file(path))
}
