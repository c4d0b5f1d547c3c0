//! SARB: Semantic-Aware Representation Blending (Pu, Chen, Wu, Lin; AAAI 2022, arXiv:2203.02172).
//!
//! The network is [`Ssgrl`]; from epoch 5 on two more branches are trained, whose representations are
//! blended towards a known positive where a label is unknown: with another image of the batch
//! (instance level, α) and with a prototype of the category (prototype level, β).
//!
//! Deviations from the official code: images without an unknown label (`overwrite_known`) and
//! categories without a prototype are skipped; see [`super::prototypes`]. The official settings are the
//! defaults.

use burn::module::{Module, Param, ParamGroup};
use burn::tensor::{Device, Tensor};
use rand::{Rng, RngExt};
use sarb_labels::LabelMatrix;
use sarb_labels::random::Stream;

use super::blending::{
    Blended, blend_instances, blend_prototypes, every_unknown_mask, first_of_known_rows, one_unknown_mask,
    shared_by,
};
use super::keys::Key;
use super::knowledge::CategoryKnowledge;
use super::prototypes::{Prototypes, are_due};
use super::sarb_recipe::{self, Blend, PrototypeScope, Representation, SarbRecipe};
use super::ssgrl::Ssgrl;
use super::{Method, Settings, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::contrastive::contrastive;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;

impl Settings for SarbRecipe {
    type Head = Sarb;

    const KEYS: &'static [Key] = sarb_recipe::KEYS;

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Sarb {
        Sarb::new(self, channels, knowledge, seed, device)
    }

    fn check(&self) -> Result<()> {
        self.check()
    }

    fn follow_reference(&mut self) {
        self.follow_reference();
    }
}

/// SSGRL trained with blended branches.
#[derive(Module, Debug)]
pub struct Sarb {
    /// What is used after training.
    pub network: Ssgrl,
    /// α, `[1]`.
    pub alpha: Param<Tensor<1>>,
    /// β, `[1]`.
    pub beta: Param<Tensor<1>>,
    /// Prototypes of the categories.
    pub prototypes: Prototypes,
    #[module(skip)]
    recipe: SarbRecipe,
}

/// What a step draws for prototype-level blending.
#[derive(Debug, Clone)]
pub(super) struct PrototypeDraw {
    /// Which prototype, taken modulo each category's number of them.
    pub index: usize,
    /// Which unknown label an image gets it: the one with the highest value; `B · C` values.
    pub priority: Vec<f32>,
}

/// One of the three ways representations are trained.
pub(super) struct Branch {
    name: &'static str,
    weight: f64,
    pub(super) blended: Blended,
}

impl Sarb {
    /// For maps of F `channels`; see [`Ssgrl::new`].
    pub fn new(
        recipe: &SarbRecipe,
        channels: usize,
        knowledge: &CategoryKnowledge,
        seed: u64,
        device: &Device,
    ) -> Self {
        let network = Ssgrl::new(&recipe.network, channels, knowledge, seed, device);
        let network = match recipe.representation {
            Representation::Decoupling => network,
            Representation::Attention => network.with_attention(recipe.attention_pooling, seed, device),
        };
        let (categories, dim) = (network.categories(), network.dim());
        let share = |value: f64, learned| {
            Param::from_tensor(Tensor::from_data([value as f32], device)).set_require_grad(learned)
        };
        Self {
            alpha: share(recipe.alpha, recipe.learn_alpha),
            beta: share(recipe.beta, recipe.learn_beta),
            prototypes: Prototypes::empty(categories, recipe.prototypes_per_category, dim, device),
            network,
            recipe: recipe.clone(),
        }
    }

    /// The supervised losses of clean and blended representations `[B, C, D]`, which go through the
    /// graph as one batch.
    pub(super) fn supervised(
        &self,
        representations: Tensor<3>,
        labels: &LabelMatrix,
        epoch: usize,
        draw: &PrototypeDraw,
        normalization: Normalization,
        drops: &mut impl Rng,
    ) -> Losses {
        let branches = self.branches(&representations, labels, epoch, draw);
        let states = shared_by(&representations, branches.iter().map(|branch| &branch.blended));
        let logits = self.network.classify_dropped(&states, drops);
        let logits = logits.split(labels.images(), 0);
        branches.into_iter().zip(logits).fold(Losses::default(), |losses, (branch, logits)| {
            let loss = partial_bce(logits, branch.blended.targets, normalization);
            losses.with(branch.name, branch.weight, loss)
        })
    }

    pub(super) fn branches(
        &self,
        representations: &Tensor<3>,
        labels: &LabelMatrix,
        epoch: usize,
        draw: &PrototypeDraw,
    ) -> Vec<Branch> {
        let clean = Blended::none(labels, &representations.device());
        let mut branches = vec![Branch { name: "bce", weight: 1.0, blended: clean }];
        if epoch < self.recipe.blend_from_epoch {
            return branches;
        }
        if self.recipe.blends.contains(&Blend::Instance) {
            let blended = blend_instances(representations, labels, self.alpha.val());
            let blended = self.with_target_rule(blended);
            branches.push(Branch { name: "instance", weight: self.recipe.instance_weight, blended });
        }
        if self.recipe.blends.contains(&Blend::Prototype) {
            let blended = self.with_target_rule(self.blend_prototypes(representations, labels, draw));
            branches.push(Branch { name: "prototype", weight: self.recipe.prototype_weight, blended });
        }
        branches
    }

    fn blend_prototypes(
        &self,
        representations: &Tensor<3>,
        labels: &LabelMatrix,
        draw: &PrototypeDraw,
    ) -> Blended {
        let filled = self.prototypes.filled();
        let with_prototype: Vec<bool> = filled.iter().map(|&count| count > 0).collect();
        let mut mask = match self.recipe.prototype_scope {
            PrototypeScope::One => one_unknown_mask(labels, &with_prototype, &draw.priority),
            PrototypeScope::All => every_unknown_mask(labels, &with_prototype),
        };
        if self.recipe.overwrite_known {
            first_of_known_rows(labels, &with_prototype, &mut mask);
        }
        let prototypes = self.prototypes.pick(draw.index, &filled, &representations.device());
        blend_prototypes(representations, labels, &mask, prototypes, self.beta.val())
    }

    fn with_target_rule(&self, blended: Blended) -> Blended {
        match self.recipe.detach_blend_targets {
            true => Blended { targets: blended.targets.detach(), ..blended },
            false => blended,
        }
    }

    fn draw(&self, labels: &LabelMatrix, at: Progress) -> PrototypeDraw {
        let mut rng = at.rng(Stream::PrototypeBlend);
        let cells = labels.images() * labels.categories();
        PrototypeDraw {
            index: rng.random_range(0..self.recipe.prototypes_per_category),
            priority: (0..cells).map(|_| rng.random()).collect(),
        }
    }

    /// The contrastive weight, which grows from 0 in the first epoch.
    fn contrastive_weight(&self, at: Progress) -> f64 {
        let share = if self.recipe.contrastive_warm_up { at.warm_up() } else { 1.0 };
        self.recipe.contrastive_weight * share
    }
}

impl Method for Sarb {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.network.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let labels = &batch.labels;
        let mut drops = at.rng(Stream::Dropout);
        let representations = self.network.represent_dropped(maps, &mut drops);
        let draw = self.draw(labels, at);
        let losses = {
            let clean = representations.clone();
            self.supervised(clean, labels, at.epoch, &draw, normalization, &mut drops)
        };
        if self.recipe.contrastive_weight == 0.0 {
            return losses;
        }
        let pairs = &mut at.rng(Stream::Contrastive);
        let distance = contrastive(representations, labels, self.recipe.neg_neg, pairs);
        losses.with("contrastive", self.contrastive_weight(at), distance)
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.network.attention(maps)
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.network.before_training(train)
    }

    fn before_epoch(&mut self, epoch: usize, train: &dyn TrainSet) -> Result<()> {
        let due = are_due(epoch, self.recipe.blend_from_epoch, self.recipe.prototype_interval);
        if !(due && self.recipe.blends.contains(&Blend::Prototype)) {
            return Ok(());
        }
        let network = self.network.valid();
        let represent = |maps: Tensor<4>| network.represent(maps.without_autodiff());
        let reading = self.recipe.prototype_reading.of_epoch(epoch);
        self.prototypes.refresh(represent, train, reading, epoch, self.recipe.prototype_restarts)
    }

    fn after_step(&mut self) {
        for share in [&mut self.alpha, &mut self.beta] {
            if share.is_require_grad() {
                let bounded = |a: Tensor<1>| Tensor::from_inner(a.inner().clamp(0.0, 1.0)).require_grad();
                *share = share.clone().map(bounded);
            }
        }
    }

    fn groups(&self) -> Vec<(ParamGroup, f64)> {
        let group = ParamGroup::from_ids(vec![self.alpha.id, self.beta.id]);
        vec![(group, self.recipe.blend_learning_rate)]
    }

    /// α and β of the blends that are used, and how many prototypes there are.
    fn scalars(&self, _labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        let value = |share: &Param<Tensor<1>>| f64::from(share.val().into_scalar::<f32>());
        let mut scalars = Vec::new();
        if self.recipe.blends.contains(&Blend::Instance) {
            scalars.push(("alpha", value(&self.alpha)));
        }
        if self.recipe.blends.contains(&Blend::Prototype) {
            scalars.push(("beta", value(&self.beta)));
            scalars.push(("prototypes", self.prototypes.filled().iter().sum::<usize>() as f64));
        }
        scalars
    }
}

