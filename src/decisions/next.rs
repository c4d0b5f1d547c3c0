//! Which unknown labels to ask people for next.
//!
//! An answer is worth the more, the less certain it is: p (1 − p), the variance of the label at its calibrated
//! probability. But the mean average precision weighs every category alike, and of a rare one, of which few positives
//! are known, an answer teaches more; uncertainty alone spends the budget on the common ones. The variance is therefore
//! divided by the known positives of the category, and each label that is asked for counts as so much of a positive as
//! it is probable: the list turns from one category to the next by itself and does not ask a hundred times for the same
//! thing. What has such falling returns is chosen well by taking the best first (Nemhauser, Wolsey & Fisher 1978).
//!
//! All labels of an image are asked for at once under a handicap: the images that are worth most look alike, and from them
//! alone the categories learn a world without the others; a model of few labels is often wrong besides. What an image is
//! worth is therefore multiplied by luck, a draw that makes greedy choice a draw in proportion to the fourth power of the
//! worth (power acquisition: Kirsch et al., TMLR 2023).

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::path::Path;

use rand::RngExt;
use sarb_labels::Label;
use sarb_labels::files::{folder_of, write_atomically};
use sarb_labels::formats::image_names::image_names;
use sarb_labels::random::{Stream, rng};
use sarb_labels::text::{percent, thousands};

use super::evidence::{Evidence, is_likely};
use super::probability::Curves;
use crate::out_of_fold::OutOfFold;
use crate::{Error, Result};

/// What is asked for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// One label of an image.
    Label,
    /// All unknown labels of an image, by the luck of this seed.
    Image {
        /// Another one draws other images.
        seed: u64,
    },
    /// One label of an image, drawn at random, half of them from those that are likely: a sample by which all others can be
    /// judged.
    Chance {
        /// Another one draws other labels.
        seed: u64,
    },
}

/// A label to ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Asked {
    /// Row of the image.
    pub row: usize,
    /// Column of the category.
    pub category: usize,
    /// The calibrated probability that it is there, 0…1.
    pub probability: f64,
    /// How many positives of the category are known.
    pub known_positives: usize,
    /// What the answer is worth when it is asked for.
    pub worth: f64,
}

impl Asked {
    /// Why it is asked for, for the person who is asked.
    pub fn reason(&self, scores: &OutOfFold) -> String {
        format!(
            "{} is {} % probable and has {} known positives",
            scores.annotations.categories[self.category],
            percent(self.probability),
            thousands(self.known_positives)
        )
    }
}

/// Writes what is asked for as a long table, `image,category,label,probability,reason`, with the labels to be filled in.
///
/// # Errors
/// If the file cannot be written; a path of an image that is not UTF-8 text.
pub fn write(path: &Path, scores: &OutOfFold, asked: &[Asked]) -> Result<()> {
    let images = image_names(&scores.annotations, folder_of(path))?;
    let written = write_atomically(path, |file| {
        let mut lines = csv::Writer::from_writer(file);
        lines.write_record(["image", "category", "label", "probability", "reason"])?;
        for asked in asked {
            lines.write_record([
                images[asked.row].as_str(),
                scores.annotations.categories[asked.category].as_str(),
                "",
                &format!("{:.5}", asked.probability),
                &asked.reason(scores),
            ])?;
        }
        lines.flush()
    });
    Ok(written?)
}

/// The power of the worth in proportion to which images are drawn; greedy choice is an infinite one, and 0 is chance.
const POWER: f64 = 4.0;

/// At most `budget` labels, or all unknown labels of at most `budget` images, the most useful first; those of an image stand
/// together.
///
/// # Errors
/// [`Error::Data`] if no label is unknown, or, but for [`By::Chance`], if only positives or only negatives are known;
/// [`Error::Usage`] for a budget of nothing.
pub fn next(scores: &OutOfFold, by: By, budget: usize) -> Result<Vec<Asked>> {
    if budget == 0 {
        return Err(Error::Usage("a budget of 0: nothing can be asked for".into()));
    }
    let evidence = Evidence::known(scores);
    match by {
        // A sample is what one-sided labels need.
        By::Chance { .. } => evidence.refuse_complete("nothing to ask for")?,
        By::Label | By::Image { .. } => evidence.refuse_one_sided("nothing to ask for")?,
    }
    let mut needs = Needs::of(scores);
    Ok(match by {
        By::Label => labels(scores, &mut needs, budget),
        By::Image { seed } => images(scores, &mut needs, budget, seed),
        By::Chance { seed } => chance(scores, &needs, budget, seed),
    })
}

/// What the categories lack.
struct Needs {
    curves: Curves,
    /// Known positives of each category.
    known: Vec<usize>,
    /// Positives that are expected among the labels of each category that were asked for.
    expected: Vec<f64>,
}

