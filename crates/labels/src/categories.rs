//! What a run knows of its categories: names, word vectors and how often they stand together.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::arrays::npy;
use crate::files::write_atomically;
use crate::labels::LabelMatrix;
use crate::matrix::Matrix;
use crate::text::spelling;
use crate::words::Words;
use crate::{Error, Result, arrays};

pub use crate::cooccurrence::Cooccurrence;

/// The C categories of a run, in column order.
#[derive(Debug, Clone, PartialEq)]
pub struct Categories {
    /// Their names.
    pub names: Vec<String>,
    /// Their word vectors, `C × E`; without them the vectors are learned.
    pub words: Option<Words>,
    /// `A[i, j] ≈ P(j | i)`, `C × C` row by row, in [0, 1], the diagonal 1; empty of more than
    /// [`MOST_IN_GRAPH`](Self::MOST_IN_GRAPH) categories.
    pub cooccurrence: Vec<f32>,
}

/// What `categories.json` holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    names: Vec<String>,
    /// Whether `words.npy` belongs to it.
    words: bool,
}

const INDEX: &str = "categories.json";
const WORDS: &str = "words.npy";
const COOCCURRENCE: &str = "cooccurrence.npy";

impl Categories {
    /// Most categories whose graph is made: it takes 4 bytes a pair, and 20 while its pairs are counted.
    pub const MOST_IN_GRAPH: usize = 5000;

    /// With the graph estimated from the (partial) labels of the training split.
    ///
    /// # Panics
    /// If `labels` has another number of categories than `names`.
    pub fn new(
        names: Vec<String>,
        words: Option<Words>,
        labels: &LabelMatrix,
        estimator: Cooccurrence,
    ) -> Self {
        assert_eq!(names.len(), labels.categories(), "names and label columns");
        let has_graph = names.len() <= Self::MOST_IN_GRAPH;
        let cooccurrence = if has_graph { estimator.estimate(labels) } else { Vec::new() };
        Self { names, words, cooccurrence }
    }

    /// Writes `categories.json`, if there is a graph `cooccurrence.npy` `[C, C]` and, if there are word vectors, `words.npy`
    /// `[C, E]` into a folder that is there.
    pub fn save(&self, dir: &Path) -> Result<()> {
        let count = self.names.len();
        if !self.cooccurrence.is_empty() {
            npy::write(&dir.join(COOCCURRENCE), &self.cooccurrence, &[count, count])?;
        }
        if let Some(words) = &self.words {
            npy::write(&dir.join(WORDS), &words.values, &[count, words.width])?;
        }
        let index = Index { names: self.names.clone(), words: self.words.is_some() };
        write_atomically(&dir.join(INDEX), |writer| {
            serde_json::to_writer_pretty(&mut *writer, &index)?;
            writeln!(writer)
        })
    }

    /// Reads what [`save`](Self::save) wrote, bit for bit.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join(INDEX);
        let text = std::fs::read(&path).map_err(|error| Error::io(&path, error))?;
        let Index { names, words } = serde_json::from_slice(&text)
            .map_err(|error| Error::Data(format!("{}: {error}", path.display())))?;
        let words = words.then(|| Words::read(&dir.join(WORDS), &names)).transpose()?;
        let path = dir.join(COOCCURRENCE);
        if names.len() > Self::MOST_IN_GRAPH && !path.exists() {
            return Ok(Self { names, words, cooccurrence: Vec::new() });
        }
        let Matrix { rows, cols: columns, values, .. } = arrays::read_matrix(&path)?;
        let count = names.len();
        if (rows, columns) != (count, count) {
            let what = format!("shape {rows} × {columns}; expected {count} × {count} as in {INDEX}");
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
        if let Some(value) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            let what = format!("holds {value}; expected proportions in [0, 1]");
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
        Ok(Self { names, words, cooccurrence: values })
    }
}

