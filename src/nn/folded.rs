//! Fast inference of a fixed backbone on the CPU.
//!
//! Batch normalisation is folded into the convolutions, and each image runs through the whole
//! network on one thread, channels last: a dense convolution is then a matrix product over rows of
//! pixels, a depthwise one a loop over vectors of channels, and bias and activation are applied
//! while a tile is still in the cache. Exact up to rounding; no gradients.

use std::sync::Mutex;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use crate::nn::conv_norm::Window;
use crate::nn::depthwise::Depthwise;

/// What follows a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    None,
    Relu,
    Relu6,
}

impl Activation {
    /// Smallest and largest value that it lets through.
    pub(crate) fn bounds(self) -> (f32, f32) {
        match self {
            Activation::None => (f32::NEG_INFINITY, f32::INFINITY),
            Activation::Relu => (0.0, f32::INFINITY),
            Activation::Relu6 => (0.0, 6.0),
        }
    }
}

/// A convolution with a bias and an activation, its weights laid out for the CPU.
#[derive(Debug)]
pub(crate) struct FoldedConv {
    window: Window,
    /// `[k, k, in, out]`, or `[k, k, C]` depthwise.
    weight: Vec<f32>,
    bias: Vec<f32>,
    activation: Activation,
}

/// One step of a network.
#[derive(Debug)]
pub(crate) enum Layer {
    /// A convolution.
    Conv(FoldedConv),
    /// The ResNets' 3×3 max-pooling with stride 2 and padding 1.
    MaxPool,
    /// Convolutions added to a shortcut, which is the identity if there is none.
    Residual { branch: Vec<FoldedConv>, shortcut: Option<FoldedConv>, activation: Activation },
}

/// The map of one image, `[H, W, C]`.
#[derive(Debug)]
pub(crate) struct Map {
    values: Vec<f32>,
    height: usize,
    width: usize,
    channels: usize,
}

/// Buffers that one thread uses again and again: fresh ones of megabytes cost page faults.
#[derive(Debug, Default)]
struct Scratch(Vec<Vec<f32>>);

impl Scratch {
    /// A buffer of `len` values that the caller overwrites.
    fn take(&mut self, len: usize) -> Vec<f32> {
        let fitting = self.0.iter().position(|buffer| buffer.capacity() >= len);
        let mut buffer = match fitting {
            Some(index) => self.0.swap_remove(index),
            None => self.0.pop().unwrap_or_default(),
        };
        buffer.resize(len, 0.0);
        buffer
    }

    fn give(&mut self, buffer: Vec<f32>) {
        self.0.push(buffer);
    }
}

impl FoldedConv {
    /// `weight` is `[out, in, k, k]`, or `[C, 1, k, k]` depthwise, as PyTorch stores it.
    pub(crate) fn new(window: Window, weight: &[f32], bias: Vec<f32>, activation: Activation) -> Self {
        let outputs = bias.len();
        let filter = weight.len() / outputs;
        let area = window.kernel * window.kernel;
        let inputs = filter / area;
        let mut laid_out = vec![0.0; weight.len()];
        for (output, filter) in weight.chunks_exact(filter).enumerate() {
            for (input, taps) in filter.chunks_exact(area).enumerate() {
                for (tap, &value) in taps.iter().enumerate() {
                    laid_out[(tap * inputs + input) * outputs + output] = value;
                }
            }
        }
        Self { window, weight: laid_out, bias, activation }
    }

    fn run(&self, map: &Map, scratch: &mut Scratch) -> Map {
        let (height, width) = (self.window.positions(map.height), self.window.positions(map.width));
        let mut next = Map {
            values: scratch.take(height * width * self.bias.len()),
            height,
            width,
            channels: self.bias.len(),
        };
        if self.window.depthwise {
            self.run_depthwise(map, &mut next);
        } else {
            self.run_dense(map, &mut next, scratch);
        }
        next
    }

