//! `curriculum`: curriculum labeling (Durand, Mehrasa, Mori; CVPR 2019, Sec. 3.4): train on the known
//! labels, let the network fill the unknown ones it is sure of, train on with both.
//!
//! With `strategy.name = "class-proportion"` the labels are filled by the rule of CAP (Xie et al., NeurIPS 2023)
//! in place of a threshold. CAP's images are labeled wholly or not at all, and its shares are those of whole
//! images; here they are those of the known labels.
//!
//! Weights carry over from step to step. By default pseudo-labels are made anew at every step
//! (`keep = true`: once given they stay, as in lcalem/partial-labels). They are part of the checkpoint.

use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;
use sarb_labels::random::{Stream, rng};
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::head::{HEAD, Head, HeadRecipe};
use super::keys::{Key, Kind};
use super::knowledge::CategoryKnowledge;
use super::partial_bce::{KnownShareWeight, WEIGHT};
use super::pseudo_labels::{STRATEGY, Spread, Strategy, logits};
use super::torch::TorchHead;
use super::{Exported, Method, Reading, Settings, TrainSet};
use crate::batch::{Batch, Losses, Progress, targets};
use crate::loss::normalization::Normalization;
use crate::loss::partial_bce::partial_bce;
use crate::onnx::graph::{Graph, Value};
use crate::{Error, Result};

/// Settings of `curriculum`; the defaults are those of lcalem/partial-labels, three steps of 10, 5 and
/// 5 epochs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CurriculumRecipe {
    /// The head under the loss.
    pub head: HeadRecipe,
    /// Which unknown labels are believed.
    pub strategy: Strategy,
    /// Epochs, from 0, before which unknown labels are filled.
    pub relabel_before: Vec<usize>,
    /// Whether a label once filled stays; else all are filled anew each time.
    pub keep: bool,
    /// How images weigh, as in partial-BCE, where filled labels count as known; without it all weigh
    /// the same.
    pub weight: Option<KnownShareWeight>,
}

impl Default for CurriculumRecipe {
    fn default() -> Self {
        Self {
            head: HeadRecipe::default(),
            strategy: Strategy::default(),
            relabel_before: vec![10, 15],
            keep: false,
            weight: None,
        }
    }
}

impl Settings for CurriculumRecipe {
    type Head = Curriculum;

    const KEYS: &'static [Key] = &[
        HEAD,
        STRATEGY,
        Key::new(
            "relabel_before",
            Kind::List(&Kind::COUNT),
            "Epochs, from 0, before which unknown labels are filled",
        ),
        Key::new("keep", Kind::Flag, "Whether a label once filled stays; else all are filled anew each time"),
        WEIGHT,
    ];

    fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Curriculum {
        let scorer = self.head.init(channels, knowledge, seed, device);
        Curriculum { scorer, recipe: self.clone(), filled: None }
    }

    fn check(&self) -> Result<()> {
        self.head.check()?;
        self.strategy.check()?;
        self.weight.iter().try_for_each(KnownShareWeight::check)?;
        if matches!(self.strategy, Strategy::Uncertainty { .. }) && !self.head.drops() {
            return Err(Error::Recipe(
                "strategy is \"uncertainty\", the spread of passes with dropout; expected head.dropout (with head \"ssgrl\" head.dropout_classifier) above 0, such as 0.5".into(),
            ));
        }
        Ok(())
    }

    fn follow_reference(&mut self) {
        self.head.follow_reference();
    }
}

/// A head trained on known and pseudo-labels.
#[derive(Module, Debug)]
pub struct Curriculum {
    /// The head.
    pub scorer: Head,
    #[module(skip)]
    recipe: CurriculumRecipe,
    /// Known and believed labels of all training examples, from the first relabeling on.
    #[module(skip)]
    filled: Option<Arc<LabelMatrix>>,
}

impl Curriculum {
    /// Known and believed labels of the rows of a batch.
    fn labels(&self, batch: &Batch) -> LabelMatrix {
        match &self.filled {
            Some(filled) => filled.select(&batch.indices),
            None => batch.labels.clone(),
        }
    }
}

