//! SARB: Semantic-Aware Representation Blending (Pu, Chen, Wu, Lin; AAAI 2022, arXiv:2203.02172).
//!
//! The network is [`Ssgrl`]; from epoch 5 on two more branches are trained, whose representations are
//! blended towards a known positive where a label is unknown: with another image of the batch
//! (instance level, α) and with a prototype of the category (prototype level, β).
//!
//! With `prototypes = "quadrants"` it is DSRB, whose published code does not run: a prototype is the mean of a
//! category where it is seen in one quadrant of the image, and a label is blended with one of the three quadrants
//! in which its category is not seen ([`super::quadrants`]). DSRB blends position by position and adds up; that is
//! linear, so its instance level is SARB's.
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
    Blended, blend_instances_of, blend_rows, every_unknown_mask, first_of_known_rows, one_unknown_mask,
    shared_by,
};
use super::keys::Key;
use super::knowledge::CategoryKnowledge;
use super::prototypes::{Prototypes, are_due};
use super::quadrants::{self, ByPosition};
use super::sarb_recipe::{self, Blend, PrototypeKind, PrototypeScope, Representation, SarbRecipe};
use super::ssgrl::Ssgrl;
use super::torch::TorchHead;
use super::{Exported, Method, Settings, TrainSet};
use crate::Result;
use crate::batch::{Batch, Losses, Progress};
use crate::loss::contrastive::contrastive;
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::nn::share::{keep_within_bounds, share, value};
use crate::onnx::graph::{Graph, Value};
use crate::ranks::across::{own_rows, part_of_each, whole_batch};
use crate::ranks::share::{own_of, places_of, whole_of};

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

    fn takes_soft_labels(&self) -> bool {
        true
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
    /// Which prototype an unknown label is blended with.
    pub number: Number,
    /// Which unknown label an image gets it: the one with the highest value; `B · C` values.
    pub priority: Vec<f32>,
}

