//! Groups of pictures that look alike, without comparing every one with every other.

use std::ops::Range;

use rayon::prelude::*;

use super::perceptual_hash::Look;

/// Number of parts that the waves are cut into.
const PARTS: u32 = 4;
/// Bits of a part.
const PART_BITS: u32 = 64 / PARTS;
/// Largest distance: two changed bits in a part. With three the lists would no longer be short.
pub(super) const MOST: u32 = 3 * PARTS - 1;

/// Groups of items that are linked by looking alike, with at most `distance` waves that differ; every group
/// has at least two items and each item is in at most one.
///
/// If 64 bits differ in at most `distance` places, one of their four parts differs in at most a quarter of
/// that: only items that stand in the same list under such a part are compared (multi-index hashing,
/// Norouzi, Punjani and Fleet, CVPR 2012).
///
/// # Panics
/// If `distance` is more than [`MOST`].
pub(super) fn groups(looks: &[(Look, u32)], distance: u32) -> Vec<Vec<u32>> {
    assert!(distance <= MOST, "a distance of {distance} bits");
    let mut sorted = looks.to_vec();
    sorted.sort_unstable();
    // Items that look the same are one.
    let same: Vec<&[(Look, u32)]> = sorted.chunk_by(|a, b| a.0 == b.0).collect();
    let distinct: Vec<Look> = same.iter().map(|items| items[0].0).collect();

    let mut links = Links::new(distinct.len());
    for part in 0..PARTS {
        links.merge(&links_by_part(&distinct, part, distance));
    }
    let items = |group: Vec<usize>| -> Vec<u32> {
        let mut items: Vec<u32> = group.iter().flat_map(|&at| same[at]).map(|&(_, item)| item).collect();
        items.sort_unstable();
        items
    };
    let mut groups: Vec<Vec<u32>> =
        links.groups().into_iter().map(items).filter(|group| group.len() > 1).collect();
    groups.sort_unstable();
    groups
}

/// The pairs that differ little in one part of their waves and look alike.
fn links_by_part(looks: &[Look], part: u32, distance: u32) -> Links {
    let (lists, masks) = (Lists::of(looks, part), masks(distance / PARTS));
    // The links of a thread are merged once, not one by one.
    let piece = looks.len().div_ceil(rayon::current_num_threads()).max(4096);
    let of_piece = |(at, piece_of_looks): (usize, &[Look])| {
        let mut links = Links::new(looks.len());
        for (item, look) in (at * piece..).zip(piece_of_looks) {
            for &mask in &masks {
                for &(waves, other) in lists.of_value(value(look.waves, part) ^ mask) {
                    // Each pair once. The waves lie in the list, because looking them up takes most of the time.
                    let other = other as usize;
                    let may_be = (waves ^ look.waves).count_ones() <= distance && other < item;
                    if may_be && look.is_near(looks[other], distance) {
                        links.join(item, other);
                    }
                }
            }
        }
        links
    };
    let merged = |mut links: Links, more: Links| {
        links.merge(&more);
        links
    };
    let pieces = looks.par_chunks(piece).enumerate();
    pieces.map(of_piece).reduce_with(merged).unwrap_or_else(|| Links::new(looks.len()))
}

fn value(waves: u64, part: u32) -> u16 {
    (waves >> (part * PART_BITS)) as u16
}

/// The values of a part with at most `bits` bits, which are at most two.
fn masks(bits: u32) -> Vec<u16> {
    (0..=u16::MAX).filter(|mask| mask.count_ones() <= bits).collect()
}

/// Items by the value of one part of their waves.
struct Lists {
    starts: Vec<u32>,
    /// Waves and number.
    items: Vec<(u64, u32)>,
}

impl Lists {
    /// Sorted by counting.
    fn of(looks: &[Look], part: u32) -> Self {
        let mut starts = vec![0; (1 << PART_BITS) + 1];
        looks.iter().for_each(|look| starts[usize::from(value(look.waves, part)) + 1] += 1);
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut sorted = vec![(0, 0); looks.len()];
        for (at, look) in (0..).zip(looks) {
            let place = &mut next[usize::from(value(look.waves, part))];
            sorted[*place as usize] = (look.waves, at);
            *place += 1;
        }
        Self { starts, items: sorted }
    }

