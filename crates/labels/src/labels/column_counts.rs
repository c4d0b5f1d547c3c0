//! Counts of the set bits of each column of a bit plane, 64 columns a word.

use super::for_each_bit;

/// The lowest bit of every byte.
const LOW_BITS: u64 = 0x0101_0101_0101_0101;

/// How often each bit was set in the rows that were added.
///
/// Eight counts of a byte stand in one word, so that a row costs the same whatever is set in it; every
/// 255 rows they are emptied into whole numbers.
#[derive(Clone)]
pub(crate) struct ColumnCounts {
    words: usize,
    /// Byte b of `bytes[shift · W + w]` counts bit 8b + shift of word w.
    bytes: Vec<u64>,
    rows: u8,
    totals: Vec<u32>,
}

impl ColumnCounts {
    /// Set bits of a word below which it is cheaper to count them one by one.
    pub(crate) const FEW: usize = 4;

    /// No row yet; a row is `words` words.
    pub(crate) fn new(words: usize) -> Self {
        Self { words, bytes: vec![0; 8 * words], rows: 0, totals: vec![0; 64 * words] }
    }

    /// Adds one row.
    pub(crate) fn add(&mut self, row: &[u64]) {
        assert_eq!(row.len(), self.words, "a row of {} words", self.words);
        for (shift, bytes) in self.bytes.chunks_exact_mut(self.words.max(1)).enumerate() {
            for (bytes, word) in bytes.iter_mut().zip(row) {
                *bytes += (word >> shift) & LOW_BITS;
            }
        }
        self.rows += 1;
        if self.rows == u8::MAX {
            self.empty();
        }
    }

    /// Adds one row with few set bits, one by one.
    pub(crate) fn add_few(&mut self, row: &[u64]) {
        for (word, totals) in row.iter().zip(self.totals.chunks_exact_mut(64)) {
            for_each_bit(*word, |bit| totals[bit] += 1);
        }
    }

    /// The counts, lowest bit of the first word first.
    pub(crate) fn totals(mut self) -> Vec<u32> {
        self.empty();
        self.totals
    }

    /// The counts of the rows of both.
    pub(crate) fn merged(mut self, mut other: Self) -> Self {
        self.empty();
        other.empty();
        self.totals.iter_mut().zip(other.totals).for_each(|(sum, count)| *sum += count);
        self
    }

    fn empty(&mut self) {
        for (at, bytes) in self.bytes.iter_mut().enumerate().filter(|(_, bytes)| **bytes != 0) {
            let (shift, word) = (at / self.words, at % self.words);
            for (byte, count) in bytes.to_le_bytes().into_iter().enumerate() {
                self.totals[64 * word + 8 * byte + shift] += u32::from(count);
            }
            *bytes = 0;
        }
        self.rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of two words; the second rare.
    fn row(at: u64) -> [u64; 2] {
        let word = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        [word ^ (word >> 29), word & (word >> 7) & (word << 11)]
    }

    fn plain(rows: std::ops::Range<u64>) -> Vec<u32> {
        let set = |at: u64, bit: usize| row(at)[bit / 64] >> (bit % 64) & 1;
        (0..128).map(|bit| rows.clone().map(|at| set(at, bit) as u32).sum()).collect()
    }

    #[test]
    fn counts_equal_those_of_single_bits_before_and_after_bytes_are_full() {
        for rows in [0, 1, 254, 255, 256, 1000] {
            let (mut dense, mut few) = (ColumnCounts::new(2), ColumnCounts::new(2));
            (0..rows).for_each(|at| dense.add(&row(at)));
            (0..rows).for_each(|at| few.add_few(&row(at)));
            assert_eq!(dense.totals(), plain(0..rows), "{rows}");
            assert_eq!(few.totals(), plain(0..rows), "{rows}");
        }
    }

    #[test]
    fn merged_counts_are_those_of_all_rows() {
        let mut parts = [ColumnCounts::new(2), ColumnCounts::new(2)];
        (0..300).for_each(|at| parts[0].add(&row(at)));
        (300..310).for_each(|at| parts[1].add(&row(at)));
        let [first, second] = parts;
        assert_eq!(first.merged(second).totals(), plain(0..310));
    }

    #[test]
    fn all_bits_in_every_row_do_not_overflow_a_byte() {
        let mut counts = ColumnCounts::new(1);
        (0..600).for_each(|_| counts.add(&[u64::MAX]));
        assert_eq!(counts.totals(), [600; 64]);
        let mut none = ColumnCounts::new(0);
        (0..600).for_each(|_| none.add(&[]));
        assert!(none.totals().is_empty());
    }
}
