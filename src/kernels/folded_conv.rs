//! A convolution of a frozen network on the CPU, with its batch normalization folded into weights and bias.
//!
//! Maps lie channels last: a dense convolution is then a matrix product over rows of pixels, or sixteen smaller ones
//! ([`super::winograd`]), a depthwise one a loop over vectors of channels, and bias and activation are applied while a
//! tile is still in the cache.

use std::sync::Mutex;

use crate::kernels::activation::Activation;
use crate::kernels::depthwise::Depthwise;
use crate::kernels::fixed_weights::FixedWeights;
use crate::kernels::matrix::Matrix;
use crate::kernels::patches::Patches;
use crate::kernels::precision::Precision;
use crate::kernels::simd::{LANES, multiversion};
use crate::kernels::tiles::Tiles;
use crate::kernels::window::Window;
use crate::kernels::winograd::{Winograd, WinogradFilters};

/// Values that a core takes at a time where there is little to do for each.
const PIECE: usize = 64 * 1024;

/// A convolution with a bias and an activation, its weights laid out for the CPU.
#[derive(Debug)]
pub struct FoldedConv {
    window: Window,
    weight: Weight,
    bias: Vec<f32>,
    activation: Activation,
}

/// Weights in the one layout that their layer uses.
#[derive(Debug)]
enum Weight {
    /// `[k, k, C]`.
    Depthwise(Vec<f32>),
    /// `[k · k · in, out]`, multiplied with the patches around pixels.
    Patches(FixedWeights),
    /// 16/9 times as large.
    Winograd(WinogradFilters),
}

/// The map of one image, `[H, W, C]`.
#[derive(Debug)]
pub struct Map {
    pub values: Vec<f32>,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

/// Buffers that are used again and again: fresh ones of megabytes cost page faults.
#[derive(Debug, Default)]
pub struct Scratch {
    maps: Vec<Vec<f32>>,
    /// For the tiles of a layer, as many as there are threads at work on it.
    tiles: Mutex<Vec<Vec<f32>>>,
}

impl Scratch {
    /// A buffer of `len` values that the caller overwrites.
    pub fn take(&mut self, len: usize) -> Vec<f32> {
        let fitting = self.maps.iter().position(|buffer| buffer.capacity() >= len);
        let mut buffer = match fitting {
            Some(index) => self.maps.swap_remove(index),
            None => self.maps.pop().unwrap_or_default(),
        };
        buffer.resize(len, 0.0);
        buffer
    }

    /// Takes a buffer back.
    pub fn give(&mut self, buffer: Vec<f32>) {
        self.maps.push(buffer);
    }

    /// Lends `compute`, which may run on several threads, `len` values that it overwrites.
    fn lend(&self, len: usize, compute: impl FnOnce(&mut [f32])) {
        let tiles = || self.tiles.lock().expect("no thread panics while it holds the buffers");
        let lent = tiles().pop();
        let mut buffer = lent.unwrap_or_default();
        // Never shortened, so that a large tile after a small one finds its values set.
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        compute(&mut buffer[..len]);
        tiles().push(buffer);
    }
}

impl FoldedConv {
    /// `weight` is `[out, in, k, k]`, or `[C, 1, k, k]` depthwise, as PyTorch stores it.
    pub fn new(window: Window, weight: &[f32], bias: Vec<f32>, activation: Activation) -> Self {
        let outputs = bias.len();
        let filter = weight.len() / outputs;
        let area = window.kernel * window.kernel;
        let weight = if window.depthwise {
            Weight::Depthwise(taps_first(weight, outputs, area))
        } else if winograd_fits(window, [filter / area, outputs]) {
            Weight::Winograd(WinogradFilters::new(weight, outputs))
        } else {
            Weight::Patches(FixedWeights::new(taps_first(weight, outputs, area), outputs))
        };
        Self { window, weight, bias, activation }
    }

    /// With dense weights in another precision; a depthwise layer is mostly reading and stays in f32.
    pub fn in_precision(self, precision: Precision) -> Self {
        let weight = match self.weight {
            Weight::Depthwise(weight) => Weight::Depthwise(weight),
            Weight::Patches(weight) => Weight::Patches(weight.in_precision(precision)),
            Weight::Winograd(filters) => Weight::Winograd(filters.in_precision(precision)),
        };
        Self { weight, ..self }
    }

