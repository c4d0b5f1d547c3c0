//! Rows of a feature table, scaled and centered block by block, so that no copy of the table is made.

use std::ops::Range;

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par};

/// Rows of one block: large enough for fast products, small enough to be summed in single precision.
const BLOCK: usize = 1024;
/// A standard deviation below this share of the feature's largest value is rounding, not signal.
const CONSTANT: f64 = 1e-6;
/// Root mean squares below this have no reciprocal in single precision.
const TINY: f64 = 1e-30;

/// `N × F` features and what each is multiplied by.
pub(super) struct Table<'a> {
    features: &'a [f32],
    dim: usize,
    /// Factor of every feature; 0 for a constant one.
    pub factors: Vec<f32>,
    /// Penalties in the scaled features times this are penalties in the unit that users see.
    pub square_unit: f64,
}

impl<'a> Table<'a> {
    /// Scales the blocks of features to equal total variances with a mean variance of 1, one block by one factor,
    /// or each feature to variance 1.
    pub fn new(features: &'a [f32], blocks: &[usize], rows: usize, standardize: bool) -> Self {
        let dim = blocks.iter().sum::<usize>();
        assert!(
            dim > 0 && features.len() == rows * dim,
            "{} features in {rows} rows of {dim}",
            features.len()
        );
        let count = rows.max(1) as f64;
        let (mut mean, mut largest, mut variance) = (vec![0.0; dim], vec![0f64; dim], vec![0.0; dim]);
        for row in features.chunks_exact(dim) {
            for ((mean, largest), &value) in mean.iter_mut().zip(&mut largest).zip(row) {
                *mean += f64::from(value);
                *largest = largest.max(f64::from(value).abs());
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= count);
        for row in features.chunks_exact(dim) {
            for ((variance, mean), &value) in variance.iter_mut().zip(&mean).zip(row) {
                *variance += (f64::from(value) - mean).powi(2);
            }
        }
        variance.iter_mut().for_each(|sum| *sum /= count);
        let reciprocal = |deviation: f64| if deviation > TINY { 1.0 / deviation } else { 0.0 };
        let mut units = Vec::with_capacity(dim);
        let mut end = 0;
        for &width in blocks {
            let total: f64 = variance[end..end + width].iter().sum();
            units.extend(std::iter::repeat_n((total * blocks.len() as f64 / dim as f64).sqrt(), width));
            end += width;
        }
        let factor = |((variance, largest), unit): ((&f64, &f64), &f64)| match variance.sqrt() {
            deviation if deviation <= CONSTANT * largest => 0.0,
            deviation if standardize => reciprocal(deviation) as f32,
            _ => reciprocal(*unit) as f32,
        };
        let factors = variance.iter().zip(&largest).zip(&units).map(factor).collect();
        let one_unit = !standardize && blocks.len() == 1;
        Self { features, dim, factors, square_unit: if one_unit { units[0] * units[0] } else { 1.0 } }
    }

    /// Number of features F.
    pub fn dim(&self) -> usize {
        self.dim
    }
}

/// Some rows of a table, minus their mean, times the table's factors: X̃, `n × F`.
pub(super) struct Centered<'a> {
    table: &'a Table<'a>,
    /// Rows of the table.
    pub rows: &'a [usize],
    /// Mean of the rows, unscaled, `F`.
    pub mean: Vec<f32>,
    /// How products of these rows run.
    pub par: Par,
}

