//! Partial labels: for each image and category −1, 0 (unknown) or +1, in two bits per cell.
//!
//! Two bitmaps, `known` and `positive`, row by row, each row padded to whole words, so that counts
//! and co-occurrences are population counts of words.

use crate::{Error, Result};

pub(crate) mod column_counts;
mod column_selection;

use column_counts::ColumnCounts;

/// What is known of one category in one image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i8)]
pub enum Label {
    /// Known not to be there.
    Negative = -1,
    /// Nobody looked.
    Unknown = 0,
    /// Known to be there.
    Positive = 1,
}

/// Labels of N images in C categories, `N × C`.
#[derive(Clone, PartialEq, Eq)]
pub struct LabelMatrix {
    images: usize,
    categories: usize,
    words_per_row: usize,
    known: Vec<u64>,
    positive: Vec<u64>,
}

impl LabelMatrix {
    /// All unknown.
    pub fn unknown(images: usize, categories: usize) -> Self {
        let words_per_row = categories.div_ceil(64);
        let words = images * words_per_row;
        Self { images, categories, words_per_row, known: vec![0; words], positive: vec![0; words] }
    }

    /// The same label everywhere.
    pub fn filled(images: usize, categories: usize, label: Label) -> Self {
        let mut labels = Self::unknown(0, categories);
        let row = vec![label; categories];
        labels.push(&row);
        let repeat = |plane: &[u64]| plane.repeat(images);
        Self { images, known: repeat(&labels.known), positive: repeat(&labels.positive), ..labels }
    }

    /// From values row by row: above 0 is positive, below 0 negative, 0 unknown.
    ///
    /// # Panics
    /// If `values` does not hold a multiple of `categories` entries.
    pub fn from_values(categories: usize, values: &[i8]) -> Self {
        assert!(
            categories > 0 && values.len().is_multiple_of(categories),
            "{} values are not whole rows of {categories} categories",
            values.len()
        );
        let mut labels = Self::unknown(0, categories);
        values.chunks_exact(categories).for_each(|row| labels.push_cells(row, |value| value));
        labels
    }

    /// Number of images N.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Number of categories C.
    pub fn categories(&self) -> usize {
        self.categories
    }

    /// The label of one cell.
    pub fn get(&self, image: usize, category: usize) -> Label {
        let (word, bit) = self.place(image, category);
        match (self.known[word] & bit != 0, self.positive[word] & bit != 0) {
            (false, _) => Label::Unknown,
            (true, true) => Label::Positive,
            (true, false) => Label::Negative,
        }
    }

    /// Sets the label of one cell.
    pub fn set(&mut self, image: usize, category: usize, label: Label) {
        let (word, bit) = self.place(image, category);
        let put = |plane: &mut u64, on: bool| if on { *plane |= bit } else { *plane &= !bit };
        put(&mut self.known[word], label != Label::Unknown);
        put(&mut self.positive[word], label == Label::Positive);
    }

