//! What decisions are founded on: the labels that a run knows, if which they are was a matter of chance; otherwise a sample
//! of its unknown labels that was drawn at random and looked up by a person.

use std::path::{Path, PathBuf};

use sarb_labels::merging::merge;
use sarb_labels::text::listed;
use sarb_labels::{Annotations, Label, LabelMatrix};

use super::probability::{Curves, Gathered, Measured};
use crate::out_of_fold::OutOfFold;
use crate::{Error, Result};

/// Out-of-fold scores, and the labels by which they are judged.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The scores.
    pub scores: &'a OutOfFold,
    audit: Option<Audit>,
}

/// A sample of labels that the run does not know, in two strata: those that the run takes for likely, judged by the labels
/// that it knows, and the others. Half of what [`next`](super::next) draws is of either, for of what is likely there is
/// little, and a promise of positives is about nothing else.
#[derive(Debug)]
struct Audit {
    source: PathBuf,
    labels: LabelMatrix,
    likely: Curves,
    /// For how many labels one of the others, and one of the likely ones, stands; on the mean over the sample for one.
    weights: [f64; 2],
}

impl<'a> Evidence<'a> {
    /// Judged by all labels that the run knows.
    pub fn known(scores: &'a OutOfFold) -> Self {
        Self { scores, audit: None }
    }

    /// Judged by an audited sample of the labels that the run does not know, and by nothing else.
    ///
    /// # Errors
    /// [`Error::Data`] if it names images or categories that the run has not, or if it says nothing of labels that the run
    /// does not know.
    pub fn audited(scores: &'a OutOfFold, sample: Annotations) -> Result<Self> {
        let file = sample.source.clone();
        let source = file.display().to_string();
        let run = &scores.annotations;
        let nothing = LabelMatrix::unknown(run.images.len(), run.categories.len());
        let run_alone = Annotations { labels: nothing, ..run.clone() };
        let sources = [("the run".to_owned(), run_alone), (source.clone(), sample)];
        let merged = merge(&sources)?.annotations;
        if !merged.images.starts_with(&run.images) {
            return Err(Error::Data(format!(
                "{source}: two images of the run are one file; nobody can say which is meant"
            )));
        }
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
        let likely = Self::known(scores).curves();
        let weights = weights(scores, &likely, &audited);
        Ok(Self { scores, audit: Some(Audit { source: file, labels: audited, likely, weights }) })
    }

    /// Whether only an audited sample counts.
    pub fn is_audited(&self) -> bool {
        self.audit.is_some()
    }

    /// How many labels count.
    pub fn count(&self) -> usize {
        let labels = self.audit.as_ref().map_or(self.scores.labels(), |audit| &audit.labels);
        labels.count(Label::Positive) + labels.count(Label::Negative)
    }

    /// What is known of a row's labels, by the audit too.
    pub fn known_row(&self, row: usize) -> impl Iterator<Item = Label> {
        let known = self.scores.labels().row(row);
        known.enumerate().map(move |(category, known)| match &self.audit {
            Some(audit) if known == Label::Unknown => audit.labels.get(row, category),
            _ => known,
        })
    }

    /// A row's labels by which decisions that something is there (`positive`), or is not, are judged, and the unknown
    /// labels that are to be decided so. Nothing where a label is known but is no evidence, where nobody asks about the
    /// image, or, of an audited sample, where it belongs to the other stratum: what is likely is never filled in as absent.
    pub fn row(&self, row: usize, positive: bool) -> impl Iterator<Item = Option<Label>> {
        let known = self.scores.labels().row(row);
        let is_asked = row < self.scores.asked;
        known.enumerate().map(move |(category, known)| {
            let label = match &self.audit {
                None => known,
                Some(audit) => {
                    let is_decided =
                        known == Label::Unknown && audit.is_likely(self.scores, row, category) == positive;
                    is_decided.then(|| audit.labels.get(row, category))?
                }
            };
            (is_asked || label != Label::Unknown).then_some(label)
        })
    }

    /// The curves by which the scores become probabilities.
    pub fn curves(&self) -> Curves {
        let mut measured = Measured::new(self.scores.annotations.categories.len());
        self.measure(&mut measured);
        let mut gathered = Gathered::new(&measured);
        self.gather(&mut gathered);
        gathered.curves()
    }

    /// Adds the labels that count to what is measured.
    pub(super) fn measure(&self, measured: &mut Measured) {
        self.for_each(|category, logit, positive, _| measured.add(category, logit, positive));
    }

    /// Adds the labels that count to those from which curves are fitted.
    pub(super) fn gather(&self, gathered: &mut Gathered) {
        self.for_each(|category, logit, positive, count| gathered.add(category, logit, positive, count));
    }

