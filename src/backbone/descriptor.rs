//! The descriptor of an image: one vector of pooled blocks in place of a feature map.
//!
//! The mean over positions keeps how much of a feature there is and loses where it is strong; a small object
//! hardly moves it. The blocks beside it keep the strong places, and what the backbone's own ImageNet classifier
//! (W, b) sees at each position. Of a map F, `[channels, P]`, at every size:
//!
//! ```text
//! mean             √ mean over positions                 probability   √ max over positions of softmax(W F + b)
//! strongest        √ mean of the ⌊P/8⌋ largest values    score           max over positions of W F + b
//! ```
//!
//! With `flip` every block is the mean over the image and its mirror image, taken before the root.

use std::fmt;
use std::path::Path;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::backbone::{Backbone, Classifier, FoldedBackbone};
use crate::onnx::graph::{Graph, Value};
use crate::{Error, Result};

/// One in so many positions counts as strong.
const STRONG: usize = 8;

/// The recipe's table `backbone.descriptor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DescriptorRecipe {
    /// What is pooled, in this order.
    pub blocks: Vec<Block>,
    /// Sides of the images that the backbone sees, in pixels; the largest is `data.size_px`.
    pub sizes_px: Vec<usize>,
    /// Whether the mirror image is seen too.
    pub flip: bool,
}

impl Default for DescriptorRecipe {
    fn default() -> Self {
        Self { blocks: Block::ALL.to_vec(), sizes_px: vec![224, 320], flip: true }
    }
}

/// One way to pool a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Block {
    /// The mean of each channel.
    Mean,
    /// The mean of the largest values of each channel.
    Strongest,
    /// The largest probability of each ImageNet class at any position.
    Probability,
    /// The largest score of each ImageNet class at any position.
    Score,
}

impl Block {
    /// Every block.
    pub const ALL: [Self; 4] = [Self::Mean, Self::Strongest, Self::Probability, Self::Score];
    /// Their names in recipes.
    pub const NAMES: &'static [&'static str] = &["mean", "strongest", "probability", "score"];

    fn of_classes(self) -> bool {
        matches!(self, Self::Probability | Self::Score)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAMES[*self as usize])
    }
}

impl DescriptorRecipe {
    /// Refuses what gives no vector, or one that is not of images of `size_px`.
    ///
    /// # Errors
    /// [`Error::Recipe`], beginning with the key.
    pub fn check(&self, size_px: usize) -> Result<()> {
        let refused = |why: String| Err(Error::Recipe(format!("backbone.descriptor.{why}")));
        let repeated = |at: usize| self.blocks[..at].contains(&self.blocks[at]);
        if self.blocks.is_empty() || (0..self.blocks.len()).any(repeated) {
            return refused("blocks names none, or one twice; expected each at most once".into());
        }
        let largest = self.sizes_px.iter().copied().max().unwrap_or_default();
        if largest != size_px || self.sizes_px.iter().any(|&size| size < 32) {
            return refused(format!(
                "sizes_px is {:?}; expected sizes of at least 32 pixels of which the largest is data.size_px, {size_px}",
                self.sizes_px
            ));
        }
        Ok(())
    }

    /// What the vector depends on, as part of the key of cached ones.
    pub fn describe(&self) -> String {
        let sizes: Vec<String> = self.sizes_px.iter().map(ToString::to_string).collect();
        let blocks: Vec<String> = self.blocks.iter().map(ToString::to_string).collect();
        let flip = if self.flip { "-flip" } else { "" };
        format!("descriptor1-{}-{}{flip}", blocks.join("+"), sizes.join("+"))
    }
}

/// Makes descriptors of a backbone's maps.
#[derive(Debug)]
pub(crate) struct Descriptor {
    recipe: DescriptorRecipe,
    /// Where a block reads it.
    classifier: Option<Classifier>,
}

impl Descriptor {
    /// Of the backbone whose weights and classifier are in the file `weights`.
    ///
    /// # Errors
    /// As [`Backbone::classifier`], where a block reads it.
    pub fn open(recipe: &DescriptorRecipe, backbone: &Backbone, weights: &Path) -> Result<Self> {
        let reads = recipe.blocks.iter().any(|block| block.of_classes());
        let classifier = reads.then(|| backbone.classifier(weights)).transpose()?;
        Ok(Self { recipe: recipe.clone(), classifier })
    }

