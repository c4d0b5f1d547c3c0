//! Labeling jobs: an image that a job did not ask about is unknown in its categories.

use std::collections::{BTreeSet, HashMap};

use crate::formats::marks::Marks;
use crate::formats::options::Unlisted;
use crate::formats::report::shown;
use crate::labels::{Label, LabelMatrix};

/// What one job says of an image.
#[derive(Debug)]
pub(super) struct Answer {
    pub job: String,
    /// Names of the labels that are there.
    pub labels: Vec<String>,
    /// Whether the job could choose several labels.
    pub many: bool,
    /// How many of the labels have a low confidence.
    pub unsure: usize,
}

/// The jobs of a file and the images that they labeled.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    places: HashMap<String, usize>,
    jobs: Vec<Job>,
    /// Rows with the jobs that labeled them.
    rows: Vec<(usize, Vec<usize>)>,
    unsure: usize,
}

#[derive(Debug)]
struct Job {
    name: String,
    categories: BTreeSet<usize>,
    many: bool,
}

/// Most names in a note.
pub(super) const MOST_NAMED: usize = 5;

impl Job {
    /// Whether it stands for a single label, as where each label of an image has a key of its own; it is missing
    /// where the label is.
    fn is_label(&self) -> bool {
        !self.many && self.categories.len() == 1
    }
}

/// How doubtful cells were filled.
#[derive(Default)]
struct Filled {
    /// Images that lack a job.
    lacking: usize,
    /// Cells whose job is missing, and is taken for a label that is not there.
    taken_for_labels: usize,
}

impl Jobs {
    /// Takes the answers for an image.
    pub fn add(&mut self, row: usize, answers: Vec<Answer>, marks: &mut Marks) {
        let mut present = Vec::new();
        for answer in answers {
            let at = *self.places.entry(answer.job.clone()).or_insert(self.jobs.len());
            if at == self.jobs.len() {
                let job = Job { name: answer.job, categories: BTreeSet::new(), many: answer.many };
                self.jobs.push(job);
            }
            self.jobs[at].many |= answer.many;
            for name in &answer.labels {
                let category = marks.category(name);
                self.jobs[at].categories.insert(category);
                marks.mark(row, category, Label::Positive);
            }
            self.unsure += answer.unsure;
            present.push(at);
        }
        self.rows.push((row, present));
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Gives the cells that the jobs of an image could have chosen and did not the label that the user says;
    /// what the user should know.
    pub fn finish(self, labels: &mut LabelMatrix, unlisted: Unlisted) -> Vec<String> {
        let mut notes = Vec::new();
        if self.unsure > 0 {
            notes.push(format!("{} labels with a confidence below 0.5: read as there", self.unsure));
        }
        let jobs: Vec<&Job> = self.jobs.iter().filter(|job| !job.is_label()).collect();
        if jobs.len() > 1 {
            let names: Vec<String> = jobs.iter().take(MOST_NAMED).map(|job| shown(&job.name)).collect();
            let more = if jobs.len() > MOST_NAMED { ", …" } else { "" };
            let names = names.join(", ");
            notes.push(format!("labels of {} labeling jobs are taken together: {names}{more}", jobs.len()));
        }
        if unlisted == Unlisted::Unknown {
            return notes;
        }
        let Filled { lacking: missing, taken_for_labels } = self.fill(labels, unlisted.label());
        if taken_for_labels > 0 {
            notes.push(format!(
                "{taken_for_labels} labels whose job names no other category are read as not there where the job is \
                 missing"
            ));
        }
        if missing > 0 {
            notes.push(format!(
                "{missing} images lack a labeling job that others have: unknown in its categories"
            ));
        }
        notes
    }

    fn fill(&self, labels: &mut LabelMatrix, unlisted: Label) -> Filled {
        let mut everywhere = vec![false; labels.categories()];
        let mut asking: Vec<Vec<usize>> = vec![Vec::new(); labels.categories()];
        for (at, job) in self.jobs.iter().enumerate() {
            for &category in &job.categories {
                everywhere[category] |= job.is_label();
                asking[category].push(at);
            }
        }
        let mut filled = Filled::default();
        for (row, present) in &self.rows {
            let mut lacks = false;
            for category in 0..labels.categories() {
                if labels.get(*row, category) != Label::Unknown {
                    continue;
                }
                let asked = asking[category].iter().any(|job| present.contains(job));
                if asked || everywhere[category] {
                    filled.taken_for_labels += usize::from(!asked);
                    labels.set(*row, category, unlisted);
                } else {
                    lacks = true;
                }
            }
            filled.lacking += usize::from(lacks);
        }
        filled
    }
}
