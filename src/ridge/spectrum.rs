//! The eigenvalues of X̃ᵀX̃ and the rows in the basis of its eigenvectors, from the smaller Gram matrix.

use std::ops::{Range, RangeInclusive};

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{Mat, MatRef, Par};

use super::centered::{Centered, product, product_f64, single};

/// Eigenvalues below this share of the largest are rounding of the single-precision products.
const RANK: f64 = 1e-7;

/// Λ and, for every row x̃ of X̃, its coordinates z with Σ z zᵀ = Λ.
pub(super) struct Spectrum {
    /// Eigenvalues, ascending, `k`; those that are rounding are 0.
    pub values: Vec<f64>,
    basis: Basis,
}

/// Where the coordinates come from.
enum Basis {
    /// Eigenvectors V of X̃ᵀX̃, `F × F`: Z = X̃V.
    Features(Mat<f64>),
    /// Eigenvectors U of X̃X̃ᵀ, `n × n`: Z = U Λ^½.
    Rows(Mat<f64>),
}

impl Spectrum {
    /// Decomposes X̃ᵀX̃ or X̃X̃ᵀ, whichever is smaller.
    pub fn new(x: &Centered) -> Self {
        let by_rows = x.rows.len() < x.dim();
        let (mut values, vectors) = eigen(if by_rows { x.row_gram() } else { x.gram() });
        let least = RANK * values.last().copied().unwrap_or(0.0);
        values.iter_mut().filter(|value| **value <= least).for_each(|value| *value = 0.0);
        Self { values, basis: if by_rows { Basis::Rows(vectors) } else { Basis::Features(vectors) } }
    }

    /// Penalties by half-decades of the mean non-zero eigenvalue.
    pub fn penalties(&self, half_decades: RangeInclusive<i32>) -> Vec<f64> {
        let rank = self.values.iter().filter(|value| **value > 0.0).count();
        let unit = if rank > 0 { self.values.iter().sum::<f64>() / rank as f64 } else { 1.0 };
        half_decades.map(|half| unit * 10f64.powf(f64::from(half) / 2.0)).collect()
    }

    /// Zᵀ A of `a`, `n × c`: `k × c`.
    pub fn project(&self, x: &Centered, a: MatRef<f64>) -> Mat<f64> {
        match &self.basis {
            Basis::Features(vectors) => {
                product_f64(vectors.transpose(), x.transposed_product(a).as_ref(), x.par)
            }
            Basis::Rows(vectors) => {
                let projected = product_f64(vectors.transpose(), a, x.par);
                Mat::from_fn(projected.nrows(), projected.ncols(), |j, column| {
                    self.values[j].sqrt() * projected[(j, column)]
                })
            }
        }
    }

    /// Calls `each` with consecutive ranges of the rows and their coordinates.
    pub fn for_each_block(&self, x: &Centered, mut each: impl FnMut(Range<usize>, Mat<f32>)) {
        match &self.basis {
            Basis::Features(vectors) => {
                let vectors = single(vectors.as_ref());
                x.for_each_block(|rows, block| each(rows, product(block, vectors.as_ref(), x.par)));
            }
            Basis::Rows(vectors) => {
                let n = vectors.nrows();
                each(0..n, Mat::from_fn(n, n, |i, j| (vectors[(i, j)] * self.values[j].sqrt()) as f32));
            }
        }
    }

    /// Weights on the features of X̃ from weights on the coordinates, `k × c -> F × c`.
    pub fn weights(&self, x: &Centered, coordinates: MatRef<f64>) -> Mat<f64> {
        match &self.basis {
            Basis::Features(vectors) => product_f64(vectors.as_ref(), coordinates, x.par),
            Basis::Rows(vectors) => {
                // V = X̃ᵀ U Λ^-½ on the range of X̃; where Λ is 0 the coordinates are too.
                let scaled = Mat::from_fn(coordinates.nrows(), coordinates.ncols(), |j, column| {
                    match self.values[j] {
                        0.0 => 0.0,
                        value => coordinates[(j, column)] / value.sqrt(),
                    }
                });
                x.transposed_product(product_f64(vectors.as_ref(), scaled.as_ref(), x.par).as_ref())
            }
        }
    }
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix given by its lower half.
///
/// On one thread, because its result would depend on the number of threads.
///
/// # Panics
/// If the matrix is not finite.
pub(super) fn eigen(matrix: Mat<f64>) -> (Vec<f64>, Mat<f64>) {
    let n = matrix.nrows();
    let (mut values, mut vectors) = (Diag::zeros(n), Mat::zeros(n, n));
    let scratch = self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, Par::Seq, Default::default());
    self_adjoint_evd(
        matrix.as_ref(),
        values.as_mut(),
        Some(vectors.as_mut()),
        Par::Seq,
        MemStack::new(&mut MemBuffer::new(scratch)),
        Default::default(),
    )
    .expect("the eigenvalues of a finite symmetric matrix converge");
    (values.column_vector().iter().copied().collect(), vectors)
}
