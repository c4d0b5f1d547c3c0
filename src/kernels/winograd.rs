//! 3×3 convolutions with stride 1 over channels-last maps by minimal filtering, for the CPU.
//!
//! F(2×2, 3×3) of Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks"
//! (<https://arxiv.org/abs/1509.09308>, §4.1): each tile of 2×2 results comes from 4×4 pixels by 16
//! products for a pair of channels instead of 36. At each of these 16 points the tiles of a strip of rows
//! are one matrix product. Exact up to rounding; the transforms of map and results are sums only.
//!
//! F(4×4, 3×3) is left out: it multiplies 1.8 times less again, but its filters are 4 times the size of
//! the weights, and reading them makes it slower below 28×28 pixels.

use std::array::from_fn;
use std::sync::OnceLock;

use crate::kernels::fixed_weights::FixedWeights;
use crate::kernels::matrix::Matrix;
use crate::kernels::precision::Precision;
use crate::kernels::simd::{LANES, Lanes, multiversion, vectors, vectors_mut};
use crate::kernels::tiles::Tiles;

/// Side of a tile of results.
const RESULTS: usize = 2;

/// Side of the pixels that a tile needs: one more on every side.
const PIXELS: usize = RESULTS + 2;

/// Points at which the transformed pixels and filters are multiplied.
const POINTS: usize = PIXELS * PIXELS;

/// Most tiles of a strip, unless one row has more: those of a 28×28 map. Each strip reads all filters anew,
/// so that shorter ones are slower where there are many channels (14×14×512: two strips take 1.6 times as
/// long as one), while the buffers of longer ones leave the cache (112×112×64: one strip, up to 1.35 times).
const STRIP: usize = 200;

/// A convolution and the map that it reads.
pub struct Winograd<'a> {
    /// Of the layer.
    pub filters: &'a WinogradFilters,
    /// `[out]`.
    pub bias: &'a [f32],
    /// Smallest and largest result.
    pub bounds: (f32, f32),
    /// `[H, W, in]`.
    pub map: &'a [f32],
    /// H and W.
    pub size: [usize; 2],
    /// Added to the results before the bounds, `[H, W, out]`.
    pub shortcut: Option<&'a [f32]>,
}

/// The transformed filters of a layer, `[in, out]` at each of the 16 points.
#[derive(Debug)]
pub struct WinogradFilters {
    /// One for each point.
    points: Vec<FixedWeights>,
    taps: OnceLock<Option<FixedWeights>>,
}

impl WinogradFilters {
    /// Of `[out, in, 3, 3]`, as PyTorch stores them.
    pub fn new(weight: &[f32], outputs: usize) -> Self {
        let filters = transform_filters(weight, outputs);
        let points = filters.chunks_exact(filters.len() / POINTS);
        let points = points.map(|point| FixedWeights::new(point.to_vec(), outputs)).collect();
        Self { points, taps: OnceLock::new() }
    }

    /// In another precision.
    pub fn in_precision(self, precision: Precision) -> Self {
        let points = self.points.into_iter().map(|point| point.in_precision(precision)).collect();
        Self { points, taps: OnceLock::new() }
    }

    /// The filters before the transform, `[3 · 3 · in, out]`, up to rounding; none where they are not f32.
    /// They are made when they are first asked for.
    pub fn taps(&self, outputs: usize) -> Option<&FixedWeights> {
        self.taps.get_or_init(|| Some(FixedWeights::new(self.transformed_back()?, outputs))).as_ref()
    }

    fn transformed_back(&self) -> Option<Vec<f32>> {
        let points = self.points.iter().map(FixedWeights::as_f32).collect::<Option<Vec<_>>>()?;
        let line = |[a, b, c, d]: [f32; PIXELS]| [a, b - c, d];
        let len = points[0].len();
        let mut taps = vec![0.0; 9 * len];
        for index in 0..len {
            let columns: [_; PIXELS] = from_fn(|x| line(from_fn(|y| points[y * PIXELS + x][index])));
            for y in 0..3 {
                for (x, tap) in line(from_fn(|x| columns[x][y])).into_iter().enumerate() {
                    taps[(y * 3 + x) * len + index] = tap;
                }
            }
        }
        Some(taps)
    }
}

