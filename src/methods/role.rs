//! `role`: regularized online label estimation (Cole et al., "Multi-Label Learning from Single Positive Labels",
//! CVPR 2021): beside the network, a free estimate q of every label of every training example is trained; each
//! of the two is the other's target, and both expect κ positives an image.
//!
//! With p = σ(x) the loss is L(p | q) + L(q | p), where the second is held fixed and
//!
//! ```text
//! L(p | q) = 1/(B·C) Σ ½ [ 1[y=1] (−log p) + 1[y=−1] (−log(1 − p)) − q log p − (1 − q) log(1 − p) ] + ½ R(p)
//! R(p)     = (mean over images of Σ_c p_c − κ)² / C²
//! ```
//!
//! The estimates ([`super::label_estimates`]) have a learning rate of their own and are part of the checkpoint.
//!
//! The paper has single positive labels and no known negatives, whose term mirrors that of the positives here. A
//! known label weighs ½ by itself and ½ by its estimate, which starts at 0.995 or 0.005. κ, a constant of the
//! data set there, is by default the sum over the categories of the share of positives among the known labels.
//! Every entry is supervised; R is added to each of them, so that it keeps its weight in every normalization.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::Module;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use sarb_labels::LabelMatrix;
use sarb_labels::random::Stream;
use serde::{Deserialize, Serialize};

use super::head::{HEAD, Head, HeadRecipe};
use super::keys::{Interval, Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::label_estimates::LabelEstimates;
use super::soft_negatives::soft_bce;
use super::torch::TorchHead;
use super::{Exported, Method, Settings, TrainSet, ranges};
use crate::batch::{Batch, Losses, Progress};
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;
use crate::onnx::graph::{Graph, Value};
use crate::{Error, Result};

/// Settings of `role`; the learning rate of the estimates is the published one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// κ, the expected number of positives an image; 0 takes it from the known labels.
    pub expected_positives: f64,
    /// Factor on the learning rate of the estimates.
    pub estimate_learning_rate: f64,
}

impl Default for RoleRecipe {
    fn default() -> Self {
        Self { head: HeadRecipe::default(), expected_positives: 0.0, estimate_learning_rate: 10.0 }
    }
}

impl Settings for RoleRecipe {
    type Head = Role;

    const KEYS: &'static [Key] = &[
        HEAD,
        Key::new(
            "expected_positives",
            Kind::Number(Interval::FROM_0),
            "κ, the expected number of positives an image; 0 takes it from the known labels",
        ),
        Key::new(
            "estimate_learning_rate",
            Kind::Number(Interval::FROM_0),
            "Factor on the learning rate of the label estimates",
        ),
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Role {
        let expected = match self.expected_positives {
            0.0 => from_known_labels(&knowledge.counts),
            expected => Some(expected),
        };
        Role {
            scorer: self.head.init(channels, knowledge, seed, device),
            recipe: self.clone(),
            expected,
            categories: knowledge.counts.len(),
            estimates: Arc::new(Mutex::new(LabelEstimates::none(knowledge.counts.len()))),
        }
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        ranges::weight("expected_positives", self.expected_positives)?;
        ranges::weight("estimate_learning_rate", self.estimate_learning_rate)
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }

    fn learns_from_unknown(&self) -> bool {
        true
    }
}

/// κ of known positives and known labels of every category: Σ_c positives / known. A category without a known
/// negative says nothing of its share and takes the mean of the others; none if all are so.
fn from_known_labels(counts: &[(usize, usize)]) -> Option<f64> {
    let measured = counts.iter().filter(|(positive, known)| positive < known);
    let shares: Vec<f64> = measured.map(|&(positive, known)| positive as f64 / known as f64).collect();
    (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64 * counts.len() as f64)
}

/// L(p | q): logits x `[B, C]` with p = σ(x), `others` q `[B, C]` held fixed, `-> [1]`.
fn one_sided(
    logits: Tensor<2>,
    others: Tensor<2>,
    masks: &Masks,
    expected: f64,
    normalization: Normalization,
) -> Tensor<1> {
    let [images, categories] = logits.dims();
    let positives = sigmoid(logits.clone()).sum() / images as f64;
    let off = (positives - expected) / categories as f64; // ±√R, [1]
    let regularizer = (off.clone() * off).unsqueeze::<2>();
    let entries = masks.known_bce(&logits) + soft_bce(logits, others.clone()) + regularizer;
    normalization.reduce(entries * 0.5, others.ones_like())
}

