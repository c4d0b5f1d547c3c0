//! Rounding, and the tiles of a product, with the bf16 instructions of AVX-512.

use std::arch::x86_64::*;
use std::mem::transmute;

use super::tile::Tile;
use super::{LANES, ROWS, VECTORS};

pub fn is_here() -> bool {
    std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512bf16")
}

/// The first `count` of 16 lanes, at most all.
fn first(count: usize) -> __mmask16 {
    ((1u32 << count.min(LANES)) - 1) as __mmask16
}

/// [`Processor::round`](super::processor::Processor::round) of a processor for which [`is_here`] is true.
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

/// [`Processor::interleave`](super::processor::Processor::interleave) of a processor for which [`is_here`] is true.
#[target_feature(enable = "avx512f,avx512bf16")]
pub fn interleave(first_row: &[f32], second_row: &[f32], pairs: &mut [u32]) {
    let count = pairs.len();
    assert!(first_row.len() >= count && (second_row.is_empty() || second_row.len() >= count));
    let rounded = |row: &[f32], at: usize| {
        let mask = first(row.len().saturating_sub(at));
        // SAFETY: the mask names what there is of the row; the types of the registers have the same bits.
        let rounded = unsafe {
            let values = _mm512_maskz_loadu_ps(mask, row.as_ptr().wrapping_add(at));
            transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(values))
        };
        _mm512_cvtepu16_epi32(rounded)
    };
    for (index, to) in pairs.chunks_mut(LANES).enumerate() {
        let (low, high) = (rounded(first_row, index * LANES), rounded(second_row, index * LANES));
        let both = _mm512_or_si512(low, _mm512_slli_epi32::<16>(high));
        // SAFETY: the mask names what there is of the slice.
        unsafe { _mm512_mask_storeu_epi32(to.as_mut_ptr().cast(), first(to.len()), both) };
    }
}

/// [`Processor::multiply`](super::processor::Processor::multiply) of a processor for which [`is_here`] is true.
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
