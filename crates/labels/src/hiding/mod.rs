//! Hides labels by other schemes than that of the official data sets ([`official`]).
//!
//! Papers differ in which labels they take away, and results under one scheme cannot be compared with
//! those under another. Every cell has a random number ([`cell_numbers`](super::cell_numbers)), and a
//! scheme keeps the labels whose numbers are small, in all, in a category or in an image; so what one seed
//! keeps at 10 % it keeps at 20 %. Cells that are unknown already stay unknown and take no part.

mod official;
mod per_category;

use rayon::prelude::*;

use crate::cell_numbers::{CellNumbers, Search};
use crate::labels::{LabelMatrix, ones};

/// Images that a thread takes at least.
const PIECE: usize = 1024;

/// Which labels stay known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Scheme {
    /// Each label with probability P, bit for bit as in the official data sets of SARB
    #[default]
    Official,
    /// Of every category the proportion P exactly, of its positives and negatives alike
    PerCategory,
    /// Of every image the proportion P exactly, rounded up (Durand et al. 2019)
    PerImage,
    /// Each positive with probability P, and no negative: positive-unlabeled data
    PositivesOnly,
    /// One positive of every image, and nothing else (Cole et al. 2021)
    SinglePositive,
}

impl Scheme {
    /// All schemes.
    pub const ALL: [Scheme; 5] = [
        Scheme::Official,
        Scheme::PerCategory,
        Scheme::PerImage,
        Scheme::PositivesOnly,
        Scheme::SinglePositive,
    ];

    /// Whether the scheme has a proportion P at all.
    pub fn takes_proportion(self) -> bool {
        self != Scheme::SinglePositive
    }
}

/// Keeps the labels that `scheme` chooses and makes the others unknown, `N × C -> N × C`.
///
/// `known` is the proportion P; [`Scheme::SinglePositive`] has none and does not look at it.
///
/// # Panics
/// If `known` is not in [0, 1], or `seed` does not fit into 32 bits and the scheme is
/// [`Scheme::Official`], whose generator takes no larger one.
pub fn hide(labels: &LabelMatrix, scheme: Scheme, known: f64, seed: u64) -> LabelMatrix {
    assert!((0.0..=1.0).contains(&known), "known is {known}, not a proportion in [0, 1]");
    let numbers = CellNumbers::new(seed);
    match scheme {
        Scheme::Official => {
            let seed = u32::try_from(seed).expect("a seed of the official scheme has 32 bits");
            labels.hide(known, seed)
        }
        Scheme::PerCategory => per_category::hide(labels, known, numbers),
        Scheme::PerImage => per_image(labels, known, numbers),
        Scheme::PositivesOnly => positives_only(labels, known, numbers),
        Scheme::SinglePositive => single_positive(labels, numbers),
    }
}

/// Keeps ⌈P · k⌉ of the k known labels of every image, whichever they are.
///
/// Durand, Mehrasa, Mori: *Learning a Deep ConvNet for Multi-label Classification with Partial Labels*,
/// CVPR 2019, fix the proportion of known labels per image. Rounded as in lcalem/partial-labels
/// (`partial_datasets.py`), which drops ⌊(1 − P) · C⌋ of all C labels; there each P is drawn anew, here
/// the masks of one seed are nested.
fn per_image(labels: &LabelMatrix, known: f64, numbers: CellNumbers) -> LabelMatrix {
    let mut hidden = labels.clone();
    for_each_row(&mut hidden, |first, cells, positive, search| {
        let quota = round_up(known * ones(cells) as f64);
        numbers.keep_smallest(first, cells, quota, search);
        positive.iter_mut().zip(&*cells).for_each(|(positive, kept)| *positive &= kept);
    });
    hidden
}

/// `count` up to the next whole number; 0.1 · 30 is 3, although a computer finds it a little larger.
fn round_up(count: f64) -> usize {
    (count - 1e-9).ceil() as usize
}

/// Keeps every positive with probability P and no negative.
///
/// "Selected completely at random": Elkan, Noto: *Learning Classifiers from Only Positive and Unlabeled
/// Data*, KDD 2008.
fn positives_only(labels: &LabelMatrix, known: f64, numbers: CellNumbers) -> LabelMatrix {
    let mut hidden = labels.clone();
    // 2⁶⁴ does not fit into a number of 64 bits, and nothing is to be hidden then.
    let threshold = (known < 1.0).then_some((known * 2f64.powi(64)) as u64);
    for_each_row(&mut hidden, |first, cells, positive, _| {
        if let Some(threshold) = threshold {
            let bits = |bit: usize| [0u64.wrapping_sub(threshold >> (63 - bit) & 1)];
            for (positive, word) in positive.iter_mut().zip(first..) {
                let [(below, _)] = numbers.below(word, *positive, bits);
                *positive = below;
            }
        }
        cells.copy_from_slice(positive);
    });
    hidden
}

/// Keeps one positive of every image that has one, each with the same probability.
///
/// Cole et al.: *Multi-Label Learning from Single Positive Labels*, CVPR 2021; code
/// elijahcole/single-positive-multi-label, `generate_observed_labels.py` with its defaults.
fn single_positive(labels: &LabelMatrix, numbers: CellNumbers) -> LabelMatrix {
    let mut hidden = labels.clone();
    for_each_row(&mut hidden, |first, cells, positive, search| {
        numbers.keep_smallest(first, positive, 1, search);
        cells.copy_from_slice(positive);
    });
    hidden
}

/// Calls `each` with every image: its first word, its bit planes (known, positive) and room to search in.
pub(super) fn for_each_row(
    labels: &mut LabelMatrix,
    each: impl Fn(usize, &mut [u64], &mut [u64], &mut Search) + Sync,
) {
    let words = labels.words_per_row().max(1);
    let (known, positive) = labels.planes_mut();
    let rows = known.par_chunks_exact_mut(words).zip(positive.par_chunks_exact_mut(words)).enumerate();
    rows.with_min_len(PIECE).for_each_init(Search::default, |search, (image, (known, positive))| {
        each(image * words, known, positive, search);
    });
}

#[cfg(test)]
mod tests;