/// Which of its category's prototypes an unknown label is blended with.
#[derive(Debug, Clone)]
pub(super) enum Number {
    /// The same for all, taken modulo each category's number of them.
    Same(usize),
    /// That of each label, `B · C` values.
    Each(Vec<usize>),
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
        Self {
            alpha: share(recipe.alpha, recipe.learn_alpha, device),
            beta: share(recipe.beta, recipe.learn_beta, device),
            prototypes: Prototypes::empty(categories, recipe.prototypes_each(), dim, device),
            network,
            recipe: recipe.clone(),
        }
    }

    /// The supervised losses of clean and blended representations `[B, C, D]`, which go through the
    /// graph as one batch. The representations are those of the whole batch; of a rank that has a part of it, the
    /// losses are of its part.
    pub(super) fn supervised(
        &self,
        representations: Tensor<3>,
        batch: &Batch,
        epoch: usize,
        draw: &PrototypeDraw,
        normalization: Normalization,
        drops: &mut impl Rng,
    ) -> Losses {
        let branches = self.branches(&representations, batch.all_labels(), epoch, draw);
        let states = shared_by(&own_rows(representations), branches.iter().map(|branch| &branch.blended));
        let logits = self.network.classify_dropped(&states, drops);
        let logits = logits.split(batch.labels.images(), 0);
        branches.into_iter().zip(logits).fold(Losses::default(), |losses, (branch, logits)| {
            // A blended label has its share as target, whatever was probable before.
            let targets = batch.soft.beside(branch.blended.targets);
            let loss = partial_bce(logits, targets, normalization);
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
        let places = places_of(labels.images());
        let own_labels = labels.select(&places.clone().collect::<Vec<usize>>());
        let clean = Blended::none(&own_labels, &representations.device());
        let mut branches = vec![Branch { name: "bce", weight: 1.0, blended: clean }];
        if epoch < self.recipe.blend_from_epoch {
            return branches;
        }
        if self.recipe.blends.contains(&Blend::Instance) {
            let blended = blend_instances_of(places, representations, labels, self.alpha.val());
            let blended = self.with_target_rule(blended);
            branches.push(Branch { name: "instance", weight: self.recipe.instance_weight, blended });
        }
        if self.recipe.blends.contains(&Blend::Prototype) {
            let own = own_rows(representations.clone());
            let blended = self.with_target_rule(self.blend_prototypes(&own, &own_labels, draw));
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
        let (device, beta) = (representations.device(), self.beta.val());
        let (prototypes, row): (_, &dyn Fn(usize) -> usize) = match &draw.number {
            Number::Same(index) => {
                (self.prototypes.pick(*index, &filled, &device), &|cell| cell % labels.categories())
            }
            Number::Each(numbers) => (self.prototypes.all(&device), &|cell| {
                cell % labels.categories() * self.recipe.prototypes_each() + numbers[cell]
            }),
        };
        blend_rows(representations, labels, &mask, prototypes, row, beta)
    }

    fn with_target_rule(&self, blended: Blended) -> Blended {
        match self.recipe.detach_blend_targets {
            true => Blended { targets: blended.targets.detach(), ..blended },
            false => blended,
        }
    }

    /// Representations of a batch, and with `prototypes = "quadrants"`, once they are blended, where each category
    /// is seen, `B · C` values.
    fn represent(
        &self,
        maps: Tensor<4>,
        epoch: usize,
        drops: &mut impl Rng,
    ) -> (Tensor<3>, Option<Vec<usize>>) {
        let blends = self.recipe.blends.contains(&Blend::Prototype) && epoch >= self.recipe.blend_from_epoch;
        if self.recipe.prototypes != PrototypeKind::Quadrants || !blends {
            return (self.network.represent_dropped(maps, drops), None);
        }
        let [_, _, height, width] = maps.dims();
        let (representations, added) = by_position(&self.network, maps);
        let quadrants = quadrants::seen_in(added, [height, width]);
        (self.network.drop_from(representations, drops), Some(quadrants))
    }

    fn draw(&self, labels: &LabelMatrix, seen_in: Option<Vec<usize>>, at: Progress) -> PrototypeDraw {
        let mut rng = at.rng(Stream::PrototypeBlend);
        // For the whole batch, of which this may be a part.
        let cells = whole_of(labels.images()) * labels.categories();
        let number = match seen_in {
            None => Number::Same(rng.random_range(0..self.recipe.prototypes_each())),
            Some(seen_in) => {
                let others = own_of((0..cells).map(|_| rng.random_range(0..3)).collect());
                let number = |(quadrant, other)| quadrants::other(quadrant, other);
                Number::Each(seen_in.into_iter().zip(others).map(number).collect())
            }
        };
        PrototypeDraw { number, priority: own_of((0..cells).map(|_| rng.random()).collect()) }
    }

    /// The contrastive weight, which grows from 0 in the first epoch.
    fn contrastive_weight(&self, at: Progress) -> f64 {
        let share = if self.recipe.contrastive_warm_up { at.warm_up() } else { 1.0 };
        self.recipe.contrastive_weight * share
    }
}

/// Representations and what each position adds to them.
fn by_position(network: &Ssgrl, maps: Tensor<4>) -> ByPosition {
    network.represent_by_position(maps).expect("the recipe refuses quadrants with semantic attention")
}

impl Method for Sarb {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.network.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let labels = &batch.labels;
        let mut drops = at.rng(Stream::Dropout);
        let (representations, seen_in) = self.represent(maps, at.epoch, &mut drops);
        // Every rank's rows take part in what is blended and compared.
        let representations = whole_batch(representations);
        let draw = self.draw(labels, seen_in, at);
        let losses = {
            let clean = representations.clone();
            self.supervised(clean, batch, at.epoch, &draw, normalization, &mut drops)
        };
        if self.recipe.contrastive_weight == 0.0 {
            return losses;
        }
        let pairs = &mut at.rng(Stream::Contrastive);
        let distance = contrastive(representations, batch.all_labels(), self.recipe.neg_neg, pairs);
        losses.with("contrastive", self.contrastive_weight(at), part_of_each(distance))
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
        let due = are_due(epoch, self.recipe.blend_from_epoch, self.recipe.prototype_interval);
        if !(due && self.recipe.blends.contains(&Blend::Prototype)) {
            return Ok(());
        }
        let network = self.network.valid();
        let reading = self.recipe.prototype_reading.of_epoch(epoch);
        match self.recipe.prototypes {
            PrototypeKind::KMeans => {
                let represent = |maps: Tensor<4>| network.represent(maps.without_autodiff());
                self.prototypes.refresh(represent, train, reading, epoch, self.recipe.prototype_restarts)
            }
            PrototypeKind::Quadrants => {
                let represent = |maps: Tensor<4>| by_position(&network, maps.without_autodiff());
                let sizes = [network.categories(), network.dim()];
                let (means, filled) = quadrants::prototypes(represent, train, reading, sizes)?;
                self.prototypes.set(means, &filled);
                Ok(())
            }
        }
    }

    fn after_step(&mut self) {
        [&mut self.alpha, &mut self.beta].into_iter().for_each(keep_within_bounds);
    }

    fn groups(&self) -> Vec<(ParamGroup, f64)> {
        let group = ParamGroup::from_ids(vec![self.alpha.id, self.beta.id]);
        vec![(group, self.recipe.blend_learning_rate)]
    }

    /// α and β of the blends that are used, and how many prototypes there are.
    fn scalars(&self, _labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        let mut scalars = Vec::new();
        if self.recipe.blends.contains(&Blend::Instance) {
            scalars.push(("alpha", value(&self.alpha)));
        }
        if self.recipe.blends.contains(&Blend::Prototype) {
            scalars.push(("beta", value(&self.beta)));
            let filled = self.prototypes.filled();
            scalars.push(("prototypes", filled.iter().sum::<usize>() as f64));
            if self.recipe.prototypes == PrototypeKind::Quadrants {
                let without = filled.iter().filter(|&&count| count == 0).count();
                scalars.push(("categories_without_prototype", without as f64));
            }
        }
        scalars
    }
}

#[cfg(test)]
mod tests;
