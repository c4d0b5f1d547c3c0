//! The newest representations of known positives of every category, to which an unknown label is compared
//! (SST's inter-image branch).
//!
//! Only directions are kept, because only cosines are asked for. Official code: the queue begins as zero
//! vectors that count in the mean, and is not in the checkpoint; here it is part of the module's record.

use burn::module::{Module, RunningState};
use burn::tensor::{Device, Tensor};
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use crate::kernels::shared_states::select_rows;

/// What the mean over a queue is taken of that is not full yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueueStart {
    /// The representations that are there.
    #[default]
    Empty,
    /// All places, zero vectors included, as in the official code.
    Zeros,
}

/// A queue for every category, the newest first.
#[derive(Module, Debug)]
pub struct Queue {
    /// Unit vectors, `[C, L, D]`; zeros behind the last.
    pub directions: RunningState<Tensor<3>>,
    /// How many there are, `[C]`.
    pub filled: RunningState<Tensor<1>>,
}

impl Queue {
    /// Room for L `length` vectors of width D in each of C categories.
    pub fn empty(categories: usize, length: usize, dim: usize, device: &Device) -> Self {
        Self {
            directions: RunningState::new(Tensor::zeros([categories, length, dim], device)),
            filled: RunningState::new(Tensor::zeros([categories], device)),
        }
    }

    /// Puts the known positives of a batch in front, in its order; unit vectors `[B, C, D]`.
    pub fn push(&self, directions: Tensor<3>, labels: &LabelMatrix) {
        let old = self.directions.value();
        let [categories, length, dim] = old.dims();
        let new = labels.images() * categories;
        let (mut chosen, mut counts) = (Vec::with_capacity(categories * length), Vec::new());
        for category in 0..categories {
            let of_batch = labels.column(category).enumerate().filter(|(_, label)| *label == Label::Positive);
            let of_batch: Vec<usize> = of_batch.map(|(image, _)| image * categories + category).collect();
            counts.push(of_batch.len() as f32);
            let before = new + category * length;
            chosen.extend(of_batch.into_iter().chain(before..before + length).take(length));
        }
        let (device, filled) = (old.device(), self.filled.value());
        let directions = directions.detach().to_device(&device).reshape([new, dim]);
        let rows = Tensor::cat(vec![directions, old.reshape([categories * length, dim])], 0);
        self.directions.update(select_rows(rows, &chosen).reshape([categories, length, dim]));
        let filled = filled + Tensor::from_data(counts.as_slice(), &device);
        self.filled.update(filled.clamp_max(length as f64));
        // Until they are synchronized updates are not part of a record.
        self.directions.value_sync();
        self.filled.value_sync();
    }

    /// The mean cosine with the vectors of the own category's queue, unit vectors `[B, C, D] -> [B, C]`; 0 where
    /// it is empty.
    pub fn cosines(&self, directions: Tensor<3>, start: QueueStart) -> Tensor<2> {
        let device = directions.device();
        let queued = self.directions.value().to_device(&device);
        let [categories, length, dim] = queued.dims();
        let sums = queued.sum_dim(1).reshape([categories, dim]);
        let means = match start {
            QueueStart::Zeros => sums.div_scalar(length as f64),
            QueueStart::Empty => {
                let filled = self.filled.value().to_device(&device).clamp_min(1.0);
                sums / filled.reshape([categories, 1])
            }
        };
        (directions * means.unsqueeze::<3>()).sum_dim(2).squeeze_dim(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(x: Tensor<2>) -> Vec<f32> {
        x.into_data().try_to_vec().expect("f32")
    }

    #[test]
    fn the_newest_positives_are_first_and_the_oldest_leave() {
        let device = Device::flex();
        let queue = Queue::empty(2, 2, 2, &device);
        let (east, north, west) = ([1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]);
        let step = |first: [f32; 2], second: [f32; 2], labels: [i8; 4]| {
            let both = Tensor::<3>::from_data([[first, first], [second, second]], &device);
            queue.push(both, &LabelMatrix::from_values(2, &labels));
        };
        let east_of = |start| {
            let both = Tensor::<3>::from_data([[east, east]], &device);
            values(queue.cosines(both, start))
        };
        assert_eq!(east_of(QueueStart::Empty), [0.0, 0.0]);
        step(east, north, [1, 0, 0, -1]);
        assert_eq!(east_of(QueueStart::Empty), [1.0, 0.0], "one vector, and none");
        assert_eq!(east_of(QueueStart::Zeros), [0.5, 0.0], "a zero vector beside it");
        step(north, west, [1, 1, 1, 0]);
        let queued = queue.directions.value().reshape([4, 2]);
        assert_eq!(values(queued), [0.0, 1.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
        assert_eq!(queue.filled.value().into_data().try_to_vec::<f32>().expect("f32"), [2.0, 1.0]);
    }

    #[test]
    fn a_queue_is_part_of_the_record() {
        let device = Device::flex().autodiff();
        let queue = Queue::empty(1, 3, 2, &device);
        let one = Tensor::<3>::from_data([[[0.6, 0.8]]], &device);
        queue.push(one.clone(), &LabelMatrix::from_values(1, &[1]));
        let loaded = Queue::empty(1, 3, 2, &device).load_record(queue.into_record());
        let cosine = values(loaded.cosines(one, QueueStart::Empty))[0];
        assert!((cosine - 1.0).abs() < 1e-6, "{cosine}");
    }
}
