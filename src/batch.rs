//! What one training or evaluation step sees, and what it reports.
//!
//! A [`Batch`] carries the *partial* labels only: there is no field for hidden ones, so no method
//! can learn from a label that the protocol took away.

use burn::tensor::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use sarb_labels::LabelMatrix;
use sarb_labels::random::{Stream, rng};

use crate::ranks::share::places_of;
use crate::soft_labels::SoftLabels;

/// What a network reads, of each of B examples.
#[derive(Debug, Clone)]
pub enum Input {
    /// Normalized images, `[B, 3, S, S]`.
    Images(Tensor<4>),
    /// Maps before the last stage of a backbone, `[B, F', H', W']`.
    TrunkMaps(Tensor<4>),
    /// Feature maps of a frozen backbone or of the user, `[B, F, H, W]`.
    Maps(Tensor<4>),
}

impl Input {
    /// These examples and then `others`, which are of the same kind.
    ///
    /// # Panics
    /// If they are of another kind.
    pub fn then(self, others: Self) -> Self {
        let both = |first, second| Tensor::cat(vec![first, second], 0);
        match (self, others) {
            (Self::Images(first), Self::Images(second)) => Self::Images(both(first, second)),
            (Self::TrunkMaps(first), Self::TrunkMaps(second)) => Self::TrunkMaps(both(first, second)),
            (Self::Maps(first), Self::Maps(second)) => Self::Maps(both(first, second)),
            _ => panic!("examples of two kinds"),
        }
    }
}

/// Images or feature maps of B examples with their partial labels.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What the network reads; of the strong views too where the method reads them, after all others.
    pub input: Input,
    /// Labels −1 / 0 / +1, `B × C`, on the host: which entries are supervised, blended or drawn is
    /// decided there, so that no step waits for the device.
    pub labels: LabelMatrix,
    /// Probable ones among the unknown labels.
    pub soft: SoftLabels,
    /// Rows of the training data, for methods that keep a state per example.
    pub indices: Vec<usize>,
    /// What cached maps of mixed images are mixtures of.
    pub mixture: Option<Mixture>,
    /// The whole batch, where this is the part of it that one rank of several has.
    pub whole: Option<Whole>,
}

/// What every rank knows of a batch.
#[derive(Debug, Clone)]
pub struct Whole {
    /// Labels −1 / 0 / +1, `B × C`.
    pub labels: LabelMatrix,
    /// Rows of the training data.
    pub indices: Vec<usize>,
}

impl Batch {
    /// No example at all, to be filled.
    #[cfg(test)]
    pub fn empty() -> Self {
        Self {
            input: Input::Maps(Tensor::empty([0, 0, 0, 0], &Device::flex())),
            labels: LabelMatrix::unknown(0, 1),
            soft: SoftLabels::default(),
            indices: Vec::new(),
            mixture: None,
            whole: None,
        }
    }

    /// Labels of the whole batch, of which this may be a rank's part.
    pub fn all_labels(&self) -> &LabelMatrix {
        self.whole.as_ref().map_or(&self.labels, |whole| &whole.labels)
    }

    /// Rows of the training data of the whole batch.
    pub fn all_indices(&self) -> &[usize] {
        self.whole.as_ref().map_or(&self.indices, |whole| &whole.indices)
    }

    /// The labels as a tensor of −1, 0 and +1, with probabilities where labels are only probable, `[B, C]`.
    pub fn targets(&self, device: &Device) -> Tensor<2> {
        self.soft.beside(targets(&self.labels, device))
    }
}

/// For every image of a batch what is known of the image mixed into it, and the share λ it kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture {
    /// Labels of the partners, `B × C`.
    pub partners: LabelMatrix,
    /// λ, `B` values in 0…1.
    pub kept: Vec<f32>,
}

impl Mixture {
    /// Image b with image B − 1 − b, all with the same λ.
    pub fn flipped(batch: &Batch, kept: f32) -> Self {
        let all = batch.all_labels();
        let places = places_of(batch.labels.images());
        let kept = vec![kept; places.len()];
        let partners: Vec<usize> = places.map(|place| all.images() - 1 - place).collect();
        Self { partners: all.select(&partners), kept }
    }
}

/// Labels as a tensor of −1, 0 and +1, `N × C -> [N, C]`.
pub fn targets(labels: &LabelMatrix, device: &Device) -> Tensor<2> {
    let data = burn::tensor::TensorData::new(labels.to_floats(), [labels.images(), labels.categories()]);
    Tensor::from_data(data, device)
}

/// Where training stands, and the random streams of this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The run's seed.
    pub seed: u64,
    /// The epoch, from 0.
    pub epoch: usize,
    /// The step within the epoch, from 0.
    pub step: usize,
    /// Steps in an epoch.
    pub steps: usize,
}

impl Progress {
    /// The generator of `stream` at this epoch and step: the same numbers after a resume.
    pub fn rng(&self, stream: Stream) -> ChaCha8Rng {
        rng(self.seed, stream, self.epoch as u64, self.step as u64)
    }

    /// The share of a weight that grows from 0 over the first epoch.
    pub fn warm_up(&self) -> f64 {
        if self.epoch == 0 { self.step as f64 / self.steps as f64 } else { 1.0 }
    }
}

/// Named, weighted loss terms.
#[derive(Debug, Clone, Default)]
pub struct Losses {
    terms: Vec<(&'static str, f64, Tensor<1>)>,
}

impl Losses {
    /// Adds a term: `value` is `[1]`, unweighted.
    pub fn with(mut self, name: &'static str, weight: f64, value: Tensor<1>) -> Self {
        self.terms.push((name, weight, value));
        self
    }

    /// Adds the terms of `others`.
    pub fn and(mut self, others: Self) -> Self {
        self.terms.extend(others.terms);
        self
    }

    /// The weighted sum, `[1]`.
    ///
    /// # Panics
    /// If there is no term.
    pub fn total(&self) -> Tensor<1> {
        self.terms
            .iter()
            .map(|(_, weight, value)| match *weight {
                1.0 => value.clone(),
                weight => value.clone().mul_scalar(weight),
            })
            .reduce(|sum, term| sum + term)
            .expect("a method has at least one loss term")
    }

    /// The same terms with other unweighted values, such as those of the whole batch.
    ///
    /// # Panics
    /// If there is not a value for each.
    pub fn with_values(self, values: &[f32]) -> Self {
        assert_eq!(self.terms.len(), values.len(), "a value for each term");
        let terms = self.terms.into_iter().zip(values);
        let terms = terms
            .map(|((name, weight, term), &value)| (name, weight, Tensor::from_data([value], &term.device())));
        Self { terms: terms.collect() }
    }

    /// Name and unweighted value of each term, in the order they were added.
    pub fn terms(&self) -> impl Iterator<Item = (&'static str, &Tensor<1>)> {
        self.terms.iter().map(|(name, _, value)| (*name, value))
    }
}
