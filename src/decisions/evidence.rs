//! What decisions are founded on: the labels that a run knows, if which they are was a matter of chance; otherwise a sample
//! of its unknown labels that was drawn at random and looked up by a person.

use std::path::PathBuf;

use sarb_labels::merging::merge;
use sarb_labels::text::listed;
use sarb_labels::{Annotations, Label, LabelMatrix};

use crate::out_of_fold::OutOfFold;
use crate::{Error, Result};

/// Out-of-fold scores, and the labels by which they are judged.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The scores.
    pub scores: &'a OutOfFold,
    audited: Option<LabelMatrix>,
}

impl<'a> Evidence<'a> {
    /// Judged by all labels that the run knows.
    pub fn known(scores: &'a OutOfFold) -> Self {
        Self { scores, audited: None }
    }

    /// Judged by an audited sample of the labels that the run does not know, and by nothing else.
    ///
    /// # Errors
    /// [`Error::Data`] if it names images or categories that the run has not, or if it says nothing of labels that the run
    /// does not know.
    pub fn audited(scores: &'a OutOfFold, sample: Annotations) -> Result<Self> {
        let source = sample.source.display().to_string();
        let run = &scores.annotations;
        let nothing = LabelMatrix::unknown(run.images.len(), run.categories.len());
        let run_alone = Annotations { labels: nothing, ..run.clone() };
        let sources = [("the run".to_owned(), run_alone), (source.clone(), sample)];
        let merged = merge(&sources)?.annotations;
        let unknown_images = merged.images.get(run.images.len()..).unwrap_or_default();
        let unknown_categories = merged.categories.get(run.categories.len()..).unwrap_or_default();
        if !unknown_images.is_empty() || !unknown_categories.is_empty() {
            let images = unknown_images.iter().map(|image: &PathBuf| image.display().to_string());
            let names: Vec<String> = images.chain(unknown_categories.iter().cloned()).collect();
            return Err(Error::Data(format!("{source}: the run has no {}", listed(&names))));
        }
        let mut audited = merged.labels;
        audited.retain(|row, category| run.labels.get(row, category) == Label::Unknown);
        if audited.count(Label::Unknown) == run.images.len() * run.categories.len() {
            return Err(Error::Data(format!(
                "{source}: no label that the run does not know; draw some with sarb labels next --by chance"
            )));
        }
        Ok(Self { scores, audited: Some(audited) })
    }

    /// Whether only an audited sample counts.
    pub fn is_audited(&self) -> bool {
        self.audited.is_some()
    }

    /// How many labels count.
    pub fn count(&self) -> usize {
        let labels = self.audited.as_ref().unwrap_or(self.scores.labels());
        labels.count(Label::Positive) + labels.count(Label::Negative)
    }

    /// What is known of a row's labels, by the audit too.
    pub fn known_row(&self, row: usize) -> impl Iterator<Item = Label> {
        let known = self.scores.labels().row(row);
        known.enumerate().map(move |(category, known)| match &self.audited {
            Some(audited) if known == Label::Unknown => audited.get(row, category),
            _ => known,
        })
    }

    /// A row's labels by which scores are judged, unknown ones that are to be decided, and nothing where a label is known
    /// but is no evidence.
    pub fn row(&self, row: usize) -> impl Iterator<Item = Option<Label>> {
        let known = self.scores.labels().row(row);
        known.enumerate().map(move |(category, known)| match &self.audited {
            None => Some(known),
            Some(audited) if known == Label::Unknown => Some(audited.get(row, category)),
            Some(_) => None,
        })
    }

    /// Of each category, the logits of the labels that count, and whether each is positive.
    pub fn by_category(&self) -> Vec<Vec<(f32, bool)>> {
        let categories = self.scores.annotations.categories.len();
        let mut cells = vec![Vec::new(); categories];
        // Row by row, as the scores lie.
        for (row, logits) in self.scores.logits.chunks_exact(categories).enumerate() {
            for (category, label) in self.row(row).enumerate() {
                match label {
                    Some(Label::Positive) => cells[category].push((logits[category], true)),
                    Some(Label::Negative) => cells[category].push((logits[category], false)),
                    Some(Label::Unknown) | None => {}
                }
            }
        }
        cells
    }

    /// Refuses evidence none of which is positive, or negative, and a run that knows everything, with what there then is
    /// not to do.
    pub(super) fn refuse_one_sided(&self, nothing: &str) -> Result<()> {
        let labels = self.audited.as_ref().unwrap_or(self.scores.labels());
        let source = self.scores.annotations.source.display();
        let [positive, negative] = [Label::Positive, Label::Negative].map(|label| labels.count(label));
        if self.scores.labels().count(Label::Unknown) == 0 {
            return Err(Error::Data(format!("{source}: no label is unknown; there is {nothing}")));
        }
        if positive == 0 || negative == 0 {
            let none = if positive == 0 { "positive" } else { "negative" };
            let known = if self.is_audited() { "in the audited sample" } else { "known" };
            return Err(Error::Data(format!(
                "{source}: no {none} label is {known}, so nothing says how often a label that looks probable is wrong; \
                 label a few images in full"
            )));
        }
        Ok(())
    }
}
