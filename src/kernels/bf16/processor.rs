//! Who rounds and multiplies: a processor with `vdpbf16ps`, or any.

use half::bf16;

use super::LANES;
#[cfg(target_arch = "x86_64")]
use super::avx512;

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
pub struct Tile<'a> {
    /// A row of pairs every `row_step`.
    pub rows: &'a [u32],
    pub row_step: usize,
    /// `[pairs, vectors, 16]`.
    pub panel: &'a [u32],
    pub vectors: usize,
    /// A row of results every `out_step`.
    pub out: &'a mut [f32],
    pub out_step: usize,
    /// Rows and columns that there are.
    pub shape: [usize; 2],
    /// Whether the products are added to what is there.
    pub add: bool,
}

/// Who multiplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processor {
    /// One with `vdpbf16ps`.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    /// Any.
    Plain,
}

impl Processor {
    /// This one.
    pub fn here() -> Self {
        #[cfg(target_arch = "x86_64")]
        if avx512::is_here() {
            return Self::Avx512Bf16;
        }
        Self::Plain
    }

    /// A row to pairs; an odd last value has a 0 beside it.
    pub fn round(self, row: &[f32], pairs: &mut [u32]) {
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

    /// Two rows to a pair for each value; of a second row that is empty the values are 0.
    pub fn interleave(self, first: &[f32], second: &[f32], pairs: &mut [u32]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `here` found the instructions.
            Self::Avx512Bf16 => unsafe { avx512::interleave(first, second, pairs) },
            Self::Plain => {
                for (index, to) in pairs.iter_mut().enumerate() {
                    *to = pair(first[index], second.get(index).copied().unwrap_or(0.0));
                }
            }
        }
    }

    /// A tile.
    pub fn multiply(self, tile: Tile) {
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
