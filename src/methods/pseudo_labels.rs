//! How curriculum labeling chooses the unknown labels it believes (Durand et al. CVPR 2019, Sec. 3.4).

use burn::tensor::Tensor;
use sarb_labels::{Label, LabelMatrix};
use serde::{Deserialize, Serialize};

use super::keys::{Interval, Key, Kind, OPEN, Variant};
use super::{Reading, TrainSet};
use crate::{Error, Result};

/// Which scores of unknown labels are believed; known labels always stay as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Strategy {
    /// [a] Logits from the threshold up are positive, those below minus the threshold negative.
    ScoreThreshold {
        /// θ.
        #[serde(default = "two")]
        threshold: f64,
    },
    /// [b] The share of all unknown labels with the largest |logit| gets the logit's sign. (lcalem ranks
    /// within a batch of 16; here over the training set.)
    ScoreProportion {
        /// The share, 0 to 1.
        #[serde(default = "four_fifths")]
        proportion: f64,
    },
    /// [c] Logits from the threshold up are positive; no negative is believed.
    PositivesOnly {
        /// θ.
        #[serde(default = "five")]
        threshold: f64,
    },
    /// By category: the share of its unknown labels with the highest logits that is its share of positives among
    /// known labels is positive, and that of negatives with the lowest negative (CAP: Xie et al.,
    /// "Class-Distribution-Aware Pseudo-Labeling for Semi-Supervised Multi-Label Learning", NeurIPS 2023). Nothing
    /// of categories without known labels of both kinds.
    ClassProportion {
        /// The share of both that is believed, 0 to 1.
        #[serde(default = "one")]
        proportion: f64,
    },
    /// [e] Logits that vary little over passes with dropout get the sign of their mean.
    Uncertainty {
        /// The variance below which a logit is believed.
        #[serde(default = "three_tenths")]
        variance: f64,
        /// Passes with dropout.
        #[serde(default = "twenty")]
        passes: usize,
    },
}

impl Default for Strategy {
    fn default() -> Self {
        Self::ScoreThreshold { threshold: two() }
    }
}

fn two() -> f64 {
    2.0
}

fn one() -> f64 {
    1.0
}

fn four_fifths() -> f64 {
    0.8
}

fn five() -> f64 {
    5.0
}

fn three_tenths() -> f64 {
    0.3
}

fn twenty() -> usize {
    20
}

/// The table `strategy` of a method.
pub const STRATEGY: Key = Key::new(
    "strategy",
    Kind::Choice(
        "name",
        &[
            Variant {
                name: "score-threshold",
                meaning: "Logits from the threshold up are positive, those below minus the threshold negative",
                keys: &[Key::new("threshold", Kind::Number(Interval::FROM_0), "The logit θ")],
            },
            Variant {
                name: "score-proportion",
                meaning: "The share of the unknown labels with the surest logits gets the logit's sign",
                keys: &[Key::new("proportion", Kind::Number(Interval::SHARE), "The share")],
            },
            Variant {
                name: "positives-only",
                meaning: "Logits from the threshold up are positive; no negative is believed",
                keys: &[Key::new("threshold", Kind::Number(Interval::FROM_0), "The logit θ")],
            },
            Variant {
                name: "class-proportion",
                meaning: "In each category the highest logits are positive and the lowest negative, as many of its unknown labels as of its known ones",
                keys: &[Key::new(
                    "proportion",
                    Kind::Number(Interval::SHARE),
                    "The share of these that is believed",
                )],
            },
            Variant {
                name: "uncertainty",
                meaning: "Logits that vary little over passes with dropout get the sign of their mean",
                keys: &[
                    Key::new(
                        "variance",
                        Kind::Number(Interval::ABOVE_0),
                        "The variance below which a logit is believed",
                    ),
                    Key::new("passes", Kind::Whole(2, OPEN), "Passes with dropout"),
                ],
            },
        ],
    ),
    "Which unknown labels are believed",
);

