//! Hides labels so that of every category the same proportion stays known.
//!
//! The papers have no such scheme in this form; nearest is "fixed per class" of
//! Alibaba-MIIL/PartialLabelingCSL (`coco_simulation.py`), which keeps a fixed number of positives and as
//! many negatives of every class, and thereby changes how frequent a class is among its known labels. Here
//! the proportion is fixed, and the classes stay as frequent as they were.

use rayon::prelude::*;

use super::for_each_row;
use crate::cell_numbers::CellNumbers;
use crate::labels::column_counts::ColumnCounts;
use crate::labels::{LabelMatrix, for_each_bit};

/// Standard deviations on either side of the expected number within which a cut is searched first. One
/// cut in two million lies outside and is searched again.
const DEVIATIONS: f64 = 5.0;

/// Positives and negatives of one category that stay known, of its known labels: in all round(P · k) of k,
/// halves up, and of the positives the whole number next to their share, but one at least if any label
/// stays.
///
/// With one more label in all, either one more positive stays or one more negative, never fewer of
/// either: so masks of one seed are nested.
fn quota((positives, labels): (usize, usize), known: f64) -> [usize; 2] {
    let kept = (known * labels as f64).round() as usize;
    let positives_kept = match (2 * kept * positives + labels).checked_div(2 * labels) {
        Some(nearest) => nearest.max(kept.min(positives).min(1)),
        None => 0,
    };
    [kept - positives_kept, positives_kept]
}

/// Keeps round(P · k) of the k known labels of every category: see [`quota`].
pub(super) fn hide(labels: &LabelMatrix, known: f64, numbers: CellNumbers) -> LabelMatrix {
    let cuts = find_cuts(labels, known, numbers, DEVIATIONS);
    let thresholds = Thresholds::new(labels.words_per_row(), &cuts, |cut| cut.number);
    let mut hidden = labels.clone();
    for_each_row(&mut hidden, |first, cells, positive, _| {
        let image = first / cells.len();
        for (word, (cells, positive)) in cells.iter_mut().zip(positive).enumerate() {
            let bits = |bit| [thresholds.bits(word, bit, *positive)];
            let [(mut kept, equal)] = numbers.below(first + word, *cells, bits);
            for_each_bit(equal, |bit| {
                let group = usize::from(*positive >> bit & 1 == 1);
                kept |= u64::from(image < cuts[word * 64 + bit][group].images) << bit;
            });
            *cells = kept;
            *positive &= kept;
        }
    });
    hidden
}

/// The last label of a group, the negatives or the positives of a category, that stays known: those with
/// a smaller number stay, and those with the same one in the images before `images`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cut {
    number: u64,
    images: usize,
}

impl Cut {
    const NONE: Cut = Cut { number: 0, images: 0 };
    const ALL: Cut = Cut { number: u64::MAX, images: usize::MAX };
}

/// The cuts of every category, those of its negatives and of its positives.
fn find_cuts(labels: &LabelMatrix, known: f64, numbers: CellNumbers, deviations: f64) -> Vec<[Cut; 2]> {
    let counts = labels.counts();
    let mut searches: Vec<[CutSearch; 2]> = counts
        .into_iter()
        .map(|(positives, known_labels)| {
            let [negatives_kept, positives_kept] = quota((positives, known_labels), known);
            let groups = [(negatives_kept, known_labels - positives), (positives_kept, positives)];
            groups.map(|(kept, all)| CutSearch::new(kept, all, deviations))
        })
        .collect();
    while searches.iter().flatten().any(|search| search.found.is_none()) {
        let tally = Tally::of(labels, &searches, numbers);
        let below = tally.below.map(ColumnCounts::totals);
        for ((category, searches), mut bands) in searches.iter_mut().enumerate().zip(tally.bands) {
            for (group, search) in
                searches.iter_mut().enumerate().filter(|(_, search)| search.found.is_none())
            {
                search.narrow(below[group][category] as usize, &mut bands[group]);
            }
        }
    }
    searches.into_iter().map(|searches| searches.map(|search| search.found.unwrap_or(Cut::NONE))).collect()
}

/// The search for the cut of one group: the label with the `kept`-th smallest number.
#[derive(Debug, Clone, Copy)]
struct CutSearch {
    kept: usize,
    /// The smallest and the largest number that the label may have.
    band: [u64; 2],
    found: Option<Cut>,
}

impl CutSearch {
    fn new(kept: usize, all: usize, deviations: f64) -> Self {
        let found = match kept {
            0 => Some(Cut::NONE),
            _ if kept == all => Some(Cut::ALL),
            _ => None,
        };
        let share = kept as f64 / all.max(1) as f64;
        let around = deviations * (share * (1.0 - share) / all.max(1) as f64).sqrt();
        // Numbers beyond 64 bits become the largest one.
        let number = |share: f64| (share * 2f64.powi(64)) as u64;
        Self { kept, band: [number(share - around), number(share + around)], found }
    }

