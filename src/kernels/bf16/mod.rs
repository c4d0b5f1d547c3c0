//! Matrix products with fixed weights in bf16, for frozen networks: half the memory of f32, and twice the products
//! where `vdpbf16ps` takes as long as a fused multiply-add of f32 (AMD from Zen 4 on).
//!
//! Weights are rounded and laid out once, rows when a block of them is about to be multiplied; sums are f32. bf16
//! keeps 8 bits, so that a factor is off by up to 2⁻⁹ of itself, and errors of a sum mostly cancel. A product of AMX
//! tiles would go here too, as another [`Processor`], once Rust's intrinsics for them are stable.

use std::cell::RefCell;

use half::bf16;

use crate::kernels::product::Matrix;

/// Columns of one register of sums.
const LANES: usize = 16;

/// Most registers side by side in a panel: with [`ROWS`] below each other they are 24 sums, of 32 registers.
const VECTORS: usize = 4;

/// Rows that are multiplied with a panel at a time.
const ROWS: usize = 6;

/// Rows that share what is read of the weights; rounded, they stay in the second-level cache.
const ROWS_OF_BLOCK: usize = 192;

/// Pairs of a block of the depth: of the widest panel they take 32 KiB, most of the first-level cache.
const PAIRS_OF_BLOCK: usize = 128;

thread_local! {
    /// The rounded rows of a block, kept because fresh memory costs page faults.
    static ROUNDED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Weights `[depth, columns]` in bf16, by panels of up to 64 columns, and in a panel by pairs of rows; the two values
/// of a column lie side by side, as `vdpbf16ps` reads them. What lies beyond the weights is 0.
#[derive(Debug)]
pub struct HalfWeights {
    pairs: Vec<u32>,
    depth: usize,
    columns: usize,
    /// Registers of a panel.
    vectors: usize,
}

impl HalfWeights {
    /// Of rows of `columns` values.
    ///
    /// # Panics
    /// If `weights` are not whole rows.
    pub fn new(weights: &[f32], columns: usize) -> Self {
        let whole = columns > 0 && weights.len().is_multiple_of(columns);
        assert!(whole, "{} values are not rows of {columns}", weights.len());
        let depth = weights.len() / columns;
        let vectors = columns.div_ceil(LANES);
        // Panels of one width, so that the last is not nearly empty.
        let vectors = vectors.div_ceil(vectors.div_ceil(VECTORS));
        let wide = vectors * LANES;
        let value = |row: usize, column: usize| {
            let inside = row < depth && column < columns;
            if inside { weights[row * columns + column] } else { 0.0 }
        };
        let mut pairs = Vec::with_capacity(columns.next_multiple_of(wide) * depth.div_ceil(2));
        for panel in (0..columns).step_by(wide) {
            for row in (0..depth).step_by(2) {
                let columns = panel..panel + wide;
                pairs.extend(columns.map(|column| pair(value(row, column), value(row + 1, column))));
            }
        }
        Self { pairs, depth, columns, vectors }
    }

    /// Values of a row of the left side.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// `out ← rows × weights`, `[M, depth] × [depth, columns] -> [M, columns]`, on the calling thread.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn product(&self, out: &mut [f32], rows: Matrix) {
        self.product_on(Processor::here(), out, rows);
    }

    fn product_on(&self, processor: Processor, out: &mut [f32], rows: Matrix) {
        let [count, depth] = rows.shape();
        let fits = depth == self.depth && out.len() == count * self.columns;
        assert!(fits, "[{count}, {depth}] × [{}, {}] is not {}", self.depth, self.columns, out.len());
        let pairs = self.depth.div_ceil(2);
        ROUNDED.with_borrow_mut(|rounded| {
            rounded.resize(ROWS_OF_BLOCK * pairs, 0);
            for (block, out) in out.chunks_mut(ROWS_OF_BLOCK * self.columns).enumerate() {
                let rounded = &mut rounded[..out.len() / self.columns * pairs];
                for (row, rounded) in rounded.chunks_exact_mut(pairs).enumerate() {
                    processor.round(rows.row(block * ROWS_OF_BLOCK + row), rounded);
                }
                self.multiply_block(processor, rounded, out);
            }
        });
    }

    /// A block of rows, one part of the depth after the other, and in it panel by panel.
    fn multiply_block(&self, processor: Processor, rows: &[u32], out: &mut [f32]) {
        let (pairs, wide) = (self.depth.div_ceil(2), self.vectors * LANES);
        let count = out.len() / self.columns;
        for first in (0..pairs).step_by(PAIRS_OF_BLOCK) {
            let last = pairs.min(first + PAIRS_OF_BLOCK);
            for (index, panel) in self.pairs.chunks_exact(pairs * wide).enumerate() {
                let column = index * wide;
                for row in (0..count).step_by(ROWS) {
                    processor.multiply(Tile {
                        rows: &rows[row * pairs + first..],
                        row_step: pairs,
                        panel: &panel[first * wide..last * wide],
                        vectors: self.vectors,
                        out: &mut out[row * self.columns + column..],
                        out_step: self.columns,
                        shape: [ROWS.min(count - row), wide.min(self.columns - column)],
                        add: first > 0,
                    });
                }
            }
        }
    }
}

