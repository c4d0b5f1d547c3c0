//! Fast inference of a fixed backbone on the CPU.
//!
//! Batch normalization is folded into the convolutions, and maps lie channels last: a dense convolution
//! is then a matrix product over rows of pixels, or sixteen smaller ones ([`super::winograd`]), a depthwise
//! one a loop over vectors of channels, and bias and activation are applied while a tile is still in the
//! cache. Each image runs through the whole network on one thread; where there are fewer images than
//! threads, the tiles of a layer are shared out instead, with the same result. Exact up to rounding; no
//! gradients.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::kernels::activation::Activation;
use crate::kernels::depthwise::Depthwise;
use crate::kernels::patches::Patches;
use crate::kernels::product::{Accum, Cores, Matrix, MatrixMut, product};
use crate::kernels::simd::LANES;
use crate::kernels::tiles::Tiles;
use crate::kernels::window::Window;
use crate::kernels::winograd::{Winograd, transform_filters};

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
    /// `[k, k, in, out]`, multiplied with the patches around pixels.
    Patches(Vec<f32>),
    /// As [`transform_filters`] leaves them, 16/9 times as large.
    Winograd(Vec<f32>),
}

/// One step of a network.
#[derive(Debug)]
pub enum Layer {
    /// A convolution.
    Conv(FoldedConv),
    /// The ResNets' 3×3 max-pooling with stride 2 and padding 1.
    MaxPool,
    /// Convolutions, and a shortcut (the identity if there is none) that is added before the activation of
    /// the last of them.
    Residual { branch: Vec<FoldedConv>, shortcut: Option<FoldedConv> },
}

/// The map of one image, `[H, W, C]`.
#[derive(Debug)]
pub struct Map {
    values: Vec<f32>,
    height: usize,
    width: usize,
    channels: usize,
}

/// Buffers that are used again and again: fresh ones of megabytes cost page faults.
#[derive(Debug, Default)]
struct Scratch {
    maps: Vec<Vec<f32>>,
    /// For the tiles of a layer, as many as there are threads at work on it.
    tiles: Mutex<Vec<Vec<f32>>>,
}

impl Scratch {
    /// A buffer of `len` values that the caller overwrites.
    fn take(&mut self, len: usize) -> Vec<f32> {
        let fitting = self.maps.iter().position(|buffer| buffer.capacity() >= len);
        let mut buffer = match fitting {
            Some(index) => self.maps.swap_remove(index),
            None => self.maps.pop().unwrap_or_default(),
        };
        buffer.resize(len, 0.0);
        buffer
    }

