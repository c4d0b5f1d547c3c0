//! Images of another data folder, asked about beside a run's own.
//!
//! An image that the run was trained on keeps its out-of-fold scores; the others are scored by the run's network, which has
//! not learned from them either. What is promised of them holds if they are like the run's images: thresholds and curves
//! are founded on the known labels of both.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use sarb_labels::images::read_file;
use sarb_labels::same_files::rows_among;
use sarb_labels::{Annotations, Label, LabelMatrix};

use crate::out_of_fold::OutOfFold;
use crate::{Error, Result};

/// Images that are asked about, and which of them a run knows.
#[derive(Debug)]
pub struct Joining {
    own: OutOfFold,
    data: Annotations,
    /// Of each image of `data`, its row among the run's own.
    rows: Vec<Option<usize>>,
}

/// How the labels of images that both have differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Differences {
    /// Labels that the run was trained with and that are the opposite now.
    pub changed: usize,
    /// Labels that the run was trained with and that are unknown now.
    pub withdrawn: usize,
}

impl Joining {
    /// Finds the images of `data`, with the categories of the run in their order, among the run's own.
    ///
    /// # Errors
    /// [`Error::Data`] if two images of `data` are one of the run's, or if it cannot be told whether an image is one of the run's: the run's
    /// are no longer where they were.
    pub fn new(own: OutOfFold, data: Annotations) -> Result<Self> {
        let mut rows = rows_among(&own.annotations.images, &data.images);
        let copies = Copies::of(&own.annotations, &data, &rows)?;
        rows.iter_mut().zip(copies).for_each(|(row, copy)| *row = row.or(copy));
        let mut taken: HashMap<usize, usize> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            let Some(row) = *row else { continue };
            if let Some(first) = taken.insert(row, place) {
                let [first, second] = [first, place].map(|place| data.images[place].display());
                let source = data.source.display();
                return Err(Error::Data(format!("{source}: {first} and {second} are one image")));
            }
        }
        Ok(Self { own, data, rows })
    }

    /// All images that are asked about.
    pub fn data(&self) -> &Annotations {
        &self.data
    }

    /// Rows of those that the run was not trained on.
    pub fn new_rows(&self) -> Vec<usize> {
        (0..self.rows.len()).filter(|&row| self.rows[row].is_none()).collect()
    }

    /// All of them with their scores, those of the new ones being `logits`, row by row; behind them the run's other images.
    ///
    /// # Panics
    /// If there are more or fewer logits than the new images need.
    pub fn joined(self, logits: &[f32]) -> (OutOfFold, Differences) {
        let Self { own, data, rows } = self;
        let categories = own.annotations.categories.len();
        let asked = rows.len();
        let mut is_asked = vec![false; own.annotations.images.len()];
        rows.iter().flatten().for_each(|&row| is_asked[row] = true);
        let others: Vec<usize> = (0..is_asked.len()).filter(|&row| !is_asked[row]).collect();
        let mut new = logits.chunks_exact(categories);
        let mut scores = Vec::with_capacity((asked + others.len()) * categories);
        for row in rows.iter().copied().chain(others.iter().copied().map(Some)) {
            let logits = match row {
                Some(row) => &own.logits[row * categories..][..categories],
                None => new.next().expect("logits of each new image"),
            };
            scores.extend_from_slice(logits);
        }
        assert!(new.next().is_none(), "more logits than new images");
        let differences = Differences::of(&own.annotations.labels, &data.labels, &rows);
        let Annotations { mut images, labels, categories, source } = data;
        images.extend(others.iter().map(|&row| own.annotations.images[row].clone()));
        let labels = stacked(&labels, &own.annotations.labels, &others);
        let annotations = Annotations { images, labels, categories, source };
        (OutOfFold { annotations, logits: scores, how: own.how, folds: Vec::new(), asked }, differences)
    }
}

impl Differences {
    fn of(own: &LabelMatrix, now: &LabelMatrix, rows: &[Option<usize>]) -> Self {
        let mut found = Self::default();
        for (place, row) in rows.iter().enumerate() {
            let Some(row) = *row else { continue };
            for (before, now) in own.row(row).zip(now.row(place)) {
                match (before, now) {
                    (Label::Unknown, _) => {}
                    (_, Label::Unknown) => found.withdrawn += 1,
                    (before, now) => found.changed += usize::from(before != now),
                }
            }
        }
        found
    }
}

/// The rows of `first`, and below them some of `second`.
fn stacked(first: &LabelMatrix, second: &LabelMatrix, rows: &[usize]) -> LabelMatrix {
    let mut labels = first.clone();
    for &row in rows {
        labels.push(&second.row(row).collect::<Vec<_>>());
    }
    labels
}

