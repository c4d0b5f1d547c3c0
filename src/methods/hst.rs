//! `hst`: Heterogeneous Semantic Transfer (Chen, Pu, Liu, Shi, Yang, Lin; arXiv:2205.11131): [`super::sst`] with
//! margins that are learned in place of thresholds, and prototypes of the categories in place of queues.
//!
//! Two scores of every label, the mean probability beside the image's known positives ([`super::pairs`]) and the
//! mean cosine with the category's prototypes, exceed their margins by a and b, within 0 and 1. From `from_epoch`
//! on an unknown label with a above 0 is a positive of one more BCE, with b above 0 of another. The margins learn
//! from the known labels: a and b themselves are fed to the BCE, as if they were logits. Representations are
//! pulled to the prototypes of what is there and pushed from those of what is not.
//!
//! Deviations from the official code (`protocol = "reference"` has what it does): pairs of which too little is
//! known are left out; the code pushes positives from their prototypes and pulls negatives, which looks like a
//! slip of the sign, and counts unknown labels in that mean; the margins have a learning rate of their own,
//! because the network's moves them by 0.009 in all of VOC's steps. Prototypes: [`super::prototypes`]; dropout:
//! [`super::sst`]. A margin is kept within 0 and 1, outside of which every label or none exceeds it. A
//! margin that nothing exceeds, as one of 1, has no gradient: weight decay alone moves it.

use burn::module::{Module, Param, ParamGroup};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use sarb_labels::random::Stream;

