//! `linear`: ridge regression on pooled features, solved before training in closed form and
//! calibrated, the anchor of every table.
//!
//! The maps are averaged over positions; [`crate::ridge`] fits ±1 to the known cells of every
//! category, and [`crate::calibration`] turns its leave-one-out scores into logits, so that the
//! threshold 0 means p = 0.5. Nothing is left to train: no parameter asks for a gradient.
//!
//! A category without a known negative is fitted to its positives against all other images ([`super::assumed`]); its
//! probability is then that somebody would have labeled it, which is less than that it is there.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::assumed::{Assumed, UNKNOWN};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::pooled::{class_activation, export_pooled_linear, pooled, pooled_features};
use super::torch::{MapPooling, TorchHead};
use super::{Exported, Method, Settings, TrainSet, ranges};
use crate::batch::{Batch, Losses, Progress};
use crate::calibration::Platt;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::onnx::graph::{Graph, Value};
use crate::ridge::{self, Ridge};
use crate::{Error, Result};

/// What can be chosen of [`Linear`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinearRecipe {
    /// Divide every feature by its standard deviation before the penalty is applied.
    #[serde(alias = "standardise")]
    pub standardize: bool,
    /// How strongly weights are held back.
    pub penalty: Penalty,
    /// With a fixed penalty: what the mean squared length of a category's rows is multiplied by.
    pub penalty_factor: f64,
    /// Which unknown labels count as negative.
    pub unknown: Assumed,
}

/// How the penalty λ of a category is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Penalty {
    /// The one of fifteen with the smallest leave-one-out error.
    #[default]
    LeaveOneOut,
    /// A factor times the mean squared length of the category's centered known rows; up to 32 times as much where
    /// unknown labels count as negative, whichever has the smallest leave-one-out error.
    Fixed,
}

impl Default for LinearRecipe {
    fn default() -> Self {
        Self {
            standardize: false,
            penalty: Penalty::LeaveOneOut,
            penalty_factor: 2.0,
            unknown: Assumed::Auto,
        }
    }
}

impl Settings for LinearRecipe {
    type Head = Linear;

    const KEYS: &'static [Key] = &[
        Key::new(
            "standardize",
            Kind::Flag,
            "Divide every feature by its standard deviation before the penalty is applied",
        ),
        Key::new(
            "penalty",
            Kind::Word(&["leave-one-out", "fixed"]),
            "How the penalty of a category is found: the one of fifteen with the smallest leave-one-out error, or `penalty_factor` times the mean squared length of its known rows, up to 32 times as much by leave-one-out where unknown labels count as negative",
        ),
        Key::new("penalty_factor", Kind::Number(Interval::ABOVE_0), "The factor of a fixed penalty"),
        UNKNOWN,
    ];

    fn check(&self) -> Result<()> {
        ranges::check(
            self.penalty_factor > 0.0 && self.penalty_factor.is_finite(),
            "penalty_factor",
            self.penalty_factor,
            "a number above 0",
        )?;
        match (self.penalty, self.standardize) {
            (Penalty::Fixed, true) => Err(Error::Recipe(
                "standardize is true; a fixed penalty is in units of the features as they are".into(),
            )),
            _ => Ok(()),
        }
    }

    /// All zero until [`Method::before_training`].
    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, _seed: u64, device: &Device) -> Linear {
        Linear::new(self, channels, knowledge.counts.len(), device)
    }

    fn takes_soft_labels(&self) -> bool {
        true
    }

    fn learns_from_unknown(&self) -> bool {
        self.unknown != Assumed::Ignore
    }
}

/// One linear score a category on the mean of the feature map.
#[derive(Module, Debug)]
pub struct Linear {
    /// Logits per unit of each feature, `[C, F]`.
    pub weight: Param<Tensor<2>>,
    /// Logits of the zero feature, `[C]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    recipe: LinearRecipe,
    /// See [`Method::left_out`].
    #[module(skip)]
    left_out: Option<Vec<Vec<(usize, f32)>>>,
}

