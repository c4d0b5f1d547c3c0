//! What every method knows of its categories before it sees an image: word vectors, co-occurrence and
//! how often each is there.

use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt};
use sarb_labels::LabelMatrix;
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
    /// How many images train.
    pub images: usize,
}

impl CategoryKnowledge {
    /// Of the run's categories, with the partial labels of the training rows, `N × C`.
    pub fn new(categories: &Categories, labels: &LabelMatrix) -> Self {
        let words = categories.words.as_ref().map(|words| (words.values.clone(), words.width));
        let (counts, images) = (labels.counts(), labels.images());
        Self { words, cooccurrence: categories.cooccurrence.clone(), counts, images }
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
pub fn output_bias(start: OutputBias, knowledge: &CategoryKnowledge) -> Option<Vec<f32>> {
    let prior = |&(positive, known): &(usize, usize)| {
        // All known labels positive: that tells of who labeled, not of the category.
        let of = if 0 < positive && positive == known { knowledge.images } else { known };
        ((positive as f32 + 1.0) / ((of - positive) as f32 + 1.0)).ln()
    };
    match start {
        OutputBias::Prior => Some(knowledge.counts.iter().map(prior).collect()),
        OutputBias::Zero => Some(vec![0.0; knowledge.counts.len()]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_start_at_the_share_of_the_known_labels_and_without_a_negative_of_all_images() {
        let counts = vec![(1, 8), (2, 2), (0, 0), (0, 5)];
        let knowledge = CategoryKnowledge { words: None, cooccurrence: Vec::new(), counts, images: 20 };
        let start = output_bias(OutputBias::Prior, &knowledge).unwrap();
        let odds = [2.0f32 / 8.0, 3.0 / 19.0, 1.0, 1.0 / 6.0];
        assert!(start.iter().zip(odds).all(|(start, odds)| (start - odds.ln()).abs() < 1e-6), "{start:?}");
        assert_eq!(output_bias(OutputBias::Zero, &knowledge), Some(vec![0.0; 4]));
        assert_eq!(output_bias(OutputBias::Random, &knowledge), None);
    }
}