    /// Saves the weights of the backbone with all that descriptors are made of.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, backbone: &Backbone, path: &Path) -> Result<()> {
        match &self.classifier {
            Some(classifier) => backbone.save_with(classifier, path),
            None => backbone.save(path),
        }
    }

    /// Widths of the blocks for maps of so many channels, size by size.
    pub fn widths(&self, channels: usize) -> Vec<usize> {
        let classes = self.classifier.as_ref().map_or(0, |classifier| classifier.bias.len());
        let width = |block: &Block| if block.of_classes() { classes } else { channels };
        self.recipe.sizes_px.iter().flat_map(|_| self.recipe.blocks.iter().map(width)).collect()
    }

    /// Normalized images to descriptors, `[B, 3, S, S] -> [B, D, 1, 1]`.
    pub fn forward(&self, network: &FoldedBackbone, images: Tensor<4>) -> Tensor<4> {
        let images = images.inner();
        let parts = self.recipe.sizes_px.iter().flat_map(|&size_px| {
            let images = resized(images.clone(), size_px);
            let mirrored = self.recipe.flip.then(|| images.clone().flip([3]));
            let mut pooled = self.pooled(network.forward(images));
            if let Some(mirrored) = mirrored {
                let other = self.pooled(network.forward(mirrored));
                pooled = pooled.into_iter().zip(other).map(|(a, b)| (a + b) / 2.0).collect();
            }
            let rooted = |(block, values): (&Block, Tensor<2>)| match block {
                Block::Score => values,
                _ => values.clamp_min(0.0).sqrt(),
            };
            self.recipe.blocks.iter().zip(pooled).map(rooted).collect::<Vec<_>>()
        });
        let descriptor: Tensor<2> = Tensor::cat(parts.collect(), 1);
        let [batch, dim] = descriptor.dims();
        descriptor.reshape([batch, dim, 1, 1])
    }

    /// [`forward`](Self::forward) in a graph, `[3, S, S] -> [D, 1, 1]`.
    pub fn export(&self, graph: &mut Graph, backbone: &Backbone, images: &Value) -> Value {
        let mut parts = Vec::new();
        for &size_px in &self.recipe.sizes_px {
            let images = export_resized(graph, images, size_px);
            let mut pooled = self.export_pooled(graph, backbone, &images);
            if self.recipe.flip {
                let mirrored = graph.reversed(&images, 2);
                let other = self.export_pooled(graph, backbone, &mirrored);
                for (value, other) in pooled.iter_mut().zip(&other) {
                    let sum = graph.both("Add", value, other);
                    *value = graph.scaled(&sum, 0.5);
                }
            }
            for (block, value) in self.recipe.blocks.iter().zip(pooled) {
                parts.push(match block {
                    Block::Score => value,
                    _ => {
                        let positive = graph.each("Relu", &value);
                        graph.each("Sqrt", &positive)
                    }
                });
            }
        }
        let descriptor = graph.concatenated(&parts, 0);
        let [dim] = descriptor.sizes();
        graph.reshaped(&descriptor, &[dim, 1, 1])
    }

    /// The blocks of the maps of images before the root, in a graph, each `[F]` or `[K]`.
    fn export_pooled(&self, graph: &mut Graph, backbone: &Backbone, images: &Value) -> Vec<Value> {
        let maps = graph.within("backbone", |graph| backbone.export(graph, images));
        let [channels, height, width] = maps.sizes();
        let positions = height * width;
        let flat = graph.reshaped(&maps, &[channels, positions]); // [F, P]
        let scores = self.classifier.as_ref().map(|classifier| export_scores(graph, classifier, &flat));
        let scores = || scores.clone().expect("there where a block reads it");
        let mut pooled = Vec::new();
        for block in &self.recipe.blocks {
            pooled.push(match block {
                Block::Mean => graph.over("ReduceMean", &flat, &[1]),
                Block::Strongest => {
                    let largest = graph.largest(&flat, (positions / STRONG).max(1));
                    graph.over("ReduceMean", &largest, &[1])
                }
                Block::Probability => {
                    let probabilities = graph.softmax(&scores(), 1);
                    graph.over("ReduceMax", &probabilities, &[0])
                }
                Block::Score => graph.over("ReduceMax", &scores(), &[0]),
            });
        }
        pooled
    }

    /// The blocks of maps `[B, F, H, W]` before the root, each `[B, F]` or `[B, K]`.
    fn pooled(&self, maps: Tensor<4>) -> Vec<Tensor<2>> {
        let maps = maps.flatten::<3>(2, 3); // [B, F, P]
        let positions = maps.dims()[2];
        let scores = self.classifier.as_ref().map(|classifier| scores(classifier, &maps));
        let scores = || scores.clone().expect("there where a block reads it");
        let pool = |block: &Block| match block {
            Block::Mean => maps.clone().mean_dim(2).squeeze_dim(2),
            Block::Strongest => strongest(&maps, (positions / STRONG).max(1)),
            Block::Probability => softmax(scores(), 2).max_dim(1).squeeze_dim(1),
            Block::Score => scores().max_dim(1).squeeze_dim(1),
        };
        self.recipe.blocks.iter().map(pool).collect()
    }
}