impl Linear {
    /// All zero until [`Method::before_training`], for F = `channels`.
    pub fn new(recipe: &LinearRecipe, channels: usize, categories: usize, device: &Device) -> Self {
        Self {
            weight: fixed(Tensor::zeros([categories, channels], device)),
            bias: fixed(Tensor::zeros([categories], device)),
            recipe: recipe.clone(),
            left_out: None,
        }
    }

    /// Sets weights and bias to calibrated logits of `ridge`.
    fn set(&mut self, ridge: &Ridge, labels: &LabelMatrix) {
        let [categories, channels] = self.weight.dims();
        let Calibrated { weight, bias, left_out } = calibrated(ridge, labels);
        let device = self.weight.device();
        self.weight = replaced(&self.weight, TensorData::new(weight, [categories, channels]), &device);
        self.bias = replaced(&self.bias, TensorData::new(bias, [categories]), &device);
        let rows_and_logits = |(category, logits): (usize, Vec<f32>)| {
            let known = labels.column(category).enumerate().filter(|(_, label)| *label != Label::Unknown);
            known.map(|(row, _)| row).zip(logits).collect()
        };
        self.left_out = Some(left_out.into_iter().enumerate().map(rows_and_logits).collect());
    }
}

/// A ridge regression in logits.
pub(super) struct Calibrated {
    /// `C · F` values row by row.
    pub weight: Vec<f32>,
    /// `C` values.
    pub bias: Vec<f32>,
    /// For every category those of its known rows by the regression without them.
    pub left_out: Vec<Vec<f32>>,
}

/// `ridge` with a logistic fit to the leave-one-out scores of each category.
pub(super) fn calibrated(ridge: &Ridge, labels: &LabelMatrix) -> Calibrated {
    let Ridge { weights, intercepts, loo_scores, .. } = ridge.clone();
    let mut calibrated = Calibrated { weight: weights, bias: intercepts, left_out: loo_scores };
    let channels = calibrated.weight.len() / calibrated.bias.len();
    let weights = calibrated.weight.chunks_exact_mut(channels).zip(&mut calibrated.bias);
    for (category, ((weight, bias), left_out)) in weights.zip(&mut calibrated.left_out).enumerate() {
        let known = labels.column(category).filter(|label| *label != Label::Unknown);
        let positive: Vec<bool> = known.map(|label| label == Label::Positive).collect();
        let platt = Platt::fit(left_out, &positive);
        weight.iter_mut().for_each(|value| *value = (platt.slope * f64::from(*value)) as f32);
        let logit = |score: &mut f32| *score = platt.logit(f64::from(*score)) as f32;
        logit(bias);
        left_out.iter_mut().for_each(logit);
    }
    calibrated
}

impl Method for Linear {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        pooled(maps).matmul(self.weight.val().transpose()) + self.bias.val().unsqueeze()
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, _at: Progress) -> Losses {
        let targets = batch.targets(&maps.device());
        Losses::default().with("bce", 1.0, partial_bce(self.forward(maps), targets, normalization))
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        class_activation(maps, self.weight.val().transpose())
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        export_pooled_linear(graph, maps, self.weight.val().transpose(), self.bias.val())
    }

    fn torch(&self) -> TorchHead {
        TorchHead::linear(MapPooling::Mean, self.weight.val(), self.bias.val())
    }

    fn closed_form(&self) -> bool {
        true
    }

    fn left_out(&self) -> Option<&[Vec<(usize, f32)>]> {
        self.left_out.as_deref()
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        let soft = train.soft_labels();
        let (labels, assumed) = &self.recipe.unknown.beside(train.labels(), soft);
        let [_, channels] = self.weight.dims();
        let features = pooled_features(train, channels)?;
        let blocks = train.blocks().unwrap_or_else(|| vec![channels]);
        let ridge = match self.recipe.penalty {
            Penalty::LeaveOneOut => ridge::fit(&features, &blocks, labels, soft, self.recipe.standardize),
            Penalty::Fixed => {
                ridge::fit_fixed(&features, &blocks, labels, soft, self.recipe.penalty_factor, assumed)
            }
        };
        self.set(&ridge, labels);
        Ok(())
    }
}