impl Needs {
    fn of(scores: &OutOfFold) -> Self {
        let categories = scores.annotations.categories.len();
        let positives = |category| scores.known(category).filter(|(_, positive)| *positive).count();
        Self {
            curves: Evidence::known(scores).curves(),
            known: (0..categories).map(positives).collect(),
            expected: vec![0.0; categories],
        }
    }

    /// The label of a cell, as if it were asked for now.
    fn asked(&self, scores: &OutOfFold, row: usize, category: usize) -> Asked {
        let probability = self.curves.categories[category].probability(scores.logit(row, category));
        let known_positives = self.known[category];
        let variance = probability * (1.0 - probability);
        let worth = variance / (1.0 + known_positives as f64 + self.expected[category]);
        Asked { row, category, probability, known_positives, worth }
    }

    /// All unknown labels of an image.
    fn unknown(&self, scores: &OutOfFold, row: usize) -> Vec<Asked> {
        let labels = scores.labels().row(row).enumerate();
        let unknown = labels.filter(|(_, label)| *label == Label::Unknown);
        unknown.map(|(category, _)| self.asked(scores, row, category)).collect()
    }

    fn take(&mut self, asked: &Asked) {
        self.expected[asked.category] += asked.probability;
    }
}

/// Label by label: the least certain unknown one of the category in which it is worth most.
fn labels(scores: &OutOfFold, needs: &mut Needs, budget: usize) -> Vec<Asked> {
    let least_certain = |category: usize| {
        let curve = needs.curves.categories[category];
        let certainty = |row: usize| curve.logit(scores.logit(row, category)).abs();
        let column = scores.labels().column(category).take(scores.asked).enumerate();
        let unknown = column.filter(|(_, label)| *label == Label::Unknown).map(|(row, _)| row);
        let mut rows: Vec<usize> = unknown.collect();
        // The worst is taken from the end.
        let certain_first = |a: &usize, b: &usize| certainty(*b).total_cmp(&certainty(*a)).then(b.cmp(a));
        if rows.len() > budget {
            let place = rows.len() - budget;
            rows.select_nth_unstable_by(place, certain_first);
            rows.drain(..place);
        }
        rows.sort_unstable_by(certain_first);
        rows
    };
    let mut columns: Vec<Vec<usize>> = (0..needs.known.len()).map(least_certain).collect();
    let mut list = Vec::new();
    while list.len() < budget {
        let tops = columns.iter().enumerate().filter_map(|(category, rows)| Some((*rows.last()?, category)));
        let candidates = tops.map(|(row, category)| needs.asked(scores, row, category));
        // The first of equal ones.
        let best = candidates.reduce(|best, other| if other.worth > best.worth { other } else { best });
        let Some(best) = best else { break };
        columns[best.category].pop();
        needs.take(&best);
        list.push(best);
    }
    list
}

/// Label by label, half of them from those that are likely, the others from all others, at random; by turns, so that the first
/// of them are such a sample too.
fn chance(scores: &OutOfFold, needs: &Needs, budget: usize, seed: u64) -> Vec<Asked> {
    let mut strata = [Vec::new(), Vec::new()];
    for row in 0..scores.asked {
        for (category, label) in scores.labels().row(row).enumerate() {
            if label == Label::Unknown {
                let stratum = usize::from(is_likely(scores, &needs.curves, row, category));
                strata[stratum].push((row as u32, category as u32));
            }
        }
    }
    let [mut others, mut likely] = [0, 1].map(|stratum| {
        let mut rng = rng(seed, Stream::Asking, 1, stratum as u64);
        let (all, count) = (&strata[stratum], budget.min(strata[stratum].len()));
        let drawn = rand::seq::index::sample(&mut rng, all.len(), count).into_vec();
        drawn.into_iter().map(|place| all[place]).collect::<Vec<_>>().into_iter()
    });
    let by_turns = std::iter::from_fn(|| {
        let turn: Vec<(u32, u32)> = likely.next().into_iter().chain(others.next()).collect();
        (!turn.is_empty()).then_some(turn)
    });
    let asked = |(row, category): (u32, u32)| needs.asked(scores, row as usize, category as usize);
    by_turns.flatten().take(budget).map(asked).collect()
}

/// An image, and what all its unknown labels were worth, times its luck, when that was last looked at.
struct Candidate {
    worth: f64,
    row: usize,
}

