//! Who rounds and multiplies: a processor with `vdpbf16ps`, or any.

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::tile::{Tile, multiply, pair};

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
