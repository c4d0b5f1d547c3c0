//! A depthwise convolution with bias and activation over channels-last maps, for the CPU.
//!
//! One vector of channels at a time walks along a row, four pixels abreast, so that every tap that
//! is loaded is used four times. The same body is compiled for AVX-512, for AVX2 with FMA and for
//! the baseline, and the best one that the processor has is taken when it runs.

use std::ops::Range;

use crate::kernels::simd::{LANES, Lanes, multiply_add, multiversion, vectors, vectors_mut};
use crate::kernels::window::Window;

/// Pixels that are handled together away from the left and right border.
const ABREAST: usize = 4;

/// A convolution and the map that it reads.
pub struct Depthwise<'a> {
    /// The geometry.
    pub window: Window,
    /// `[k, k, C]`.
    pub weight: &'a [f32],
    /// `[C]`.
    pub bias: &'a [f32],
    /// Smallest and largest result.
    pub bounds: (f32, f32),
    /// `[H, W, C]`.
    pub map: &'a [f32],
    /// H and W.
    pub size: [usize; 2],
    /// Rows of zeros above and columns left of the map.
    pub before: [usize; 2],
}

impl Depthwise<'_> {
    /// Writes rows of the result from `first` on, `[rows, W', C]`.
    ///
    /// # Panics
    /// If the channels are not a multiple of 16.
    pub fn run(&self, first: usize, out: &mut [f32]) {
        assert_eq!(self.bias.len() % LANES, 0, "depthwise layers here have a multiple of {LANES} channels");
        rows(self, first, out);
    }

    #[inline(always)]
    fn rows<const FUSED: bool>(&self, first: usize, out: &mut [f32]) {
        let groups = self.bias.len() / LANES;
        let stride = self.window.stride;
        let [height, width] = self.size;
        let [top, left] = self.before;
        let out_width = self.window.positions(width);
        for (y, row) in (first..).zip(vectors_mut(out).chunks_exact_mut(out_width * groups)) {
            let rows = self.taps_inside(y * stride, top, height);
            for group in 0..groups {
                let mut x = 0;
                while x < out_width {
                    let last = (x + ABREAST - 1) * stride;
                    let inside = x * stride >= left && last + self.window.kernel <= width + left;
                    if inside && x + ABREAST <= out_width {
                        let columns = 0..self.window.kernel;
                        let sums = self.pixels::<ABREAST, FUSED>([y, x], rows.clone(), columns, group);
                        for (n, sum) in sums.into_iter().enumerate() {
                            row[(x + n) * groups + group] = sum;
                        }
                        x += ABREAST;
                    } else {
                        let columns = self.taps_inside(x * stride, left, width);
                        let [sum] = self.pixels::<1, FUSED>([y, x], rows.clone(), columns, group);
                        row[x * groups + group] = sum;
                        x += 1;
                    }
                }
            }
        }
    }

    /// Taps of a window at `start` of the padded map that lie on the map itself.
    #[inline(always)]
    fn taps_inside(&self, start: usize, before: usize, size: usize) -> Range<usize> {
        before.saturating_sub(start)..(size + before).saturating_sub(start).min(self.window.kernel)
    }

    /// N neighboring results from the taps `rows` × `columns`, for one vector of channels.
    #[inline(always)]
    fn pixels<const N: usize, const FUSED: bool>(
        &self,
        [y, x]: [usize; 2],
        rows: Range<usize>,
        columns: Range<usize>,
        group: usize,
    ) -> [Lanes; N] {
        let (map, weight, bias) = (vectors(self.map), vectors(self.weight), vectors(self.bias));
        let groups = bias.len();
        let Window { kernel, stride, .. } = self.window;
        let width = self.size[1];
        let [top, left] = self.before;
        let mut sums = [bias[group]; N];
        for ky in rows {
            let line = (y * stride + ky - top) * width;
            for kx in columns.clone() {
                let tap = weight[(ky * kernel + kx) * groups + group];
                let start = (line + x * stride + kx - left) * groups + group;
                for (n, sum) in sums.iter_mut().enumerate() {
                    let value = &map[start + n * stride * groups];
                    *sum =
                        std::array::from_fn(|lane| multiply_add::<FUSED>(value[lane], tap[lane], sum[lane]));
                }
            }
        }
        let (low, high) = self.bounds;
        sums.map(|sum| sum.map(|value| value.clamp(low, high)))
    }
}

#[inline(always)]
fn rows_body<const FUSED: bool>(layer: &Depthwise<'_>, first: usize, out: &mut [f32]) {
    layer.rows::<FUSED>(first, out);
}

multiversion! {
    /// [`Depthwise::rows`] as the processor does it best.
    rows(layer: &Depthwise<'_>, first: usize, out: &mut [f32]) = rows_body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::window::Padding;

    /// Values whose products are exact in f32, so that every order of summation agrees.
    fn pattern(len: usize, step: usize) -> Vec<f32> {
        (0..len).map(|index| (index * step % 17) as f32 - 8.0).collect()
    }

    fn equals_the_definition(kernel: usize, stride: usize, [height, width]: [usize; 2]) {
        let channels = 32;
        let window = Window { kernel, stride, padding: Padding::Same, depthwise: true };
        let (map, weight, bias) = (
            pattern(height * width * channels, 7),
            pattern(kernel * kernel * channels, 5),
            pattern(channels, 3),
        );
        let (top, left) = (window.border(height).0, window.border(width).0);
        let layer = Depthwise {
            window,
            weight: &weight,
            bias: &bias,
            bounds: (-50.0, 50.0),
            map: &map,
            size: [height, width],
            before: [top, left],
        };
        let (rows, columns) = (window.positions(height), window.positions(width));
        let mut expected = vec![0.0; rows * columns * channels];
        for (index, value) in expected.iter_mut().enumerate() {
            let (y, x, c) = (index / channels / columns, index / channels % columns, index % channels);
            let mut sum = bias[c];
            for tap in 0..kernel * kernel {
                let (row, column) = (y * stride + tap / kernel, x * stride + tap % kernel);
                if (top..top + height).contains(&row) && (left..left + width).contains(&column) {
                    let at = (row - top) * width + column - left;
                    sum += map[at * channels + c] * weight[tap * channels + c];
                }
            }
            *value = sum.clamp(-50.0, 50.0);
        }
        let mut best = vec![f32::NAN; expected.len()];
        layer.run(0, &mut best);
        assert_eq!(best, expected, "{kernel} {stride}");
        let mut baseline = vec![f32::NAN; expected.len()];
        layer.rows::<false>(0, &mut baseline);
        assert_eq!(baseline, expected, "{kernel} {stride}");
        assert!(expected.contains(&50.0) && expected.iter().any(|value| value.abs() < 50.0));
    }

    #[test]
    fn every_kernel_stride_and_border_equals_the_definition() {
        for kernel in [3, 5] {
            for stride in [1, 2] {
                for size in [[11, 13], [8, 12], [3, 2]] {
                    equals_the_definition(kernel, stride, size);
                }
            }
        }
    }
}
