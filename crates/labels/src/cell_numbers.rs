//! A random number for every cell of a label matrix, known from the seed and the place of the cell alone.
//!
//! The numbers have 64 bits and come from SplitMix64 (Steele, Lea, Flood: *Fast Splittable Pseudorandom
//! Number Generators*, OOPSLA 2014), whose n-th output can be computed without those before. For image i,
//! category c and W = ⌈C / 64⌉ words a row, the bits of a number, from the highest, are bit c mod 64 of
//! outputs 64 · (i · W + ⌊c / 64⌋) + 0, 1, … 63.
//!
//! So one output serves 64 cells, and comparing their numbers with thresholds needs outputs only until
//! every comparison is decided: about eight instead of 64. No result depends on the number of threads.

use crate::labels::ones;

/// SplitMix64 with random access.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SplitMix64 {
    seed: u64,
}

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Output `place`, from 0.
    pub(crate) fn at(self, place: u64) -> u64 {
        let state = self.seed.wrapping_add(place.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

/// The numbers of the cells of a label matrix; a word is one of its bit planes' words, counted over all rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CellNumbers {
    random: SplitMix64,
}

impl CellNumbers {
    /// Bits of a number.
    pub(crate) const BITS: usize = 64;

    pub(crate) fn new(seed: u64) -> Self {
        Self { random: SplitMix64::new(seed) }
    }

    /// Bit `bit` of the numbers of the 64 cells of `word`, 0 the highest.
    fn bits(self, word: usize, bit: usize) -> u64 {
        self.random.at(64 * word as u64 + bit as u64)
    }

    /// The number of one cell.
    pub(crate) fn of(self, word: usize, lane: usize) -> u64 {
        (0..Self::BITS).fold(0, |number, bit| number << 1 | (self.bits(word, bit) >> lane & 1))
    }

    /// Which of `cells` in `word` have a number below their threshold, and which have the very same, for
    /// each of K sets of thresholds, of which `thresholds` gives bit b for all 64 cells, 0 the highest.
    pub(crate) fn below<const K: usize>(
        self,
        word: usize,
        cells: u64,
        thresholds: impl Fn(usize) -> [u64; K],
    ) -> [(u64, u64); K] {
        let mut found = [(0, cells); K];
        for bit in 0..Self::BITS {
            if found.iter().all(|(_, equal)| *equal == 0) {
                break;
            }
            let number = self.bits(word, bit);
            for ((below, equal), threshold) in found.iter_mut().zip(thresholds(bit)) {
                *below |= *equal & threshold & !number;
                *equal &= !(threshold ^ number);
            }
        }
        found
    }

    /// Clears all but the `wanted` of `cells`, the words of one row from `first` on, whose numbers are
    /// smallest; of two equal ones the first category stays.
    ///
    /// Bit by bit: if no more than wanted have a 0, all of these stay and the rest is searched for those
    /// still wanted, else only these are searched on.
    pub(crate) fn keep_smallest(self, first: usize, cells: &mut [u64], wanted: usize, search: &mut Search) {
        let mut wanted = wanted;
        let Search { candidates, zeros } = search;
        candidates.clear();
        candidates.extend_from_slice(cells);
        zeros.resize(cells.len(), 0);
        cells.fill(0);
        for bit in 0..Self::BITS {
            if wanted == 0 || ones(candidates) <= wanted {
                break;
            }
            for (at, (zeros, &candidates)) in zeros.iter_mut().zip(&*candidates).enumerate() {
                *zeros = if candidates == 0 { 0 } else { candidates & !self.bits(first + at, bit) };
            }
            let with_zero = ones(zeros);
            if with_zero <= wanted {
                wanted -= with_zero;
                cells.iter_mut().zip(&*zeros).for_each(|(kept, zeros)| *kept |= zeros);
                candidates.iter_mut().zip(&*zeros).for_each(|(candidates, zeros)| *candidates ^= zeros);
            } else {
                candidates.copy_from_slice(zeros);
            }
        }
        for (kept, candidates) in cells.iter_mut().zip(candidates) {
            while wanted > 0 && *candidates != 0 {
                *kept |= *candidates & candidates.wrapping_neg();
                *candidates &= *candidates - 1;
                wanted -= 1;
            }
        }
    }
}

/// Room for [`CellNumbers::keep_smallest`], so that a row costs no allocation.
#[derive(Default)]
pub(crate) struct Search {
    candidates: Vec<u64>,
    zeros: Vec<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn outputs_are_those_of_splitmix64() {
        // The sequence of the reference implementation for the seed 1234567 (rosettacode.org,
        // "Pseudo-random numbers/Splitmix64").
        let random = SplitMix64::new(1_234_567);
        let first: Vec<u64> = (0..5).map(|place| random.at(place)).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821
            ]
        );
    }

    proptest! {
        #[test]
        fn comparisons_bit_by_bit_are_comparisons_of_numbers(
            seed: u64, word in 0..1_000_000usize, cells: u64, thresholds in prop::collection::vec(any::<u64>(), 64),
        ) {
            let numbers = CellNumbers::new(seed);
            // Two lanes get their own number, so that equality is met.
            let mut thresholds = thresholds;
            thresholds[5] = numbers.of(word, 5);
            thresholds[63] = numbers.of(word, 63);
            let bits = |bit: usize| {
                (0..64).fold(0, |bits, lane| bits | (thresholds[lane] >> (63 - bit) & 1) << lane)
            };
            let [(below, equal), (below_least, equal_least)] = numbers.below(word, cells, |bit| [bits(bit), 0]);
            prop_assert_eq!((below_least, equal_least), (0, 0));
            for (lane, &threshold) in thresholds.iter().enumerate() {
                let (set, number) = (cells >> lane & 1 == 1, numbers.of(word, lane));
                prop_assert_eq!(below >> lane & 1 == 1, set && number < threshold);
                prop_assert_eq!(equal >> lane & 1 == 1, set && number == threshold);
            }
        }

        #[test]
        fn the_smallest_are_those_of_a_sorted_row(
            seed: u64, row in prop::collection::vec(any::<u64>(), 0..4), wanted in 0..300usize,
        ) {
            let numbers = CellNumbers::new(seed);
            let mut kept = row.clone();
            numbers.keep_smallest(7, &mut kept, wanted, &mut Search::default());
            let set = |row: &[u64]| -> Vec<usize> {
                (0..64 * row.len()).filter(|cell| row[cell / 64] >> (cell % 64) & 1 == 1).collect()
            };
            let mut expected = set(&row);
            expected.sort_by_key(|cell| numbers.of(7 + cell / 64, cell % 64));
            expected.truncate(wanted);
            expected.sort_unstable();
            prop_assert_eq!(set(&kept), expected);
        }
    }
}