impl Method for Curriculum {
    fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        self.scorer.forward(maps)
    }

    fn loss(&self, maps: Tensor<4>, batch: &Batch, normalization: Normalization, at: Progress) -> Losses {
        let labels = self.labels(batch);
        let logits = self.scorer.forward_dropped(maps, &mut at.rng(Stream::Dropout));
        let loss = match &self.recipe.weight {
            Some(weight) => weight.loss(logits, &labels, normalization),
            None => {
                let targets = targets(&labels, &logits.device());
                partial_bce(logits, targets, normalization)
            }
        };
        Losses::default().with("bce", 1.0, loss)
    }

    fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        self.scorer.attention(maps)
    }

    fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        self.scorer.export(graph, maps)
    }

    fn torch(&self) -> TorchHead {
        self.scorer.torch()
    }

    fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        self.scorer.before_training(train)
    }

    fn before_epoch(&mut self, epoch: usize, train: &dyn TrainSet) -> Result<()> {
        if !self.recipe.relabel_before.contains(&epoch) {
            return Ok(());
        }
        let scorer = self.scorer.valid();
        let cells = train.labels().images() * train.labels().categories();
        let mut spread = Spread::new(cells);
        match self.recipe.strategy {
            Strategy::Uncertainty { passes, .. } => {
                let mut drops = rng(train.seed(), Stream::Uncertainty, epoch as u64, 0);
                spread_of_passes(&scorer, train, passes, &mut drops, &mut spread)?;
            }
            _ => spread.add(&logits(train, |maps| scorer.forward(maps))?),
        }
        let known = match (&self.filled, self.recipe.keep) {
            (Some(filled), true) => filled,
            _ => train.labels(),
        };
        let filled = self.recipe.strategy.fill(known, &spread.mean(), &spread.variance());
        self.filled = Some(Arc::new(filled));
        Ok(())
    }

    fn state(&self) -> Option<Vec<u8>> {
        self.filled.as_ref().map(|filled| filled.to_bytes())
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        self.filled = Some(Arc::new(LabelMatrix::from_bytes(state)?));
        Ok(())
    }

    /// The share of the unknown labels that are believed, and the share of these that are positive.
    fn scalars(&self, labels: &LabelMatrix) -> Vec<(&'static str, f64)> {
        let filled = self.filled.as_deref().unwrap_or(labels);
        let more = |label: Label| filled.count(label).saturating_sub(labels.count(label)) as f64;
        let (positive, negative) = (more(Label::Positive), more(Label::Negative));
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let believed = positive + negative;
        vec![
            ("believed", share(believed, labels.count(Label::Unknown) as f64)),
            ("believed_positive", share(positive, believed)),
        ]
    }
}

