//! Asymmetric pseudo-labels (Zhou et al., ECCV 2022, Sec. 3.3): the unknown labels with the lowest scores become
//! negatives as soft as their score at that moment, more of them before every epoch.
//!
//! In each of `epochs` epochs from `from_epoch` on, ⌊`share` · U / `epochs`⌋ unknown labels of every category do,
//! U its unknown labels. Once chosen they stay, with the target they were given.

use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::keys::{Interval, Key, Kind};
use super::ranges;
use crate::loss::masks::{as_negative, as_positive};
use crate::{Error, Result};

/// When and how many unknown labels become soft negatives; the published values but for `share`, which is 0.9
/// there and 0, none, by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftNegativesRecipe {
    /// The share of the unknown labels of a category that are soft negatives in the end.
    pub share: f64,
    /// The epoch, from 0, before which the first are chosen.
    pub from_epoch: usize,
    /// The number of epochs over which they are chosen.
    pub epochs: usize,
    /// β, the weight of their loss.
    pub weight: f64,
}

impl Default for SoftNegativesRecipe {
    fn default() -> Self {
        Self { share: 0.0, from_epoch: 5, epochs: 5, weight: 0.9 }
    }
}

/// The table `soft_negatives` of a method.
pub const SOFT_NEGATIVES: Key = Key::new(
    "soft_negatives",
    Kind::Table(
        "soft_negatives",
        &[
            Key::new(
                "share",
                Kind::Number(Interval::SHARE),
                "The share of the unknown labels of a category that are soft negatives in the end; 0 is none",
            ),
            Key::new("from_epoch", Kind::COUNT, "The epoch, from 0, before which the first are chosen"),
            Key::new("epochs", Kind::AT_LEAST_1, "The number of epochs over which they are chosen"),
            Key::new("weight", Kind::Number(Interval::ABOVE_0), "β, the weight of their loss"),
        ],
    ),
    "Unknown labels with low scores that become negatives as soft as their score",
);

impl SoftNegativesRecipe {
    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        ranges::share("soft_negatives.share", self.share)?;
        ranges::at_least_one("soft_negatives.epochs", self.epochs)?;
        let holds = self.weight > 0.0 && self.weight.is_finite();
        ranges::check(holds, "soft_negatives.weight", self.weight, "above 0")
    }

    /// Whether some are chosen before this epoch.
    pub fn are_chosen_before(&self, epoch: usize) -> bool {
        self.share > 0.0 && epoch >= self.from_epoch && epoch - self.from_epoch < self.epochs
    }
}

/// The target of an entry that is no soft negative.
const NONE: f32 = -1.0;

/// Soft targets of the training examples.
#[derive(Debug, Clone, PartialEq)]
pub struct SoftNegatives {
    categories: usize,
    /// `N · C` scores, row by row.
    targets: Vec<f32>,
}

impl SoftNegatives {
    /// None yet of the entries of `labels`.
    pub fn none(labels: &LabelMatrix) -> Self {
        Self { categories: labels.categories(), targets: vec![NONE; labels.images() * labels.categories()] }
    }

    /// Adds those of one epoch; logits are `N · C` values, row by row.
    pub fn choose(&mut self, recipe: &SoftNegativesRecipe, labels: &LabelMatrix, logits: &[f32]) {
        for category in 0..self.categories {
            let column = labels.column(category).enumerate();
            let unknown: Vec<usize> = column
                .filter(|(_, label)| *label == Label::Unknown)
                .map(|(image, _)| image * self.categories + category)
                .collect();
            // What rounding takes from a whole number is no entry less.
            let count = (recipe.share * unknown.len() as f64 / recipe.epochs as f64 + 1e-9) as usize;
            let mut left: Vec<usize> =
                unknown.into_iter().filter(|&cell| self.targets[cell] == NONE).collect();
            left.sort_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(a.cmp(&b)));
            for &cell in left.iter().take(count) {
                self.targets[cell] = (1.0 / (1.0 + (-f64::from(logits[cell])).exp())) as f32;
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.targets.iter().filter(|&&target| target != NONE).count()
    }

    /// Of the rows of a batch, 1 where an entry is a soft negative, and its target, each `[B, C]`.
    pub fn rows(&self, rows: &[usize], device: &Device) -> (Tensor<2>, Tensor<2>) {
        let shape = [rows.len(), self.categories];
        let of = |rows: &[usize], value: fn(f32) -> f32| {
            let rows = rows.iter().flat_map(|row| &self.targets[row * self.categories..][..self.categories]);
            let values: Vec<f32> = rows.map(|&target| value(target)).collect();
            Tensor::from_data(TensorData::new(values, shape), device)
        };
        (of(rows, |target| f32::from(u8::from(target != NONE))), of(rows, |target| target.max(0.0)))
    }

    /// For the checkpoint: the number of categories in 8 bytes, then the targets; −1 is none.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = (self.categories as u64).to_le_bytes().to_vec();
        bytes.extend(self.targets.iter().flat_map(|target| target.to_le_bytes()));
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`Error::Data`] if it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = || Error::Data("the soft negatives of the checkpoint cannot be read".into());
        let (categories, targets) = bytes.split_first_chunk::<8>().ok_or_else(wrong)?;
        let categories = usize::try_from(u64::from_le_bytes(*categories)).map_err(|_| wrong())?;
        let (targets, rest) = targets.as_chunks::<4>();
        let targets: Vec<f32> = targets.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let are_targets = targets.iter().all(|&target| target == NONE || (0.0..=1.0).contains(&target));
        let whole = categories > 0 && targets.len().is_multiple_of(categories) && rest.is_empty();
        if whole && are_targets { Ok(Self { categories, targets }) } else { Err(wrong()) }
    }
}