impl<'a> Centered<'a> {
    pub fn new(table: &'a Table<'a>, rows: &'a [usize], par: Par) -> Self {
        let mut sums = vec![0.0; table.dim];
        for &row in rows {
            let values = &table.features[row * table.dim..(row + 1) * table.dim];
            sums.iter_mut().zip(values).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let mean = sums.iter().map(|sum| (sum / rows.len().max(1) as f64) as f32).collect();
        Self { table, rows, mean, par }
    }

    /// Number of features F.
    pub fn dim(&self) -> usize {
        self.table.dim
    }

    /// Calls `each` with consecutive ranges of the rows and their part of X̃.
    pub fn for_each_block(&self, mut each: impl FnMut(Range<usize>, MatRef<f32>)) {
        for start in (0..self.rows.len()).step_by(BLOCK) {
            let range = start..(start + BLOCK).min(self.rows.len());
            let block = self.block(range.clone());
            each(range.clone(), MatRef::from_row_major_slice(&block, range.len(), self.dim()));
        }
    }

    /// A range of the rows of X̃, row by row.
    pub fn block(&self, range: Range<usize>) -> Vec<f32> {
        let dim = self.dim();
        let mut values = Vec::with_capacity(range.len() * dim);
        for &row in &self.rows[range] {
            let features = &self.table.features[row * dim..(row + 1) * dim];
            let scaled = features.iter().zip(&self.mean).zip(&self.table.factors);
            values.extend(scaled.map(|((&value, mean), factor)| (value - mean) * factor));
        }
        values
    }

    /// X̃ᵀX̃, `F × F`, the lower half only; blocks in single, their sum in double precision.
    pub fn gram(&self) -> Mat<f64> {
        let dim = self.dim();
        let (mut gram, mut part) = (Mat::zeros(dim, dim), Mat::zeros(dim, dim));
        self.for_each_block(|_, block| {
            lower_product(&mut part, block.transpose(), block, self.par);
            add_lower(&mut gram, &part);
        });
        gram
    }

    /// X̃X̃ᵀ, `n × n`, the lower half only.
    pub fn row_gram(&self) -> Mat<f64> {
        let products = self.row_products();
        let mut gram = Mat::zeros(products.nrows(), products.ncols());
        add_lower(&mut gram, &products);
        gram
    }

    /// [`row_gram`](Self::row_gram) in single precision, in which it is computed.
    pub fn row_products(&self) -> Mat<f32> {
        let n = self.rows.len();
        let values = self.block(0..n);
        let rows = MatRef::from_row_major_slice(&values, n, self.dim());
        let mut products = Mat::zeros(n, n);
        lower_product(&mut products, rows, rows.transpose(), self.par);
        products
    }

    /// X̃ᵀA of `a`, `n × c`: `F × c`.
    pub fn transposed_product(&self, a: MatRef<f64>) -> Mat<f64> {
        let mut sum = Mat::zeros(self.dim(), a.ncols());
        self.for_each_block(|rows, block| {
            let a = single(a.subrows(rows.start, rows.len()));
            let part = product(block.transpose(), a.as_ref(), self.par);
            sum += Mat::from_fn(part.nrows(), part.ncols(), |i, j| f64::from(part[(i, j)]));
        });
        sum
    }

    /// X̃W of `weights`, `F × c`: `n × c`.
    pub fn scores(&self, weights: MatRef<f64>) -> Mat<f32> {
        let weights = single(weights);
        let mut scores = Mat::zeros(self.rows.len(), weights.ncols());
        self.for_each_block(|rows, block| {
            let part = product(block, weights.as_ref(), self.par);
            scores.subrows_mut(rows.start, rows.len()).copy_from(&part);
        });
        scores
    }
}

fn lower_product(out: &mut Mat<f32>, a: MatRef<f32>, b: MatRef<f32>, par: Par) {
    triangular::matmul(
        out.as_mut(),
        BlockStructure::TriangularLower,
        Accum::Replace,
        a,
        BlockStructure::Rectangular,
        b,
        BlockStructure::Rectangular,
        1.0,
        par,
    );
}

fn add_lower(sum: &mut Mat<f64>, part: &Mat<f32>) {
    for column in 0..sum.ncols() {
        let lower = sum.col_as_slice_mut(column).iter_mut().zip(part.col_as_slice(column)).skip(column);
        lower.for_each(|(sum, &value)| *sum += f64::from(value));
    }
}

/// A · B in single precision.
pub(super) fn product(a: MatRef<f32>, b: MatRef<f32>, par: Par) -> Mat<f32> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, par);
    out
}

/// A · B in double precision.
pub(super) fn product_f64(a: MatRef<f64>, b: MatRef<f64>, par: Par) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, par);
    out
}

/// `a` in single precision.
pub(super) fn single(a: MatRef<f64>) -> Mat<f32> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)] as f32)
}
