//! Splits images so that every part has its share of every category: iterative stratification.
//!
//! Sechidis, Tsoumakas, Vlahavas: *On the Stratification of Multi-Label Data*, ECML PKDD 2011, Algorithm 1.
//! The category with the fewest images left is shared out first, each of its images to the part that still
//! lacks most of it, because the images of frequent categories can make up for what that unbalances.
//!
//! Adapted to partial labels: a known positive is what the paper calls a label, an unknown cell is none.
//! Where known negatives are [few](FEW_NEGATIVES), or fewer than the positives, they are shared out in the
//! same way: a part without them could neither teach nor measure the category. Three more differences: the
//! images are taken in random order, because with unequal shares the first ones all go to the largest part;
//! the sizes of the parts are exact to one image, a full part takes no more; and ties are broken by the
//! room left in the parts, then at random.

use crate::cell_numbers::SplitMix64;
use crate::labels::{LabelMatrix, for_each_bit};
use crate::{Error, Result};

/// Known negatives of a category up to which they are shared out like its positives. A tenth of more of
/// them, drawn at random, is off by a tenth at most.
const FEW_NEGATIVES: usize = 1000;

/// The shares of training, validation and test for `--val` and `--test`.
///
/// # Errors
/// [`Error::Usage`] if a share is not in [0, 1), both are 0 or nothing is left for training.
pub fn shares(val: f64, test: f64) -> Result<[f64; 3]> {
    for (flag, share) in [("--val", val), ("--test", test)] {
        if !(0.0..1.0).contains(&share) {
            let expected = "expected a proportion from 0 to below 1, such as 0.1 for 10 %";
            return Err(Error::Usage(format!("{flag} {share}: {expected}")));
        }
    }
    if val + test >= 1.0 {
        let what = "leave nothing for training; expected a sum below 1";
        return Err(Error::Usage(format!("--val {val} and --test {test} {what}")));
    }
    if val + test == 0.0 {
        let what = "there is nothing to split off; give --val or --test a proportion such as 0.1";
        return Err(Error::Usage(what.into()));
    }
    Ok([1.0 - val - test, val, test])
}

/// The rows of each part, ascending; every row is in exactly one, and no part is larger or smaller than
/// its share of the rows by one or more.
///
/// The same labels, shares and seed give the same parts.
///
/// # Panics
/// If there is no share, one is negative or not finite, or they do not sum to 1.
pub fn split(labels: &LabelMatrix, shares: &[f64], seed: u64) -> Vec<Vec<usize>> {
    let valid = shares.iter().all(|share| *share >= 0.0) && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9;
    assert!(valid, "shares {shares:?} are not proportions that sum to 1");
    let mut stratification = Stratification::new(labels, shares, seed);
    while let Some(group) = stratification.rarest() {
        stratification.share_out(group);
    }
    stratification.finish()
}

/// Whole numbers that sum to `rows` and differ from their shares of it by less than one: those with the
/// largest fractions are rounded up.
fn sizes(rows: usize, shares: &[f64]) -> Vec<usize> {
    let sum: f64 = shares.iter().sum();
    let exact: Vec<f64> = shares.iter().map(|share| share / sum * rows as f64).collect();
    let mut sizes: Vec<usize> = exact.iter().map(|size| size.floor() as usize).collect();
    let mut parts: Vec<usize> = (0..shares.len()).collect();
    parts.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()));
    let missing = rows - sizes.iter().sum::<usize>();
    parts.into_iter().take(missing).for_each(|part| sizes[part] += 1);
    sizes
}

/// A split under way. A group is the images with a known positive of a category (groups 0 to C − 1), or
/// with a known negative (C to 2C − 1).
struct Stratification<'a> {
    labels: &'a LabelMatrix,
    /// Categories whose negatives are shared out, a bit each.
    few_negatives: Vec<u64>,
    /// The images in random order; what follows is in this order.
    order: Vec<usize>,
    /// Which images of a group, a bit each.
    groups: Vec<Vec<u64>>,
    /// Which images are in no part yet.
    unassigned: Vec<u64>,
    part: Vec<usize>,
    /// Images of each group that are in no part yet.
    left: Vec<usize>,
    /// Images of each group that each part still lacks, negative if it has too many.
    lacking: Vec<Vec<f64>>,
    /// Images that each part can still take.
    room: Vec<usize>,
    random: Random,
}

impl<'a> Stratification<'a> {
    fn new(labels: &'a LabelMatrix, shares: &[f64], seed: u64) -> Self {
        let (images, categories) = (labels.images(), labels.categories());
        let mut random = Random::new(seed);
        let mut left = vec![0; 2 * categories];
        let mut few_negatives = vec![0; labels.words_per_row()];
        for (category, (positives, known)) in labels.counts().into_iter().enumerate() {
            let negatives = known - positives;
            left[category] = positives;
            if negatives <= FEW_NEGATIVES || negatives < positives {
                left[categories + category] = negatives;
                few_negatives[category / 64] |= 1 << (category % 64);
            }
        }
        let words = images.div_ceil(64);
        let groups = left.iter().map(|&images| vec![0; if images > 0 { words } else { 0 }]).collect();
        let lacking =
            shares.iter().map(|share| left.iter().map(|&all| share * all as f64).collect()).collect();
        let mut stratification = Self {
            labels,
            few_negatives,
            order: random.permutation(images),
            groups,
            unassigned: vec![u64::MAX; words],
            part: vec![0; images],
            left,
            lacking,
            room: sizes(images, shares),
            random,
        };
        stratification.fill_groups();
        stratification
    }