/// A parameter that no optimizer moves.
fn fixed<const D: usize>(value: Tensor<D>) -> Param<Tensor<D>> {
    Param::from_tensor(value).set_require_grad(false)
}

/// `param` with other values, under the same identity.
fn replaced<const D: usize>(param: &Param<Tensor<D>>, data: TensorData, device: &Device) -> Param<Tensor<D>> {
    Param::initialized(param.id, Tensor::from_data(data, device)).set_require_grad(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Input;
    use crate::methods::Reading;
    use crate::soft_labels::SoftLabels;
    use rand::RngExt;
    use sarb_labels::metrics::evaluate;
    use sarb_labels::random::{Stream, rng};

    /// Feature maps `[N, F, 2, 2]` in memory, given in batches of three.
    struct Memory {
        maps: Vec<f32>,
        channels: usize,
        labels: LabelMatrix,
        soft: SoftLabels,
    }

    impl Memory {
        fn all(&self) -> Tensor<4> {
            self.rows(0..self.labels.images())
        }

        fn rows(&self, rows: std::ops::Range<usize>) -> Tensor<4> {
            let size = self.channels * 4;
            let values = self.maps[rows.start * size..rows.end * size].to_vec();
            Tensor::from_data(TensorData::new(values, [rows.len(), self.channels, 2, 2]), &Device::flex())
        }
    }

    impl TrainSet for Memory {
        fn labels(&self) -> &LabelMatrix {
            &self.labels
        }

        fn soft_labels(&self) -> &SoftLabels {
            &self.soft
        }

        fn seed(&self) -> u64 {
            0
        }

        fn for_each_maps(
            &self,
            _reading: Reading,
            each: &mut dyn FnMut(&[usize], Tensor<4>) -> Result<()>,
        ) -> Result<()> {
            let images = self.labels.images();
            (0..images).step_by(3).try_for_each(|start| {
                let end = (start + 3).min(images);
                each(&(start..end).collect::<Vec<_>>(), self.rows(start..end))
            })
        }
    }

    /// Two categories that a feature each separates by a margin, a third without a positive, and a
    /// fourth of which nothing is known.
    fn separable(images: usize) -> Memory {
        let mut rng = rng(0, Stream::Synthetic, 0, 0);
        let (mut maps, mut values) = (Vec::new(), Vec::new());
        for image in 0..images {
            let present = [image % 3 == 0, image % 4 == 1];
            for channel in 0..5 {
                let level = if *present.get(channel).unwrap_or(&false) { 2.0 } else { 0.0 };
                maps.extend((0..4).map(|_| level + rng.random_range(-0.3..0.3f32)));
            }
            values.extend(present.map(|present| if present { 1 } else { -1 }));
            values.extend([-1, 0]);
        }
        Memory {
            maps,
            channels: 5,
            labels: LabelMatrix::from_values(4, &values),
            soft: SoftLabels::default(),
        }
    }

    fn trained(train: &Memory) -> Linear {
        let mut linear =
            Linear::new(&LinearRecipe::default(), train.channels, train.labels.categories(), &Device::flex());
        linear.before_training(train).unwrap();
        linear
    }

    #[test]
    fn separable_categories_reach_map_one_at_threshold_zero() {
        let train = separable(50);
        let linear = trained(&train);
        let logits: Vec<f32> = linear.forward(train.all()).into_data().iter::<f32>().collect();
        let names: Vec<String> = (0..4).map(|category| category.to_string()).collect();
        let scores = evaluate(&logits, &train.labels, &names, 0.0).unwrap();
        assert_eq!((scores.map, scores.all.of1, scores.all.cf1), (1.0, 1.0, 1.0));
        assert_eq!(scores.skipped_categories, ["2", "3"]);
        // Without a positive the prior 1 / 52 stays, and 1 / 2 where nothing is known.
        for row in logits.chunks(4) {
            assert!((row[2] - (1.0f32 / 51.0).ln()).abs() < 1e-4, "{row:?}");
            assert!(row[3].abs() < 1e-6, "{row:?}");
        }
    }

    #[test]
    fn positives_alone_are_told_from_all_other_images() {
        let train = separable(50);
        let mut positives = separable(50);
        positives.labels.retain(|row, category| train.labels.get(row, category) == Label::Positive);
        let names: Vec<String> = (0..4).map(|category| category.to_string()).collect();
        let map = |unknown: Assumed, penalty: Penalty| {
            let recipe = LinearRecipe { unknown, penalty, ..LinearRecipe::default() };
            let mut linear = Linear::new(&recipe, 5, 4, &Device::flex());
            linear.before_training(&positives).unwrap();
            let fitted: Vec<usize> = linear.left_out().unwrap().iter().map(Vec::len).collect();
            let logits: Vec<f32> = linear.forward(train.all()).into_data().iter::<f32>().collect();
            (evaluate(&logits, &train.labels, &names, 0.0).unwrap().map, fitted)
        };
        for penalty in [Penalty::LeaveOneOut, Penalty::Fixed] {
            assert_eq!(map(Assumed::Auto, penalty), (1.0, vec![50, 50, 0, 0]));
            assert_eq!(map(Assumed::Negative, penalty), (1.0, vec![50; 4]));
            let (map, fitted) = map(Assumed::Ignore, penalty);
            assert!(map < 0.5, "without a negative nothing is learned: {map}");
            assert_eq!(fitted, [17, 13, 0, 0]);
        }
    }

    #[test]
    fn the_loss_is_the_cross_entropy_of_the_known_labels() {
        let linear = Linear::new(&LinearRecipe::default(), 1, 2, &Device::flex());
        let labels = LabelMatrix::from_values(2, &[1, 0, -1, 0]);
        let maps = Tensor::<4>::ones([2, 1, 1, 1], &Device::flex());
        let batch = Batch { input: Input::Maps(maps.clone()), labels, indices: vec![0, 1], ..Batch::empty() };
        let at = Progress { seed: 0, epoch: 0, step: 0, steps: 1 };
        // All logits 0: ln 2 for each known label, whichever it is.
        let loss = linear.loss(maps, &batch, Normalization::default(), at).total().into_scalar::<f32>();
        assert!((loss - 2f32.ln()).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn nothing_asks_for_a_gradient_before_or_after_the_fit() {
        let train = separable(12);
        let linear = trained(&train).train();
        assert!(!linear.weight.is_require_grad() && !linear.bias.is_require_grad());
    }

    #[test]
    fn the_fit_survives_a_record() {
        let train = separable(12);
        let linear = trained(&train);
        let fresh = Linear::new(&LinearRecipe::default(), 5, 4, &Device::flex());
        let record = linear.clone().into_record();
        let loaded = fresh.load_record(record);
        let expected = linear.forward(train.all()).into_data();
        loaded.forward(train.all()).into_data().assert_eq(&expected, true);
    }

    #[test]
    fn a_feature_that_is_not_finite_is_named() {
        let mut train = separable(12);
        train.maps[4 * (5 * 7 + 2)] = f32::NAN;
        let mut linear = Linear::new(&LinearRecipe::default(), 5, 4, &Device::flex());
        let error = linear.before_training(&train).unwrap_err().to_string();
        assert!(
            error.starts_with("the feature of training example 8 (counted from 1) in channel 2"),
            "{error}"
        );
    }

    #[test]
    fn a_recipe_with_an_unknown_key_is_refused() {
        let recipe: LinearRecipe = toml::from_str("standardize = true").unwrap();
        assert!(recipe.standardize);
        assert!(toml::from_str::<LinearRecipe>("standardized = true").is_err());
    }
}