/// Image by image. What an image is worth only falls as others are taken, so that of a heap only the first needs to be looked
/// at again (lazy greedy: Minoux 1978).
fn images(scores: &OutOfFold, needs: &mut Needs, budget: usize, seed: u64) -> Vec<Asked> {
    let rows = scores.asked;
    let luck = luck(rows, seed);
    let worth = |asked: &[Asked], row: usize| luck[row] * asked.iter().map(|asked| asked.worth).sum::<f64>();
    let candidate = |row| Candidate { worth: worth(&needs.unknown(scores, row), row), row };
    let mut heap: BinaryHeap<Candidate> = (0..rows).map(candidate).collect();
    let mut list = Vec::new();
    let mut taken = 0;
    while taken < budget
        && let Some(Candidate { row, .. }) = heap.pop()
    {
        let mut asked = needs.unknown(scores, row);
        if asked.is_empty() {
            continue;
        }
        let now = Candidate { worth: worth(&asked, row), row };
        if heap.peek().is_some_and(|other| *other > now) {
            heap.push(now);
            continue;
        }
        asked.iter().for_each(|asked| needs.take(asked));
        asked.sort_by(|a, b| b.worth.total_cmp(&a.worth));
        list.extend(asked);
        taken += 1;
    }
    list
}

/// What the worth of each image is multiplied by: e to the power of a Gumbel draw divided by [`POWER`].
fn luck(images: usize, seed: u64) -> Vec<f64> {
    let mut rng = rng(seed, Stream::Asking, 0, 0);
    (0..images).map(|_| (-rng.random_range(f64::MIN_POSITIVE..1.0).ln()).powf(-1.0 / POWER)).collect()
}

