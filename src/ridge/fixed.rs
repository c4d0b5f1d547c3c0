//! Ridge regression at a penalty that is fixed beforehand, by Cholesky's decomposition.
//!
//! With many more features than known rows, as a descriptor of several blocks has, the choice of a penalty by
//! leave-one-out follows the noise of a few positives, and a decomposition for every penalty is expensive. Here
//! λ is a factor times the mean squared length of the centered rows, so that it means the same for any scale of the
//! features. With fewer known rows than features, K the products of all rows with one another:
//!
//! ```text
//! λ = factor · trace(H K H) / n,  H = 1 − 1/n        G = (H K H + λ)⁻¹,  α = G ỹ,  w = X̃ᵀ α
//! y − ŷ without the row itself = λ αᵢ / (λ Gᵢᵢ − 1/n)
//! ```
//!
//! and with more, the same from X̃ᵀX̃.

use faer::linalg::solvers::{Llt, Solve};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Mat, Par, Side};
use sarb_labels::LabelMatrix;

use crate::soft_labels::SoftLabels;

use super::centered::{Centered, Table, single};
use super::{CategoryFit, Group, MIN_FREEDOM, Ridge, Targets, groups};

/// What rounding in single precision may leave of centered products, as a share of a row's squared length.
const ROUNDING: f64 = 1e-4;
/// Rows up to which the products of all with all are kept: 1.6 GB.
const MOST_SHARED: usize = 20_000;
/// What the penalty is multiplied by; all but the first where labels are assumed.
const MULTIPLES: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];

/// Fits all categories to `features`, `N × F` row by row, finite, at `factor` times the mean squared length of each
/// category's centered rows, known ones and probable ones of `soft`. The features are in blocks of the widths `blocks`,
/// which are scaled to the same total variance.
///
/// Of a category that is `doubtful` some labels are assumed, and wrong ones among them are noise of which the factor
/// knows nothing: its penalty is the one of six, from that to 32 times as much, with the smallest leave-one-out error.
///
/// # Panics
/// If `features` are not one row of all blocks for every image of `labels`, or `doubtful` not one flag for every category.
pub fn fit_fixed(
    features: &[f32],
    blocks: &[usize],
    labels: &LabelMatrix,
    soft: &SoftLabels,
    factor: f64,
    doubtful: &[bool],
) -> Ridge {
    assert_eq!(doubtful.len(), labels.categories(), "flags of doubtful categories");
    let table = Table::new(features, blocks, labels.images(), false);
    let mut ridge = Ridge::of_priors(labels, table.dim());
    let groups = groups(labels, soft);
    let by_rows = groups.iter().any(|group| group.rows.len() <= table.dim());
    let all: Vec<usize> = (0..labels.images()).collect();
    let products = (by_rows && all.len() <= MOST_SHARED)
        .then(|| Centered::new(&table, &all, Par::rayon(0)).row_products());
    for group in &groups {
        let x = Centered::new(&table, &group.rows, Par::rayon(0));
        let targets = Targets::new(group, labels, soft);
        let mut system = System::new(&x, products.as_ref());
        let is_doubtful = group.categories.iter().any(|&category| doubtful[category]);
        let mut errors = vec![f64::INFINITY; group.categories.len()];
        for &times in if is_doubtful { &MULTIPLES[..] } else { &MULTIPLES[..1] } {
            let solved = system.solve(factor * times, &x, &targets);
            for (place, &category) in group.categories.iter().enumerate() {
                let error = solved.error(place, &targets);
                if times == 1.0 || doubtful[category] && error <= errors[place] {
                    errors[place] = error;
                    ridge.take(solved.fit(place, group, &x, &targets, &table));
                }
            }
        }
    }
    ridge
}

/// The products of a group's centered rows with one another, or of the features, whichever are fewer.
struct System {
    by_rows: bool,
    /// The lower half counts.
    products: Mat<f32>,
    /// Its diagonal without a penalty.
    diagonal: Vec<f32>,
}

impl System {
    /// Of `x`; `shared` are the products of all rows of its table.
    fn new(x: &Centered, shared: Option<&Mat<f32>>) -> Self {
        let by_rows = x.rows.len() <= x.dim();
        let products = match shared {
            Some(all) if by_rows => doubly_centered(all, x.rows),
            None if by_rows => x.row_products(),
            _ => single(x.gram().as_ref()),
        };
        let diagonal = (0..products.nrows()).map(|at| products[(at, at)]).collect();
        Self { by_rows, products, diagonal }
    }

    /// At `factor` times the mean squared length of the rows.
    fn solve(&mut self, factor: f64, x: &Centered, targets: &Targets) -> Solved {
        let lambda = self.penalty(x, factor);
        for (at, &value) in self.diagonal.iter().enumerate() {
            self.products[(at, at)] = value + lambda as f32;
        }
        let cholesky = self
            .products
            .llt(Side::Lower)
            .expect("a penalty above 0 makes centered products positive definite");
        if self.by_rows {
            Solved::by_rows(x, targets, &cholesky, lambda)
        } else {
            Solved::by_features(x, targets, &cholesky, lambda)
        }
    }

