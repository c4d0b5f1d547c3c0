//! A pass over the training rows, of which a method computes something between epochs.

use burn::tensor::Tensor;
use sarb_labels::LabelMatrix;

use super::Trainer;
use crate::Result;
use crate::loader::{ExampleKind, View};
use crate::methods::{Reading, TrainSet};
use crate::model::Inference;
use crate::prepare::Prepared;
use crate::scoring::input_of;
use crate::soft_labels::SoftLabels;

/// The training rows as a model sees them; of several ranks, each reads its part.
pub(super) struct Pass<'a> {
    trainer: &'a Trainer<'a>,
    model: &'a Inference,
    labels: LabelMatrix,
    soft: SoftLabels,
}

impl<'a> Pass<'a> {
    pub(super) fn new(trainer: &'a Trainer<'a>, model: &'a Inference) -> Self {
        let Prepared { annotations, soft, rows, .. } = trainer.prepared;
        Self { trainer, model, labels: annotations.labels.select(rows), soft: soft.select(rows) }
    }
}

impl TrainSet for Pass<'_> {
    fn labels(&self) -> &LabelMatrix {
        &self.labels
    }

    fn soft_labels(&self) -> &SoftLabels {
        &self.soft
    }

    fn seed(&self) -> u64 {
        self.trainer.recipe.seed
    }

    fn blocks(&self) -> Option<Vec<usize>> {
        self.trainer.prepared.source.blocks()
    }

    fn for_each_maps(
        &self,
        reading: Reading,
        each: &mut dyn FnMut(&[usize], Tensor<4>) -> Result<()>,
    ) -> Result<()> {
        let Trainer { prepared, device, loader, cancel, ranks, .. } = self.trainer;
        let (batches, view): (Vec<Vec<usize>>, _) = match reading {
            Reading::Clean => (prepared.rows.chunks(32).map(<[usize]>::to_vec).collect(), View::Clean),
            Reading::AsTrained { epoch } => (self.trainer.batches(epoch), self.trainer.training_view(epoch)),
        };
        // Maps that are there already are read faster than sent.
        if ranks.is_alone() || prepared.examples.kind() == ExampleKind::Map {
            for loaded in loader.batches(prepared.examples.clone(), batches, view) {
                cancel.check()?;
                let loaded = loaded?;
                // Rows of `labels()`, which holds the training rows only.
                let rows = self.trainer.places(&loaded.rows);
                each(&rows, self.model.maps(input_of(loaded, device)))?;
            }
            return Ok(());
        }
        let own = batches.iter().skip(ranks.rank()).step_by(ranks.count()).cloned().collect();
        let mut own = loader.batches(prepared.examples.clone(), own, view);
        for batches in batches.chunks(ranks.count()) {
            cancel.check()?;
            let maps = own.next().transpose()?.map(|loaded| self.model.maps(input_of(loaded, device)));
            for (rows, maps) in batches.iter().zip(ranks.gather_maps(maps, device)?) {
                each(&self.trainer.places(rows), maps)?;
            }
        }
        Ok(())
    }
}