/// `[out, in, 3, 3]` to `[16, in, out]`.
fn transform_filters(weight: &[f32], outputs: usize) -> Vec<f32> {
    let inputs = weight.len() / (9 * outputs);
    let mut filters = vec![0.0; POINTS * inputs * outputs];
    for (index, (input, output)) in (0..inputs).flat_map(|i| (0..outputs).map(move |o| (i, o))).enumerate() {
        let taps = &weight[(output * inputs + input) * 9..][..9];
        let columns: [_; 3] = from_fn(|x| filter_line(from_fn(|y| f64::from(taps[y * 3 + x]))));
        for y in 0..PIXELS {
            for (x, value) in filter_line(from_fn(|x| columns[x][y])).into_iter().enumerate() {
                filters[(y * PIXELS + x) * inputs * outputs + index] = value as f32;
            }
        }
    }
    filters
}

impl Winograd<'_> {
    fn inputs(&self) -> usize {
        self.map.len() / (self.size[0] * self.size[1])
    }

    /// Tiles side by side.
    fn columns(&self) -> usize {
        self.size[1].div_ceil(RESULTS)
    }

    /// Rows of results of a strip. They do not depend on the cores, so that the results do not either.
    pub fn strip_rows(&self) -> usize {
        let rows = self.size[0].div_ceil(RESULTS);
        let most = (STRIP / self.columns()).max(1);
        rows.div_ceil(rows.div_ceil(most)) * RESULTS
    }

    /// Values that [`run`](Self::run) needs for a strip.
    pub fn buffer_len(&self) -> usize {
        POINTS * self.strip_rows() / RESULTS * self.columns() * (self.inputs() + self.bias.len())
    }

    /// Writes a strip of the results from the even row `first` on, `[rows, W, out]`.
    ///
    /// # Panics
    /// If the channels are not a multiple of 16.
    pub fn run(&self, first: usize, buffer: &mut [f32], out: &mut [f32], tiles: Tiles) {
        let (inputs, outputs, columns) = (self.inputs(), self.bias.len(), self.columns());
        assert!(
            inputs % LANES == 0 && outputs % LANES == 0,
            "{inputs} or {outputs} channels are not vectors"
        );
        let row = self.size[1] * outputs;
        let count = (out.len() / row).div_ceil(RESULTS) * columns;
        let (pixels, rest) = buffer.split_at_mut(count * POINTS * inputs);
        // [T, 16, in]
        tiles.each(pixels, columns * POINTS * inputs, |index, values| {
            transform_pixels(self, first + index * RESULTS, values);
        });
        // [16, T, out]
        let products = &mut rest[..POINTS * count * outputs];
        tiles.each(products, count * outputs, |point, values| {
            let pixels = Matrix::new(pixels, POINTS * inputs).columns(point * inputs, inputs);
            self.filters.points[point].product(values, pixels);
        });
        tiles.each(out, RESULTS * row, |index, values| {
            let row = from_fn(|point| {
                &products[(point * count + index * columns) * outputs..][..columns * outputs]
            });
            transform_products(self, first + index * RESULTS, row, values);
        });
    }
}

multiversion! {
    /// The pixels of one row of tiles, whose results start with row `top`, to `[columns, 16, in]`.
    transform_pixels(layer: &Winograd, top: usize, tiles: &mut [f32]) = transform_pixels_body
}

multiversion! {
    /// The products of one row of tiles, `[columns, out]` at each point, to the results from row `top` on,
    /// with bias, shortcut and bounds.
    transform_products(layer: &Winograd, top: usize, products: [&[f32]; POINTS], out: &mut [f32])
        = transform_products_body
}

#[inline(always)]
fn transform_pixels_body<const FUSED: bool>(layer: &Winograd, top: usize, tiles: &mut [f32]) {
    let [height, width] = layer.size;
    let map = vectors(layer.map);
    let groups = layer.inputs() / LANES;
    let padding = vec![[0.0; LANES]; groups];
    for (column, tile) in vectors_mut(tiles).chunks_exact_mut(POINTS * groups).enumerate() {
        let pixels: [&[Lanes]; POINTS] = from_fn(|point| {
            // Counted from the padding on, so that the map starts with 1.
            let (y, x) = (top + point / PIXELS, column * RESULTS + point % PIXELS);
            let inside = (1..=height).contains(&y) && (1..=width).contains(&x);
            if inside { &map[((y - 1) * width + x - 1) * groups..][..groups] } else { &padding }
        });
        for group in 0..groups {
            let mut square = [[[0.0; LANES]; PIXELS]; PIXELS];
            for (value, pixel) in square.as_flattened_mut().iter_mut().zip(pixels) {
                *value = pixel[group];
            }
            transform_square(&mut square);
            for (point, value) in square.as_flattened().iter().enumerate() {
                tile[point * groups + group] = *value;
            }
        }
    }
}