    /// λ, of products whose trace is the squared length of the rows.
    fn penalty(&self, x: &Centered, factor: f64) -> f64 {
        let trace: f64 = self.diagonal.iter().map(|&value| f64::from(value)).sum();
        // Of rows that are all alike only rounding is left, which may be negative.
        (factor * trace / x.rows.len() as f64).max(ROUNDING * x.dim() as f64)
    }
}

/// Weights of the categories of a group, and what each row is without itself.
struct Solved {
    lambda: f64,
    /// `F × c`.
    weights: Mat<f64>,
    /// Residuals y − ŷ, `n × c`.
    residuals: Mat<f64>,
    /// 1 − h of every row.
    freedom: Vec<f64>,
}

impl Solved {
    fn by_rows(x: &Centered, targets: &Targets, cholesky: &Llt<f32>, lambda: f64) -> Self {
        let n = x.rows.len();
        let solution = cholesky.solve(single(targets.centered.as_ref()).as_ref());
        let mut inverse = Mat::zeros(n, n);
        invert_lower_triangular(inverse.as_mut(), cholesky.L(), x.par);
        let freedom = (0..n).map(|row| {
            let column = inverse.col_as_slice(row).iter().skip(row);
            let diagonal: f64 = column.map(|&value| f64::from(value).powi(2)).sum();
            (lambda * diagonal - 1.0 / n as f64).max(MIN_FREEDOM)
        });
        let alpha = Mat::from_fn(n, solution.ncols(), |row, place| f64::from(solution[(row, place)]));
        Self {
            lambda,
            weights: x.transposed_product(alpha.as_ref()),
            residuals: Mat::from_fn(n, alpha.ncols(), |row, place| lambda * alpha[(row, place)]),
            freedom: freedom.collect(),
        }
    }

    fn by_features(x: &Centered, targets: &Targets, cholesky: &Llt<f32>, lambda: f64) -> Self {
        let (n, dim) = (x.rows.len(), x.dim());
        let solution =
            cholesky.solve(single(x.transposed_product(targets.centered.as_ref()).as_ref()).as_ref());
        let weights = Mat::from_fn(dim, solution.ncols(), |row, place| f64::from(solution[(row, place)]));
        let mut freedom = Vec::with_capacity(n);
        x.for_each_block(|_, block| {
            let mut rows = block.transpose().to_owned();
            solve_lower_triangular_in_place(cholesky.L(), rows.as_mut(), x.par);
            freedom.extend((0..rows.ncols()).map(|row| {
                let leverage: f64 = rows.col_as_slice(row).iter().map(|&z| f64::from(z).powi(2)).sum();
                (1.0 - 1.0 / n as f64 - leverage).max(MIN_FREEDOM)
            }));
        });
        let fitted = x.scores(weights.as_ref());
        let residuals = Mat::from_fn(n, weights.ncols(), |row, place| {
            targets.centered[(row, place)] - f64::from(fitted[(row, place)])
        });
        Self { lambda, weights, residuals, freedom }
    }

    /// What a row's target is above its score without the row itself.
    fn residual(&self, row: usize, place: usize) -> f64 {
        self.residuals[(row, place)] / self.freedom[row]
    }

    /// The squared leave-one-out error of a category's known rows.
    fn error(&self, place: usize, targets: &Targets) -> f64 {
        targets.known_rows(place).map(|row| self.residual(row, place).powi(2)).sum()
    }

    fn fit(
        &self,
        place: usize,
        group: &Group,
        x: &Centered,
        targets: &Targets,
        table: &Table,
    ) -> CategoryFit {
        let loo_scores = targets.known_rows(place).map(|row| {
            let target = targets.means[place] + targets.centered[(row, place)];
            (target - self.residual(row, place)) as f32
        });
        let (category, mean) = (group.categories[place], targets.means[place]);
        let lambda = self.lambda * table.square_unit;
        let weights = self.weights.col_as_slice(place);
        CategoryFit::new(category, weights, lambda, mean, x, table, loo_scores.collect())
    }
}

/// The products of some of all rows, minus the mean of these rows, `n × n`; of `all` the lower half is read.
fn doubly_centered(all: &Mat<f32>, rows: &[usize]) -> Mat<f32> {
    let n = rows.len();
    let at = |i: usize, j: usize| all[(rows[i.max(j)], rows[i.min(j)])];
    let mut some = Mat::from_fn(n, n, at);
    let means: Vec<f64> = (0..n)
        .map(|column| some.col_as_slice(column).iter().map(|&value| f64::from(value)).sum::<f64>() / n as f64)
        .collect();
    let mean = means.iter().sum::<f64>() / n as f64;
    for (column, own) in means.iter().enumerate() {
        let values = some.col_as_slice_mut(column).iter_mut().zip(&means);
        values.for_each(|(value, other)| *value = (f64::from(*value) - own - other + mean) as f32);
    }
    some
}

#[cfg(test)]
mod tests;
