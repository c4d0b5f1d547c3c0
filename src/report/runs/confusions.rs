//! Which category is claimed where another is: of the images in which A is known not to be and is claimed, which
//! B is there more often than elsewhere?

use rayon::prelude::*;
use sarb_labels::metrics::Scale;
use sarb_labels::text::{percent, share, thousands};
use sarb_labels::{Label, LabelMatrix};

use super::html::{Cell, details, name, section, table};
use super::names::Source;
use super::{Measured, Row};

/// Most pairs that are listed of a system.
const MOST: usize = 15;
/// Most systems whose confusions are listed.
const MOST_SYSTEMS: usize = 4;
/// Most categories whose pairs are counted: more would not fit in memory.
const MOST_CATEGORIES: usize = 3000;
/// Rows that one task counts at least.
const ROWS: usize = 1024;

/// One category claimed where another is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Confusion {
    /// The category that is claimed where it is known not to be.
    pub claimed: usize,
    /// In how many images it is.
    pub images: usize,
    /// The category that is there.
    pub there: usize,
    /// In how many of those images that one is known.
    pub known: usize,
    /// In how many it is positive.
    pub positive: usize,
    /// The share of positives among all its known labels.
    pub usual: f64,
}

impl Confusion {
    /// Images beyond those that chance explains.
    fn beyond_chance(&self) -> f64 {
        self.positive as f64 - self.known as f64 * self.usual
    }
}

/// Counts of one task: images by claimed category, and known and positive by pair.
struct Counts {
    images: Vec<usize>,
    pairs: Vec<[u32; 2]>,
}

/// The pairs with more images than chance explains, most of them first. `scores` are `N × C`, row by row.
pub(super) fn confusions(scores: &[f32], labels: &LabelMatrix, threshold: f32) -> Vec<Confusion> {
    let c = labels.categories();
    // A task has counts of its own: as few as there are threads.
    let task_rows = labels.images().div_ceil(rayon::current_num_threads()).max(ROWS);
    let none = || Counts { images: vec![0; c], pairs: vec![[0; 2]; c * c] };
    let counts = scores
        .par_chunks((c * task_rows).max(1))
        .enumerate()
        .fold(none, |mut counts, (task, rows)| {
            for (row, scores) in rows.chunks_exact(c).enumerate() {
                let labels: Vec<Label> = labels.row(task * task_rows + row).collect();
                let wrong = |a: &usize| labels[*a] == Label::Negative && scores[*a] >= threshold;
                for a in (0..c).filter(wrong) {
                    counts.images[a] += 1;
                    for (pair, label) in counts.pairs[a * c..(a + 1) * c].iter_mut().zip(&labels) {
                        pair[0] += u32::from(*label != Label::Unknown);
                        pair[1] += u32::from(*label == Label::Positive);
                    }
                }
            }
            counts
        })
        .reduce(none, |mut a, b| {
            a.images.iter_mut().zip(&b.images).for_each(|(a, b)| *a += b);
            a.pairs.iter_mut().zip(&b.pairs).for_each(|(a, b)| (a[0], a[1]) = (a[0] + b[0], a[1] + b[1]));
            a
        });
    let usual: Vec<f64> =
        labels.counts().iter().map(|&(positives, known)| positives as f64 / known.max(1) as f64).collect();
    let pair = |cell: usize| Confusion {
        claimed: cell / c,
        images: counts.images[cell / c],
        there: cell % c,
        known: counts.pairs[cell][0] as usize,
        positive: counts.pairs[cell][1] as usize,
        usual: usual[cell % c],
    };
    let mut found: Vec<Confusion> = (0..c * c).filter(|&cell| counts.pairs[cell][1] > 0).map(pair).collect();
    found.retain(|confusion| confusion.beyond_chance() > 0.0);
    found.sort_by(|a, b| b.beyond_chance().total_cmp(&a.beyond_chance()));
    found
}

/// The pairs of each system that is no anchor.
pub(super) fn section_of(measured: &Measured) -> String {
    let systems: Vec<&Row> =
        measured.rows.iter().filter(|row| !matches!(row.source, Source::Anchor(_))).collect();
    let mut content = String::new();
    if measured.categories.len() > MOST_CATEGORIES {
        let most = thousands(MOST_CATEGORIES);
        content += &format!("<p>Left out: pairs of more than {most} categories are not counted.</p>\n");
        return section("confusions", "Claimed where another is", "", &content);
    }
    for (place, row) in systems.iter().take(MOST_SYSTEMS).enumerate() {
        let shown = listed(row, measured);
        content += &match (systems.len(), place) {
            (1, _) => shown,
            (_, 0) => format!("<p>{}</p>\n{shown}", name(&row.system.name)),
            _ => details(&format!("Of {}", name(&row.system.name)), &shown, true),
        };
    }
    if systems.len() > MOST_SYSTEMS {
        let left = systems.len() - MOST_SYSTEMS;
        content += &format!("<p class=\"note\">{left} more systems are left out.</p>\n");
    }
    let note = format!(
        "Images in which a category is known not to be and is claimed (p ≥ 0.5): which other one is there more often \
         than in general? At most {MOST} pairs, those furthest beyond chance first; unknown labels are left out."
    );
    section("confusions", "Claimed where another is", &note, &content)
}

fn listed(row: &Row, measured: &Measured) -> String {
    let threshold = match row.scale {
        Scale::Logits => 0.0,
        Scale::Probabilities => 0.5,
    };
    let found = confusions(&row.system.values, &measured.labels, threshold);
    if found.is_empty() {
        return "<p>No category is claimed where it is known not to be and another one is there.</p>\n"
            .into();
    }
    let names = &measured.categories;
    let line = |confusion: &Confusion| {
        let Confusion { claimed, images, there, known, positive, usual } = *confusion;
        vec![
            Cell::html(name(&names[claimed])),
            Cell::number(&thousands(images), None),
            Cell::html(name(&names[there])),
            Cell::number(&format!("{} of {}", thousands(positive), thousands(known)), None),
            Cell::number(&share(positive, known), None),
            Cell::number(&percent(usual), None),
        ]
    };
    let rows: Vec<Vec<Cell>> = found.iter().take(MOST).map(line).collect();
    let heading = ["claimed", "wrongly in images", "where there is", "in", "share [%]", "in general [%]"];
    table("Categories claimed where others are", &heading, &rows, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_counts_known_labels_of_wrongly_claimed_images_by_hand() {
        // cat, dog, chair. Cat is claimed in all; known not to be in rows 0 to 3; the dog is in 0 and 1, unknown in 2.
        let labels = LabelMatrix::from_values(3, &[-1, 1, -1, -1, 1, -1, -1, 0, 1, -1, -1, -1, 1, -1, 1]);
        let scores = [1.0, -1.0, -1.0].repeat(5);
        let found = confusions(&scores, &labels, 0.0);
        let dog = Confusion { claimed: 0, images: 4, there: 1, known: 3, positive: 2, usual: 0.5 };
        // The chair is there in 1 of 4, and in 2 of 5 in general: less than chance.
        assert_eq!(found, [dog]);
        assert_eq!(confusions(&scores, &labels, 2.0), []);
    }
}