/// W F + b at every position, `[B, F, P] -> [B, P, K]`.
fn scores(classifier: &Classifier, maps: &Tensor<3>) -> Tensor<3> {
    let device = maps.device();
    let (classes, channels) = (classifier.bias.len(), maps.dims()[1]);
    let weight = TensorData::new(classifier.weight.clone(), [1, classes, channels]);
    let bias = TensorData::new(classifier.bias.clone(), [1, 1, classes]);
    let weight = Tensor::<3>::from_data(weight, &device).swap_dims(1, 2);
    maps.clone().swap_dims(1, 2).matmul(weight) + Tensor::<3>::from_data(bias, &device)
}

/// [`scores`] in a graph, `[F, P] -> [P, K]`.
fn export_scores(graph: &mut Graph, classifier: &Classifier, maps: &Value) -> Value {
    let (classes, [channels, _]) = (classifier.bias.len(), maps.sizes());
    let weight = TensorData::new(classifier.weight.clone(), [classes, channels]);
    let device = Device::flex();
    let weight = Tensor::<2>::from_data(weight, &device).transpose();
    let maps = graph.transposed(maps, &[1, 0]);
    graph.linear("imagenet", &maps, weight, Some(Tensor::from_data(classifier.bias.as_slice(), &device)))
}

/// The mean of the `count` largest values of each channel, `[B, F, P] -> [B, F]`.
fn strongest(maps: &Tensor<3>, count: usize) -> Tensor<2> {
    let [batch, channels, positions] = maps.dims();
    let device = maps.device();
    let mut values = maps.clone().into_data().try_into_vec::<f32>().expect("maps are f32");
    let mean = |channel: &mut [f32]| {
        channel.select_nth_unstable_by(count - 1, |a, b| b.total_cmp(a));
        channel[..count].iter().sum::<f32>() / count as f32
    };
    let means: Vec<f32> = values.chunks_exact_mut(positions).map(mean).collect();
    Tensor::from_data(TensorData::new(means, [batch, channels]), &device)
}

/// Square images at another size, by a bicubic filter that is widened where they shrink, as Pillow's.
fn resized(images: Tensor<4>, size_px: usize) -> Tensor<4> {
    let [_, _, side, _] = images.dims();
    if side == size_px {
        return images;
    }
    let weights = filter(side, size_px, &images.device());
    weights.clone().unsqueeze::<4>().matmul(images).matmul(weights.transpose().unsqueeze::<4>())
}

/// [`resized`] in a graph.
fn export_resized(graph: &mut Graph, images: &Value, size_px: usize) -> Value {
    let [_, side, _] = images.sizes();
    if side == size_px {
        return images.clone();
    }
    let weights = filter(side, size_px, &Device::flex());
    let rows = graph.tensor(&format!("rows_to_{size_px}"), weights.clone());
    let columns = graph.tensor(&format!("columns_to_{size_px}"), weights.transpose());
    let images = graph.product(&rows, images);
    graph.product(&images, &columns)
}