/// Takes in `passes` passes with dropout: every map is read once and scored that often.
fn spread_of_passes(
    scorer: &Head,
    train: &dyn TrainSet,
    passes: usize,
    drops: &mut impl Rng,
    spread: &mut Spread,
) -> Result<()> {
    let mut of_passes = vec![Vec::new(); passes];
    train.for_each_maps(Reading::Clean, &mut |_, maps| {
        let maps = maps.without_autodiff();
        for logits in &mut of_passes {
            let scores = scorer.forward_dropped(maps.clone(), drops).into_data();
            logits.extend_from_slice(scores.as_slice::<f32>().expect("f32 tensors hold f32"));
        }
        Ok(())
    })?;
    of_passes.iter().for_each(|logits| spread.add(logits));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::prototypes::tests::Memory;
    use super::super::ssgrl::tests::{batch, knowledge, maps};
    use super::*;
    use crate::methods::plain_head::PlainRecipe;

    /// Eight images, every third label known.
    fn train() -> Memory {
        let values: Vec<i8> = (0..40).map(|cell| [0, 1, 0, 0, -1, 0][cell % 6]).collect();
        Memory { maps: maps(8, &Device::flex().autodiff()), labels: LabelMatrix::from_values(5, &values) }
    }

    fn curriculum(strategy: Strategy, dropout: f64, keep: bool) -> Curriculum {
        let recipe = CurriculumRecipe {
            head: HeadRecipe::Plain(PlainRecipe { dropout, ..PlainRecipe::default() }),
            strategy,
            relabel_before: vec![1, 2],
            keep,
            weight: None,
        };
        recipe.check().expect("a valid recipe");
        recipe.init(8, &knowledge(), 0, &Device::flex().autodiff())
    }

    fn unknown(labels: &LabelMatrix) -> usize {
        labels.count(Label::Unknown)
    }

    #[test]
    fn unknown_labels_are_filled_before_the_epochs_of_the_recipe_and_known_ones_stay() {
        let train = train();
        for strategy in [
            Strategy::ScoreThreshold { threshold: 0.1 },
            Strategy::ScoreProportion { proportion: 0.5 },
            Strategy::PositivesOnly { threshold: 0.0 },
            Strategy::ClassProportion { proportion: 0.8 },
            Strategy::Uncertainty { variance: 0.05, passes: 4 },
        ] {
            let mut model = curriculum(strategy.clone(), 0.5, false);
            let rows = batch(&train.maps, train.labels.clone());
            model.before_epoch(0, &train).unwrap();
            assert!(model.labels(&rows) == train.labels, "{strategy:?}");
            model.before_epoch(1, &train).unwrap();
            let filled = model.labels(&rows);
            let left = unknown(&filled);
            assert!(0 < left && left < unknown(&train.labels), "{strategy:?} leaves {left}");
            for image in 0..8 {
                for (category, label) in train.labels.row(image).enumerate() {
                    assert!(label == Label::Unknown || filled.get(image, category) == label);
                }
            }
        }
    }

    #[test]
    fn it_reports_the_share_of_labels_that_it_believes() {
        let train = train();
        let mut model = curriculum(Strategy::ScoreProportion { proportion: 0.5 }, 0.0, false);
        assert_eq!(model.scalars(&train.labels), [("believed", 0.0), ("believed_positive", 0.0)]);
        model.before_epoch(1, &train).unwrap();
        // 27 of the 40 labels are unknown; half of them, rounded down, are believed.
        assert_eq!(unknown(&train.labels), 27);
        let [(_, believed), (_, positive)] = model.scalars(&train.labels)[..] else { panic!("two numbers") };
        assert_eq!(believed, 13.0 / 27.0);
        let filled = model.labels(&batch(&train.maps, train.labels.clone()));
        let positives = filled.count(Label::Positive) - train.labels.count(Label::Positive);
        assert_eq!(positive, positives as f64 / 13.0);
    }

    #[test]
    fn the_loss_counts_filled_labels_as_known_ones() {
        let train = train();
        let mut model = curriculum(Strategy::ScoreProportion { proportion: 1.0 }, 0.0, false);
        let at = Progress { seed: 0, epoch: 1, step: 0, steps: 1 };
        let rows = batch(&train.maps, train.labels.clone());
        let loss = |model: &Curriculum, batch: &Batch| {
            model.loss(train.maps.clone(), batch, Normalization::default(), at).total().into_scalar::<f32>()
        };
        let before = loss(&model, &rows);
        model.before_epoch(1, &train).unwrap();
        assert_ne!(loss(&model, &rows), before);
        let all_known = Batch { labels: model.labels(&rows), ..rows.clone() };
        let untouched = curriculum(Strategy::default(), 0.0, false);
        assert_eq!(loss(&model, &rows), loss(&untouched, &all_known));
    }

    #[test]
    fn labels_are_made_anew_unless_they_are_kept() {
        let train = train();
        let after_a_change_of_mind = |keep| {
            let mut model = curriculum(Strategy::ScoreProportion { proportion: 1.0 }, 0.0, keep);
            model.before_epoch(1, &train).unwrap();
            let first = model.filled.clone().expect("filled");
            let Head::Plain(head) = &mut model.scorer else { panic!("the plain head") };
            head.classifier.weight = head.classifier.weight.clone().map(|w| w.neg() * 10.0);
            model.before_epoch(2, &train).unwrap();
            model.filled == Some(first)
        };
        assert!(after_a_change_of_mind(true));
        assert!(!after_a_change_of_mind(false));
    }

    #[test]
    fn filled_labels_survive_a_resume() {
        let train = train();
        let mut model = curriculum(Strategy::ScoreProportion { proportion: 0.5 }, 0.0, false);
        assert!(model.state().is_none());
        model.before_epoch(1, &train).unwrap();
        let mut resumed = curriculum(Strategy::default(), 0.0, false);
        resumed.restore(&model.state().expect("filled")).unwrap();
        assert_eq!(resumed.filled, model.filled);
        assert!(resumed.restore(&[1, 2, 3]).is_err());
    }

    #[test]
    fn uncertainty_without_dropout_is_refused() {
        let strategy = Strategy::Uncertainty { variance: 0.3, passes: 20 };
        let recipe = CurriculumRecipe { strategy, ..CurriculumRecipe::default() };
        assert!(recipe.check().unwrap_err().to_string().contains("head.dropout"));
    }
}