/// −t log p − (1 − t) log(1 − p) of every entry, p = σ(x), t from 0 to 1, `[B, C], [B, C] -> [B, C]`.
pub fn soft_bce(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<2> {
    let rest = (-targets.clone()).add_scalar(1.0);
    targets * as_positive(logits.clone()) + rest * as_negative(logits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_scores_of_every_category_are_chosen_and_stay() {
        // Category 0 has five unknown labels, category 1 one.
        let labels = LabelMatrix::from_values(2, &[0, 1, 0, 0, -1, 1, 0, -1, 0, 1, 0, -1]);
        let logits = [3.0, -9.0, -1.0, -5.0, -9.0, 0.0, 0.0, 0.0, -1.0, 0.0, 2.0, 0.0];
        let recipe = SoftNegativesRecipe { share: 0.8, epochs: 2, ..SoftNegativesRecipe::default() };
        let mut soft = SoftNegatives::none(&labels);
        soft.choose(&recipe, &labels, &logits);
        // ⌊0.8 · 5 / 2⌋ = 2 of category 0, ⌊0.8 / 2⌋ = 0 of category 1.
        let score = |x: f32| 1.0 / (1.0 + (-x).exp());
        let target = |soft: &SoftNegatives, cell: usize| soft.targets[cell];
        assert_eq!(soft.count(), 2);
        assert!([2, 8].iter().all(|&cell| (target(&soft, cell) - score(-1.0)).abs() < 1e-6));
        let first = soft.clone();
        soft.choose(&recipe, &labels, &logits.map(|x| -x));
        assert_eq!(soft.count(), 4);
        assert!([2, 8].iter().all(|&cell| target(&soft, cell) == target(&first, cell)), "they stay");
        assert!(
            (target(&soft, 0) - score(-3.0)).abs() < 1e-6 && (target(&soft, 10) - score(-2.0)).abs() < 1e-6
        );
        soft.choose(&recipe, &labels, &logits);
        assert_eq!(soft.count(), 5, "no more than there are");
        let (mask, targets) = soft.rows(&[4, 1], &Device::flex());
        assert_eq!(mask.into_data().try_to_vec::<f32>().expect("f32"), [1.0, 0.0, 1.0, 0.0]);
        let targets = targets.into_data().try_to_vec::<f32>().expect("f32");
        assert!((targets[0] - score(-1.0)).abs() < 1e-6 && targets[1] == 0.0, "{targets:?}");
    }

    #[test]
    fn they_are_chosen_in_the_epochs_of_the_recipe() {
        let chosen = |share| {
            let recipe = SoftNegativesRecipe { share, from_epoch: 2, epochs: 3, weight: 1.0 };
            (0..8).filter(|&epoch| recipe.are_chosen_before(epoch)).collect::<Vec<_>>()
        };
        assert_eq!(chosen(0.9), [2, 3, 4]);
        assert_eq!(chosen(0.0), [0; 0]);
    }

    #[test]
    fn bytes_read_back_equal_and_others_are_refused() {
        let soft = SoftNegatives { categories: 2, targets: vec![NONE, 0.25, 0.0, 1.0] };
        let bytes = soft.to_bytes();
        assert_eq!(SoftNegatives::from_bytes(&bytes).unwrap(), soft);
        let odd_one = SoftNegatives { categories: 3, ..soft.clone() }.to_bytes();
        let beyond = SoftNegatives { targets: vec![NONE, 7.0], ..soft }.to_bytes();
        for damaged in [&bytes[..5], &bytes[..bytes.len() - 1], &odd_one, &beyond, &[0; 12]] {
            assert!(SoftNegatives::from_bytes(damaged).is_err(), "{damaged:?}");
        }
    }
}
