//! The fixed right side of matrix products.

use crate::kernels::bf16::HalfMatrix;
use crate::kernels::matrix::{Accum, Matrix, MatrixMut};
use crate::kernels::precision::Precision;
use crate::kernels::product::{Cores, product};

/// Weights `[depth, columns]`, in the numbers that they are multiplied in.
#[derive(Debug)]
pub enum FixedWeights {
    /// Row by row.
    F32 { values: Vec<f32>, columns: usize },
    /// Rounded and laid out anew.
    Bf16(HalfMatrix),
}

impl FixedWeights {
    /// In f32, of rows of `columns` values.
    pub fn new(values: Vec<f32>, columns: usize) -> Self {
        Self::F32 { values, columns }
    }

    /// In another precision; what was rounded stays so.
    pub fn in_precision(self, precision: Precision) -> Self {
        match (self, precision) {
            (Self::F32 { values, columns }, Precision::Bf16) => {
                Self::Bf16(HalfMatrix::new(Matrix::new(&values, columns)))
            }
            (weights, _) => weights,
        }
    }

    /// Row by row, unless they are rounded.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match self {
            Self::F32 { values, .. } => Some(values),
            Self::Bf16(_) => None,
        }
    }

    /// Values of a row of the left side.
    pub fn depth(&self) -> usize {
        match self {
            Self::F32 { values, columns } => values.len() / columns,
            Self::Bf16(weights) => weights.depth(),
        }
    }

    /// `out ← rows × weights`, `[M, depth] × [depth, columns] -> [M, columns]`, on the calling thread.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn product(&self, out: &mut [f32], rows: Matrix) {
        match self {
            Self::F32 { values, columns } => {
                let (out, weights) = (MatrixMut::new(out, *columns), Matrix::new(values, *columns));
                product(out, Accum::Replace, rows, weights, Cores::One);
            }
            Self::Bf16(weights) => {
                weights.product(MatrixMut::new(out, weights.columns()), Accum::Replace, rows);
            }
        }
    }
}