    /// The labels of one image, category by category.
    pub fn row(&self, image: usize) -> impl Iterator<Item = Label> + '_ {
        (0..self.categories).map(move |category| self.get(image, category))
    }

    /// The labels of one category, image by image.
    pub fn column(&self, category: usize) -> impl Iterator<Item = Label> + '_ {
        (0..self.images).map(move |image| self.get(image, category))
    }

    /// The rows `images`, in that order.
    pub fn select(&self, images: &[usize]) -> Self {
        let w = self.words_per_row;
        let gather = |plane: &[u64]| {
            let mut rows = Vec::with_capacity(images.len() * w);
            images.iter().for_each(|&n| rows.extend_from_slice(&plane[n * w..(n + 1) * w]));
            rows
        };
        Self { images: images.len(), known: gather(&self.known), positive: gather(&self.positive), ..*self }
    }

    /// Appends the labels of one more image.
    ///
    /// # Panics
    /// If `row` does not hold a label for every category.
    pub fn push(&mut self, row: &[Label]) {
        assert_eq!(row.len(), self.categories, "a row of {} categories", self.categories);
        self.push_cells(row, |label| label as i8);
    }

    /// Appends a row of cells by the signs of their values.
    fn push_cells<T: Copy>(&mut self, row: &[T], value: impl Fn(T) -> i8) {
        self.images += 1;
        for cells in row.chunks(64) {
            self.known.push(bits(cells, |cell| value(cell) != 0));
            self.positive.push(bits(cells, |cell| value(cell) > 0));
        }
    }

    /// Makes unknown every cell for which `keep(image, category)` is false. Asks for every cell, known
    /// or not, exactly once and row by row, so that `keep` may draw random numbers.
    pub fn retain(&mut self, mut keep: impl FnMut(usize, usize) -> bool) {
        for image in 0..self.images {
            for word in 0..self.words_per_row {
                let categories = word * 64..self.categories.min(word * 64 + 64);
                let mask = categories
                    .enumerate()
                    .fold(0, |mask, (bit, category)| mask | u64::from(keep(image, category)) << bit);
                self.known[image * self.words_per_row + word] &= mask;
                self.positive[image * self.words_per_row + word] &= mask;
            }
        }
    }

    /// Row by row as −1.0, 0.0 and +1.0, `N · C` values.
    pub fn to_floats(&self) -> Vec<f32> {
        (0..self.images).flat_map(|n| self.row(n).map(|label| f32::from(label as i8))).collect()
    }

    /// How many cells carry `label`.
    pub fn count(&self, label: Label) -> usize {
        match label {
            Label::Positive => ones(&self.positive),
            Label::Negative => ones(&self.known) - ones(&self.positive),
            Label::Unknown => self.images * self.categories - ones(&self.known),
        }
    }

    /// Known positives and known labels of every category, `C` pairs.
    pub fn counts(&self) -> Vec<(usize, usize)> {
        let of = |plane: &[u64]| {
            let mut counts = ColumnCounts::new(self.words_per_row);
            plane.chunks_exact(self.words_per_row.max(1)).for_each(|row| counts.add(row));
            counts.totals().into_iter().take(self.categories).map(|count| count as usize)
        };
        of(&self.positive).zip(of(&self.known)).collect()
    }

    /// The bit planes (known, positive) of one image, 64 categories a word, lowest bit first.
    pub fn planes(&self, image: usize) -> (&[u64], &[u64]) {
        let row = image * self.words_per_row..(image + 1) * self.words_per_row;
        (&self.known[row.clone()], &self.positive[row])
    }

    /// Words of one image in each bit plane, `⌈C / 64⌉`.
    pub fn words_per_row(&self) -> usize {
        self.words_per_row
    }

    /// The bit planes (known, positive) of all images, row by row, to hide labels in: nothing may become
    /// positive that is not known, and no bit beyond C may be set.
    pub(crate) fn planes_mut(&mut self) -> (&mut [u64], &mut [u64]) {
        (&mut self.known, &mut self.positive)
    }

    /// Everything in bytes, for a checkpoint: both sizes, then the planes, all little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sizes = [self.images as u64, self.categories as u64];
        let words = sizes.iter().chain(&self.known).chain(&self.positive);
        words.flat_map(|word| word.to_le_bytes()).collect()
    }

    /// [`to_bytes`](Self::to_bytes) backwards.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if the bytes are not those of a matrix.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::Data("the saved labels are damaged".into());
        let (words, rest) = bytes.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let [images, categories, planes @ ..] = &words[..] else { return Err(damaged()) };
        let words_per_row = categories.div_ceil(64);
        let plane = images.checked_mul(words_per_row).ok_or_else(damaged)?;
        if !rest.is_empty() || plane.checked_mul(2) != Some(planes.len() as u64) {
            return Err(damaged());
        }
        let (known, positive) = planes.split_at(plane as usize);
        Ok(Self {
            images: *images as usize,
            categories: *categories as usize,
            words_per_row: words_per_row as usize,
            known: known.to_vec(),
            positive: positive.to_vec(),
        })
    }

    fn place(&self, image: usize, category: usize) -> (usize, u64) {
        assert!(
            image < self.images && category < self.categories,
            "cell ({image}, {category}) of a {} × {} label matrix",
            self.images,
            self.categories
        );
        (image * self.words_per_row + category / 64, 1 << (category % 64))
    }
}