/// Which pixels of `from` each of `to` pixels is made of, `[to, from]`.
fn filter(from: usize, to: usize, device: &Device) -> Tensor<2> {
    let cubic = |x: f64| match x.abs() {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    };
    let scale = from as f64 / to as f64;
    let mut weights = Vec::with_capacity(from * to);
    for out in 0..to {
        let center = (out as f64 + 0.5) * scale;
        let row: Vec<f64> =
            (0..from).map(|pixel| cubic((pixel as f64 + 0.5 - center) / scale.max(1.0))).collect();
        let sum: f64 = row.iter().sum();
        weights.extend(row.into_iter().map(|weight| (weight / sum) as f32));
    }
    Tensor::from_data(TensorData::new(weights, [to, from]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(blocks: &[Block]) -> Descriptor {
        let recipe = DescriptorRecipe { blocks: blocks.to_vec(), sizes_px: vec![64], flip: false };
        let classifier = Classifier { weight: vec![1.0, 0.0, 0.0, 2.0], bias: vec![0.0, -1.0] };
        Descriptor { recipe, classifier: Some(classifier) }
    }

    fn values(tensor: &Tensor<2>) -> Vec<f32> {
        tensor.clone().into_data().try_into_vec().unwrap()
    }

    #[test]
    fn every_block_pools_as_it_says() {
        // Two channels at sixteen positions: 0 … 15, and 3 at the last position alone.
        let mut map: Vec<f32> = (0..16).map(|value| value as f32).collect();
        map.extend([0.0; 15]);
        map.push(3.0);
        let maps = Tensor::<4>::from_data(TensorData::new(map, [1, 2, 4, 4]), &Device::flex());
        let pooled = descriptor(&Block::ALL).pooled(maps);
        assert_eq!(values(&pooled[0]), [7.5, 3.0 / 16.0]);
        assert_eq!(values(&pooled[1]), [14.5, 1.5], "⌊16/8⌋ = 2 largest");
        assert_eq!(values(&pooled[3]), [15.0, 5.0]);
        // Scores (0, −1) at the first position, (14, −1) and (15, 5) at the last two.
        let expected = [1.0 / (1.0 + (-15f32).exp()), 1.0 / (1.0 + 1f32.exp())];
        for (found, expected) in values(&pooled[2]).into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }

    #[test]
    fn a_mirror_image_has_the_same_descriptor_and_widths_add_up() {
        let network = crate::backbone::tests::small().folded();
        let channels = network.backbone().channels();
        let recipe = DescriptorRecipe { blocks: Block::ALL.to_vec(), sizes_px: vec![40, 64], flip: true };
        let classifier = Classifier { weight: vec![0.1; 3 * channels], bias: vec![0.0; 3] };
        let descriptor = Descriptor { recipe, classifier: Some(classifier) };
        let images = crate::backbone::tests::images(64);
        let found = descriptor.forward(&network, images.clone());
        let widths = descriptor.widths(channels);
        assert_eq!(widths, [channels, channels, 3, 3, channels, channels, 3, 3]);
        assert_eq!(found.dims(), [2, widths.iter().sum(), 1, 1]);
        let mirrored = descriptor.forward(&network, images.flip([3]));
        let difference: f32 = (found - mirrored).abs().max().into_scalar();
        assert!(difference < 1e-4, "{difference}");
    }

    #[test]
    fn shrinking_keeps_a_flat_image_and_the_mean_of_a_slope() {
        let flat = Tensor::<4>::full([1, 3, 320, 320], 0.7, &Device::flex());
        let difference: f32 = (resized(flat, 224) - 0.7).abs().max().into_scalar();
        assert!(difference < 1e-5, "{difference}");
        let slope: Vec<f32> = (0..64 * 64).map(|at| (at % 64) as f32 / 64.0).collect();
        let slope = Tensor::<4>::from_data(TensorData::new(slope, [1, 1, 64, 64]), &Device::flex());
        let small = resized(slope.clone(), 48);
        let mean = |images: Tensor<4>| images.mean().into_scalar::<f32>();
        assert!((mean(small.clone()) - mean(slope)).abs() < 1e-3);
        let row: Vec<f32> = small.slice([0..1, 0..1, 0..1, 20..22]).into_data().try_into_vec().unwrap();
        assert!((row[1] - row[0] - 1.0 / 48.0).abs() < 1e-3, "{row:?}");
    }

    #[test]
    fn what_gives_no_vector_is_refused() {
        let good = DescriptorRecipe::default();
        assert!(good.check(320).is_ok());
        let refused = |recipe: DescriptorRecipe| recipe.check(320).unwrap_err().to_string();
        assert!(
            refused(DescriptorRecipe { sizes_px: vec![224], ..good.clone() }).contains("data.size_px, 320")
        );
        assert!(
            refused(DescriptorRecipe { sizes_px: vec![16, 320], ..good.clone() }).contains("at least 32")
        );
        assert!(refused(DescriptorRecipe { blocks: vec![], ..good.clone() }).contains("blocks names none"));
        let twice = vec![Block::Mean, Block::Mean];
        assert!(refused(DescriptorRecipe { blocks: twice, ..good }).contains("one twice"));
    }
}
