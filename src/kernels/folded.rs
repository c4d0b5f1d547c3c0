//! Fast inference of a fixed backbone on the CPU.
//!
//! Each image runs through the whole network of [folded convolutions](super::folded_conv) on one thread; where there
//! are fewer images than threads, the tiles of a layer are shared out instead, with the same result. Exact up to
//! rounding; no gradients.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::kernels::folded_conv::{FoldedConv, Map, Scratch};
use crate::kernels::precision::Precision;
use crate::kernels::tiles::Tiles;

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

impl Layer {
    /// With the weights of its dense convolutions in another precision.
    pub fn in_precision(self, precision: Precision) -> Self {
        let convert = |conv: FoldedConv| conv.in_precision(precision);
        match self {
            Layer::Conv(conv) => Layer::Conv(convert(conv)),
            Layer::MaxPool => Layer::MaxPool,
            Layer::Residual { branch, shortcut } => Layer::Residual {
                branch: branch.into_iter().map(convert).collect(),
                shortcut: shortcut.map(convert),
            },
        }
    }

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