#[inline(always)]
fn transform_products_body<const FUSED: bool>(
    layer: &Winograd,
    top: usize,
    products: [&[f32]; POINTS],
    out: &mut [f32],
) {
    let width = layer.size[1];
    let bias = vectors(layer.bias);
    let (groups, out) = (bias.len(), vectors_mut(out));
    let rows = out.len() / (width * groups);
    let shortcut = layer.shortcut.map(|map| &vectors(map)[top * width * groups..][..out.len()]);
    let (low, high) = layer.bounds;
    for column in 0..layer.columns() {
        for (group, bias) in bias.iter().enumerate() {
            let mut square = [[[0.0; LANES]; PIXELS]; PIXELS];
            for (value, products) in square.as_flattened_mut().iter_mut().zip(products) {
                *value = vectors(products)[column * groups + group];
            }
            // Of the last tiles, only what lies on the map.
            for (y, row) in results(&square).into_iter().enumerate().take(rows) {
                for (x, value) in (column * RESULTS..width).zip(row) {
                    let at = (y * width + x) * groups + group;
                    let mut value = add(value, *bias);
                    if let Some(shortcut) = shortcut {
                        value = add(value, shortcut[at]);
                    }
                    out[at] = value.map(|value| value.clamp(low, high));
                }
            }
        }
    }
}

/// G g, for a line of taps.
fn filter_line([a, b, c]: [f64; 3]) -> [f64; PIXELS] {
    [a, (a + b + c) / 2.0, (a - b + c) / 2.0, c]
}

/// Bᵀ d, for a line of pixels.
#[inline(always)]
fn pixel_line([a, b, c, d]: [Lanes; PIXELS]) -> [Lanes; PIXELS] {
    [subtract(a, c), add(b, c), subtract(c, b), subtract(b, d)]
}

/// Aᵀ m, for a line of products.
#[inline(always)]
fn result_line([a, b, c, d]: [Lanes; PIXELS]) -> [Lanes; RESULTS] {
    [add(a, add(b, c)), subtract(subtract(b, c), d)]
}

/// Bᵀ d B.
#[inline(always)]
#[expect(clippy::needless_range_loop, reason = "x is a column of the square")]
fn transform_square(square: &mut [[Lanes; PIXELS]; PIXELS]) {
    for x in 0..PIXELS {
        let line = pixel_line([square[0][x], square[1][x], square[2][x], square[3][x]]);
        for y in 0..PIXELS {
            square[y][x] = line[y];
        }
    }
    for line in square {
        *line = pixel_line(*line);
    }
}

/// Aᵀ m A.
#[inline(always)]
fn results(square: &[[Lanes; PIXELS]; PIXELS]) -> [[Lanes; RESULTS]; RESULTS] {
    let mut rows = [[[0.0; LANES]; PIXELS]; RESULTS];
    for x in 0..PIXELS {
        let line = result_line([square[0][x], square[1][x], square[2][x], square[3][x]]);
        for y in 0..RESULTS {
            rows[y][x] = line[y];
        }
    }
    [result_line(rows[0]), result_line(rows[1])]
}

// Loops, because a closure is not vectorized for the processor that the function around it is for.
#[inline(always)]
fn add(mut a: Lanes, b: Lanes) -> Lanes {
    for lane in 0..LANES {
        a[lane] += b[lane];
    }
    a
}