    /// Finds the cut among the labels (number, image) of the band, of which `below` have a smaller number,
    /// or learns on which side of the band it lies.
    fn narrow(&mut self, below: usize, band: &mut [(u64, usize)]) {
        let [low, high] = self.band;
        if self.kept <= below {
            self.band = [0, low - 1];
        } else if self.kept > below + band.len() {
            self.band = [high + 1, u64::MAX];
        } else {
            let (_, &mut (number, image), _) = band.select_nth_unstable(self.kept - below - 1);
            self.found = Some(Cut { number, images: image + 1 });
        }
    }
}

/// What one pass over the labels finds for the searches that are still open.
struct Tally {
    /// Labels of every category below the band, negatives and positives.
    below: [ColumnCounts; 2],
    /// Number and image of those in the band.
    bands: Vec<[Vec<(u64, usize)>; 2]>,
    /// One row of `below` at a time, so that it costs no allocation.
    row: [Vec<u64>; 2],
}

impl Tally {
    fn new(words: usize, categories: usize) -> Self {
        Self {
            below: [(); 2].map(|()| ColumnCounts::new(words)),
            bands: vec![Default::default(); categories],
            row: [(); 2].map(|()| vec![0; words]),
        }
    }

    fn of(labels: &LabelMatrix, searches: &[[CutSearch; 2]], numbers: CellNumbers) -> Self {
        let words = labels.words_per_row();
        let pass = Pass {
            numbers,
            lows: Thresholds::new(words, searches, |search| search.band[0]),
            highs: Thresholds::new(words, searches, |search| search.band[1]),
            open: Thresholds::new(words, searches, |search| u64::from(search.found.is_none()) << 63),
        };
        let empty = || Self::new(words, labels.categories());
        let images = labels.images();
        let piece = images.div_ceil(rayon::current_num_threads()).max(1024);
        let pieces: Vec<usize> = (0..images).step_by(piece).collect();
        pieces
            .into_par_iter()
            .map(|first| {
                let mut tally = empty();
                let rows = first..images.min(first + piece);
                rows.for_each(|image| tally.add(image, labels.planes(image), &pass));
                tally
            })
            .reduce(empty, Self::merged)
    }

    fn add(&mut self, image: usize, (known, positive): (&[u64], &[u64]), pass: &Pass) {
        let words = known.len();
        for (word, (&known, &positive)) in known.iter().zip(positive).enumerate() {
            let at = image * words + word;
            let cells = known & pass.open.bits(word, 0, positive);
            let ends = |bit| [&pass.lows, &pass.highs].map(|end| end.bits(word, bit, positive));
            let [(under, _), (within, equal)] = pass.numbers.below(at, cells, ends);
            self.row[0][word] = under & !positive;
            self.row[1][word] = under & positive;
            for_each_bit((within | equal) & !under, |bit| {
                let group = usize::from(positive >> bit & 1 == 1);
                self.bands[word * 64 + bit][group].push((pass.numbers.of(at, bit), image));
            });
        }
        self.below.iter_mut().zip(&self.row).for_each(|(counts, row)| counts.add(row));
    }

    fn merged(self, other: Self) -> Self {
        let [[negatives, positives], [more_negatives, more_positives]] = [self.below, other.below];
        let mut bands = self.bands;
        for (band, more) in bands.iter_mut().flatten().zip(other.bands.into_iter().flatten()) {
            band.extend(more);
        }
        let below = [negatives.merged(more_negatives), positives.merged(more_positives)];
        Self { below, bands, row: self.row }
    }
}

/// What a pass over the labels compares their numbers with.
struct Pass {
    numbers: CellNumbers,
    lows: Thresholds,
    highs: Thresholds,
    /// The highest bit says whether the search of the group is open.
    open: Thresholds,
}

/// A number for the negatives and one for the positives of every category, turned: the bits of 64
/// categories in one word.
struct Thresholds {
    words: Vec<[[u64; 2]; CellNumbers::BITS]>,
}

impl Thresholds {
    fn new<T>(words: usize, groups: &[[T; 2]], number: impl Fn(&T) -> u64) -> Self {
        let mut turned = vec![[[0; 2]; CellNumbers::BITS]; words];
        for (category, groups) in groups.iter().enumerate() {
            for (bit, words) in turned[category / 64].iter_mut().enumerate() {
                for (word, group) in words.iter_mut().zip(groups) {
                    *word |= (number(group) >> (63 - bit) & 1) << (category % 64);
                }
            }
        }
        Self { words: turned }
    }

    /// Bit `bit`, 0 the highest, of the numbers of 64 categories, each of its positives where `positive`
    /// is set and of its negatives elsewhere.
    fn bits(&self, word: usize, bit: usize, positive: u64) -> u64 {
        let [negatives, positives] = self.words[word][bit];
        negatives ^ ((negatives ^ positives) & positive)
    }
}

#[cfg(test)]
mod tests;
