//! How the work of a layer is shared among the cores.

use rayon::prelude::*;

/// Most values of the patches and results of a tile. Smaller tiles would stay in the second-level cache,
/// but every product packs the weights anew, which costs more (measured: 128 K is 10 % slower).
const TILE: usize = 512 * 1024;

/// How the tiles of a layer are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tiles {
    /// One after the other: the other cores have images of their own.
    InTurn,
    /// On all cores.
    InParallel,
}

impl Tiles {
    /// Pixels of a tile of a layer that has `values` values for each of its `pixels` pixels: as many tiles
    /// as there are cores to share them, and all of one size.
    pub fn pixels(self, pixels: usize, values: usize) -> usize {
        let most = (TILE / values).clamp(64, 4096);
        let cores = match self {
            Tiles::InTurn => 1,
            Tiles::InParallel => rayon::current_num_threads(),
        };
        pixels.div_ceil(pixels.div_ceil(most * cores) * cores)
    }

    /// Calls `compute` with every piece of `len` values and its index.
    pub fn each(self, values: &mut [f32], len: usize, compute: impl Fn(usize, &mut [f32]) + Sync) {
        match self {
            Tiles::InTurn => {
                values.chunks_mut(len).enumerate().for_each(|(index, piece)| compute(index, piece))
            }
            Tiles::InParallel => {
                values.par_chunks_mut(len).enumerate().for_each(|(index, piece)| compute(index, piece));
            }
        }
    }
}