    fn run_depthwise(&self, map: &Map, next: &mut Map) {
        let layer = Depthwise {
            window: self.window,
            weight: &self.weight,
            bias: &self.bias,
            bounds: self.activation.bounds(),
            map: &map.values,
            size: [map.height, map.width],
            before: [self.window.border(map.height).0, self.window.border(map.width).0],
        };
        layer.run(&mut next.values);
    }

    /// A matrix product of pixels, or of the patches around them, with the weights, tile by tile.
    fn run_dense(&self, map: &Map, next: &mut Map, scratch: &mut Scratch) {
        let outputs = self.bias.len();
        let depth = self.weight.len() / outputs;
        // Patches and results of a tile stay in a second-level cache of 1 MB.
        let tile = (128 * 1024 / (depth + outputs)).clamp(32, 1024);
        let mut patches = scratch.take(if self.window.is_pointwise() { 0 } else { tile * depth });
        for (index, values) in next.values.chunks_mut(tile * outputs).enumerate() {
            let pixels = values.len() / outputs;
            let first = index * tile;
            let rows = if self.window.is_pointwise() {
                &map.values[first * depth..(first + pixels) * depth]
            } else {
                self.gather(map, next.width, first, &mut patches[..pixels * depth]);
                &patches[..pixels * depth]
            };
            // Row-major [pixels, out] = [pixels, depth] × [depth, out], seen by columns.
            matmul(
                MatMut::from_column_major_slice_mut(values, outputs, pixels),
                Accum::Replace,
                MatRef::from_column_major_slice(&self.weight, outputs, depth),
                MatRef::from_column_major_slice(rows, depth, pixels),
                1.0,
                Par::Seq,
            );
            let (low, high) = self.activation.bounds();
            for pixel in values.chunks_exact_mut(outputs) {
                for (value, bias) in pixel.iter_mut().zip(&self.bias) {
                    *value = (*value + bias).clamp(low, high);
                }
            }
        }
        scratch.give(patches);
    }

    /// Fills `patches`, `[pixels, k, k, in]`, with the windows of the output pixels from `first` on.
    fn gather(&self, map: &Map, width: usize, first: usize, patches: &mut [f32]) {
        let Window { kernel, stride, .. } = self.window;
        let (top, _) = self.window.border(map.height);
        let (left, _) = self.window.border(map.width);
        let run = kernel * map.channels;
        for (offset, patch) in patches.chunks_exact_mut(kernel * run).enumerate() {
            let (y, x) = ((first + offset) / width * stride, (first + offset) % width * stride);
            // Columns of the window within the map: a run of contiguous values.
            let from = left.saturating_sub(x);
            let to = (map.width + left).saturating_sub(x).min(kernel);
            for (ky, taps) in patch.chunks_exact_mut(run).enumerate() {
                let row = (y + ky).checked_sub(top).filter(|&row| row < map.height);
                let Some(row) = row.filter(|_| from < to) else {
                    taps.fill(0.0);
                    continue;
                };
                let start = (row * map.width + x + from - left) * map.channels;
                let (from, to) = (from * map.channels, to * map.channels);
                taps[..from].fill(0.0);
                taps[from..to].copy_from_slice(&map.values[start..start + to - from]);
                taps[to..].fill(0.0);
            }
        }
    }
}

impl Layer {
    fn run(&self, map: Map, scratch: &mut Scratch) -> Map {
        match self {
            Layer::Conv(conv) => {
                let next = conv.run(&map, scratch);
                scratch.give(map.values);
                next
            }
            Layer::MaxPool => {
                let next = max_pool(&map, scratch);
                scratch.give(map.values);
                next
            }
            Layer::Residual { branch, shortcut, activation } => {
                let (first, rest) = branch.split_first().expect("a branch has layers");
                let mut next = first.run(&map, scratch);
                for conv in rest {
                    let after = conv.run(&next, scratch);
                    scratch.give(std::mem::replace(&mut next, after).values);
                }
                let shortcut = match shortcut {
                    Some(conv) => {
                        let projected = conv.run(&map, scratch);
                        scratch.give(map.values);
                        projected
                    }
                    None => map,
                };
                let (low, high) = activation.bounds();
                for (value, skipped) in next.values.iter_mut().zip(&shortcut.values) {
                    *value = (*value + skipped).clamp(low, high);
                }
                scratch.give(shortcut.values);
                next
            }
        }
    }
}