    fn of_value(&self, value: u16) -> &[(u64, u32)] {
        let range: Range<u32> = self.starts[usize::from(value)]..self.starts[usize::from(value) + 1];
        &self.items[range.start as usize..range.end as usize]
    }
}

/// Which of N things are joined (disjoint sets, paths halved while they are walked).
struct Links(Vec<usize>);

impl Links {
    fn new(things: usize) -> Self {
        Self((0..things).collect())
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }

    /// Joins what is joined in `other`, of as many things.
    fn merge(&mut self, other: &Self) {
        other.0.iter().enumerate().filter(|(at, up)| at != *up).for_each(|(at, &up)| self.join(at, up));
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    /// The things by group, in their order.
    fn groups(mut self) -> Vec<Vec<usize>> {
        let mut groups = vec![Vec::new(); self.0.len()];
        (0..self.0.len()).for_each(|at| groups[self.root(at)].push(at));
        groups.retain(|group| !group.is_empty());
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, rng};
    use rand::RngExt;

    fn looks(waves: &[u64]) -> Vec<(Look, u32)> {
        waves.iter().map(|&waves| Look { waves, slopes: 0 }).zip(0..).collect()
    }

    /// The same by comparing all with all.
    fn plain(looks: &[(Look, u32)], distance: u32) -> Vec<Vec<u32>> {
        let mut links = Links::new(looks.len());
        for a in 0..looks.len() {
            for b in 0..a {
                if looks[a].0.is_near(looks[b].0, distance) {
                    links.join(a, b);
                }
            }
        }
        let items = |group: Vec<usize>| group.into_iter().map(|at| looks[at].1).collect();
        links.groups().into_iter().filter(|group| group.len() > 1).map(items).collect()
    }

    #[test]
    fn the_groups_are_those_of_comparing_all_with_all() {
        let mut random = rng(0, Stream::Synthetic, 0, 0);
        for distance in 0..=MOST {
            let mut waves: Vec<u64> = (0..300).map(|_| random.random()).collect();
            // Copies with about as many bits changed as the distance allows.
            for at in 0..300 {
                let changed = random.random_range(0..=distance + 2);
                let bits = (0..changed).map(|_| 1 << random.random_range(0..64));
                waves.push(bits.fold(waves[at], |waves, bit: u64| waves ^ bit));
            }
            let looks = looks(&waves);
            let found = groups(&looks, distance);
            assert_eq!(found, plain(&looks, distance), "{distance}");
            assert!(found.len() > 20, "{distance}: {}", found.len());
        }
    }

    #[test]
    fn links_of_several_pieces_are_all_kept() {
        // A chain of neighbors that differ in one bit, longer than a piece: a Gray code.
        let waves: Vec<u64> = (0..20_000u64).map(|n| n ^ n >> 1).collect();
        assert_eq!(groups(&looks(&waves), 1), [(0..20_000).collect::<Vec<u32>>()]);
    }

    #[test]
    fn other_slopes_keep_apart_what_has_the_same_waves() {
        let look = |slopes| Look { waves: 99, slopes };
        assert_eq!(groups(&[(look(0), 0), (look(0x3ffff), 1)], 0), [[0, 1]]);
        assert!(groups(&[(look(0), 0), (look(0x7ffff), 1)], 0).is_empty());
    }

    #[test]
    fn the_same_look_is_a_group_and_a_single_one_is_none() {
        assert_eq!(groups(&looks(&[5, u64::MAX, 0xffff, 5]), 0), [[0, 3]]);
        assert!(groups(&[], 6).is_empty());
    }

    #[test]
    fn a_million_equal_looks_are_one() {
        assert_eq!(groups(&looks(&vec![7; 1_000_000]), 6)[0].len(), 1_000_000);
    }

    #[test]
    fn pairs_are_found_in_every_piece() {
        let mut random = rng(1, Stream::Synthetic, 0, 0);
        let mut waves: Vec<u64> = (0..10_000).map(|_| random.random::<u64>() & !1).collect();
        (0..10_000).step_by(100).for_each(|at| waves[at + 1] = waves[at] | 1);
        let pairs: Vec<Vec<u32>> = (0..10_000).step_by(100).map(|at| vec![at, at + 1]).collect();
        assert_eq!(groups(&looks(&waves), 1), pairs);
    }
}