#[inline(always)]
fn subtract(mut a: Lanes, b: Lanes) -> Lanes {
    for lane in 0..LANES {
        a[lane] -= b[lane];
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values between −1 and 1 without a period that a map could have.
    fn pattern(len: usize, step: f32) -> Vec<f32> {
        (0..len).map(|index| (index as f32 * step).sin()).collect()
    }

    /// The definition, with padding 1, in f64.
    fn convolve(layer: &Winograd, weight: &[f32]) -> Vec<f64> {
        let ([height, width], inputs, outputs) = (layer.size, layer.inputs(), layer.bias.len());
        let result = |index: usize| {
            let (y, x, output) = (index / outputs / width, index / outputs % width, index % outputs);
            let mut sum =
                f64::from(layer.bias[output]) + layer.shortcut.map_or(0.0, |map| f64::from(map[index]));
            for (tap, (row, column)) in (0..9).map(|tap| (tap, (y + tap / 3, x + tap % 3))) {
                if (1..=height).contains(&row) && (1..=width).contains(&column) {
                    let pixel = &layer.map[((row - 1) * width + column - 1) * inputs..][..inputs];
                    let taps = weight[output * inputs * 9 + tap..].iter().step_by(9);
                    sum += pixel.iter().zip(taps).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                }
            }
            sum.clamp(f64::from(layer.bounds.0), f64::from(layer.bounds.1))
        };
        (0..height * width * outputs).map(result).collect()
    }

    fn run(layer: &Winograd, tiles: Tiles) -> Vec<f32> {
        let row = layer.size[1] * layer.bias.len();
        let mut out = vec![f32::NAN; layer.size[0] * row];
        tiles.each(&mut out, layer.strip_rows() * row, |index, values| {
            let mut buffer = vec![f32::NAN; layer.buffer_len()];
            layer.run(index * layer.strip_rows(), &mut buffer, values, tiles);
        });
        out
    }

    fn equals_the_definition(size: [usize; 2], [inputs, outputs]: [usize; 2], bounds: (f32, f32)) {
        let pixels = size[0] * size[1];
        let weight = pattern(outputs * inputs * 9, 0.37);
        let (filters, bias) = (WinogradFilters::new(&weight, outputs), pattern(outputs, 1.3));
        let (map, shortcut) = (pattern(pixels * inputs, 0.71), pattern(pixels * outputs, 2.9));
        for shortcut in [None, Some(&shortcut[..])] {
            let layer = Winograd { filters: &filters, bias: &bias, bounds, map: &map, size, shortcut };
            let expected = convolve(&layer, &weight);
            let largest = expected.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
            let out = run(&layer, Tiles::InTurn);
            let errors = out.iter().zip(&expected).map(|(out, exact)| (f64::from(*out) - exact).abs());
            let error = errors.fold(0.0, f64::max) / largest;
            // A few roundings of sums of up to 9 · 128 terms; measured: up to 4e-7.
            assert!(error < 2e-6, "{size:?} {inputs} {outputs}: {error:e}");
            assert!(out == run(&layer, Tiles::InParallel), "{size:?} {inputs} {outputs}");
        }
    }

    #[test]
    fn every_size_equals_the_definition_on_one_core_and_on_all() {
        let all = (f32::NEG_INFINITY, f32::INFINITY);
        for height in [1, 2, 3, 8, 15] {
            for width in [1, 2, 5, 17] {
                equals_the_definition([height, width], [16, 32], all);
            }
        }
        equals_the_definition([7, 6], [128, 48], (0.0, f32::INFINITY));
        equals_the_definition([5, 4], [16, 128], (-5.0, 5.0));
        // Several strips, the last one shorter and of odd height; one row of tiles that is a strip.
        equals_the_definition([37, 31], [16, 16], all);
        equals_the_definition([3, 2 * STRIP + 3], [16, 16], all);
    }

    #[test]
    fn filters_transformed_back_are_the_taps() {
        let weight = pattern(16 * 32 * 9, 0.37);
        let filters = WinogradFilters::new(&weight, 16);
        let taps = filters.taps(16).and_then(FixedWeights::as_f32).expect("f32").to_vec();
        for (index, value) in weight.iter().enumerate() {
            let (output, input, tap) = (index / 9 / 32, index / 9 % 32, index % 9);
            let back = taps[(tap * 32 + input) * 16 + output];
            assert!((back - value).abs() < 2e-7, "{index}: {back}, {value}");
        }
        assert!(filters.in_precision(Precision::Bf16).taps(16).is_none());
    }

    #[test]
    fn every_processor_transforms_alike() {
        let (map, bias) = (pattern(5 * 7 * 32, 0.71), pattern(16, 1.3));
        let bounds = (0.0, 6.0);
        let filters = WinogradFilters::new(&pattern(16 * 32 * 9, 0.37), 16);
        let layer =
            Winograd { filters: &filters, bias: &bias, bounds, map: &map, size: [5, 7], shortcut: None };
        let mut tiles = [(); 2].map(|()| vec![f32::NAN; 4 * POINTS * 32]);
        transform_pixels(&layer, 2, &mut tiles[0]);
        transform_pixels_body::<false>(&layer, 2, &mut tiles[1]);
        assert!(tiles[0] == tiles[1]);
        let products = pattern(POINTS * 4 * 16, 0.9);
        let products: [&[f32]; POINTS] = from_fn(|point| &products[point * 4 * 16..][..4 * 16]);
        let mut out = [(); 2].map(|()| vec![f32::NAN; 7 * 16]);
        transform_products(&layer, 4, products, &mut out[0]);
        transform_products_body::<false>(&layer, 4, products, &mut out[1]);
        assert!(out[0] == out[1]);
    }
}