/// 3×3, stride 2, padding 1; a window never lies wholly in the padding.
fn max_pool(map: &Map, scratch: &mut Scratch) -> Map {
    let (height, width) = (map.height.div_ceil(2), map.width.div_ceil(2));
    let mut values = scratch.take(height * width * map.channels);
    values.fill(f32::NEG_INFINITY);
    for (index, largest) in values.chunks_exact_mut(map.channels).enumerate() {
        let (y, x) = (index / width * 2, index % width * 2);
        for row in y.saturating_sub(1)..(y + 2).min(map.height) {
            for column in x.saturating_sub(1)..(x + 2).min(map.width) {
                let start = (row * map.width + column) * map.channels;
                for (largest, value) in largest.iter_mut().zip(&map.values[start..]) {
                    *largest = largest.max(*value);
                }
            }
        }
    }
    Map { values, height, width, channels: map.channels }
}

/// A network of folded layers.
#[derive(Debug)]
pub(crate) struct Folded {
    layers: Vec<Layer>,
    /// Mean over 2×2 after the last layer.
    pool: bool,
    scratch: Mutex<Vec<Scratch>>,
}

impl Folded {
    pub(crate) fn new(layers: Vec<Layer>, pool: bool) -> Self {
        Self { layers, pool, scratch: Mutex::new(Vec::new()) }
    }

    /// `images` `[B, 3, S, S]` to `maps` `[B, F, H, W]`, both flat, where `map` is `[F, H, W]`.
    pub(crate) fn run(&self, images: &[f32], size: [usize; 2], map: [usize; 3]) -> Vec<f32> {
        let image = 3 * size[0] * size[1];
        let len: usize = map.iter().product();
        let mut maps = vec![0.0; images.len() / image * len];
        maps.par_chunks_mut(len).zip(images.par_chunks(image)).for_each(|(out, image)| {
            let lock = || self.scratch.lock().expect("no thread panics while it holds the buffers");
            let mut scratch = lock().pop().unwrap_or_default();
            self.run_image(image, size, out, &mut scratch);
            lock().push(scratch);
        });
        maps
    }

    fn run_image(&self, image: &[f32], size: [usize; 2], out: &mut [f32], scratch: &mut Scratch) {
        let [height, width] = size;
        let mut values = scratch.take(image.len());
        for (channel, plane) in image.chunks_exact(height * width).enumerate() {
            for (pixel, &value) in values.chunks_exact_mut(3).zip(plane) {
                pixel[channel] = value;
            }
        }
        let image = Map { values, height, width, channels: 3 };
        let map = self.layers.iter().fold(image, |map, layer| layer.run(map, scratch));
        if self.pool {
            write_pooled(&map, out)
        } else {
            write_planes(&map, out)
        }
        scratch.give(map.values);
    }
}

/// `[H, W, C]` to `[C, H, W]`.
fn write_planes(map: &Map, out: &mut [f32]) {
    for (channel, plane) in out.chunks_exact_mut(map.height * map.width).enumerate() {
        for (value, pixel) in plane.iter_mut().zip(map.values.chunks_exact(map.channels)) {
            *value = pixel[channel];
        }
    }
}

/// `[H, W, C]` to the means over 2×2, `[C, H/2, W/2]`; an odd last row or column is left out.
fn write_pooled(map: &Map, out: &mut [f32]) {
    let (height, width) = (map.height / 2, map.width / 2);
    for (channel, plane) in out.chunks_exact_mut(height * width).enumerate() {
        for (index, value) in plane.iter_mut().enumerate() {
            let at = (index / width * 2 * map.width + index % width * 2) * map.channels + channel;
            let below = at + map.width * map.channels;
            let sum = map.values[at]
                + map.values[at + map.channels]
                + map.values[below]
                + map.values[below + map.channels];
            *value = sum / 4.0;
        }
    }
}