/// Two values side by side, rounded to the nearest, the first in the lower half.
fn pair(first: f32, second: f32) -> u32 {
    let [first, second] = [first, second].map(|value| u32::from(bf16::from_f32(value).to_bits()));
    first | second << 16
}

/// The values of a pair.
fn values(pair: u32) -> [f32; 2] {
    [f32::from_bits(pair << 16), f32::from_bits(pair & 0xffff_0000)]
}

/// A few rows times one panel, for a part of the depth.
struct Tile<'a> {
    /// A row of pairs every `row_step`.
    rows: &'a [u32],
    row_step: usize,
    /// `[pairs, vectors, 16]`.
    panel: &'a [u32],
    vectors: usize,
    /// A row of results every `out_step`.
    out: &'a mut [f32],
    out_step: usize,
    /// Rows and columns that there are.
    shape: [usize; 2],
    /// Whether the products are added to what is there.
    add: bool,
}

/// Who multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Processor {
    /// One with `vdpbf16ps`.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// Any.
    Plain,
}

impl Processor {
    fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        if avx512::is_here() {
            return Self::Avx512Bf16;
        }
        Self::Plain
    }

    /// A row to pairs; an odd last value has a 0 beside it.
    fn round(self, row: &[f32], pairs: &mut [u32]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `here` found the instructions.
            Self::Avx512Bf16 => unsafe { avx512::round(row, pairs) },
            Self::Plain => {
                for (to, two) in pairs.iter_mut().zip(row.chunks(2)) {
                    *to = pair(two[0], two.get(1).copied().unwrap_or(0.0));
                }
            }
        }
    }

    fn multiply(self, tile: Tile) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `here` found the instructions.
            Self::Avx512Bf16 => unsafe { avx512::multiply(tile) },
            Self::Plain => multiply(tile),
        }
    }
}

