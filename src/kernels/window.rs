//! The geometry of a convolution.

/// How a window is padded with zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// ⌊k/2⌋ on every side (torchvision).
    Half,
    /// TensorFlow's SAME: ⌈n/s⌉ positions, the odd pixel right and bottom.
    Same,
}

/// The geometry of a square convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Side of the kernel, in pixels.
    pub kernel: usize,
    /// Step between positions, in pixels.
    pub stride: usize,
    /// How the border is padded.
    pub padding: Padding,
    /// One filter per channel instead of one per pair of channels.
    pub depthwise: bool,
}

impl Window {
    /// A dense convolution with torchvision's padding.
    pub fn dense(kernel: usize, stride: usize) -> Self {
        Self { kernel, stride, padding: Padding::Half, depthwise: false }
    }

    /// Zeros before and after `size` pixels.
    pub fn border(&self, size: usize) -> (usize, usize) {
        match self.padding {
            Padding::Half => (self.kernel / 2, self.kernel / 2),
            Padding::Same => {
                let covered = (size.div_ceil(self.stride).max(1) - 1) * self.stride + self.kernel;
                let total = covered.saturating_sub(size);
                (total / 2, total - total / 2)
            }
        }
    }

    /// Positions of the window over `size` pixels.
    pub fn positions(&self, size: usize) -> usize {
        let (before, after) = self.border(size);
        (size + before + after - self.kernel) / self.stride + 1
    }

    /// Whether the convolution is a product with each pixel by itself.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == 1 && self.stride == 1
    }
}