/// For which of up to 64 cells `on` holds, the first in the lowest bit.
fn bits<T: Copy>(cells: &[T], on: impl Fn(T) -> bool) -> u64 {
    let (eights, rest) = cells.as_chunks::<8>();
    let last = rest.iter().rev().fold(0, |bits, &cell| bits << 1 | u64::from(on(cell)));
    eights.iter().rev().fold(last, |bits, eight| {
        let bytes = u64::from_le_bytes(eight.map(|cell| u8::from(on(cell))));
        // Moves bit 8i to bit 56 + i.
        bits << 8 | bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

/// How many bits are set in some words of a bit plane.
pub fn ones(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

/// Calls `each` with the index of every set bit of `word`, lowest first.
pub fn for_each_bit(mut word: u64, mut each: impl FnMut(usize)) {
    while word != 0 {
        each(word.trailing_zeros() as usize);
        word &= word - 1;
    }
}

impl std::fmt::Debug for LabelMatrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "LabelMatrix({} × {}, {} positive, {} negative)",
            self.images,
            self.categories,
            self.count(Label::Positive),
            self.count(Label::Negative)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_what_was_set_across_word_borders() {
        let values: Vec<i8> = (0..3 * 130).map(|i| (i % 3) as i8 - 1).collect();
        let labels = LabelMatrix::from_values(130, &values);
        let back: Vec<i8> =
            (0..3).flat_map(|n| labels.row(n).map(|label| label as i8).collect::<Vec<_>>()).collect();
        assert_eq!(back, values);
        assert_eq!(labels.count(Label::Positive), 130);
        assert_eq!(labels.count(Label::Unknown), 130);
        assert_eq!(labels.counts().iter().map(|c| c.1).sum::<usize>(), 260);
    }

    #[test]
    fn a_matrix_says_its_size_and_counts_instead_of_its_cells() {
        let labels = LabelMatrix::from_values(2, &[1, -1, 0, -1, 0, 0]);
        assert_eq!(format!("{labels:?}"), "LabelMatrix(3 × 2, 1 positive, 2 negative)");
    }

    #[test]
    fn a_cell_can_be_overwritten() {
        let mut labels = LabelMatrix::unknown(1, 2);
        for label in [Label::Positive, Label::Negative, Label::Unknown] {
            labels.set(0, 1, label);
            assert_eq!(labels.get(0, 1), label);
            assert_eq!(labels.get(0, 0), Label::Unknown);
        }
    }

    #[test]
    fn pushed_rows_equal_a_matrix_from_values() {
        let values: Vec<i8> = (0..4 * 70).map(|i| (i * 7 % 3) as i8 - 1).collect();
        let whole = LabelMatrix::from_values(70, &values);
        let mut grown = LabelMatrix::unknown(0, 70);
        for image in 0..4 {
            grown.push(&whole.row(image).collect::<Vec<_>>());
        }
        assert_eq!(grown, whole);
    }

    #[test]
    fn retain_asks_for_every_cell_once_row_by_row() {
        let mut labels = LabelMatrix::from_values(65, &[1; 130]);
        let mut asked = Vec::new();
        labels.retain(|image, category| {
            asked.push((image, category));
            category == 64 - image
        });
        assert_eq!(asked, (0..2).flat_map(|n| (0..65).map(move |c| (n, c))).collect::<Vec<_>>());
        assert_eq!(labels.count(Label::Positive), 2);
        assert_eq!((labels.get(0, 64), labels.get(1, 63)), (Label::Positive, Label::Positive));
    }

    #[test]
    fn bytes_read_back_equal_and_damaged_ones_are_refused() {
        let values: Vec<i8> = (0..3 * 70).map(|i| (i % 3) as i8 - 1).collect();
        let labels = LabelMatrix::from_values(70, &values);
        let bytes = labels.to_bytes();
        assert_eq!(LabelMatrix::from_bytes(&bytes).unwrap(), labels);
        for damaged in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() - 8], &bytes[..9], &[255; 16]] {
            assert_eq!(LabelMatrix::from_bytes(damaged).unwrap_err().kind(), crate::error::Kind::Data);
        }
    }

    #[test]
    fn select_keeps_the_order_asked_for() {
        let labels = LabelMatrix::from_values(2, &[1, 0, -1, 1, 0, 0]);
        assert_eq!(labels.select(&[2, 0, 0]).to_floats(), [0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        // Rows of three words each.
        let values: Vec<i8> = (0..4 * 130).map(|i| (i * 7 % 3) as i8 - 1).collect();
        let wide = LabelMatrix::from_values(130, &values);
        let rows = [3, 1, 2].map(|image| values[image * 130..(image + 1) * 130].to_vec()).concat();
        assert_eq!(wide.select(&[3, 1, 2]), LabelMatrix::from_values(130, &rows));
    }
}