use super::believed::{Believed, Verdicts};
use super::hst_recipe::{self, HstRecipe, PrototypeSign};
use super::keys::Key;
use super::knowledge::CategoryKnowledge;
use super::pairs::beside_positives;
use super::prototypes::{Prototypes, are_due};
use super::ssgrl::Ssgrl;
use super::torch::TorchHead;
use super::transfer::Pass;
use super::{Exported, Method, Settings, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::contrastive::unit;
use crate::loss::masks::Masks;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::nn::pair_head::PairHead;
use crate::nn::share::{keep_within_bounds, share, value};
use crate::onnx::graph::{Graph, Value};

impl Settings for HstRecipe {
    type Head = Hst;

    const KEYS: &'static [Key] = hst_recipe::KEYS;

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Hst {
        Hst::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.check()
    }

    fn follow_reference(&mut self) {
        self.follow_reference();
    }
}

/// SSGRL trained with pseudo-labels from pairs of categories and from prototypes.
#[derive(Module, Debug)]
pub struct Hst {
    /// What is used after training.
    pub network: Ssgrl,
    /// The head of pairs; none for a single category.
    pub pairs: Option<PairHead>,
    /// Prototypes of the categories.
    pub prototypes: Prototypes,
    /// The margin of the score of the image's other categories, `[1]`.
    pub intra_margin: Param<Tensor<1>>,
    /// The margin of the cosine with prototypes, `[1]`.
    pub inter_margin: Param<Tensor<1>>,
    /// How many unknown labels are believed.
    pub believed: Believed,
    #[module(skip)]
    recipe: HstRecipe,
}

/// What the labels of a batch are judged by, each `[B, C]`.
pub(super) struct Judged {
    /// a, what the score of the image's other categories exceeds its margin by.
    pub intra: Tensor<2>,
    /// b, what the mean cosine with prototypes exceeds its margin by.
    pub inter: Tensor<2>,
    /// The mean cosine with prototypes; 0 without any.
    pub cosines: Tensor<2>,
}

impl Hst {
    /// For maps of F `channels`; see [`Ssgrl::new`].
    pub fn new(
        recipe: &HstRecipe,
        channels: usize,
        knowledge: &CategoryKnowledge,
        seed: u64,
        device: &Device,
    ) -> Self {
        let network = Ssgrl::new(&recipe.network, channels, knowledge, seed, device);
        let (categories, dim) = (network.categories(), network.dim());
        let margin = |value| share(value, recipe.learn_margins, device);
        Self {
            network,
            pairs: recipe.pairs.init(dim, categories, seed, device),
            prototypes: Prototypes::empty(categories, recipe.prototypes_per_category, dim, device),
            intra_margin: margin(recipe.intra_margin),
            inter_margin: margin(recipe.inter_margin),
            believed: Believed::none(device),
            recipe: recipe.clone(),
        }
    }

    /// What representations `[B, C, D]` and logits of pairs `[B, P]` say of every label, with gradients.
    pub(super) fn judge(
        &self,
        representations: Tensor<3>,
        pairs: Option<Tensor<2>>,
        positive: Tensor<2>,
    ) -> Judged {
        let beside = match pairs {
            Some(logits) => beside_positives(logits, positive),
            None => positive.zeros_like(),
        };
        let prototypes = self.prototypes.mean_directions(&representations.device()).unsqueeze::<3>();
        let cosines = (unit(representations) * prototypes).sum_dim(2).squeeze_dim::<2>(2);
        Judged {
            intra: excess(beside, self.intra_margin.val()),
            inter: excess(cosines.clone(), self.inter_margin.val()),
            cosines,
        }
    }

    /// How far representations are from the prototypes of what is there and near those of what is not, `-> [1]`.
    fn prototype_loss(
        &self,
        cosines: Tensor<2>,
        labels: Tensor<2>,
        normalization: Normalization,
    ) -> Tensor<1> {
        let (agreement, all) = (cosines * labels.clone(), labels.ones_like());
        match self.recipe.prototype_sign {
            PrototypeSign::Push => normalization.reduce(agreement.add_scalar(1.0), all),
            PrototypeSign::Pull => {
                let with_prototype = self.prototypes.filled.value().to_device(&labels.device()).sign();
                let known = labels.abs() * with_prototype.unsqueeze::<2>();
                normalization.reduce((-agreement).add_scalar(1.0), known)
            }
        }
    }

    /// The terms of an epoch with pseudo-labels, beside those of every epoch.
    fn transferred(
        &self,
        logits: Tensor<2>,
        judged: Judged,
        labels: &LabelMatrix,
        normalization: Normalization,
    ) -> Losses {
        let (recipe, masks) = (&self.recipe, Masks::new(labels, &logits.device()));
        let exceeds = |by: &Tensor<2>| by.clone().detach().greater_elem(0.0).float();
        let verdicts = Verdicts { intra: exceeds(&judged.intra), inter: exceeds(&judged.inter) };
        let believed = self.believed.targets(&masks, verdicts);
        let known = masks.positive - masks.negative;
        let bce = |logits: &Tensor<2>, targets| partial_bce(logits.clone(), targets, normalization);
        Losses::default()
            .with("intra", recipe.intra_weight, bce(&logits, believed.intra))
            .with("inter", recipe.inter_weight, bce(&logits, believed.inter))
            .with("intra_excess", recipe.margin_weight, bce(&judged.intra, known.clone()))
            .with("inter_excess", recipe.margin_weight, bce(&judged.inter, known.clone()))
            .with(
                "prototype",
                recipe.prototype_weight,
                self.prototype_loss(judged.cosines, known, normalization),
            )
    }
}

/// What a score exceeds its margin by, within 0 and 1, `[B, C], [1] -> [B, C]`. At both bounds the gradient is
/// 0, as PyTorch's clamp has it and Burn's has not.
fn excess(score: Tensor<2>, margin: Tensor<1>) -> Tensor<2> {
    let above = relu(score - margin.unsqueeze::<2>());
    relu(above.neg().add_scalar(1.0)).neg().add_scalar(1.0)
}

impl Method for Hst {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.network.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let (labels, recipe, mut drops) = (&batch.labels, &self.recipe, at.rng(Stream::Dropout));
        let pass = Pass::new(&self.network, self.pairs.as_ref(), maps, &mut drops);

        let device = pass.logits.device();
        let known = partial_bce(pass.logits.clone(), batch.targets(&device), normalization);
        let mut losses = Losses::default().with("bce", 1.0, known);
        if at.epoch >= recipe.from_epoch {
            let positive = Masks::new(labels, &device).positive;
            let judged = self.judge(pass.representations.clone(), pass.pairs.clone(), positive);
            losses = losses.and(self.transferred(pass.logits.clone(), judged, labels, normalization));
        }
        recipe.structure().add_to(losses, pass, batch, normalization, at)
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.network.attention(maps)
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        self.network.export(graph, maps)
    }

    fn torch(&self) -> TorchHead {
        self.network.torch()
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.network.before_training(train)
    }

    fn before_epoch(&mut self, epoch: usize, train: &dyn TrainSet) -> Result<()> {
        self.believed.begin_epoch();
        if !are_due(epoch, self.recipe.from_epoch, self.recipe.prototype_interval) {
            return Ok(());
        }
        let network = self.network.valid();
        let represent = |maps: Tensor<4>| network.represent(maps.without_autodiff());
        let reading = self.recipe.prototype_reading.of_epoch(epoch);
        self.prototypes.refresh(represent, train, reading, epoch, self.recipe.prototype_restarts)
    }

    fn after_step(&mut self) {
        [&mut self.intra_margin, &mut self.inter_margin].into_iter().for_each(keep_within_bounds);
    }

    fn groups(&self) -> Vec<(ParamGroup, f64)> {
        let group = ParamGroup::from_ids(vec![self.intra_margin.id, self.inter_margin.id]);
        vec![(group, self.recipe.margin_learning_rate)]
    }

    /// The margins, the share of unknown labels that are believed, and how many prototypes there are.
    fn scalars(&self, _labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        let mut scalars = vec![
            ("intra_margin", value(&self.intra_margin)),
            ("inter_margin", value(&self.inter_margin)),
            ("prototypes", self.prototypes.filled().iter().sum::<usize>() as f64),
        ];
        scalars.extend(self.believed.scalars());
        scalars
    }
}

