//! The windows of a convolution as rows of a matrix, so that the convolution is one product.

use crate::kernels::window::Window;

/// A map in memory, `[H, W, C]`, and the window that passes over it.
#[derive(Debug, Clone, Copy)]
pub struct Patches {
    pub window: Window,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Patches {
    /// Output positions, rows and columns.
    pub fn positions(&self) -> [usize; 2] {
        [self.window.positions(self.height), self.window.positions(self.width)]
    }

    /// Values of one window, k · k · C.
    pub fn depth(&self) -> usize {
        self.window.kernel * self.window.kernel * self.channels
    }

    /// Fills `patches`, `[n, k, k, C]`, with the windows at the n output positions from `first` on.
    pub fn gather(&self, map: &[f32], first: usize, patches: &mut [f32]) {
        self.runs(first, patches.len(), |at, taken| match taken {
            Run::Outside => patches[at].fill(0.0),
            Run::Inside(from) => patches[at.clone()].copy_from_slice(&map[from..from + at.len()]),
        });
    }

    /// The adjoint of [`gather`](Self::gather): adds every value of `patches` to where it came from.
    pub fn scatter(&self, patches: &[f32], first: usize, map: &mut [f32]) {
        self.runs(first, patches.len(), |at, taken| {
            if let Run::Inside(from) = taken {
                let to = &mut map[from..from + at.len()];
                to.iter_mut().zip(&patches[at]).for_each(|(sum, value)| *sum += value);
            }
        });
    }

    /// Calls `each` for every run of contiguous values of `len` values of patches: the places it takes
    /// there, and where it lies in the map.
    fn runs(&self, first: usize, len: usize, mut each: impl FnMut(std::ops::Range<usize>, Run)) {
        let Window { kernel, stride, .. } = self.window;
        let (top, _) = self.window.border(self.height);
        let (left, _) = self.window.border(self.width);
        let [_, columns] = self.positions();
        let row_len = kernel * self.channels;
        for patch in 0..len / self.depth() {
            let (y, x) = ((first + patch) / columns * stride, (first + patch) % columns * stride);
            // Columns of the window within the map.
            let from = left.saturating_sub(x);
            let to = (self.width + left).saturating_sub(x).min(kernel);
            for ky in 0..kernel {
                let start = (patch * kernel + ky) * row_len;
                let row = (y + ky).checked_sub(top).filter(|&row| row < self.height);
                let Some(row) = row.filter(|_| from < to) else {
                    each(start..start + row_len, Run::Outside);
                    continue;
                };
                let [before, after] = [from, to].map(|column| start + column * self.channels);
                let inside = (row * self.width + x + from - left) * self.channels;
                each(start..before, Run::Outside);
                each(before..after, Run::Inside(inside));
                each(after..start + row_len, Run::Outside);
            }
        }
    }
}

/// Where a run of values lies.
enum Run {
    /// In the padding.
    Outside,
    /// In the map, from this place on.
    Inside(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_at_the_corner_sees_zeros_outside() {
        let patches = Patches { window: Window::dense(3, 2), height: 2, width: 3, channels: 1 };
        assert_eq!(patches.positions(), [1, 2]);
        let map = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let mut second = [9.0; 9];
        patches.gather(&map, 1, &mut second);
        assert_eq!(second, [0.0, 0.0, 0.0, 2.0, 3.0, 0.0, 5.0, 6.0, 0.0]);
    }

    #[test]
    fn scatter_is_the_adjoint_of_gather() {
        for window in [Window::dense(3, 1), Window::dense(3, 2), Window::dense(1, 2), Window::dense(7, 2)] {
            let patches = Patches { window, height: 5, width: 4, channels: 3 };
            let [rows, columns] = patches.positions();
            let value = |i: usize| (i as f32 * 0.7).sin();
            let map: Vec<f32> = (0..60).map(value).collect();
            let other: Vec<f32> = (0..rows * columns * patches.depth()).map(|i| value(i + 5)).collect();
            let mut gathered = vec![0.0; other.len()];
            patches.gather(&map, 0, &mut gathered);
            let mut scattered = vec![0.0; map.len()];
            patches.scatter(&other, 0, &mut scattered);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let (there, back) = (dot(&gathered, &other), dot(&map, &scattered));
            assert!((there - back).abs() < 1e-4 * there.abs().max(1.0), "{window:?}: {there} and {back}");
        }
    }
}