/// The candidate that `word` was probably meant to be: the first of those with the fewest edits, at
/// most a third of its letters, not counting case, spaces, `_` and `-`.
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = spelling(word);
    let distance = |candidate: &'a str| {
        let candidate_letters = spelling(candidate);
        let most = word.chars().count().max(candidate_letters.chars().count()) / 3;
        let edits = strsim::osa_distance(&word, &candidate_letters);
        (edits <= most).then_some((edits, candidate))
    };
    let near = candidates.into_iter().filter_map(distance);
    near.min_by_key(|&(edits, _)| edits).map(|(_, candidate)| candidate)
}

/// `; did you mean "…"?`, or nothing when no candidate is near.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, candidates).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn categories(words: Option<Words>) -> Categories {
        let labels = LabelMatrix::from_values(3, &[1, 1, -1, 1, -1, 0, 1, 0, 0, -1, 1, -1]);
        let names = ["cat", "a \"dog\"", "Kühlschrank"].map(str::to_owned).to_vec();
        Categories::new(names, words, &labels, Cooccurrence::default())
    }

    #[test]
    fn many_categories_have_no_graph() {
        let names = |count| (0..count).map(|c| format!("c{c}")).collect();
        let labels = LabelMatrix::unknown(1, Categories::MOST_IN_GRAPH + 1);
        let categories = Categories::new(
            names(Categories::MOST_IN_GRAPH + 1),
            None,
            &labels,
            Cooccurrence::Unbiased { shrinkage: 1.0 },
        );
        assert!(categories.cooccurrence.is_empty());
        let dir = tempfile::tempdir().unwrap();
        categories.save(dir.path()).unwrap();
        assert_eq!(Categories::load(dir.path()).unwrap(), categories);
    }

    #[test]
    fn categories_come_back_bit_for_bit() {
        let folder = tempfile::tempdir().unwrap();
        let values = vec![0.1, 1.0 / 3.0, 1e-30, -7.25, 0.2, 0.3];
        let with_words = categories(Some(Words { values, width: 2, warnings: vec![] }));
        with_words.save(folder.path()).unwrap();
        assert_eq!(Categories::load(folder.path()).unwrap(), with_words);
        // Saved anew without words: the old words.npy no longer counts.
        categories(None).save(folder.path()).unwrap();
        assert_eq!(Categories::load(folder.path()).unwrap(), categories(None));
    }

    #[test]
    fn a_damaged_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let message = || Categories::load(folder.path()).unwrap_err().to_string();
        assert!(message().ends_with("categories.json: no such file or folder"));
        categories(None).save(folder.path()).unwrap();
        npy::write(&folder.path().join(COOCCURRENCE), &[1.0], &[1, 1]).unwrap();
        assert!(message().contains("cooccurrence.npy: shape 1 × 1; expected 3 × 3"), "{}", message());
        npy::write(&folder.path().join(COOCCURRENCE), &[2.0; 9], &[3, 3]).unwrap();
        assert!(message().contains("cooccurrence.npy: holds 2"), "{}", message());
        std::fs::remove_file(folder.path().join(COOCCURRENCE)).unwrap();
        assert!(message().ends_with("cooccurrence.npy: no such file or folder"), "{}", message());
        std::fs::write(folder.path().join(INDEX), "{").unwrap();
        assert!(message().contains("categories.json: "), "{}", message());
        // As many categories as a graph can have must have one.
        let names = (0..Categories::MOST_IN_GRAPH).map(|c| format!("c{c}")).collect();
        Categories { names, words: None, cooccurrence: Vec::new() }.save(folder.path()).unwrap();
        assert!(message().ends_with("cooccurrence.npy: no such file or folder"), "{}", message());
    }

    #[test]
    fn a_misspelt_name_finds_the_one_that_was_meant() {
        let names = ["cat", "car", "diningtable", "traffic light"];
        assert_eq!(closest("difffing table", names), Some("diningtable"));
        assert_eq!(closest("Traffic-Light", names), Some("traffic light"));
        assert_eq!(closest("cas", names), Some("cat"));
        assert_eq!(closest("elephant", names), None);
        assert_eq!(closest("", names), None);
        assert_eq!(did_you_mean("elephant", names), "");
    }
}