impl Strategy {
    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        let (key, value, ok) = match *self {
            Self::ScoreThreshold { threshold } | Self::PositivesOnly { threshold } => {
                ("threshold", threshold, threshold >= 0.0 && threshold.is_finite())
            }
            Self::ScoreProportion { proportion } | Self::ClassProportion { proportion } => {
                ("proportion", proportion, (0.0..=1.0).contains(&proportion))
            }
            Self::Uncertainty { passes, .. } if passes < 2 => ("passes", passes as f64, false),
            Self::Uncertainty { variance, .. } => {
                ("variance", variance, variance > 0.0 && variance.is_finite())
            }
        };
        match ok {
            true => Ok(()),
            false => Err(Error::Recipe(format!("strategy.{key} is {value}; expected {}", self.expected()))),
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Self::ScoreThreshold { .. } | Self::PositivesOnly { .. } => "a logit of 0 or more",
            Self::ScoreProportion { .. } | Self::ClassProportion { .. } => "0 to 1",
            Self::Uncertainty { .. } => "a variance above 0 and at least 2 passes",
        }
    }

    /// The labels with those unknown ones filled that are believed; logits row by row, `N · C` values:
    /// of one pass, or of [`Uncertainty`](Self::Uncertainty) the mean, with their variance over passes.
    pub fn fill(&self, labels: &LabelMatrix, logits: &[f32], variance: &[f32]) -> LabelMatrix {
        let unknown: Vec<usize> = (0..labels.images() * labels.categories())
            .filter(|cell| label(labels, *cell) == Label::Unknown)
            .collect();
        let believed: Vec<(usize, Label)> = match *self {
            Self::ScoreThreshold { threshold } => {
                let threshold = threshold as f32;
                let believe = |cell: usize| match logits[cell] {
                    s if s >= threshold => Some((cell, Label::Positive)),
                    s if s < -threshold => Some((cell, Label::Negative)),
                    _ => None,
                };
                unknown.into_iter().filter_map(believe).collect()
            }
            Self::PositivesOnly { threshold } => {
                let sure = unknown.into_iter().filter(|&cell| logits[cell] >= threshold as f32);
                sure.map(|cell| (cell, Label::Positive)).collect()
            }
            Self::ScoreProportion { proportion } => {
                let count = (proportion * unknown.len() as f64) as usize;
                let mut ranked = unknown;
                ranked.sort_by(|&a, &b| logits[b].abs().total_cmp(&logits[a].abs()).then(a.cmp(&b)));
                ranked.into_iter().take(count).map(|cell| (cell, sign(logits[cell]))).collect()
            }
            Self::ClassProportion { proportion } => (0..labels.categories())
                .flat_map(|category| by_class_proportion(labels, logits, category, proportion))
                .collect(),
            Self::Uncertainty { variance: bound, .. } => {
                let sure = unknown.into_iter().filter(|&cell| f64::from(variance[cell]) < bound);
                sure.map(|cell| (cell, sign(logits[cell]))).collect()
            }
        };
        let mut filled = labels.clone();
        for (cell, label) in believed {
            filled.set(cell / labels.categories(), cell % labels.categories(), label);
        }
        filled
    }
}

/// The cells of a category that are believed: positives ⌊proportion · γ⁺ U⌋, γ⁺ the share of positives among the
/// known labels and U the unknown ones, negatives ⌊proportion · γ⁻ U⌋.
fn by_class_proportion(
    labels: &LabelMatrix,
    logits: &[f32],
    category: usize,
    proportion: f64,
) -> Vec<(usize, Label)> {
    let of = |wanted: Label| labels.column(category).filter(|label| *label == wanted).count();
    let (positives, negatives) = (of(Label::Positive), of(Label::Negative));
    if positives == 0 || negatives == 0 {
        return Vec::new();
    }
    let column = labels.column(category).enumerate().filter(|(_, label)| *label == Label::Unknown);
    let mut ranked: Vec<usize> = column.map(|(image, _)| image * labels.categories() + category).collect();
    ranked.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
    // What rounding takes from a whole number is no entry less; both shares together never exceed U.
    let count = |known: usize| {
        let share = known as f64 / (positives + negatives) as f64;
        (proportion * share * ranked.len() as f64 + 1e-9) as usize
    };
    let highest = ranked.iter().take(count(positives)).map(|&cell| (cell, Label::Positive));
    let lowest = ranked.iter().rev().take(count(negatives)).map(|&cell| (cell, Label::Negative));
    highest.chain(lowest).collect()
}

fn label(labels: &LabelMatrix, cell: usize) -> Label {
    labels.get(cell / labels.categories(), cell % labels.categories())
}

fn sign(logit: f32) -> Label {
    if logit >= 0.0 { Label::Positive } else { Label::Negative }
}

/// Mean and variance of every logit over passes, each `N · C` values; the variance is the
/// population's, as `torch.var(unbiased=False)`.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    passes: usize,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Spread {
    /// Of `cells` logits.
    pub fn new(cells: usize) -> Self {
        Self { passes: 0, mean: vec![0.0; cells], squares: vec![0.0; cells] }
    }

    /// Takes in one more pass (Welford's update).
    pub fn add(&mut self, logits: &[f32]) {
        self.passes += 1;
        for ((mean, squares), &logit) in self.mean.iter_mut().zip(&mut self.squares).zip(logits) {
            let before = f64::from(logit) - *mean;
            *mean += before / self.passes as f64;
            *squares += before * (f64::from(logit) - *mean);
        }
    }

    /// The mean of every logit.
    pub fn mean(&self) -> Vec<f32> {
        self.mean.iter().map(|&mean| mean as f32).collect()
    }

    /// The variance of every logit.
    pub fn variance(&self) -> Vec<f32> {
        self.squares.iter().map(|&squares| (squares / self.passes.max(1) as f64) as f32).collect()
    }
}

