//! Unknown labels that a method takes for positive in one step, with a count of them for the log.

use burn::module::{Module, RunningState};
use burn::tensor::{Device, Tensor};

use crate::loss::masks::Masks;
use crate::ranks::across::sum_of_ranks;

/// How many unknown labels were taken for positive since the epoch began, by each of two judges: the other
/// categories of the image (`intra`) and other images (`inter`). Part of the record, so that a resumed epoch
/// goes on counting.
#[derive(Module, Debug)]
pub struct Believed {
    /// Of `intra`, of `inter`, and all unknown labels seen, `[3]`.
    pub counts: RunningState<Tensor<1>>,
}

/// 1 where a label is taken for positive if it is unknown, by both judges; each `[B, C]`.
#[derive(Debug, Clone)]
pub struct Verdicts {
    /// Of the other categories of the image.
    pub intra: Tensor<2>,
    /// Of other images.
    pub inter: Tensor<2>,
}

impl Believed {
    /// Nothing yet.
    pub fn none(device: &Device) -> Self {
        Self { counts: RunningState::new(Tensor::zeros([3], device)) }
    }

    /// Begins to count anew.
    pub fn begin_epoch(&self) {
        self.set(self.counts.value().zeros_like());
    }

    /// Known labels −1 and +1, and +1 where an unknown one is believed, `[B, C]` for each judge.
    pub fn targets(&self, masks: &Masks, verdicts: Verdicts) -> Verdicts {
        let believed =
            [verdicts.intra, verdicts.inter].map(|verdict| masks.unknown.clone() * verdict.detach());
        let counted = believed.iter().chain([&masks.unknown]).map(|cells| cells.clone().sum());
        let (counts, counted) = (self.counts.value(), sum_of_ranks(Tensor::cat(counted.collect(), 0)));
        self.set(counts.clone() + counted.to_device(&counts.device()));
        let known = masks.positive.clone() - masks.negative.clone();
        let [intra, inter] = believed.map(|cells| known.clone() + cells);
        Verdicts { intra, inter }
    }

    /// The share of the unknown labels that each judge believed, for the log.
    pub fn scalars(&self) -> Vec<(&'static str, f64)> {
        let counts = self.counts.value().into_data();
        let counts: Vec<f64> = counts.iter::<f32>().map(f64::from).collect();
        let share = |believed: f64| believed / counts[2].max(1.0);
        vec![("believed_intra", share(counts[0])), ("believed_inter", share(counts[1]))]
    }

    fn set(&self, counts: Tensor<1>) {
        self.counts.update(counts);
        // Until it is synchronized an update is not part of a record.
        self.counts.value_sync();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sarb_labels::LabelMatrix;

    #[test]
    fn known_labels_stay_and_believed_ones_are_counted() {
        let device = Device::flex();
        let masks = Masks::new(&LabelMatrix::from_values(4, &[1, -1, 0, 0]), &device);
        let verdict = |row: [f32; 4]| Tensor::<2>::from_data([row], &device);
        let believed = Believed::none(&device);
        let verdicts = Verdicts { intra: verdict([1.0; 4]), inter: verdict([1.0, 1.0, 0.0, 1.0]) };
        let targets = believed.targets(&masks, verdicts);
        let values = |x: Tensor<2>| x.into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(values(targets.intra), [1.0, -1.0, 1.0, 1.0]);
        assert_eq!(values(targets.inter), [1.0, -1.0, 0.0, 1.0]);
        assert_eq!(believed.scalars(), [("believed_intra", 1.0), ("believed_inter", 0.5)]);
        let resumed = Believed::none(&device).load_record(believed.clone().into_record());
        assert_eq!(resumed.scalars(), believed.scalars());
        believed.begin_epoch();
        assert_eq!(believed.scalars(), [("believed_intra", 0.0), ("believed_inter", 0.0)]);
    }
}
