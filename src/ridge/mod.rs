//! Ridge regression on pooled features, per category over its known cells, in closed form; the
//! penalty λ is chosen by leave-one-out (the anchor method `linear`).
//!
//! Per category: targets y = ±1 of its n known rows, the intercept unpenalized, so features and
//! targets are centered on these rows. With X̃ᵀX̃ = V Λ Vᵀ and z = Vᵀx̃, for every λ at once,
//!
//! ```text
//! ŷ = ȳ + Σⱼ zⱼ dⱼ / (Λⱼ + λ),  d = Vᵀ X̃ᵀ ỹ        h = 1/n + Σⱼ zⱼ² / (Λⱼ + λ)
//! y − ŷ without the row itself = (y − ŷ) / (1 − h)
//! ```
//!
//! so all leave-one-out errors cost two thin matrix products. Categories with the same known rows
//! share one decomposition; with fewer rows than features it is that of X̃X̃ᵀ.

mod centered;
mod fixed;
mod principal;
mod spectrum;

use std::collections::BTreeMap;

use faer::{Mat, Par};
use rayon::prelude::*;
use sarb_labels::{Label, LabelMatrix};

use crate::soft_labels::SoftLabels;

use self::centered::{Centered, Table};
use self::spectrum::Spectrum;

pub use self::fixed::fit_fixed;
pub use self::principal::principal_components;

/// Decimal exponents of the penalties tried, in halves, relative to the mean non-zero eigenvalue of X̃ᵀX̃.
const HALF_DECADES: std::ops::RangeInclusive<i32> = -6..=8;
/// The smallest 1 − h: below it single precision holds nothing of the difference.
const MIN_FREEDOM: f64 = 1e-6;

/// Linear scores of C categories on F features: about +1 where present, −1 where absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// Weights, `C × F`.
    pub weights: Vec<f32>,
    /// Intercepts, `C`. A category without known positives or without known negatives has
    /// weights 0 and 2p − 1 here, p = (n⁺ + 1) / (n + 2).
    pub intercepts: Vec<f32>,
    /// The penalty λ of every category, in squared units of the features (of the scaled ones if they were
    /// standardized or are in several blocks); 0 where there was nothing to fit.
    pub lambdas: Vec<f64>,
    /// For every category the scores of its known rows, in row order, each predicted by the fit
    /// without that row.
    pub loo_scores: Vec<Vec<f32>>,
}

/// Fits a category at a time to `features`, `N × F` row by row, finite, over the known cells of `labels` and the
/// probable ones of `soft`, whose targets are 2p − 1; what is chosen is chosen by the known ones. The
/// features are in blocks of the widths `blocks`, which are scaled to the same total variance.
///
/// With `standardize` every feature is divided by its standard deviation over all rows before the
/// penalty is applied; the weights returned are for the features as given either way.
///
/// # Panics
/// If `features` are not one row of all blocks for every image of `labels`.
pub fn fit(
    features: &[f32],
    blocks: &[usize],
    labels: &LabelMatrix,
    soft: &SoftLabels,
    standardize: bool,
) -> Ridge {
    let table = Table::new(features, blocks, labels.images(), standardize);
    let mut ridge = Ridge::of_priors(labels, table.dim());
    let groups = groups(labels, soft);
    // One decomposition uses all cores for its products; many are better one a core.
    let par = if groups.len() < rayon::current_num_threads() { Par::rayon(0) } else { Par::Seq };
    let fitted: Vec<Vec<CategoryFit>> =
        groups.par_iter().map(|group| group.fit(&table, labels, soft, par)).collect();
    fitted.into_iter().flatten().for_each(|fit| ridge.take(fit));
    ridge
}

impl Ridge {
    /// What is said where nothing can be fitted: the prior of each category.
    fn of_priors(labels: &LabelMatrix, dim: usize) -> Self {
        let prior = |(positives, known)| 2.0 * (positives + 1) as f32 / (known + 2) as f32 - 1.0;
        let counts: Vec<(usize, usize)> = labels.counts();
        Self {
            weights: vec![0.0; counts.len() * dim],
            intercepts: counts.iter().copied().map(prior).collect(),
            lambdas: vec![0.0; counts.len()],
            loo_scores: counts.iter().map(|&count| vec![prior(count); count.1]).collect(),
        }
    }