    /// Each label that counts, row by row as the scores lie: its category and logit, whether it is positive, and for how
    /// many it stands.
    fn for_each(&self, mut each: impl FnMut(usize, f32, bool, f64)) {
        let labels = self.audit.as_ref().map_or(self.scores.labels(), |audit| &audit.labels);
        let categories = self.scores.annotations.categories.len();
        for (row, logits) in self.scores.logits.chunks_exact(categories).enumerate() {
            for (category, label) in labels.row(row).enumerate().filter(|it| it.1 != Label::Unknown) {
                let weight = self.audit.as_ref().map_or(1.0, |audit| {
                    audit.weights[usize::from(audit.is_likely(self.scores, row, category))]
                });
                each(category, logits[category], label == Label::Positive, weight);
            }
        }
    }

    /// What there is to judge by, and to decide.
    pub(super) fn amounts(&self) -> Amounts {
        let labels = self.audit.as_ref().map_or(self.scores.labels(), |audit| &audit.labels);
        let unknown = |row| self.scores.labels().row(row).any(|label| label == Label::Unknown);
        Amounts {
            incomplete: (0..self.scores.asked).filter(|&row| unknown(row)).count(),
            positive: labels.count(Label::Positive),
            negative: labels.count(Label::Negative),
        }
    }

    /// The file that says what there is to judge by, and what is said of its labels.
    fn source(&self) -> (&Path, &'static str) {
        match &self.audit {
            Some(audit) => (&audit.source, "in the audited sample"),
            None => (&self.scores.annotations.source, "known"),
        }
    }

    /// Refuses a run that knows everything, with what there then is not to do.
    pub(super) fn refuse_complete(&self, nothing: &str) -> Result<()> {
        self.amounts().refuse_complete(&self.scores.annotations.source, nothing)
    }

    /// Refuses evidence none of which is positive, or negative, and a run that knows everything, with what there then is
    /// not to do.
    pub(super) fn refuse_one_sided(&self, nothing: &str) -> Result<()> {
        self.refuse_amounts(self.amounts(), nothing)
    }

    /// As [`refuse_one_sided`](Self::refuse_one_sided), where this is a piece of the evidence and these are the amounts of all.
    pub(super) fn refuse_amounts(&self, amounts: Amounts, nothing: &str) -> Result<()> {
        amounts.refuse_complete(&self.scores.annotations.source, nothing)?;
        let (source, known) = self.source();
        if amounts.positive == 0 || amounts.negative == 0 {
            let none = if amounts.positive == 0 { "positive" } else { "negative" };
            return Err(Error::Data(format!(
                "{}: no {none} label is {known}, so nothing says how often a label that looks probable is wrong; label a \
                 few images in full",
                source.display()
            )));
        }
        Ok(())
    }
}

/// How much there is to judge by, and to decide.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Amounts {
    /// Images that are asked about and of which something is unknown.
    incomplete: usize,
    /// Labels that count and are positive.
    positive: usize,
    /// Those that are negative.
    negative: usize,
}

impl Amounts {
    /// Those of two pieces together.
    pub fn and(self, other: Self) -> Self {
        Self {
            incomplete: self.incomplete + other.incomplete,
            positive: self.positive + other.positive,
            negative: self.negative + other.negative,
        }
    }

    fn refuse_complete(self, source: &Path, nothing: &str) -> Result<()> {
        match self.incomplete {
            0 => Err(Error::Data(format!("{}: no label is unknown; there is {nothing}", source.display()))),
            _ => Ok(()),
        }
    }
}

impl Audit {
    fn is_likely(&self, scores: &OutOfFold, row: usize, category: usize) -> bool {
        is_likely(scores, &self.likely, row, category)
    }
}

/// Whether a run takes a label for likely.
pub(super) fn is_likely(scores: &OutOfFold, curves: &Curves, row: usize, category: usize) -> bool {
    curves.categories[category].logit(scores.logit(row, category)) >= 0.0
}

/// For how many unknown labels one of the sample stands, in either stratum; a stratum without any weighs nothing.
fn weights(scores: &OutOfFold, likely: &Curves, audited: &LabelMatrix) -> [f64; 2] {
    let (mut all, mut sample) = ([0.0; 2], [0.0; 2]);
    for row in 0..scores.annotations.images.len() {
        for (category, known) in scores.labels().row(row).enumerate() {
            if known == Label::Unknown {
                let stratum = usize::from(is_likely(scores, likely, row, category));
                all[stratum] += 1.0;
                sample[stratum] += f64::from(u8::from(audited.get(row, category) != Label::Unknown));
            }
        }
    }
    let (whole, drawn) = (all[0] + all[1], sample[0] + sample[1]);
    [0, 1].map(
        |stratum| if sample[stratum] > 0.0 { all[stratum] / whole * drawn / sample[stratum] } else { 0.0 },
    )
}
