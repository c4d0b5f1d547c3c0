//! Matrix products in bf16: half the memory of f32, and twice the products where `vdpbf16ps` takes as long as a fused
//! multiply-add of f32 (AMD from Zen 4 on).
//!
//! The right side is rounded and laid out first, once for frozen weights; rows of the left side when a block of them is
//! about to be multiplied; sums are f32. bf16 keeps 8 bits, so that a factor is off by up to 2⁻⁹ of itself, and errors of
//! a sum mostly cancel. A product of AMX tiles would go here too, as another [`Processor`], once Rust's intrinsics for
//! them are stable.

use std::cell::RefCell;

use rayon::prelude::*;

use crate::kernels::matrix::{Accum, Matrix, MatrixMut};
use packing::{pack_panel, pack_rows};
use processor::Processor;
use tile::Tile;

#[cfg(target_arch = "x86_64")]
mod avx512;
mod packing;
mod processor;
#[cfg(test)]
mod tests;
mod tile;

/// Columns of one register of sums.
const LANES: usize = 16;

/// Most registers side by side in a panel: with [`ROWS`] below each other they are 24 sums, of 32 registers.
const VECTORS: usize = 4;

/// Rows that are multiplied with a panel at a time.
const ROWS: usize = 6;

/// Rows that share what is read of the right side; rounded, they stay in the second-level cache.
const ROWS_OF_BLOCK: usize = 192;

/// Pairs of a block of the depth: of the widest panel they take 32 KiB, most of the first-level cache.
const PAIRS_OF_BLOCK: usize = 128;

thread_local! {
    /// The rounded rows of a block, kept because fresh memory costs page faults.
    static ROUNDED: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// A right side `[depth, columns]` in bf16, by panels of up to 64 columns, and in a panel by pairs of rows; the two values
/// of a column lie side by side, as `vdpbf16ps` reads them. What lies beyond it is 0.
#[derive(Debug)]
pub struct HalfMatrix {
    pairs: Vec<u32>,
    depth: usize,
    columns: usize,
    /// Registers of a panel.
    vectors: usize,
}

impl HalfMatrix {
    /// Of a matrix with at least one row and column, in whatever layout; all cores round it.
    pub fn new(matrix: Matrix) -> Self {
        Self::on(Processor::here(), matrix)
    }

    fn on(processor: Processor, matrix: Matrix) -> Self {
        let [depth, columns] = matrix.shape();
        let vectors = columns.div_ceil(LANES);
        // Panels of one width, so that the last is not nearly empty.
        let vectors = vectors.div_ceil(vectors.div_ceil(VECTORS));
        let wide = vectors * LANES;
        let of_panel = depth.div_ceil(2) * wide;
        let mut pairs = vec![0; columns.div_ceil(wide) * of_panel];
        pairs.par_chunks_exact_mut(of_panel).enumerate().for_each(|(index, panel)| {
            let first = index * wide;
            let columns = matrix.columns(first, wide.min(columns - first));
            pack_panel(processor, columns, wide, panel);
        });
        Self { pairs, depth, columns, vectors }
    }

    /// Values of a row of the left side.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// `out ← rows × self` or `out ← out + rows × self`, `[M, depth] × [depth, columns] -> [M, columns]`, on the calling
    /// thread.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn product(&self, out: MatrixMut, accum: Accum, rows: Matrix) {
        self.product_on(Processor::here(), out, accum, rows);
    }

    fn product_on(&self, processor: Processor, out: MatrixMut, accum: Accum, rows: Matrix) {
        let ([count, depth], [to, columns]) = (rows.shape(), out.shape());
        let fits = depth == self.depth && to == count && columns == self.columns;
        assert!(fits, "[{count}, {depth}] × [{}, {}] is not [{to}, {columns}]", self.depth, self.columns);
        let pairs = self.depth.div_ceil(2);
        ROUNDED.with_borrow_mut(|rounded| {
            rounded.resize(ROWS_OF_BLOCK.min(count) * pairs, 0);
            for (block, out) in out.blocks(ROWS_OF_BLOCK).enumerate() {
                let [count, _] = out.shape();
                let rounded = &mut rounded[..count * pairs];
                pack_rows(processor, rows.rows(block * ROWS_OF_BLOCK, count), rounded);
                self.multiply_block(processor, rounded, out, accum);
            }
        });
    }

    /// A block of rows, one part of the depth after the other, and in it panel by panel.
    fn multiply_block(&self, processor: Processor, rows: &[u32], out: MatrixMut, accum: Accum) {
        let (pairs, wide) = (self.depth.div_ceil(2), self.vectors * LANES);
        let [count, _] = out.shape();
        let (out, out_step) = out.into_rows();
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
                        out: &mut out[row * out_step + column..],
                        out_step,
                        shape: [ROWS.min(count - row), wide.min(self.columns - column)],
                        add: first > 0 || accum == Accum::Add,
                    });
                }
            }
        }
    }
}

/// `out ← a b` or `out ← out + a b`, `[M, K] × [K, N] -> [M, N]`, by all of rayon's threads. The result does not depend on
/// how many they are.
///
/// # Panics
/// If the shapes do not fit.
pub fn product(out: MatrixMut, accum: Accum, a: Matrix, b: Matrix) {
    let b = HalfMatrix::new(b);
    let [rows, _] = out.shape();
    let of_thread = rows.div_ceil(rayon::current_num_threads());
    let block = of_thread.div_ceil(of_thread.div_ceil(ROWS_OF_BLOCK).max(1)).next_multiple_of(ROWS);
    out.par_blocks(block).enumerate().for_each(|(index, out)| {
        let [count, _] = out.shape();
        b.product(out, accum, a.rows(index * block, count));
    });
}