impl Ord for Candidate {
    /// The first of equal images is the greater.
    fn cmp(&self, other: &Self) -> Ordering {
        self.worth.total_cmp(&other.worth).then(other.row.cmp(&self.row))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use sarb_labels::{Annotations, LabelMatrix};

    use super::*;
    use crate::out_of_fold::How;

    /// Logits of images whose categories get rarer from left to right, and labels of which a share is known.
    fn drawn(images: usize, categories: usize, known: f64, seed: u64) -> OutOfFold {
        let mut rng = rng(seed, Stream::Synthetic, 0, 0);
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for at in 0..images * categories {
            let logit: f64 = rng.random_range(-4.0..2.0) - (at % categories) as f64;
            let positive = rng.random_range(0.0..1.0) < 1.0 / (1.0 + (-logit).exp());
            logits.push(logit as f32);
            let known = rng.random_range(0.0..1.0) < known;
            labels.push(if !known {
                0
            } else if positive {
                1
            } else {
                -1
            });
        }
        let annotations = Annotations {
            images: (0..images).map(|row| format!("{row}.png").into()).collect(),
            categories: (0..categories).map(|category| category.to_string()).collect(),
            labels: LabelMatrix::from_values(categories, &labels),
            source: "train.csv".into(),
        };
        OutOfFold { annotations, logits, how: How::LeaveOneOut, folds: Vec::new(), asked: images }
    }

    /// The best first, every worth computed anew each time.
    fn one_by_one(scores: &OutOfFold, by: By, budget: usize) -> Vec<(usize, usize)> {
        let luck = match by {
            By::Image { seed } => luck(scores.annotations.images.len(), seed),
            _ => vec![1.0; scores.annotations.images.len()],
        };
        let mut needs = Needs::of(scores);
        let mut left = scores.labels().clone();
        let mut list = Vec::new();
        for _ in 0..budget {
            let mut best: Option<(f64, Vec<Asked>)> = None;
            for (row, luck) in luck.iter().enumerate() {
                let unknown = (0..left.categories()).filter(|&it| left.get(row, it) == Label::Unknown);
                let asked: Vec<Asked> = unknown.map(|it| needs.asked(scores, row, it)).collect();
                let sets: Vec<Vec<Asked>> = match by {
                    By::Image { .. } => vec![asked],
                    _ => asked.iter().map(|asked| vec![*asked]).collect(),
                };
                for set in sets.into_iter().filter(|set| !set.is_empty()) {
                    let worth = luck * set.iter().map(|asked| asked.worth).sum::<f64>();
                    if best.as_ref().is_none_or(|(most, _)| worth > *most) {
                        best = Some((worth, set));
                    }
                }
            }
            let Some((_, mut set)) = best else { break };
            for asked in &set {
                needs.take(asked);
                left.set(asked.row, asked.category, Label::Negative);
            }
            set.sort_by(|a, b| b.worth.total_cmp(&a.worth));
            list.extend(set.iter().map(|asked| (asked.row, asked.category)));
        }
        list
    }

    fn cells(asked: &[Asked]) -> Vec<(usize, usize)> {
        asked.iter().map(|asked| (asked.row, asked.category)).collect()
    }

    #[test]
    fn the_short_way_finds_what_looking_at_everything_finds() {
        for seed in 0..5 {
            let scores = drawn(60, 4, 0.3, seed);
            for (by, budget) in
                [(By::Label, 50), (By::Image { seed }, 20), (By::Label, 1000), (By::Image { seed }, 1000)]
            {
                let found = cells(&next(&scores, by, budget).unwrap());
                assert_eq!(found, one_by_one(&scores, by, budget), "{by:?} {budget} {seed}");
            }
        }
    }

    #[test]
    fn only_unknown_labels_are_asked_for_each_once_and_no_more_than_the_budget() {
        let scores = drawn(300, 5, 0.4, 1);
        let list = next(&scores, By::Label, 100).unwrap();
        assert_eq!(list.len(), 100);
        let all = next(&scores, By::Label, usize::MAX).unwrap();
        assert_eq!(all.len(), scores.labels().count(Label::Unknown));
        assert_eq!(list, all[..100]);
        let distinct: std::collections::HashSet<_> = cells(&all).into_iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert!(all.iter().all(|it| scores.labels().get(it.row, it.category) == Label::Unknown));
        let images = next(&scores, By::Image { seed: 0 }, 7).unwrap();
        assert_eq!(images.chunk_by(|a, b| a.row == b.row).count(), 7);
        for asked in images.chunk_by(|a, b| a.row == b.row) {
            let unknown = scores.labels().row(asked[0].row).filter(|label| *label == Label::Unknown).count();
            assert_eq!(asked.len(), unknown, "all unknown labels of an image are asked for");
        }
    }

    #[test]
    fn rare_categories_and_uncertain_labels_come_first() {
        let scores = drawn(2000, 5, 0.2, 2);
        let list = next(&scores, By::Label, 200).unwrap();
        let of = |category: usize| list.iter().filter(|it| it.category == category).count();
        let counts: Vec<usize> = (0..5).map(of).collect();
        assert!(counts[3] + counts[4] > 2 * (counts[0] + counts[1]), "{counts:?}");
        assert!(*counts.iter().max().unwrap() < 150, "{counts:?}");
        // Of the common category only what is uncertain, if anything.
        let all = next(&scores, By::Label, usize::MAX).unwrap();
        let uncertain = |asked: &Asked| (0.2..0.8).contains(&asked.probability);
        let first = all.iter().filter(|asked| asked.category == 0).take(50);
        assert!(first.clone().count() == 50 && first.clone().all(uncertain));
    }

    #[test]
    fn luck_is_another_with_another_seed_and_does_not_outweigh_a_clear_case() {
        let scores = drawn(400, 3, 0.2, 4);
        let rows = |seed| -> Vec<usize> {
            let asked = next(&scores, By::Image { seed }, 40).unwrap();
            asked.chunk_by(|a, b| a.row == b.row).map(|asked| asked[0].row).collect()
        };
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
        let needs = Needs::of(&scores);
        let worth = |row: usize| needs.unknown(&scores, row).iter().map(|it| it.worth).sum::<f64>();
        let mean = |rows: &[usize]| rows.iter().map(|row| worth(*row)).sum::<f64>() / rows.len() as f64;
        let all: Vec<usize> = (0..400).collect();
        assert!(mean(&rows(1)) > 1.5 * mean(&all), "{} {}", mean(&rows(1)), mean(&all));
    }

    #[test]
    fn a_sample_is_drawn_from_all_unknown_labels_and_its_beginning_is_one_too() {
        let scores = drawn(300, 4, 0.3, 5);
        let sample = next(&scores, By::Chance { seed: 1 }, 200).unwrap();
        assert_eq!(sample.len(), 200);
        assert!(sample.iter().all(|it| scores.labels().get(it.row, it.category) == Label::Unknown));
        let all = next(&scores, By::Chance { seed: 1 }, usize::MAX).unwrap();
        let distinct: std::collections::HashSet<_> = cells(&all).into_iter().collect();
        assert_eq!(distinct.len(), scores.labels().count(Label::Unknown));
        let first = |of: fn(&&Asked) -> bool| sample.iter().take(100).filter(of).count();
        assert_eq!(first(|it| it.probability >= 0.5), 50);
        let rows = first(|it| it.row < 150);
        assert!((30..70).contains(&rows), "{rows} of the first 100 are in the first half of the rows");
        assert_ne!(cells(&sample), cells(&next(&scores, By::Chance { seed: 2 }, 200).unwrap()));
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let scores = drawn(50, 3, 0.5, 3);
        let refused = |scores: &OutOfFold, budget: usize, expected: &str| {
            let error = next(scores, By::Image { seed: 0 }, budget).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(&scores, 0, "a budget of 0");
        refused(&drawn(50, 3, 2.0, 3), 5, "no label is unknown; there is nothing to ask for");
        let nothing = drawn(50, 3, -1.0, 3);
        refused(&nothing, 5, "no positive label is known");
        assert_eq!(next(&nothing, By::Chance { seed: 0 }, 5).unwrap().len(), 5);
    }
}