    fn take(&mut self, fit: CategoryFit) {
        let (category, dim) = (fit.category, fit.weights.len());
        self.weights[category * dim..(category + 1) * dim].copy_from_slice(&fit.weights);
        self.intercepts[category] = fit.intercept;
        self.lambdas[category] = fit.lambda;
        self.loo_scores[category] = fit.loo_scores;
    }
}

/// Categories that are known or probable in the same rows.
struct Group {
    rows: Vec<usize>,
    categories: Vec<usize>,
}

/// Categories that have known positives and negatives, together where they share their rows.
fn groups(labels: &LabelMatrix, soft: &SoftLabels) -> Vec<Group> {
    let counts = labels.counts();
    let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (category, &(positives, known)) in counts.iter().enumerate() {
        if 0 < positives && positives < known {
            let labels = labels.column(category).enumerate();
            let is_told = |row, label| label != Label::Unknown || soft.get(row, category).is_some();
            let rows = labels.filter(|(row, label)| is_told(*row, *label)).map(|(row, _)| row);
            groups.entry(rows.collect()).or_default().push(category);
        }
    }
    groups.into_iter().map(|(rows, categories)| Group { rows, categories }).collect()
}

/// What was found for one category.
struct CategoryFit {
    category: usize,
    weights: Vec<f32>,
    intercept: f32,
    lambda: f64,
    loo_scores: Vec<f32>,
}

impl CategoryFit {
    /// Of weights for the scaled features `x`; those of the result are for the features as given.
    fn new(
        category: usize,
        weights: &[f64],
        lambda: f64,
        target_mean: f64,
        x: &Centered,
        table: &Table,
        loo_scores: Vec<f32>,
    ) -> Self {
        let scaled = weights.iter().zip(&table.factors);
        let weights: Vec<f32> = scaled.map(|(weight, &factor)| (weight * f64::from(factor)) as f32).collect();
        let at_mean: f64 =
            weights.iter().zip(&x.mean).map(|(&w, &mean)| f64::from(w) * f64::from(mean)).sum();
        Self { category, intercept: (target_mean - at_mean) as f32, lambda, loo_scores, weights }
    }
}

impl Group {
    fn fit(&self, table: &Table, labels: &LabelMatrix, soft: &SoftLabels, par: Par) -> Vec<CategoryFit> {
        let x = Centered::new(table, &self.rows, par);
        let targets = Targets::new(self, labels, soft);
        let spectrum = Spectrum::new(&x);
        let lambdas = spectrum.penalties(HALF_DECADES);
        let loo = LeaveOneOut::new(&x, &spectrum, &targets, &lambdas);
        let chosen: Vec<usize> = (0..self.categories.len()).map(|place| loo.best(place)).collect();

        let shrunk = Mat::from_fn(spectrum.values.len(), chosen.len(), |j, place| {
            loo.projected[(j, place)] / (spectrum.values[j] + lambdas[chosen[place]])
        });
        let weights = spectrum.weights(&x, shrunk.as_ref());
        let fitted = x.scores(weights.as_ref());
        (self.categories.iter().enumerate())
            .map(|(place, &category)| {
                let target_mean = targets.means[place];
                let loo_scores = targets.known_rows(place).map(|row| {
                    let target = targets.centered[(row, place)];
                    let residual = target - f64::from(fitted[(row, place)]);
                    (target_mean + target - residual / loo.freedom(row, chosen[place])) as f32
                });
                let lambda = lambdas[chosen[place]] * table.square_unit;
                let weights = weights.col_as_slice(place);
                CategoryFit::new(category, weights, lambda, target_mean, &x, table, loo_scores.collect())
            })
            .collect()
    }
}

/// The targets ±1 or 2p − 1 of a group's rows, `n × c`, minus their means.
struct Targets {
    centered: Mat<f64>,
    means: Vec<f64>,
    /// Whether the label is known, `c` times `n`.
    known: Vec<Vec<bool>>,
}