    fn fill_groups(&mut self) {
        let Self { labels, few_negatives, order, groups, .. } = self;
        for (at, &image) in order.iter().enumerate() {
            for_each_group(labels, few_negatives, image, |group| groups[group][at / 64] |= 1 << (at % 64));
        }
    }

    /// The group with the fewest images left, if any has one.
    fn rarest(&self) -> Option<usize> {
        (0..self.left.len()).filter(|&group| self.left[group] > 0).min_by_key(|&group| self.left[group])
    }

    /// Puts the images of `group` that are left into parts.
    fn share_out(&mut self, group: usize) {
        let images = std::mem::take(&mut self.groups[group]);
        for (word, images) in images.into_iter().enumerate() {
            for_each_bit(images & self.unassigned[word], |bit| {
                let part = self.part_that_lacks(group);
                self.put(word * 64 + bit, part);
            });
        }
    }

    /// The part with room that lacks most of `group`; of several that with most room, then any.
    fn part_that_lacks(&mut self, group: usize) -> usize {
        let mut best: Option<(usize, f64, usize)> = None;
        let mut ties = 1;
        for (part, &room) in self.room.iter().enumerate().filter(|(_, room)| **room > 0) {
            let lacks = self.lacking[part][group];
            let order = best.map_or(std::cmp::Ordering::Greater, |(_, most, most_room)| {
                lacks.total_cmp(&most).then(room.cmp(&most_room))
            });
            ties = if order.is_gt() { 1 } else { ties + usize::from(order.is_eq()) };
            // Each of n equal parts is left with the probability 1 / n.
            if order.is_gt() || (order.is_eq() && self.random.below(ties) == 0) {
                best = Some((part, lacks, room));
            }
        }
        best.expect("the parts have room for all images").0
    }

    /// Puts the image that is at `at` into a part.
    fn put(&mut self, at: usize, part: usize) {
        let Self { labels, few_negatives, left, lacking, .. } = self;
        for_each_group(labels, few_negatives, self.order[at], |group| {
            left[group] -= 1;
            lacking[part][group] -= 1.0;
        });
        self.unassigned[at / 64] &= !(1 << (at % 64));
        self.part[at] = part;
        self.room[part] -= 1;
    }

    /// Fills up the parts with the images of no group, which are in random order, and lists the rows.
    fn finish(mut self) -> Vec<Vec<usize>> {
        let images = self.order.len();
        let unassigned = |at: usize| self.unassigned[at / 64] >> (at % 64) & 1 == 1;
        let rest: Vec<usize> = (0..images).filter(|&at| unassigned(at)).collect();
        let places = self.room.iter().enumerate().flat_map(|(part, &room)| std::iter::repeat_n(part, room));
        rest.into_iter().zip(places).for_each(|(at, part)| self.part[at] = part);
        let mut parts = vec![Vec::new(); self.room.len()];
        let mut part_of = vec![0; images];
        self.order.iter().zip(&self.part).for_each(|(&image, &part)| part_of[image] = part);
        part_of.into_iter().enumerate().for_each(|(image, part)| parts[part].push(image));
        parts
    }
}

/// Calls `each` with every group that `image` is in.
fn for_each_group(labels: &LabelMatrix, few_negatives: &[u64], image: usize, mut each: impl FnMut(usize)) {
    let (known, positive) = labels.planes(image);
    for (word, (known, &positive)) in known.iter().zip(positive).enumerate() {
        for_each_bit(positive, |bit| each(64 * word + bit));
        // Often there are none, and then `known` need not come from memory.
        if few_negatives[word] != 0 {
            let negative = known & !positive & few_negatives[word];
            for_each_bit(negative, |bit| each(labels.categories() + 64 * word + bit));
        }
    }
}

/// Random whole numbers, the same on every machine and in every version.
struct Random {
    numbers: SplitMix64,
    drawn: u64,
}

impl Random {
    fn new(seed: u64) -> Self {
        Self { numbers: SplitMix64::new(seed), drawn: 0 }
    }

    /// A number below `limit`, uneven by less than `limit` / 2⁶⁴.
    fn below(&mut self, limit: usize) -> usize {
        let number = self.numbers.at(self.drawn);
        self.drawn += 1;
        ((u128::from(number) * limit as u128) >> 64) as usize
    }

    /// 0 to `count` − 1 in random order (Fisher, Yates).
    fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        (1..count).rev().for_each(|last| order.swap(last, self.below(last + 1)));
        order
    }
}

#[cfg(test)]
mod tests;
