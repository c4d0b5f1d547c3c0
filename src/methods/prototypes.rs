//! K prototypes per category: centers of k-means over the representations of its known positives
//! (SARB Sec. "Prototype-Level Representation Blending").
//!
//! Official code: from the augmented, shuffled and truncated training loader; it fails where a
//! category has fewer than K known positives, and the prototypes are not in its checkpoint. Here
//! every image is seen once through the test-time transform, K_c ≤ K prototypes are kept, and they
//! are part of the module's record.

use burn::module::{Module, RunningState};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;
use sarb_labels::Label;
use sarb_labels::random::{Stream, rng};

use super::{Reading, TrainSet};
use crate::Result;
use crate::kmeans::{Clusters, kmeans_of_restarts};
use crate::loss::contrastive::unit;

/// Prototypes of all categories; none until the first [`refresh`](Self::refresh).
#[derive(Module, Debug)]
pub struct Prototypes {
    /// `[C, K, D]`; places from K_c on hold zeros. Spelled as in every checkpoint so far.
    pub centres: RunningState<Tensor<3>>,
    /// K_c, `[C]`.
    pub filled: RunningState<Tensor<1>>,
}

impl Prototypes {
    /// Room for K prototypes of width D in each of C categories.
    pub fn empty(categories: usize, per_category: usize, dim: usize, device: &Device) -> Self {
        Self {
            centres: RunningState::new(Tensor::zeros([categories, per_category, dim], device)),
            filled: RunningState::new(Tensor::zeros([categories], device)),
        }
    }

    /// Computes all prototypes anew from the training data, each the best of `restarts` clusterings;
    /// `represent` is the network in evaluation, `[B, F, H, W] -> [B, C, D]`.
    pub fn refresh(
        &self,
        represent: impl Fn(Tensor<4>) -> Tensor<3>,
        train: &dyn TrainSet,
        reading: Reading,
        epoch: usize,
        restarts: usize,
    ) -> Result<()> {
        let [categories, per_category, dim] = self.centres.value().dims();
        let positives = positive_representations(represent, train, reading, [categories, dim])?;
        let points: Vec<&[f32]> = positives.iter().map(Vec::as_slice).collect();
        let clusters = cluster(&points, dim, per_category, restarts, train.seed(), epoch);
        let centers: Vec<Vec<f32>> = clusters.into_iter().map(|clusters| clusters.centers).collect();
        let filled: Vec<usize> = centers.iter().map(|centers| centers.len() / dim).collect();
        let padded = centers.into_iter().flat_map(|mut centers| {
            centers.resize(per_category * dim, 0.0);
            centers
        });
        self.set(padded.collect(), &filled);
        Ok(())
    }

    /// Replaces the prototypes: `C · K · D` values and K_c of every category.
    pub fn set(&self, centers: Vec<f32>, filled: &[usize]) {
        let place = self.centres.value();
        let centers = TensorData::new(centers, place.shape());
        self.centres.update(Tensor::from_data(centers, &place.device()));
        let filled: Vec<f32> = filled.iter().map(|&count| count as f32).collect();
        self.filled.update(Tensor::from_data(filled.as_slice(), &place.device()));
        // Until they are synchronized updates are not part of a record.
        self.centres.value_sync();
        self.filled.value_sync();
    }

    /// K_c of every category.
    pub fn filled(&self) -> Vec<usize> {
        let filled = self.filled.value().into_data();
        filled.iter::<f32>().map(|count| count as usize).collect()
    }

    /// All prototypes, `[C · K, D]`, those of a category one after the other.
    pub fn all(&self, device: &Device) -> Tensor<2> {
        self.centres.value().to_device(device).flatten(0, 1)
    }

    /// The mean of every category's prototypes at length 1, `[C, D]`, with which a unit vector's product is its
    /// mean cosine with them; zeros where there is none.
    pub fn mean_directions(&self, device: &Device) -> Tensor<2> {
        let centers = self.centres.value().to_device(device);
        let [categories, _, dim] = centers.dims();
        let filled = self.filled.value().to_device(device).clamp_min(1.0);
        unit(centers).sum_dim(1).reshape([categories, dim]) / filled.reshape([categories, 1])
    }

    /// Prototype number `index` modulo K_c of every category, `[C, D]`; zeros where there is none.
    pub fn pick(&self, index: usize, filled: &[usize], device: &Device) -> Tensor<2> {
        let centers = self.centres.value().to_device(device);
        let [categories, per_category, dim] = centers.dims();
        let rows: Vec<i64> = (0..categories)
            .map(|category| (category * per_category + index % filled[category].max(1)) as i64)
            .collect();
        let rows = Tensor::<1, Int>::from_data(rows.as_slice(), device);
        centers.reshape([categories * per_category, dim]).select(0, rows)
    }
}

