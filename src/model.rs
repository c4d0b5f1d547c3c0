//! The whole network of a run: the backbone's trained part, where it has one, and a method's head.

use burn::module::{Module, ParamGroup};
use burn::tensor::{Device, Tensor};

use crate::batch::Input;
use crate::data::categories::Categories;
use crate::methods::ssgrl::CategoryKnowledge;
use crate::methods::{Head, Method};
use crate::nn::backbone::Backbone;
use crate::recipe::Recipe;

/// What is trained, saved and served.
#[derive(Module, Debug)]
pub struct Model {
    /// The backbone, unless it is wholly frozen: then its maps are cached, and it is kept apart.
    pub backbone: Option<Backbone>,
    /// The method's head.
    pub head: Head,
}

impl Model {
    /// The recipe's network with its initial weights for maps of F `channels`; `counts` are the known
    /// positives and known labels of every category, for the prior.
    pub fn new(
        recipe: &Recipe,
        categories: &Categories,
        counts: Vec<(usize, usize)>,
        channels: usize,
        backbone: Option<Backbone>,
        device: &Device,
    ) -> Self {
        let knowledge = CategoryKnowledge::new(categories, counts);
        Self { backbone, head: recipe.method.init(channels, &knowledge, recipe.seed, device) }
    }

    /// Feature maps of a batch, `[B, 3, S, S]` or `[B, F, H, W]` `-> [B, F, H, W]`.
    ///
    /// # Panics
    /// If images are given to a model whose backbone is kept apart.
    pub fn maps(&self, input: Input) -> Tensor<4> {
        match (input, &self.backbone) {
            (Input::Maps(maps), _) => maps,
            (Input::Images(images), Some(backbone)) => backbone.forward(images),
            (Input::Images(_), None) => panic!("this model reads feature maps, not images"),
        }
    }

    /// Category scores (logits) of a batch, `-> [B, C]`.
    pub fn forward(&self, input: Input) -> Tensor<2> {
        self.head.forward(self.maps(input))
    }

    /// Learning-rate factors: the backbone's, and those that the method asks for.
    pub fn groups(&self, backbone_factor: f64) -> Vec<(ParamGroup, f64)> {
        let backbone =
            self.backbone.iter().map(|b| (ParamGroup::ids_from_module(b.clone()), backbone_factor));
        backbone.chain(self.head.groups()).collect()
    }
}
