//! Columns of label matrices in another order.

use super::LabelMatrix;

/// Rows that are turned into columns together: the bits of a word.
const TILE: usize = 64;

impl LabelMatrix {
    /// The columns `categories`, in that order.
    ///
    /// # Panics
    /// If there is no such category.
    pub fn select_categories(&self, categories: &[usize]) -> Self {
        for &category in categories {
            assert!(category < self.categories, "category {category} of {}", self.categories);
        }
        let mut labels = Self::unknown(self.images, categories.len());
        if !categories.is_empty() {
            select(&self.known, self.words_per_row, &mut labels.known, labels.words_per_row, categories);
            select(
                &self.positive,
                self.words_per_row,
                &mut labels.positive,
                labels.words_per_row,
                categories,
            );
        }
        labels
    }
}

/// Writes the columns `columns` of a plane with `from_words` words a row into one with `to_words`.
fn select(from: &[u64], from_words: usize, to: &mut [u64], to_words: usize, columns: &[usize]) {
    let mut turned = vec![[0; TILE]; from_words];
    for (from, to) in from.chunks(TILE * from_words).zip(to.chunks_mut(TILE * to_words)) {
        for (word, tile) in turned.iter_mut().enumerate() {
            *tile = [0; TILE];
            tile.iter_mut().zip(from.chunks_exact(from_words)).for_each(|(bits, row)| *bits = row[word]);
            transpose(tile);
        }
        for (word, columns) in columns.chunks(TILE).enumerate() {
            let mut tile = [0; TILE];
            tile.iter_mut().zip(columns).for_each(|(bits, &c)| *bits = turned[c / TILE][c % TILE]);
            transpose(&mut tile);
            to.chunks_exact_mut(to_words).zip(tile).for_each(|(row, bits)| row[word] = bits);
        }
    }
}

/// Bit j of word i becomes bit i of word j: halves of the tile are exchanged, then quarters, and so on.
fn transpose(tile: &mut [u64; TILE]) {
    let (mut width, mut low) = (TILE / 2, u64::MAX >> (TILE / 2));
    while width > 0 {
        for first in (0..TILE).step_by(2 * width) {
            for i in first..first + width {
                let exchanged = (tile[i] >> width ^ tile[i + width]) & low;
                tile[i] ^= exchanged << width;
                tile[i + width] ^= exchanged;
            }
        }
        width /= 2;
        low ^= low << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(images: usize, categories: usize) -> LabelMatrix {
        let value = |cell: u64| (cell.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) % 3;
        let values: Vec<i8> = (0..(images * categories) as u64).map(|cell| value(cell) as i8 - 1).collect();
        LabelMatrix::from_values(categories, &values)
    }

    #[test]
    fn a_turned_tile_has_rows_for_columns() {
        let mut tile: [u64; TILE] =
            std::array::from_fn(|i| (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let before = tile;
        transpose(&mut tile);
        for (i, j) in (0..TILE).flat_map(|i| (0..TILE).map(move |j| (i, j))) {
            assert_eq!(tile[j] >> i & 1, before[i] >> j & 1, "{i} {j}");
        }
    }

    #[test]
    fn columns_come_in_the_order_asked_for() {
        let labels = LabelMatrix::from_values(3, &[1, 0, -1, -1, 1, 0]);
        assert_eq!(labels.select_categories(&[2, 0]).to_floats(), [-1.0, 1.0, 0.0, -1.0]);
    }

    #[test]
    fn every_cell_moves_across_words_and_tiles_and_a_column_may_come_twice() {
        for (images, categories) in [(1, 1), (64, 64), (65, 130), (200, 63)] {
            let labels = matrix(images, categories);
            let order: Vec<usize> = (0..categories + 70).map(|to| to * 37 % categories).collect();
            let selected = labels.select_categories(&order);
            for image in 0..images {
                let expected: Vec<_> = order.iter().map(|&from| labels.get(image, from)).collect();
                assert_eq!(selected.row(image).collect::<Vec<_>>(), expected, "{image}");
            }
            let all: Vec<usize> = (0..categories).collect();
            assert_eq!(labels.select_categories(&all), labels);
        }
    }

    #[test]
    fn no_column_and_no_image_are_no_special_case_for_the_caller() {
        assert_eq!(matrix(3, 5).select_categories(&[]), LabelMatrix::unknown(3, 0));
        assert_eq!(LabelMatrix::unknown(0, 5).select_categories(&[4]), LabelMatrix::unknown(0, 1));
    }

    #[test]
    #[should_panic(expected = "category 5 of 5")]
    fn a_column_that_is_not_there_is_refused() {
        matrix(3, 5).select_categories(&[0, 5]);
    }
}