impl Targets {
    fn new(group: &Group, labels: &LabelMatrix, soft: &SoftLabels) -> Self {
        let mut known = vec![vec![false; group.rows.len()]; group.categories.len()];
        let mut centered = Mat::from_fn(group.rows.len(), group.categories.len(), |row, place| {
            let (image, category) = (group.rows[row], group.categories[place]);
            let label = labels.get(image, category);
            known[place][row] = label != Label::Unknown;
            match soft.get(image, category) {
                Some(p) if label == Label::Unknown => 2.0 * f64::from(p) - 1.0,
                _ => f64::from(label as i8),
            }
        });
        let means = (0..centered.ncols()).map(|place| {
            let mean = centered.col_as_slice(place).iter().sum::<f64>() / group.rows.len() as f64;
            centered.col_as_slice_mut(place).iter_mut().for_each(|target| *target -= mean);
            mean
        });
        let means = means.collect();
        Self { centered, means, known }
    }

    /// The rows of a category whose label is known.
    fn known_rows(&self, place: usize) -> impl Iterator<Item = usize> + '_ {
        self.known[place].iter().enumerate().filter_map(|(row, known)| known.then_some(row))
    }
}

/// Leave-one-out errors of all categories of a group at every penalty.
struct LeaveOneOut {
    /// d = Zᵀỹ, `k × c`.
    projected: Mat<f64>,
    /// Leverages without the intercept's 1/n, `n × L`.
    leverages: Mat<f32>,
    /// Squared leave-one-out errors of the known rows, `[c][L]`.
    errors: Vec<Vec<f64>>,
}

impl LeaveOneOut {
    fn new(x: &Centered, spectrum: &Spectrum, targets: &Targets, lambdas: &[f64]) -> Self {
        let (n, count) = (x.rows.len(), lambdas.len());
        let places = targets.means.len();
        let projected = spectrum.project(x, targets.centered.as_ref());
        let inverse = |j: usize, penalty: usize| 1.0 / (spectrum.values[j] + lambdas[penalty]);
        let inverses = Mat::from_fn(spectrum.values.len(), count, |j, penalty| inverse(j, penalty) as f32);
        let solutions = Mat::from_fn(spectrum.values.len(), places * count, |j, column| {
            (projected[(j, column / count)] * inverse(j, column % count)) as f32
        });

        let mut loo =
            Self { projected, leverages: Mat::zeros(n, count), errors: vec![vec![0.0; count]; places] };
        spectrum.for_each_block(x, |rows, mut z| {
            let fitted = centered::product(z.as_ref(), solutions.as_ref(), x.par);
            z.col_iter_mut().for_each(|column| column.iter_mut().for_each(|value| *value *= *value));
            let leverages = centered::product(z.as_ref(), inverses.as_ref(), x.par);
            loo.leverages.subrows_mut(rows.start, rows.len()).copy_from(&leverages);
            for column in 0..places * count {
                let (place, penalty) = (column / count, column % count);
                let fitted = fitted.col_as_slice(column).iter();
                let known = |row: &(usize, &f32)| targets.known[place][row.0];
                let errors = rows.clone().zip(fitted).filter(known).map(|(row, &fitted)| {
                    let residual = targets.centered[(row, place)] - f64::from(fitted);
                    (residual / loo.freedom(row, penalty)).powi(2)
                });
                loo.errors[place][penalty] += errors.sum::<f64>();
            }
        });
        loo
    }

    /// 1 − h of a row at a penalty.
    fn freedom(&self, row: usize, penalty: usize) -> f64 {
        let intercept = 1.0 / self.leverages.nrows() as f64;
        (1.0 - intercept - f64::from(self.leverages[(row, penalty)])).max(MIN_FREEDOM)
    }

    /// The penalty with the smallest error; of equal ones the largest.
    fn best(&self, place: usize) -> usize {
        let errors = &self.errors[place];
        (0..errors.len())
            .rev()
            .min_by(|&a, &b| errors[a].total_cmp(&errors[b]))
            .expect("at least one penalty is tried")
    }
}

#[cfg(test)]
mod tests;
