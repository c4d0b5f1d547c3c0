//! The settings of the network that SSGRL and its descendants share.

use serde::{Deserialize, Serialize};

use super::keys::Kind::{Number, Word};
use super::keys::{Interval, Key, Kind};
use super::ranges;
use crate::Result;

/// Settings of [`Ssgrl`](super::ssgrl::Ssgrl); the defaults are SARB's, but for the output bias.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkRecipe {
    /// Width D of a representation.
    pub dim: usize,
    /// Width M of the space in which positions and words meet.
    pub joint: usize,
    /// Steps T of propagation.
    pub steps: usize,
    /// Where the classifiers' biases start.
    pub output_bias: OutputBias,
    /// Share of the representations' values dropped in training, from 0 to below 1.
    pub dropout: f64,
    /// The same of the values that the classifiers read.
    pub dropout_classifier: f64,
    /// Where the weights start.
    pub start: Start,
    /// Width E of word vectors when they are learned, because none are given.
    pub word_width: usize,
}

impl Default for NetworkRecipe {
    fn default() -> Self {
        Self {
            dim: 1024,
            joint: 512,
            steps: 3,
            output_bias: OutputBias::Prior,
            dropout: 0.0,
            dropout_classifier: 0.0,
            start: Start::Random,
            word_width: 300,
        }
    }
}

/// What `output_bias` may be.
pub const OUTPUT_BIAS: Key = Key::new(
    "output_bias",
    Word(&["prior", "zero", "random"]),
    "Where the classifiers' biases start: at the log-odds of the known labels, at 0, near 0 as PyTorch draws them",
);

/// Width of word vectors that are learned.
pub const WORD_WIDTH: Key = Key::new(
    "word_width",
    Kind::AT_LEAST_1,
    "Width E of word vectors when they are learned, because none are given",
);

/// The keys of [`NetworkRecipe`].
pub const KEYS: &[Key] = &[
    Key::new("dim", Kind::AT_LEAST_1, "Width D of a representation"),
    Key::new("joint", Kind::AT_LEAST_1, "Width M of the space in which positions and words meet"),
    Key::new("steps", Kind::COUNT, "Steps T of propagation"),
    OUTPUT_BIAS,
    Key::new(
        "dropout",
        Number(Interval::BELOW_1),
        "Share of the representations' values dropped in training",
    ),
    Key::new(
        "dropout_classifier",
        Number(Interval::BELOW_1),
        "The same of the values that the classifiers read",
    ),
    Key::new(
        "start",
        Word(&["random", "ridge"]),
        "Where the weights start: at PyTorch's random defaults, at the ridge regression on mean-pooled features",
    ),
    WORD_WIDTH,
];

/// The table `network` of a method.
pub const NETWORK: Key = Key::new("network", Kind::Table("network", KEYS), "The network that is trained");

impl NetworkRecipe {
    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        for (key, value) in [("dim", self.dim), ("joint", self.joint), ("word_width", self.word_width)] {
            ranges::width(&format!("network.{key}"), value)?;
        }
        ranges::dropout("network.dropout", self.dropout)?;
        ranges::dropout("network.dropout_classifier", self.dropout_classifier)
    }

    /// Starts the output bias as the official codes draw it.
    pub fn follow_reference(&mut self) {
        self.output_bias = OutputBias::Random;
    }
}

/// Where the classifiers' biases start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputBias {
    /// At the log-odds of (n⁺ + 1) / (n + 2), n⁺ of n known labels positive; where no negative is known, of n images. Official
    /// code: near 0, from where the first epochs move the weights instead of the bias.
    #[default]
    Prior,
    /// At 0.
    Zero,
    /// As PyTorch draws it, near 0.
    Random,
}

/// Where the weights start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// At PyTorch's random defaults, as the official code.
    #[default]
    Random,
    /// At the closed-form ridge regression on mean-pooled features; see
    /// [`start_from_scores`](super::ssgrl::Ssgrl::start_from_scores).
    Ridge,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_settings_are_refused_with_the_key() {
        let message = |recipe: NetworkRecipe| recipe.check().unwrap_err().to_string();
        assert!(
            message(NetworkRecipe { dim: 0, ..NetworkRecipe::default() }).starts_with("network.dim is 0")
        );
        let dropout = NetworkRecipe { dropout_classifier: 1.0, ..NetworkRecipe::default() };
        assert!(message(dropout).starts_with("network.dropout_classifier is 1"));
        assert!(NetworkRecipe::default().check().is_ok());
        let typo = toml::from_str::<NetworkRecipe>("output-bias = \"prior\"").unwrap_err();
        assert!(typo.to_string().contains("output_bias"), "{typo}");
    }
}