#[cfg(test)]
mod tests {
    use super::super::prototypes::tests::Memory;
    use super::super::ssgrl::tests::{batch, knowledge, maps, small};
    use super::*;
    use burn::optim::{AdamConfig, GradientsParams};
    use sarb_labels::Label;

    fn recipe() -> SarbRecipe {
        SarbRecipe {
            network: small(),
            blend_from_epoch: 1,
            prototype_interval: 2,
            prototypes_per_category: 3,
            ..SarbRecipe::default()
        }
    }

    fn sarb(recipe: &SarbRecipe) -> Sarb {
        Sarb::new(recipe, 8, &knowledge(), 0, &Device::flex().autodiff())
    }

    /// Eight images, a third of the labels of each kind; category 2 never positive.
    fn train() -> Memory {
        let mut random = sarb_labels::random::rng(3, Stream::Synthetic, 0, 0);
        let values: Vec<i8> = (0..40).map(|_| random.random_range(-1..=1)).collect();
        let mut labels = LabelMatrix::from_values(5, &values);
        (0..8).for_each(|image| labels.set(image, 2, Label::Unknown));
        Memory { maps: maps(8, &Device::flex().autodiff()), labels }
    }

    fn names(sarb: &Sarb, train: &Memory, epoch: usize) -> Vec<&'static str> {
        let at = Progress { seed: 0, epoch, step: 1, steps: 4 };
        let losses = sarb.loss(
            train.maps.clone(),
            &batch(&train.maps, train.labels.clone()),
            Normalization::default(),
            at,
        );
        losses.terms().map(|(name, _)| name).collect()
    }

    #[test]
    fn blended_branches_start_at_their_epoch() {
        let train = train();
        let mut model = sarb(&recipe());
        assert_eq!(names(&model, &train, 0), ["bce", "contrastive"]);
        model.before_epoch(1, &train).expect("in memory");
        assert_eq!(names(&model, &train, 1), ["bce", "instance", "prototype", "contrastive"]);
        let plain = SarbRecipe { blends: vec![], contrastive_weight: 0.0, ..recipe() };
        assert_eq!(names(&sarb(&plain), &train, 1), ["bce"]);
    }

    #[test]
    fn prototypes_are_computed_on_schedule_and_survive_a_resume() {
        let train = train();
        let mut model = sarb(&recipe());
        model.before_epoch(0, &train).expect("in memory");
        assert_eq!(model.prototypes.filled(), [0; 5]);
        model.before_epoch(1, &train).expect("in memory");
        let filled = model.prototypes.filled();
        assert!(filled[2] == 0 && filled.iter().filter(|&&count| count > 0).count() == 4, "{filled:?}");

        let centers = |model: &Sarb| model.prototypes.centres.value().into_data();
        let mut resumed = sarb(&recipe()).load_record(model.clone().into_record());
        resumed.before_epoch(2, &train).expect("in memory");
        centers(&resumed).assert_eq(&centers(&model), true);
        assert_eq!(resumed.prototypes.filled(), filled);
    }

    #[test]
    fn the_contrastive_weight_grows_over_the_first_epoch() {
        let at = |epoch, step| Progress { seed: 0, epoch, step, steps: 4 };
        let model = sarb(&recipe());
        let weights = [at(0, 0), at(0, 2), at(1, 0)].map(|at| model.contrastive_weight(at));
        assert_eq!(weights, [0.0, 0.025, 0.05]);
        let steady = sarb(&SarbRecipe { contrastive_warm_up: false, ..recipe() });
        assert_eq!(steady.contrastive_weight(at(0, 0)), 0.05);
    }

    #[test]
    fn a_last_batch_of_one_image_trains() {
        let mut train = train();
        let model = sarb(&SarbRecipe { blend_from_epoch: 0, ..recipe() });
        train.maps = train.maps.narrow(0, 0, 1);
        train.labels = train.labels.select(&[0]);
        let at = Progress { seed: 0, epoch: 0, step: 3, steps: 4 };
        let losses =
            model.loss(train.maps.clone(), &batch(&train.maps, train.labels), Normalization::default(), at);
        assert!(losses.total().into_scalar::<f32>().is_finite());
    }

    /// α after steps at a rate that would carry it far outside 0…1.
    fn alpha_after_training(recipe: &SarbRecipe) -> f32 {
        let train = train();
        let mut model = sarb(recipe);
        let mut optimizer = AdamConfig::new().init();
        for step in 0..3 {
            let at = Progress { seed: 0, epoch: 1, step, steps: 3 };
            let loss = model.loss(
                train.maps.clone(),
                &batch(&train.maps, train.labels.clone()),
                Normalization::default(),
                at,
            );
            let gradients = GradientsParams::from_grads(loss.total().backward(), &model);
            model = optimizer.step(3.0, model, gradients);
            model.after_step();
        }
        model.alpha.val().into_scalar()
    }

    #[test]
    fn alpha_stays_between_0_and_1_while_it_is_learned_and_where_it_is_when_not() {
        let learned = alpha_after_training(&recipe());
        assert!(learned == 0.0 || learned == 1.0, "{learned}");
        let fixed = SarbRecipe { learn_alpha: false, alpha: 0.25, ..recipe() };
        assert_eq!(alpha_after_training(&fixed), 0.25);
    }

    #[test]
    fn it_reports_what_its_blends_learn() {
        let train = train();
        let mut model = sarb(&SarbRecipe { alpha: 0.25, beta: 0.75, ..recipe() });
        assert_eq!(model.scalars(&train.labels), [("alpha", 0.25), ("beta", 0.75), ("prototypes", 0.0)]);
        model.before_epoch(1, &train).expect("in memory");
        let prototypes = model.scalars(&train.labels)[2].1;
        assert!(prototypes > 4.0 && prototypes <= 12.0, "{prototypes} of four categories, three each");
        let instance = SarbRecipe { blends: vec![Blend::Instance], ..recipe() };
        assert_eq!(sarb(&instance).scalars(&train.labels).len(), 1);
    }

    #[test]
    fn a_detached_target_changes_alphas_gradient() {
        let train = train();
        let gradient = |detach_blend_targets| {
            let model = sarb(&SarbRecipe { detach_blend_targets, ..recipe() });
            let at = Progress { seed: 0, epoch: 1, step: 0, steps: 1 };
            let loss = model.loss(
                train.maps.clone(),
                &batch(&train.maps, train.labels.clone()),
                Normalization::default(),
                at,
            );
            let gradients = loss.total().backward();
            model.alpha.val().grad(&gradients).expect("learned").into_scalar::<f32>()
        };
        assert_ne!(gradient(false), gradient(true));
    }
}