    /// `[H, W, C]` of the next map from that of a map.
    pub fn shape(&self, [height, width, _]: [usize; 3]) -> [usize; 3] {
        [self.window.positions(height), self.window.positions(width), self.bias.len()]
    }

    /// The next map; `shortcut` is added before the activation.
    pub fn run(&self, map: &Map, shortcut: Option<&Map>, scratch: &mut Scratch, tiles: Tiles) -> Map {
        let [height, width, channels] = self.shape([map.height, map.width, map.channels]);
        let mut next = Map { values: scratch.take(height * width * channels), height, width, channels };
        let shortcut = shortcut.map(|map| &map.values[..]);
        match &self.weight {
            Weight::Depthwise(weight) => {
                assert!(shortcut.is_none(), "no branch here ends with a depthwise layer");
                self.run_depthwise(weight, map, &mut next, tiles);
            }
            Weight::Patches(weight) => self.run_patches(weight, map, &mut next, shortcut, scratch, tiles),
            Weight::Winograd(filters) => {
                let taps = (!winograd_pays_on(map)).then(|| filters.taps(channels)).flatten();
                match taps {
                    Some(weight) => self.run_patches(weight, map, &mut next, shortcut, scratch, tiles),
                    None => self.run_winograd(filters, map, &mut next, shortcut, scratch, tiles),
                }
            }
        }
        next
    }

    fn run_depthwise(&self, weight: &[f32], map: &Map, next: &mut Map, tiles: Tiles) {
        let layer = Depthwise {
            window: self.window,
            weight,
            bias: &self.bias,
            bounds: self.activation.bounds(),
            map: &map.values,
            size: [map.height, map.width],
            before: [self.window.border(map.height).0, self.window.border(map.width).0],
        };
        let row = next.width * next.channels;
        let rows = PIECE.div_ceil(row);
        tiles.each(&mut next.values, rows * row, |index, values| layer.run(index * rows, values));
    }

    /// A matrix product of pixels, or of the patches around them, with the weights, tile by tile.
    fn run_patches(
        &self,
        weight: &FixedWeights,
        map: &Map,
        next: &mut Map,
        shortcut: Option<&[f32]>,
        scratch: &Scratch,
        tiles: Tiles,
    ) {
        let (depth, outputs) = (weight.depth(), self.bias.len());
        let tile = tiles.pixels(next.height * next.width, depth + outputs);
        let (window, channels) = (self.window, map.channels);
        let windows = Patches { window, height: map.height, width: map.width, channels };
        tiles.each(&mut next.values, tile * outputs, |index, values| {
            let first = index * tile;
            let shortcut = shortcut.map(|skipped| &skipped[first * outputs..][..values.len()]);
            let len = values.len() / outputs * depth;
            // [pixels, out] = [pixels, depth] × [depth, out]
            let mut multiply = |rows: &[f32]| {
                weight.product(values, Matrix::new(rows, depth));
                finish(values, &self.bias, shortcut, self.activation.bounds());
            };
            if self.window.is_pointwise() {
                multiply(&map.values[first * depth..][..len]);
            } else {
                scratch.lend(len, |patches| {
                    windows.gather(&map.values, first, patches);
                    multiply(patches);
                });
            }
        });
    }