fn multiply(tile: Tile) {
    let ([rows, columns], wide) = (tile.shape, tile.vectors * LANES);
    for row in 0..rows {
        let out = &mut tile.out[row * tile.out_step..][..columns];
        if !tile.add {
            out.fill(0.0);
        }
        let factors = &tile.rows[row * tile.row_step..];
        for (factor, weights) in factors.iter().zip(tile.panel.chunks_exact(wide)) {
            let [a, b] = values(*factor);
            for (sum, weight) in out.iter_mut().zip(weights) {
                let [first, second] = values(*weight);
                *sum += a * first + b * second;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;
    use std::mem::transmute;

    use super::{LANES, ROWS, Tile, VECTORS};

    pub fn is_here() -> bool {
        std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bf16")
    }

    /// The first `count` of 16 lanes, at most all.
    fn first(count: usize) -> __mmask16 {
        ((1u32 << count.min(LANES)) - 1) as __mmask16
    }

    /// [`Processor::round`](super::Processor::round) of a processor for which [`is_here`] is true.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn round(row: &[f32], pairs: &mut [u32]) {
        for (values, to) in row.chunks(2 * LANES).zip(pairs.chunks_mut(LANES)) {
            let (low, high) = (first(values.len()), first(values.len().saturating_sub(LANES)));
            // SAFETY: the masks name what there is of the slices; the types of the registers have the same bits.
            unsafe {
                let low = _mm512_maskz_loadu_ps(low, values.as_ptr());
                let high = _mm512_maskz_loadu_ps(high, values.as_ptr().wrapping_add(LANES));
                let rounded = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_mask_storeu_epi32(to.as_mut_ptr().cast(), first(to.len()), rounded);
            }
        }
    }

    /// [`Processor::multiply`](super::Processor::multiply) of a processor for which [`is_here`] is true.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn multiply(tile: Tile) {
        match tile.vectors {
            1 => multiply_panel::<1>(tile),
            2 => multiply_panel::<2>(tile),
            3 => multiply_panel::<3>(tile),
            _ => multiply_panel::<VECTORS>(tile),
        }
    }

    #[target_feature(enable = "avx512f,avx512bf16")]
    fn multiply_panel<const N: usize>(tile: Tile) {
        match tile.shape[0] {
            1 => multiply_rows::<1, N>(tile),
            2 => multiply_rows::<2, N>(tile),
            3 => multiply_rows::<3, N>(tile),
            4 => multiply_rows::<4, N>(tile),
            5 => multiply_rows::<5, N>(tile),
            _ => multiply_rows::<ROWS, N>(tile),
        }
    }

    /// M rows times N registers of columns; all sums stay in registers.
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn multiply_rows<const M: usize, const N: usize>(tile: Tile) {
        let Tile { rows, row_step, panel, out, out_step, shape: [_, columns], add, .. } = tile;
        let pairs = panel.len() / (N * LANES);
        assert!(columns <= N * LANES && out.len() >= (M - 1) * out_step + columns);
        assert!(rows.len() >= (M - 1) * row_step + pairs);
        let mut sums = [[_mm512_setzero_ps(); N]; M];
        // SAFETY: the panel holds N registers for each pair, and the rows `pairs` pairs each, as was asserted.
        unsafe {
            for pair in 0..pairs {
                let weights: [__m512i; N] = std::array::from_fn(|vector| {
                    _mm512_loadu_si512(panel.as_ptr().add((pair * N + vector) * LANES).cast())
                });
                for (row, sums) in sums.iter_mut().enumerate() {
                    let factor = _mm512_set1_epi32(*rows.get_unchecked(row * row_step + pair) as i32);
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = _mm512_dpbf16_ps(
                            *sum,
                            transmute::<__m512i, __m512bh>(factor),
                            transmute::<__m512i, __m512bh>(weight),
                        );
                    }
                }
            }
        }
        for (row, sums) in sums.into_iter().enumerate() {
            let out = &mut out[row * out_step..][..columns];
            for (vector, sum) in sums.into_iter().enumerate() {
                let mask = first(columns.saturating_sub(vector * LANES));
                let at = out.as_mut_ptr().wrapping_add(vector * LANES);
                // SAFETY: the mask names what there is of the row.
                unsafe {
                    let before = if add { _mm512_maskz_loadu_ps(mask, at) } else { _mm512_setzero_ps() };
                    _mm512_mask_storeu_ps(at, mask, _mm512_add_ps(before, sum));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values between −1 and 1 without a period that a matrix could have.
    fn pattern(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|index| (index as f32 * step).sin()).collect()
    }

    fn rounded(value: f32) -> f64 {
        f64::from(bf16::from_f32(value).to_f32())
    }

    /// The products of rounded factors, summed in f64, and the sum of their absolute values.
    fn exact(rows: Matrix, weights: &[f32], columns: usize) -> Vec<(f64, f64)> {
        let [count, depth] = rows.shape();
        let one = |index: usize| {
            let (row, column) = (rows.row(index / columns), index % columns);
            let terms = (0..depth).map(|d| rounded(row[d]) * rounded(weights[d * columns + column]));
            terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()))
        };
        (0..count * columns).map(one).collect()
    }

    fn processors() -> Vec<Processor> {
        let mut all = vec![Processor::Plain, Processor::here()];
        all.dedup();
        all
    }

    #[test]
    fn every_shape_is_the_product_of_rounded_factors() {
        // Fewer and more rows than a tile and a block, odd depths, depths of several blocks, panels of each width.
        let depths = [1, 2, 27, 64, 300, 600];
        let widths = [1, 16, 17, 40, 48, 64, 80, 130];
        for (depth, columns) in depths.into_iter().flat_map(|d| widths.map(|c| (d, c))) {
            for count in [1, 5, 6, 13, 200] {
                let (a, b) = (pattern(count * (depth + 3), 0.37), pattern(depth * columns, 0.71));
                let rows = Matrix::new(&a, depth + 3).columns(2, depth);
                let (weights, exact) = (HalfWeights::new(&b, columns), exact(rows, &b, columns));
                for processor in processors() {
                    let mut out = vec![f32::NAN; count * columns];
                    weights.product_on(processor, &mut out, rows);
                    for (out, (sum, size)) in out.iter().zip(&exact) {
                        // Roundings of f32 alone.
                        let error = (f64::from(*out) - sum).abs();
                        assert!(
                            error <= 1e-5 * size,
                            "{processor:?} [{count}, {depth}, {columns}]: {out}, {sum}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn rows_are_rounded_to_the_nearest_and_ties_to_even() {
        // 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷, 1 + 3 · 2⁻⁸ between 1 + 2⁻⁷ and 1 + 2⁻⁶.
        let row = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 1.0 + 1.1 / 256.0, -3.0, 0.1];
        let expected = [[0x3f80, 0x3f82], [0x3f81, 0xc040], [0x3dcd, 0]];
        for processor in processors() {
            let mut pairs = [7; 3];
            processor.round(&row, &mut pairs);
            assert_eq!(pairs.map(|pair| [pair & 0xffff, pair >> 16]), expected, "{processor:?}");
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so_and_infinity_too() {
        let weights = HalfWeights::new(&[1.0, 1.0], 1);
        for processor in processors() {
            for (row, is_right) in [
                ([f32::NAN, 1.0], f32::is_nan as fn(f32) -> bool),
                ([1.0, f32::INFINITY], |sum| sum == f32::INFINITY),
            ] {
                let mut out = [0.0];
                weights.product_on(processor, &mut out, Matrix::new(&row, 2));
                assert!(is_right(out[0]), "{processor:?} {row:?}: {}", out[0]);
            }
        }
    }

    #[test]
    #[should_panic(expected = "[1, 3] × [2, 1] is not 1")]
    fn shapes_that_do_not_fit_are_refused() {
        HalfWeights::new(&[1.0, 1.0], 1).product(&mut [0.0], Matrix::new(&[1.0; 3], 3));
    }
}
