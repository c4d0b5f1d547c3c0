//! A few rows times a panel: the part of a product that stays in registers, here in plain code for any processor.

use half::bf16;

use super::LANES;

/// Two values side by side, rounded to the nearest, the first in the lower half.
pub fn pair(first: f32, second: f32) -> u32 {
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

/// The product, one term after the other.
pub fn multiply(tile: Tile) {
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