    fn give(&mut self, buffer: Vec<f32>) {
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
        } else if winograd_pays(window, [filter / area, outputs]) {
            Weight::Winograd(transform_filters(weight, outputs))
        } else {
            Weight::Patches(taps_first(weight, outputs, area))
        };
        Self { window, weight, bias, activation }
    }

    fn shape(&self, [height, width, _]: [usize; 3]) -> [usize; 3] {
        [self.window.positions(height), self.window.positions(width), self.bias.len()]
    }

    /// The next map; `shortcut` is added before the activation.
    fn run(&self, map: &Map, shortcut: Option<&Map>, scratch: &mut Scratch, tiles: Tiles) -> Map {
        let [height, width, channels] = self.shape([map.height, map.width, map.channels]);
        let mut next = Map { values: scratch.take(height * width * channels), height, width, channels };
        let shortcut = shortcut.map(|map| &map.values[..]);
        match &self.weight {
            Weight::Depthwise(weight) => {
                assert!(shortcut.is_none(), "no branch here ends with a depthwise layer");
                self.run_depthwise(weight, map, &mut next, tiles);
            }
            Weight::Patches(weight) => self.run_patches(weight, map, &mut next, shortcut, scratch, tiles),
            Weight::Winograd(filters) => self.run_winograd(filters, map, &mut next, shortcut, scratch, tiles),
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
        weight: &[f32],
        map: &Map,
        next: &mut Map,
        shortcut: Option<&[f32]>,
        scratch: &Scratch,
        tiles: Tiles,
    ) {
        let outputs = self.bias.len();
        let depth = weight.len() / outputs;
        let tile = tiles.pixels(next.height * next.width, depth + outputs);
        let (window, channels) = (self.window, map.channels);
        let windows = Patches { window, height: map.height, width: map.width, channels };
        tiles.each(&mut next.values, tile * outputs, |index, values| {
            let first = index * tile;
            let shortcut = shortcut.map(|skipped| &skipped[first * outputs..][..values.len()]);
            let len = values.len() / outputs * depth;
            // [pixels, out] = [pixels, depth] × [depth, out]
            let mut multiply = |rows: &[f32]| {
                let (rows, weight) = (Matrix::new(rows, depth), Matrix::new(weight, outputs));
                product(MatrixMut::new(values, outputs), Accum::Replace, rows, weight, Cores::One);
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
        filters: &[f32],
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

/// Whether a dense layer is computed by Winograd's algorithm: every one that it can compute and that has
/// whole vectors of channels. Measured with AVX-512, as times faster than patches: 112×112×64 1.6,
/// 56×56×128 1.6, 28×28×256 1.8, 14×14×512 1.6 (ResNet-101 on 448 pixels), with 16 channels 1.4. Below
/// 10×10 pixels it is slower (7×7×512 0.75, two of the last layers on 224 pixels), but weights are laid out
/// before they see a map.
fn winograd_pays(window: Window, channels: [usize; 2]) -> bool {
    let [inputs, outputs] = channels;
    let fits = window.kernel == 3 && window.stride == 1 && !window.depthwise;
    fits && inputs % LANES == 0 && outputs % LANES == 0
}

impl Layer {
    /// `[H, W, C]` of its output from that of its input.
    fn shape(&self, [height, width, channels]: [usize; 3]) -> [usize; 3] {
        match self {
            Layer::Conv(conv) => conv.shape([height, width, channels]),
            Layer::MaxPool => [height.div_ceil(2), width.div_ceil(2), channels],
            Layer::Residual { branch, .. } => {
                branch.iter().fold([height, width, channels], |shape, conv| conv.shape(shape))
            }
        }
    }

    fn run(&self, map: Map, scratch: &mut Scratch, tiles: Tiles) -> Map {
        match self {
            Layer::Conv(conv) => {
                let next = conv.run(&map, None, scratch, tiles);
                scratch.give(map.values);
                next
            }
            Layer::MaxPool => {
                let next = max_pool(&map, scratch, tiles);
                scratch.give(map.values);
                next
            }
            Layer::Residual { branch, shortcut } => {
                let shortcut = shortcut.as_ref().map(|conv| conv.run(&map, None, scratch, tiles));
                let (last, before) = branch.split_last().expect("a branch has layers");
                let mut inner: Option<Map> = None;
                for conv in before {
                    let after = conv.run(inner.as_ref().unwrap_or(&map), None, scratch, tiles);
                    if let Some(done) = inner.replace(after) {
                        scratch.give(done.values);
                    }
                }
                let skipped = shortcut.as_ref().unwrap_or(&map);
                let next = last.run(inner.as_ref().unwrap_or(&map), Some(skipped), scratch, tiles);
                [Some(map), shortcut, inner].into_iter().flatten().for_each(|map| scratch.give(map.values));
                next
            }
        }
    }
}

/// Adds bias and shortcut to `[pixels, out]` and applies the activation.
fn finish(values: &mut [f32], bias: &[f32], shortcut: Option<&[f32]>, (low, high): (f32, f32)) {
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

/// 3×3, stride 2, padding 1; a window never lies wholly in the padding.
fn max_pool(map: &Map, scratch: &mut Scratch, tiles: Tiles) -> Map {
    let (height, width, channels) = (map.height.div_ceil(2), map.width.div_ceil(2), map.channels);
    let mut values = scratch.take(height * width * channels);
    tiles.each(&mut values, width * channels, |y, row| {
        row.fill(f32::NEG_INFINITY);
        for (x, largest) in row.chunks_exact_mut(channels).enumerate() {
            for row in (2 * y).saturating_sub(1)..(2 * y + 2).min(map.height) {
                for column in (2 * x).saturating_sub(1)..(2 * x + 2).min(map.width) {
                    let start = (row * map.width + column) * channels;
                    for (largest, value) in largest.iter_mut().zip(&map.values[start..]) {
                        *largest = largest.max(*value);
                    }
                }
            }
        }
    });
    Map { values, height, width, channels }
}

/// A network of folded layers.
#[derive(Debug)]
pub struct Folded {
    layers: Vec<Layer>,
    /// Mean over 2×2 after the last layer.
    pool: bool,
    scratch: Mutex<Vec<Scratch>>,
}

impl Folded {
    pub fn new(layers: Vec<Layer>, pool: bool) -> Self {
        Self { layers, pool, scratch: Mutex::new(Vec::new()) }
    }

    /// How many layers there are.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Normalized images to maps, on the CPU, `[B, 3, S, S] -> [B, F, H, W]`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        self.forward_through(0..self.layers.len(), images)
    }

    /// Some of the layers, `[B, C, H, W] -> [B, C', H', W']`; what follows the last of all is done after it.
    pub fn forward_through(&self, layers: Range<usize>, maps: Tensor<4>) -> Tensor<4> {
        let pool = self.pool && layers.end == self.layers.len();
        let write: fn(&Map, &mut [f32]) = if pool { write_pooled } else { write_planes };
        let (maps, [rows, columns, channels]) = self.run(&self.layers[layers], pool, maps, write);
        let batch = maps.len() / (rows * columns * channels);
        Tensor::from_data(TensorData::new(maps, [batch, channels, rows, columns]), &Device::flex())
    }

    /// The same channels last and never pooled, `[B, 3, S, S] -> [B, H, W, F]`.
    pub fn forward_rows(&self, images: Tensor<4>) -> Tensor<4> {
        let copy = |map: &Map, out: &mut [f32]| out.copy_from_slice(&map.values);
        let (maps, [rows, columns, channels]) = self.run(&self.layers, false, images, copy);
        let batch = maps.len() / (rows * columns * channels);
        Tensor::from_data(TensorData::new(maps, [batch, rows, columns, channels]), &Device::flex())
    }

    /// Runs every image through the layers and lets `write` put its last map, half as large with `pool`, where
    /// it belongs; `[H, W, C]` of that.
    fn run(
        &self,
        layers: &[Layer],
        pool: bool,
        images: Tensor<4>,
        write: impl Fn(&Map, &mut [f32]) + Sync,
    ) -> (Vec<f32>, [usize; 3]) {
        let [batch, depth, height, width] = images.dims();
        let images: Vec<f32> = images.into_data().try_into_vec().expect("images are f32 tensors");
        let [rows, columns, channels] =
            layers.iter().fold([height, width, depth], |shape, layer| layer.shape(shape));
        let [rows, columns] = if pool { [rows / 2, columns / 2] } else { [rows, columns] };
        let mut maps = vec![0.0; batch * channels * rows * columns];
        let (of_map, of_image) = (channels * rows * columns, depth * height * width);
        let run = |scratch: &mut Scratch, (out, image): (&mut [f32], &[f32]), tiles| {
            let map = run_image(layers, image, [height, width], scratch, tiles);
            write(&map, out);
            scratch.give(map.values);
        };
        if batch >= rayon::current_num_threads() {
            maps.par_chunks_mut(of_map).zip(images.par_chunks(of_image)).for_each(|pair| {
                let mut scratch = self.lent_scratch();
                run(&mut scratch, pair, Tiles::InTurn);
                self.scratch().push(scratch);
            });
        } else {
            // On one of rayon's threads, so that it computes its share of every layer itself: handed over
            // from outside, each of a hundred layers would wait for two threads to wake.
            rayon::scope(|_| {
                let mut scratch = self.lent_scratch();
                maps.chunks_mut(of_map)
                    .zip(images.chunks(of_image))
                    .for_each(|pair| run(&mut scratch, pair, Tiles::InParallel));
                self.scratch().push(scratch);
            });
        }
        (maps, [rows, columns, channels])
    }

    fn lent_scratch(&self) -> Scratch {
        self.scratch().pop().unwrap_or_default()
    }

    fn scratch(&self) -> MutexGuard<'_, Vec<Scratch>> {
        self.scratch.lock().expect("no thread panics while it holds the buffers")
    }
}

/// One image, or map of one, `[C, H, W]`, through the layers.
fn run_image(
    layers: &[Layer],
    image: &[f32],
    [height, width]: [usize; 2],
    scratch: &mut Scratch,
    tiles: Tiles,
) -> Map {
    let channels = image.len() / (height * width);
    let mut values = scratch.take(image.len());
    tiles.each(&mut values, channels * width, |y, row| {
        for (channel, plane) in image.chunks_exact(height * width).enumerate() {
            for (pixel, &value) in row.chunks_exact_mut(channels).zip(&plane[y * width..]) {
                pixel[channel] = value;
            }
        }
    });
    let image = Map { values, height, width, channels };
    layers.iter().fold(image, |map, layer| layer.run(map, scratch, tiles))
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