/// Logits of all training examples, row by row, `N · C` values.
pub(super) fn logits(
    train: &dyn TrainSet,
    mut score: impl FnMut(Tensor<4>) -> Tensor<2>,
) -> Result<Vec<f32>> {
    let categories = train.labels().categories();
    let mut logits = vec![0.0; train.labels().images() * categories];
    train.for_each_maps(Reading::Clean, &mut |rows, maps| {
        let scores = score(maps.without_autodiff()).into_data();
        let scores = scores.as_slice::<f32>().expect("f32 tensors hold f32");
        for (&row, scores) in rows.iter().zip(scores.chunks_exact(categories)) {
            logits[row * categories..][..categories].copy_from_slice(scores);
        }
        Ok(())
    })?;
    Ok(logits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, assert_close};

    #[test]
    fn every_strategy_believes_what_its_restatement_in_pytorch_does() {
        let fixture = Fixture::read(include_bytes!("../../tests/fixtures/curriculum.safetensors"));
        let (labels, logits) = (fixture.labels("target"), fixture.values("logits"));
        let mut spread = Spread::new(logits.len());
        fixture.values("passes").chunks_exact(logits.len()).for_each(|pass| spread.add(pass));
        assert_close("mean", &spread.mean(), &fixture.values("mean"), 1e-5);
        assert_close("variance", &spread.variance(), &fixture.values("variance"), 1e-5);
        let [passes, ..] = fixture.shape::<3>("passes");
        for (name, strategy, logits) in [
            ("threshold", Strategy::ScoreThreshold { threshold: 2.0 }, &logits),
            ("proportion", Strategy::ScoreProportion { proportion: 0.8 }, &logits),
            ("positives", Strategy::PositivesOnly { threshold: 5.0 }, &logits),
            ("class_proportion", Strategy::ClassProportion { proportion: 0.7 }, &logits),
            ("uncertainty", Strategy::Uncertainty { variance: 0.3, passes }, &spread.mean()),
        ] {
            let filled = strategy.fill(&labels, logits, &spread.variance());
            assert!(filled == fixture.labels(name), "{name}");
        }
    }

    #[test]
    fn class_proportions_are_those_of_known_labels_and_need_both_kinds() {
        // Category 0: one positive and three negatives of four known; category 1 has no known negative.
        let labels = LabelMatrix::from_values(2, &[1, 1, -1, 0, -1, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let logits = [9.0, 9.0, 9.0, 3.0, 9.0, 2.0, 9.0, 1.0, -1.0, 0.0, -4.0, 0.0, -2.0, 0.0, -3.0, 0.0];
        let filled = |proportion| {
            let filled = Strategy::ClassProportion { proportion }.fill(&labels, &logits, &[]);
            assert!(filled.column(1).eq(labels.column(1)), "nothing is believed of category 1");
            filled.column(0).skip(4).collect::<Vec<_>>()
        };
        let (p, n, u) = (Label::Positive, Label::Negative, Label::Unknown);
        assert_eq!(filled(1.0), [p, n, n, n], "all scores are below 0, and the highest is still positive");
        assert_eq!(filled(0.7), [u, n, u, n], "⌊0.7⌋ positives, ⌊2.1⌋ negatives");
        assert_eq!(filled(0.0), [u; 4]);
    }

    #[test]
    fn a_strategy_reads_its_own_keys_and_refuses_others() {
        let read = |text: &str| toml::from_str::<Strategy>(text).map_err(|e| e.message().to_string());
        assert_eq!(read("name = 'score-threshold'"), Ok(Strategy::default()));
        assert_eq!(
            read("name = 'uncertainty'\npasses = 5"),
            Ok(Strategy::Uncertainty { variance: 0.3, passes: 5 })
        );
        assert!(read("name = 'score-proportion'\nthreshold = 2.0").unwrap_err().contains("threshold"));
        let refused = Strategy::ScoreProportion { proportion: 1.5 }.check().unwrap_err().to_string();
        assert_eq!(refused, "strategy.proportion is 1.5; expected 0 to 1");
        assert!(Strategy::Uncertainty { variance: 0.3, passes: 1 }.check().is_err());
    }
}