/// Whether prototypes are computed before this epoch: in the first that uses them and every `interval` after it.
pub fn are_due(epoch: usize, first: usize, interval: usize) -> bool {
    epoch >= first && (epoch - first).is_multiple_of(interval)
}

/// At most `per_category` clusters of every category's points, `n_c · D` values each: the best of
/// `restarts` clusterings, all categories at once.
pub fn cluster(
    points: &[&[f32]],
    dim: usize,
    per_category: usize,
    restarts: usize,
    seed: u64,
    epoch: usize,
) -> Vec<Clusters> {
    let categories = points.par_iter().enumerate();
    categories
        .map(|(category, points)| {
            let mut rng = rng(seed, Stream::KMeans, epoch as u64, category as u64);
            kmeans_of_restarts(points, dim, per_category, restarts, &mut rng)
        })
        .collect()
}

/// The representations of every category's known positives, `n_c · D` values each.
fn positive_representations(
    represent: impl Fn(Tensor<4>) -> Tensor<3>,
    train: &dyn TrainSet,
    reading: Reading,
    [categories, dim]: [usize; 2],
) -> Result<Vec<Vec<f32>>> {
    let mut positives = vec![Vec::new(); categories];
    train.for_each_maps(reading, &mut |rows, maps| {
        let representations = represent(maps).into_data();
        let values = representations.as_slice::<f32>().expect("f32 tensors hold f32");
        for (&row, values) in rows.iter().zip(values.chunks_exact(categories * dim)) {
            let labels = train.labels().row(row);
            for ((label, values), positives) in labels.zip(values.chunks_exact(dim)).zip(&mut positives) {
                if label == Label::Positive {
                    positives.extend_from_slice(values);
                }
            }
        }
        Ok(())
    })?;
    Ok(positives)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use sarb_labels::LabelMatrix;

    /// Maps in memory, given out two images at a time.
    pub struct Memory {
        pub maps: Tensor<4>,
        pub labels: LabelMatrix,
    }

    impl TrainSet for Memory {
        fn labels(&self) -> &LabelMatrix {
            &self.labels
        }

        fn seed(&self) -> u64 {
            7
        }

        fn for_each_maps(
            &self,
            _reading: Reading,
            each: &mut dyn FnMut(&[usize], Tensor<4>) -> Result<()>,
        ) -> Result<()> {
            let rows: Vec<usize> = (0..self.labels.images()).collect();
            rows.chunks(2).try_for_each(|rows| each(rows, self.maps.clone().narrow(0, rows[0], rows.len())))
        }
    }

    /// Represents an image for both categories by its first position.
    fn first_position(maps: Tensor<4>) -> Tensor<3> {
        let [batch, dim, ..] = maps.dims();
        maps.slice([0..batch, 0..dim, 0..1, 0..1]).reshape([batch, 1, dim]).repeat_dim(1, 2)
    }

    #[test]
    fn categories_keep_as_many_prototypes_as_they_have_distinct_positives() {
        let device = Device::flex();
        let maps = TensorData::new(vec![1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2, 1, 1]);
        let train = Memory {
            maps: Tensor::from_data(maps, &device),
            labels: LabelMatrix::from_values(2, &[1, -1, 0, 0, 1, -1]),
        };
        let prototypes = Prototypes::empty(2, 4, 2, &device);
        prototypes.refresh(first_position, &train, Reading::Clean, 5, 1).expect("no failure in memory");
        let filled = prototypes.filled();
        assert_eq!(filled, [2, 0], "images 0 and 2 have category 0; category 1 has no positive");

        let pick =
            |index| prototypes.pick(index, &filled, &device).into_data().try_to_vec::<f32>().expect("f32");
        let mut both = [pick(0)[..2].to_vec(), pick(1)[..2].to_vec()];
        both.sort_by(|a, b| a[0].total_cmp(&b[0]));
        assert_eq!(both, [[1.0, 2.0], [5.0, 6.0]]);
        assert_eq!(pick(3), pick(1), "3 modulo 2");
        assert_eq!(pick(0)[2..], [0.0, 0.0]);
    }

    #[test]
    fn they_are_due_in_the_first_epoch_that_uses_them_and_in_every_fifth_after_it() {
        let due: Vec<usize> = (0..15).filter(|&epoch| are_due(epoch, 3, 5)).collect();
        assert_eq!(due, [3, 8, 13]);
    }

    #[test]
    fn prototypes_are_part_of_the_record() {
        let device = Device::flex().autodiff();
        let prototypes = Prototypes::empty(1, 2, 2, &device);
        prototypes.set(vec![1.0, 2.0, 3.0, 4.0], &[2]);
        let loaded = Prototypes::empty(1, 2, 2, &device).load_record(prototypes.into_record());
        assert_eq!(loaded.filled(), [2]);
        let second = loaded.pick(1, &[2], &device).into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(second, [3.0, 4.0]);
    }
}