#[cfg(test)]
mod tests {
    use super::super::pairs::PairRecipe;
    use super::super::prototypes::tests::Memory;
    use super::super::ssgrl::tests::{batch, knowledge, maps, small};
    use super::*;
    use burn::optim::{AdamConfig, GradientsParams};

    fn recipe() -> HstRecipe {
        HstRecipe {
            network: small(),
            pairs: PairRecipe { width: 4, ..PairRecipe::default() },
            from_epoch: 1,
            intra_margin: 0.4,
            inter_margin: 0.2,
            prototype_interval: 2,
            prototypes_per_category: 2,
            ..HstRecipe::default()
        }
    }

    fn hst(recipe: &HstRecipe) -> Hst {
        Hst::new(recipe, 8, &knowledge(), 0, &Device::flex().autodiff())
    }

    /// Three images; category 2 is never known to be there.
    fn train() -> Memory {
        let values = [1, 0, -1, 0, 1, 0, 1, 0, 1, -1, 1, 1, 0, 0, 0];
        let labels = LabelMatrix::from_values(5, &values);
        Memory { maps: maps(3, &Device::flex().autodiff()), labels }
    }

    fn losses(model: &Hst, train: &Memory, epoch: usize) -> Losses {
        let at = Progress { seed: 0, epoch, step: 1, steps: 4 };
        let batch = batch(&train.maps, train.labels.clone());
        model.loss(train.maps.clone(), &batch, Normalization::default(), at)
    }

    #[test]
    fn what_is_transferred_begins_at_its_epoch_and_survives_a_resume() {
        let train = train();
        let mut model = hst(&recipe());
        model.before_epoch(0, &train).expect("in memory");
        let names = |model: &Hst, epoch| -> Vec<&'static str> {
            losses(model, &train, epoch).terms().map(|(name, _)| name).collect()
        };
        assert_eq!(names(&model, 0), ["bce", "pairs", "contrastive"]);
        model.before_epoch(1, &train).expect("in memory");
        let all =
            ["bce", "intra", "inter", "intra_excess", "inter_excess", "prototype", "pairs", "contrastive"];
        assert_eq!(names(&model, 1), all);
        let filled = model.prototypes.filled();
        assert!(filled[2] == 0 && filled.iter().sum::<usize>() > 3, "{filled:?}");

        let mut resumed =
            hst(&HstRecipe { intra_margin: 0.9, ..recipe() }).load_record(model.clone().into_record());
        resumed.before_epoch(2, &train).expect("in memory");
        model.before_epoch(2, &train).expect("in memory");
        let total = |model: &Hst| losses(model, &train, 2).total().into_scalar::<f32>();
        assert_eq!(total(&resumed), total(&model));
        assert_eq!(resumed.scalars(&train.labels), model.scalars(&train.labels));
        assert!(model.scalars(&train.labels)[3].1 > 0.0, "{:?}", model.scalars(&train.labels));
    }

    #[test]
    fn a_margin_of_1_has_no_gradient_and_one_below_it_has() {
        let train = train();
        let gradient = |margin| {
            let mut model = hst(&HstRecipe { intra_margin: margin, inter_margin: margin, ..recipe() });
            model.before_epoch(1, &train).expect("in memory");
            let gradients = losses(&model, &train, 1).total().backward();
            let of = |margin: &Param<Tensor<1>>| {
                margin.val().grad(&gradients).expect("trained").into_scalar::<f32>()
            };
            [of(&model.intra_margin), of(&model.inter_margin)]
        };
        assert_eq!(gradient(1.0), [0.0, 0.0]);
        assert!(gradient(0.1).iter().all(|&slope| slope != 0.0));
    }

    #[test]
    fn margins_stay_within_0_and_1_and_where_they_are_when_not_learned() {
        let train = train();
        let after = |recipe: &HstRecipe| {
            let mut model = hst(recipe);
            model.before_epoch(1, &train).expect("in memory");
            let loss = losses(&model, &train, 1).total();
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            let mut model = AdamConfig::new().init().step(3.0, model, gradients);
            model.after_step();
            model.intra_margin.val().into_scalar::<f32>()
        };
        let learned = after(&recipe());
        assert!(learned == 0.0 || learned == 1.0, "{learned}");
        assert_eq!(after(&HstRecipe { learn_margins: false, ..recipe() }), 0.4);
    }

    #[test]
    fn one_category_trains_without_pairs() {
        let one = CategoryKnowledge { cooccurrence: vec![1.0], counts: vec![(1, 2)], images: 2, words: None };
        let device = Device::flex().autodiff();
        let model = Hst::new(&recipe(), 8, &one, 0, &device);
        let maps = maps(1, &device);
        let train = Memory { maps, labels: LabelMatrix::from_values(1, &[0]) };
        assert!(losses(&model, &train, 1).total().into_scalar::<f32>().is_finite());
    }
}
