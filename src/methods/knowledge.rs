//! What every method knows of its categories before it sees an image: word vectors, co-occurrence and
//! how often each is there.

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt};
use sarb_labels::categories::Categories;

use super::network_recipe::OutputBias;

/// What a head knows of the C categories before it sees an image.
#[derive(Debug, Clone)]
pub struct CategoryKnowledge {
    /// Word vectors, `C · E` values row by row, and E; learned where there are none.
    pub words: Option<(Vec<f32>, usize)>,
    /// How often j is there when i is, `C · C` values row by row.
    pub cooccurrence: Vec<f32>,
    /// Known positives and known labels of every category in the training data.
    pub counts: Vec<(usize, usize)>,
}

impl CategoryKnowledge {
    /// Of the run's categories, with the label counts of the training rows.
    pub fn new(categories: &Categories, counts: Vec<(usize, usize)>) -> Self {
        let words = categories.words.as_ref().map(|words| (words.values.clone(), words.width));
        Self { words, cooccurrence: categories.cooccurrence.clone(), counts }
    }
}

/// Word vectors x_c of the categories, `[C, E]`.
#[derive(Module, Debug)]
pub enum Words {
    /// Given, never trained.
    Fixed(RunningState<Tensor<2>>),
    /// Trained from a random start.
    Learned(Param<Tensor<2>>),
}

impl Words {
    /// `[C, E]` on a device.
    pub fn vectors(&self, device: &Device) -> Tensor<2> {
        match self {
            Words::Fixed(vectors) => vectors.value().to_device(device),
            Words::Learned(vectors) => vectors.val(),
        }
    }
}

/// Where the biases of C classifiers start; nothing where they stay as they are drawn.
pub fn output_bias(start: OutputBias, counts: &[(usize, usize)]) -> Option<Vec<f32>> {
    let prior = |&(positive, known): &(usize, usize)| {
        ((positive as f32 + 1.0) / ((known - positive) as f32 + 1.0)).ln()
    };
    match start {
        OutputBias::Prior => Some(counts.iter().map(prior).collect()),
        OutputBias::Zero => Some(vec![0.0; counts.len()]),
        OutputBias::Random => None,
    }
}

/// The word vectors x_c and their width: those given, or learned ones of width `learned_width`.
pub fn words(
    knowledge: &CategoryKnowledge,
    learned_width: usize,
    rng: &mut impl Rng,
    device: &Device,
) -> (Words, usize) {
    let categories = knowledge.counts.len();
    match &knowledge.words {
        Some((vectors, width)) => {
            let vectors = TensorData::new(vectors.clone(), [categories, *width]);
            (Words::Fixed(RunningState::new(Tensor::from_data(vectors, device))), *width)
        }
        None => {
            // Values spread like GloVe's, whose standard deviation is about 0.4.
            let spread = 0.4 * 3f32.sqrt();
            let values = (0..categories * learned_width).map(|_| rng.random_range(-spread..=spread));
            let vectors = TensorData::new(values.collect::<Vec<f32>>(), [categories, learned_width]);
            (Words::Learned(Param::from_data(vectors, device)), learned_width)
        }
    }
}
