//! The whole network of a run: the backbone's trained part, where it has one, and a method's head.

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor};
use sarb_labels::LabelMatrix;
use sarb_labels::categories::Categories;

use crate::backbone::{Backbone, FixedTrunk, FoldedBackbone};
use crate::batch::Input;
use crate::methods::knowledge::CategoryKnowledge;
use crate::methods::{AnyMethod, Method};
use crate::recipe::Recipe;

/// What is trained, saved and served.
#[derive(Module, Debug)]
pub struct Model {
    /// The backbone, unless it is wholly frozen: then its maps are cached, and it is kept apart.
    pub backbone: Option<Backbone>,
    /// The method's head.
    pub head: AnyMethod,
}

impl Model {
    /// The recipe's network with its initial weights for maps of F `channels`; `labels` are the partial
    /// labels of the training images, `N × C`, for the prior.
    pub fn new(
        recipe: &Recipe,
        categories: &Categories,
        labels: &LabelMatrix,
        channels: usize,
        backbone: Option<Backbone>,
        device: &Device,
    ) -> Self {
        let knowledge = CategoryKnowledge::new(categories, labels);
        Self { backbone, head: recipe.method.init(channels, &knowledge, recipe.seed, device) }
    }

    /// The part of the backbone that is not trained, folded for speed; see [`Backbone::fixed_trunk`].
    pub fn fixed_trunk(&self) -> Option<FixedTrunk> {
        self.backbone.as_ref().and_then(Backbone::fixed_trunk)
    }

    /// Feature maps of a batch for training, `[B, 3, S, S]`, `[B, F', H', W']` or `[B, F, H, W]`
    /// `-> [B, F, H, W]`; `trunk` is this model's [`fixed_trunk`](Self::fixed_trunk).
    ///
    /// # Panics
    /// If a model whose backbone is kept apart is given anything but feature maps.
    pub fn maps(&self, input: Input, trunk: Option<&FixedTrunk>) -> Tensor<4> {
        match (input, &self.backbone) {
            (Input::Maps(maps), _) => maps,
            (Input::Images(images), Some(backbone)) => match trunk {
                Some(trunk) => backbone.forward_from(trunk, images),
                None => backbone.forward(images),
            },
            (Input::TrunkMaps(maps), Some(backbone)) => backbone.forward_last(maps),
            (_, None) => panic!("this model reads feature maps only"),
        }
    }

    /// Learning-rate factors: the backbone's, and those that the method asks for.
    pub fn groups(&self, backbone_factor: f64) -> Vec<(ParamGroup, f64)> {
        let backbone =
            self.backbone.iter().map(|b| (ParamGroup::ids_from_module(b.clone()), backbone_factor));
        backbone.chain(self.head.groups()).collect()
    }
}

/// A model that is only used: its backbone folded, no gradients. Later changes of the model's weights do
/// not reach it.
#[derive(Debug)]
pub struct Inference {
    backbone: Option<FoldedBackbone>,
    /// The method's head.
    pub head: AnyMethod,
}

impl Inference {
    /// Of a model as it is now.
    pub fn new(model: &Model) -> Self {
        Self { backbone: model.backbone.as_ref().map(Backbone::folded), head: model.head.valid() }
    }

    /// Feature maps of a batch, `[B, 3, S, S]`, `[B, F', H', W']` or `[B, F, H, W]` `-> [B, F, H, W]`.
    ///
    /// # Panics
    /// If a model whose backbone is kept apart is given anything but feature maps.
    pub fn maps(&self, input: Input) -> Tensor<4> {
        match (input, &self.backbone) {
            (Input::Maps(maps), _) => maps,
            (Input::Images(images), Some(backbone)) => backbone.forward(images),
            (Input::TrunkMaps(maps), Some(backbone)) => backbone.forward_last(maps),
            (_, None) => panic!("this model reads feature maps only"),
        }
    }

    /// Category scores (logits) of a batch, `-> [B, C]`.
    pub fn forward(&self, input: Input) -> Tensor<2> {
        self.head.forward(self.maps(input))
    }
}