    /// Strips of rows; where they are fewer than the cores, these share the steps of a strip.
    fn run_winograd(
        &self,
        filters: &WinogradFilters,
        map: &Map,
        next: &mut Map,
        shortcut: Option<&[f32]>,
        scratch: &Scratch,
        tiles: Tiles,
    ) {
        let layer = Winograd {
            filters,
            bias: &self.bias,
            bounds: self.activation.bounds(),
            map: &map.values,
            size: [map.height, map.width],
            shortcut,
        };
        let rows = layer.strip_rows();
        tiles.each(&mut next.values, rows * next.width * next.channels, |index, values| {
            scratch.lend(layer.buffer_len(), |buffer| layer.run(index * rows, buffer, values, tiles));
        });
    }
}

/// `[out, in, k, k]` to `[k, k, in, out]`, with `area` = k · k.
fn taps_first(weight: &[f32], outputs: usize, area: usize) -> Vec<f32> {
    let filter = weight.len() / outputs;
    let mut laid_out = vec![0.0; weight.len()];
    for (output, filter) in weight.chunks_exact(filter).enumerate() {
        for (index, &value) in filter.iter().enumerate() {
            let (input, tap) = (index / area, index % area);
            laid_out[(tap * (filter.len() / area) + input) * outputs + output] = value;
        }
    }
    laid_out
}

/// Whether Winograd's algorithm can compute a layer, and the layer has whole vectors of channels.
fn winograd_fits(window: Window, channels: [usize; 2]) -> bool {
    let [inputs, outputs] = channels;
    let fits = window.kernel == 3 && window.stride == 1 && !window.depthwise;
    fits && inputs % LANES == 0 && outputs % LANES == 0
}

/// Whether it is faster than patches on a map. Measured with AVX-512, as times faster: 112×112×64 1.6, 56×56×128 1.6,
/// 28×28×256 1.8, 14×14×512 1.6 (ResNet-101 on 448 pixels), with 16 channels 1.4; but 7×7×512 0.75 (its last layers on
/// 224 pixels), where 16 products of few rows read 16/9 times as many weights.
fn winograd_pays_on(map: &Map) -> bool {
    map.height >= 10 && map.width >= 10
}

multiversion! {
    /// Adds bias and shortcut to `[pixels, out]` and applies the activation.
    finish(values: &mut [f32], bias: &[f32], shortcut: Option<&[f32]>, bounds: (f32, f32)) = finish_body
}

#[inline(always)]
fn finish_body<const FUSED: bool>(
    values: &mut [f32],
    bias: &[f32],
    shortcut: Option<&[f32]>,
    (low, high): (f32, f32),
) {
    let pixels = values.chunks_exact_mut(bias.len());
    match shortcut {
        None => pixels.for_each(|pixel| {
            for (value, bias) in pixel.iter_mut().zip(bias) {
                *value = (*value + bias).clamp(low, high);
            }
        }),
        Some(shortcut) => pixels.zip(shortcut.chunks_exact(bias.len())).for_each(|(pixel, skipped)| {
            for ((value, bias), skipped) in pixel.iter_mut().zip(bias).zip(skipped) {
                *value = (*value + bias + skipped).clamp(low, high);
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use sarb_labels::random::{Stream, rng};

    use super::*;

    /// Values between −1 and 1 that have nothing to do with each other.
    fn random(len: usize, seed: u64) -> Vec<f32> {
        let mut random = rng(seed, Stream::Synthetic, 0, 0);
        (0..len).map(|_| random.random_range(-1.0..1.0)).collect()
    }

    fn run(conv: &FoldedConv, side: usize, channels: usize) -> Vec<f32> {
        let map = Map { values: random(side * side * channels, 1), height: side, width: side, channels };
        conv.run(&map, None, &mut Scratch::default(), Tiles::InTurn).values
    }

    /// Root of the mean square of the difference, as a part of that of the exact values.
    fn error(values: &[f32], exact: &[f32]) -> f32 {
        let square = |values: &mut dyn Iterator<Item = f32>| values.map(|value| value * value).sum::<f32>();
        let differences = &mut values.iter().zip(exact).map(|(a, b)| a - b);
        (square(differences) / square(&mut exact.iter().copied())).sqrt()
    }

    #[test]
    fn a_3_by_3_layer_is_the_same_by_patches_and_by_winograd_in_both_precisions() {
        // The smallest map of Winograd's and the largest of the patches.
        for (side, channels) in [(10, 64), (9, 64), (10, 256)] {
            let layer = |kernel_weight: &[f32]| {
                FoldedConv::new(Window::dense(3, 1), kernel_weight, vec![0.1; channels], Activation::None)
            };
            let weight = random(channels * channels * 9, 2);
            let by_patches = |precision| {
                let taps = FixedWeights::new(taps_first(&weight, channels, 9), channels);
                FoldedConv { weight: Weight::Patches(taps.in_precision(precision)), ..layer(&weight) }
            };
            let exact = run(&by_patches(Precision::F32), side, channels);
            let same = error(&run(&layer(&weight), side, channels), &exact);
            let patches = error(&run(&by_patches(Precision::Bf16), side, channels), &exact);
            let winograd = error(&run(&layer(&weight).in_precision(Precision::Bf16), side, channels), &exact);
            // What 8 bits leave: 2⁻⁹ of each factor at most. Winograd's sums of four pixels are rounded, not the pixels.
            let errors = format!("{side}×{side}×{channels}: {same:e}, {patches:e}, {winograd:e}");
            assert!(same < 2e-6 && patches < 3e-3 && winograd < 6e-3, "{errors}");
            assert!(patches > 1e-3 && winograd > 1e-3, "{errors}");
        }
    }
}