/// A head trained together with estimates of its labels.
#[derive(Module, Debug)]
pub struct Role {
    /// The head.
    pub scorer: Head,
    #[module(skip)]
    recipe: RoleRecipe,
    /// κ; none where the known labels are to say it and cannot.
    #[module(skip)]
    expected: Option<f64>,
    #[module(skip)]
    categories: usize,
    /// Trained beside the network, by [`Method::own_step`].
    #[module(skip)]
    estimates: Arc<Mutex<LabelEstimates>>,
}

impl Role {
    /// L(p | q), and L(q | p), whose gradient is kept for [`Method::own_step`].
    fn losses(
        &self,
        logits: Tensor<2>,
        batch: &Batch,
        normalization: Normalization,
        at: Progress,
    ) -> [Tensor<1>; 2] {
        let mut estimates = self.estimates();
        let step = (at.epoch * at.steps + at.step + 1) as u64;
        let own = estimates.before(step, &batch.indices, &batch.labels, at.seed);
        let own =
            Tensor::<2>::from_data(TensorData::new(own, logits.dims()), &logits.device()).require_grad();
        let (p, q) = (sigmoid(logits.clone().detach()), sigmoid(own.clone().detach()));

        let masks = Masks::new(&batch.labels, &logits.device());
        let expected = self.expected.unwrap_or_default();
        let of_estimates = one_sided(own.clone(), p, &masks, expected, normalization);
        // No optimizer knows the estimates, and neither graph is part of the other.
        let gradients = own.grad(&of_estimates.backward()).expect("tracked").into_data();
        estimates.begin(step, &batch.indices, gradients.try_into_vec().expect("f32 tensors hold f32"));
        [one_sided(logits, q, &masks, expected, normalization), of_estimates.detach()]
    }

    /// The estimates, also after a panic elsewhere: they are numbers, of which any will do.
    fn estimates(&self) -> MutexGuard<'_, LabelEstimates> {
        self.estimates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Method for Role {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scorer.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let logits = self.scorer.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        let [scores, estimates] = self.losses(logits, batch, normalization, at);
        Losses::default().with("role", 1.0, scores).with("estimates", 1.0, estimates)
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.scorer.attention(maps)
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        self.scorer.export(graph, maps)
    }

    fn torch(&self) -> TorchHead {
        self.scorer.torch()
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        if self.expected.is_none() {
            return Err(Error::Recipe(
                "method.expected_positives is 0, which takes it from the known labels, but no negative label is known; expected the mean number of positives an image, such as 2.9".into(),
            ));
        }
        self.scorer.before_training(train)
    }

    fn before_epoch(&mut self, epoch: usize, _train: &dyn TrainSet) -> Result<()> {
        match epoch > 0 && self.estimates().is_empty() {
            true => {
                Err(Error::Incompatible("the checkpoint lacks its method.bin, the label estimates".into()))
            }
            false => Ok(()),
        }
    }

