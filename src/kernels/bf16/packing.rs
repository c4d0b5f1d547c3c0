//! Both sides of a product rounded to pairs of bf16 values that follow each other along the depth.

use super::LANES;
use super::processor::Processor;
use crate::kernels::matrix::Matrix;

/// Rows `[count, depth]` to `[count, pairs]`.
pub fn pack_rows(processor: Processor, rows: Matrix, out: &mut [u32]) {
    let [count, depth] = rows.shape();
    let pairs = depth.div_ceil(2);
    if rows.lies_by_rows() {
        let each = out.chunks_exact_mut(pairs).enumerate();
        return each.for_each(|(index, out)| processor.round(rows.row(index), out));
    }
    // What lies together is a column: two of them are paired, 16 such lines at a time are turned.
    let columns = rows.transposed();
    let mut lines = vec![0; LANES.min(pairs) * count];
    for first in (0..pairs).step_by(LANES) {
        let lines = &mut lines[..LANES.min(pairs - first) * count];
        for (index, line) in lines.chunks_exact_mut(count).enumerate() {
            let [a, b] = two(columns, first + index);
            processor.interleave(a, b, line);
        }
        turn(lines, count, &mut out[first..], pairs);
    }
}

/// Some columns `[depth, columns]` to `[pairs, wide]`; beyond the columns nothing is written.
pub fn pack_panel(processor: Processor, columns: Matrix, wide: usize, panel: &mut [u32]) {
    let [depth, count] = columns.shape();
    if columns.lies_by_rows() {
        for (pair, out) in panel.chunks_exact_mut(wide).enumerate() {
            let [a, b] = two(columns, pair);
            processor.interleave(a, b, &mut out[..count]);
        }
        return;
    }
    let (pairs, columns) = (depth.div_ceil(2), columns.transposed());
    let mut lines = vec![0; count * pairs];
    for (index, line) in lines.chunks_exact_mut(pairs).enumerate() {
        processor.round(columns.row(index), line);
    }
    turn(&lines, pairs, panel, wide);
}

/// Both rows of a pair; the second is empty beyond the last.
fn two(matrix: Matrix<'_>, pair: usize) -> [&[f32]; 2] {
    let [rows, _] = matrix.shape();
    [matrix.row(2 * pair), if 2 * pair + 1 < rows { matrix.row(2 * pair + 1) } else { &[] }]
}

/// `[n, width]` to `[width, n]`, a row of the latter every `step`; by squares, so that both stay in the cache.
fn turn(from: &[u32], width: usize, to: &mut [u32], step: usize) {
    for first in (0..width).step_by(LANES) {
        let last = width.min(first + LANES);
        for (index, line) in from.chunks_exact(width).enumerate() {
            for (place, value) in (first..last).zip(&line[first..last]) {
                to[place * step + index] = *value;
            }
        }
    }
}
