//! A depthwise convolution with bias and activation over channels-last maps, for the CPU.
//!
//! One vector of channels at a time walks along a row, several pixels abreast, so that every tap that
//! is loaded is used several times. For AVX-512 there are instructions chosen by hand, 1.3 to 3 times as fast as what
//! the compiler makes of the body that AVX2 with FMA and the baseline have; which one is taken when it runs.

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
    /// If the channels are not a multiple of 16, the kernel is not 3 or 5, or the stride is not 1 or 2.
    pub fn run(&self, first: usize, out: &mut [f32]) {
        assert_eq!(self.bias.len() % LANES, 0, "depthwise layers here have a multiple of {LANES} channels");
        assert!(matches!(self.window.kernel, 3 | 5) && matches!(self.window.stride, 1 | 2));
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions.
            return unsafe { avx512::rows(self, first, out) };
        }
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

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;
    use std::ops::Range;

    use super::{Depthwise, LANES};

    /// [`Depthwise::run`].
    #[target_feature(enable = "avx512f")]
    pub fn rows(layer: &Depthwise<'_>, first: usize, out: &mut [f32]) {
        match (layer.window.kernel, layer.window.stride) {
            (3, 1) => rows_of::<3, 1>(layer, first, out),
            (3, _) => rows_of::<3, 2>(layer, first, out),
            (_, 1) => rows_of::<5, 1>(layer, first, out),
            _ => rows_of::<5, 2>(layer, first, out),
        }
    }

    /// Those of kernels of K × K with stride S.
    #[target_feature(enable = "avx512f")]
    fn rows_of<const K: usize, const S: usize>(layer: &Depthwise<'_>, first: usize, out: &mut [f32]) {
        let channels = layer.bias.len();
        let ([height, width], [top, left]) = (layer.size, layer.before);
        let out_width = layer.window.positions(width);
        for (y, row) in (first..).zip(out.chunks_exact_mut(out_width * channels)) {
            let rows = layer.taps_inside(y * S, top, height);
            for channel in (0..channels).step_by(LANES) {
                let mut x = 0;
                while x < out_width {
                    let inside = |count: usize| {
                        x + count <= out_width && x * S >= left && (x + count - 1) * S + K <= width + left
                    };
                    let abreast = [8, 4, 2].into_iter().find(|&count| inside(count)).unwrap_or(1);
                    let columns = layer.taps_inside(x * S, left, width);
                    let taps = Taps { at: [y * S, x * S], rows: rows.clone(), columns, channel };
                    let to = &mut row[x * channels + channel..];
                    match abreast {
                        8 => pixels::<8, K, S>(layer, taps.whole_lines::<K>(), to),
                        4 => pixels::<4, K, S>(layer, taps.whole_lines::<K>(), to),
                        2 => pixels::<2, K, S>(layer, taps.whole_lines::<K>(), to),
                        _ => pixels::<1, K, S>(layer, taps, to),
                    }
                    x += abreast;
                }
            }
        }
    }

    /// The taps of a window that lie on the map, for 16 channels.
    struct Taps {
        /// Where the window starts in the padded map.
        at: [usize; 2],
        rows: Range<usize>,
        columns: Range<usize>,
        /// The first channel.
        channel: usize,
    }

    impl Taps {
        /// Of a window that is known not to cross the left and the right border: how many columns there are is then known
        /// when this is compiled.
        #[inline(always)]
        fn whole_lines<const K: usize>(self) -> Self {
            Self { columns: 0..K, ..self }
        }
    }

    /// N neighboring results, each from the same taps.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn pixels<const N: usize, const K: usize, const S: usize>(
        layer: &Depthwise<'_>,
        taps: Taps,
        to: &mut [f32],
    ) {
        let Depthwise { weight, bias, bounds, map, size: [_, width], before: [top, left], .. } = *layer;
        let Taps { at: [y, x], rows, columns, channel } = taps;
        let (channels, line) = (bias.len(), width * bias.len());
        let start = (y + rows.start - top) * line + (x + columns.start - left) * channels + channel;
        let end = start + (rows.len() - 1) * line + ((N - 1) * S + columns.len() - 1) * channels + LANES;
        assert!(end <= map.len() && channel + LANES <= channels && rows.end <= K && columns.end <= K);
        assert!(weight.len() == K * K * channels && to.len() >= (N - 1) * channels + LANES);
        // SAFETY: whatever is read of the map lies before `end`, and the taps and results as asserted.
        unsafe {
            let mut sums = [_mm512_loadu_ps(bias.as_ptr().add(channel)); N];
            for (row, ky) in rows.enumerate() {
                let map = map.as_ptr().add(start + row * line);
                let taps = weight.as_ptr().add((ky * K + columns.start) * channels + channel);
                for kx in 0..columns.len() {
                    let tap = _mm512_loadu_ps(taps.add(kx * channels));
                    for (n, sum) in sums.iter_mut().enumerate() {
                        let value = _mm512_loadu_ps(map.add((n * S + kx) * channels));
                        *sum = _mm512_fmadd_ps(value, tap, *sum);
                    }
                }
            }
            let [low, high] = [bounds.0, bounds.1].map(|bound| _mm512_set1_ps(bound));
            for (n, sum) in sums.into_iter().enumerate() {
                // In this order what is not a number stays so.
                let bounded = _mm512_min_ps(high, _mm512_max_ps(low, sum));
                _mm512_storeu_ps(to.as_mut_ptr().add(n * channels), bounded);
            }
        }
    }
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
        let mut compiled = vec![f32::NAN; expected.len()];
        super::rows(&layer, 0, &mut compiled);
        assert_eq!(compiled, expected, "{kernel} {stride}");
        let cut = expected.iter().filter(|value| value.abs() == 50.0).count();
        assert!(height * width == 1 || (1..expected.len()).contains(&cut), "{kernel} {stride}");
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        let window = Window { kernel: 3, stride: 1, padding: Padding::Same, depthwise: true };
        let mut map = vec![1.0; 16];
        map[3] = f32::NAN;
        let (weight, bias) = (vec![1.0; 9 * 16], vec![0.0; 16]);
        let layer = Depthwise {
            window,
            weight: &weight,
            bias: &bias,
            bounds: (0.0, 6.0),
            map: &map,
            size: [1, 1],
            before: [1, 1],
        };
        let mut out = vec![0.0; 16];
        layer.run(0, &mut out);
        assert!(out[3].is_nan() && out[4] == 1.0, "{out:?}");
    }

    #[test]
    fn every_kernel_stride_and_border_equals_the_definition() {
        for kernel in [3, 5] {
            for stride in [1, 2] {
                for size in [[11, 13], [8, 12], [3, 2], [5, 30], [1, 1]] {
                    equals_the_definition(kernel, stride, size);
                }
            }
        }
    }
}