    fn state(&self) -> Option<Vec<u8>> {
        let estimates = self.estimates();
        (!estimates.is_empty()).then(|| estimates.to_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        *self.estimates() = LabelEstimates::from_bytes(self.categories, state)?;
        Ok(())
    }

    fn own_step(&mut self, learning_rate: f64) {
        self.estimates().step(learning_rate * self.recipe.estimate_learning_rate);
    }

    /// κ, and what the estimates of the examples seen so far say in its place.
    fn scalars(&self, _labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        let estimated = self.estimates().expected();
        let expected = self.expected.map(|expected| ("expected_positives", expected));
        expected.into_iter().chain(estimated.map(|estimated| ("estimated_positives", estimated))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::prototypes::tests::Memory;
    use super::super::ssgrl::tests::{batch, knowledge, maps};
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn both_losses_and_both_gradients_equal_their_restatement_in_pytorch() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/role.safetensors"));
        let device = Device::flex().autodiff();
        let expected = f64::from(fixture.values("expected")[0]);
        let (logits, theta) = (fixture.tensor::<2>("logits", &device), fixture.tensor::<2>("theta", &device));
        let masks = Masks::new(&fixture.labels("target"), &device);
        for (name, x, of, others) in
            [("logits", &logits, "scores", &theta), ("theta", &theta, "estimates", &logits)]
        {
            let (x, others) = (x.clone().require_grad(), sigmoid(others.clone()));
            let loss = one_sided(x.clone(), others, &masks, expected, Normalization::Supervised);
            let gradients = loss.backward();
            fixture.assert_equals(&format!("loss.{of}"), loss);
            fixture.assert_equals(&format!("grad.{name}"), x.grad(&gradients).expect("tracked"));
        }
        assert_eq!(fixture.count("") - fixture.count("adam."), 8, "every tensor of the file is compared");
    }

    #[test]
    fn known_labels_and_the_expected_number_have_their_worked_out_values() {
        // p = q = 1/2 everywhere: ½ (ln 2 + ln 2) of a known label, ½ ln 2 of an unknown one; 1.5 of 3
        // categories where 2 are expected: R = (−1/6)² = 1/36.
        let device = Device::flex();
        let masks = Masks::new(&LabelMatrix::from_values(3, &[1, -1, 0]), &device);
        let loss = |expected, normalization| {
            let zeros = Tensor::<2>::zeros([1, 3], &device);
            one_sided(zeros.clone(), sigmoid(zeros), &masks, expected, normalization).into_scalar::<f32>()
        };
        let mean = 2.5 * 2f32.ln() / 3.0 + 1.0 / 72.0;
        assert!((loss(2.0, Normalization::Supervised) - mean).abs() < 1e-6);
        assert!((loss(2.0, Normalization::Sum) - 3.0 * mean).abs() < 1e-6, "R keeps its weight in a sum");
        assert!((loss(1.5, Normalization::All) - 2.5 * 2f32.ln() / 3.0).abs() < 1e-6);
    }

    #[test]
    fn the_expected_number_comes_from_known_labels_of_both_kinds() {
        assert_eq!(from_known_labels(&[(1, 4), (3, 4)]), Some(1.0));
        // The others have 0.25 and 0.75; these two say nothing.
        assert_eq!(from_known_labels(&[(1, 4), (3, 4), (5, 5), (0, 0)]), Some(2.0));
        assert_eq!(from_known_labels(&[(5, 5), (0, 0)]), None);
    }

    /// Eight images of five categories, every third label known.
    fn train() -> Memory {
        let values: Vec<i8> = (0..40).map(|cell| [0, 1, 0, 0, -1, 0][cell % 6]).collect();
        Memory { maps: maps(8, &Device::flex().autodiff()), labels: LabelMatrix::from_values(5, &values) }
    }

    fn model() -> Role {
        RoleRecipe::default().init(8, &knowledge(), 0, &Device::flex().autodiff())
    }

    /// The losses of one step, and the step of the estimates.
    fn step(model: &mut Role, train: &Memory, step: usize) -> Vec<f32> {
        let at = Progress { seed: 0, epoch: 0, step, steps: 9 };
        let rows = batch(&train.maps, train.labels.clone());
        let losses = model.loss(train.maps.clone(), &rows, Normalization::default(), at);
        let values = losses.terms().map(|(_, value)| value.clone().into_scalar()).collect();
        model.own_step(0.01);
        values
    }

    #[test]
    fn estimates_learn_without_the_networks_optimizer_and_survive_a_resume() {
        let train = train();
        let mut model = model();
        assert!(model.state().is_none());
        assert_eq!(model.scalars(&train.labels).len(), 1, "κ alone");
        let first = step(&mut model, &train, 0);
        let second = step(&mut model, &train, 1);
        assert!(second[1] < first[1], "{first:?} {second:?}: the network did not move");
        let mut resumed = self::model();
        resumed.restore(&model.state().expect("two steps")).unwrap();
        assert_eq!(resumed.scalars(&train.labels), model.scalars(&train.labels));
        assert_eq!(step(&mut resumed, &train, 2), step(&mut model, &train, 2));
        assert!(resumed.restore(&[1, 2, 3]).is_err());
    }

    #[test]
    fn a_rate_of_0_leaves_the_estimates_where_they_start() {
        let train = train();
        let recipe = RoleRecipe { estimate_learning_rate: 0.0, ..RoleRecipe::default() };
        let mut model = recipe.init(8, &knowledge(), 0, &Device::flex().autodiff());
        let first = step(&mut model, &train, 0);
        assert_eq!(step(&mut model, &train, 1), first);
    }

    #[test]
    fn positives_alone_ask_for_the_expected_number_and_lost_estimates_are_refused() {
        let train = train();
        let knowledge = CategoryKnowledge { counts: vec![(3, 3); 5], ..knowledge() };
        let device = Device::flex().autodiff();
        let mut asked = RoleRecipe::default().init(8, &knowledge, 0, &device);
        let message = asked.before_training(&train).unwrap_err().to_string();
        assert!(message.contains("method.expected_positives is 0"), "{message}");
        let told = RoleRecipe { expected_positives: 1.5, ..RoleRecipe::default() };
        let mut told = told.init(8, &knowledge, 0, &device);
        told.before_training(&train).unwrap();
        assert_eq!(told.scalars(&train.labels), [("expected_positives", 1.5)]);
        told.before_epoch(0, &train).unwrap();
        assert!(told.before_epoch(1, &train).unwrap_err().to_string().contains("method.bin"));
    }
}