/// Images of the run by the name of their file: a copy elsewhere is the same image, and its network has learned from it.
struct Copies<'a> {
    own: &'a Annotations,
    by_name: HashMap<&'a OsStr, Vec<usize>>,
}

impl<'a> Copies<'a> {
    /// Of each image of `data` that was not found among the run's, the one of which it is a copy.
    fn of(own: &'a Annotations, data: &Annotations, rows: &[Option<usize>]) -> Result<Vec<Option<usize>>> {
        let mut by_name: HashMap<&OsStr, Vec<usize>> = HashMap::new();
        for (row, image) in own.images.iter().enumerate() {
            by_name.entry(image.file_name().unwrap_or_default()).or_default().push(row);
        }
        let copies = Self { own, by_name };
        data.images
            .iter()
            .zip(rows)
            .map(|(image, row)| if row.is_some() { Ok(None) } else { copies.original(image, data) })
            .collect()
    }

    fn original(&self, image: &Path, data: &Annotations) -> Result<Option<usize>> {
        let Some(rows) = self.by_name.get(image.file_name().unwrap_or_default()) else { return Ok(None) };
        let mut bytes = None;
        for &row in rows {
            let own = &self.own.images[row];
            let lengths = [own.as_path(), image].map(|path| std::fs::metadata(path).map(|it| it.len()).ok());
            if let [Some(own), Some(new)] = lengths
                && own != new
            {
                continue;
            }
            let same = read_file(own).and_then(|own| {
                let bytes = match &bytes {
                    Some(bytes) => bytes,
                    None => bytes.insert(read_file(image)?),
                };
                Ok(own == *bytes)
            });
            match same {
                Ok(true) => return Ok(Some(row)),
                Ok(false) => {}
                Err(error) => {
                    return Err(Error::Data(format!(
                        "{}: whether {} is the image {} that the run was trained on cannot be told ({error}); a run is too \
                         sure of images that it has learned from. Bring both to where they are named, or leave such images out",
                        data.source.display(),
                        image.display(),
                        own.display()
                    )));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::out_of_fold::How;

    fn annotations(images: &[PathBuf], labels: &[i8]) -> Annotations {
        Annotations {
            images: images.to_vec(),
            categories: vec!["a".into(), "b".into()],
            labels: LabelMatrix::from_values(2, labels),
            source: "train.csv".into(),
        }
    }

    fn own(images: &[PathBuf], labels: &[i8]) -> OutOfFold {
        let logits = (0..labels.len()).map(|cell| cell as f32).collect();
        let asked = images.len();
        OutOfFold {
            annotations: annotations(images, labels),
            logits,
            how: How::LeaveOneOut,
            folds: Vec::new(),
            asked,
        }
    }

    #[test]
    fn the_runs_images_keep_their_scores_and_stand_behind_those_that_are_asked_about() {
        let [one, two, three, new] = ["d/1.png", "d/2.png", "d/3.png", "d/new.png"].map(PathBuf::from);
        let own = own(&[one.clone(), two.clone(), three.clone()], &[1, -1, 0, 1, -1, 0]);
        // The third, whose label is turned around, a new one, and the first, of which one is withdrawn.
        let same = PathBuf::from("d/../d/3.png");
        let data = annotations(&[same, new.clone(), one], &[1, 0, 0, 0, 1, 0]);
        let joining = Joining::new(own, data).unwrap();
        assert_eq!(joining.new_rows(), [1]);
        let (scores, differences) = joining.joined(&[10.0, 11.0]);
        assert_eq!(differences, Differences { changed: 1, withdrawn: 1 });
        assert_eq!(scores.asked, 3);
        assert_eq!(scores.annotations.images[1..], [new, "d/1.png".into(), two]);
        assert_eq!(scores.logits, [4.0, 5.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0]);
        assert_eq!(scores.labels().to_floats(), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn copies_are_known_by_their_bytes_and_what_is_not_there_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let run = [file("run/1.png", "one"), file("run/2.png", "two")];
        let (copied, other) = (file("copy/1.png", "one"), file("copy/2.png", "owt"));
        let joined = |data: &[PathBuf]| {
            Joining::new(own(&run, &[1, 1, 0, 0]), annotations(data, &vec![0; 2 * data.len()]))
        };
        assert_eq!(joined(&[other.clone(), copied.clone()]).unwrap().new_rows(), [0]);
        let error = joined(&[run[0].clone(), copied.clone()]).unwrap_err().to_string();
        assert!(error.contains("are one image"), "{error}");
        std::fs::remove_file(&run[0]).unwrap();
        let error = joined(&[copied]).unwrap_err().to_string();
        assert!(error.contains("cannot be told") && error.contains("run/1.png"), "{error}");
        assert_eq!(joined(&[other]).unwrap().new_rows(), [0]);
    }
}
