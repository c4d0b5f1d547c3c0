//! The head under a loss: the plain one, or SSGRL's. Methods that are a loss and nothing else, such as
//! partial-BCE, take either, so that one can be compared with the other: `head = "plain" | "ssgrl"`.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::Rng;
use serde::{Deserialize, Deserializer, Serialize};

use super::keys::{Key, Kind, Variant};
use super::knowledge::CategoryKnowledge;
use super::network_recipe::{self, NetworkRecipe, OutputBias};
use super::plain_head::{self, PlainHead, PlainRecipe};
use super::ssgrl::Ssgrl;
use super::torch::TorchHead;
use super::{Exported, Method, TrainSet};
use crate::Result;
use crate::onnx::graph::{Graph, Value};

/// Which head, with its settings: `head = "ssgrl"`, or a table `[method.head]` with a `kind`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum HeadRecipe {
    /// Global average pooling and one linear layer.
    Plain(PlainRecipe),
    /// Decoupling, graph and a classifier per category.
    Ssgrl(NetworkRecipe),
}

impl Default for HeadRecipe {
    fn default() -> Self {
        Self::Plain(PlainRecipe::default())
    }
}

/// The table `head` of a method.
pub const HEAD: Key = Key::new(
    "head",
    Kind::Choice(
        "kind",
        &[
            Variant {
                name: "plain",
                meaning: "Global average pooling and one linear layer",
                keys: plain_head::KEYS,
            },
            Variant {
                name: "ssgrl",
                meaning: "Decoupling, graph and a classifier per category",
                keys: network_recipe::KEYS,
            },
        ],
    ),
    "The head under the loss; `head = \"ssgrl\"` is short for its defaults",
);

impl<'de> Deserialize<'de> for HeadRecipe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        use serde::de::Error;
        let expected = "expected \"plain\", \"ssgrl\" or a table with such a `kind`";
        let (kind, settings) = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(kind) => (kind, toml::Table::new()),
            toml::Value::Table(mut table) => match table.remove("kind") {
                Some(toml::Value::String(kind)) => (kind, table),
                Some(other) => return Err(D::Error::custom(format!("head.kind is {other}; {expected}"))),
                None => ("plain".to_string(), table),
            },
            other => return Err(D::Error::custom(format!("head is {other}; {expected}"))),
        };
        match kind.as_str() {
            "plain" => settings.try_into().map(Self::Plain),
            "ssgrl" => settings.try_into().map(Self::Ssgrl),
            _ => return Err(D::Error::custom(format!("head is {kind:?}; {expected}"))),
        }
        .map_err(|e: toml::de::Error| D::Error::custom(e.message()))
    }
}

impl HeadRecipe {
    /// The head with its initial weights.
    pub fn init(&self, channels: usize, knowledge: &CategoryKnowledge, seed: u64, device: &Device) -> Head {
        match self {
            Self::Plain(recipe) => Head::Plain(PlainHead::new(recipe, channels, knowledge, seed, device)),
            Self::Ssgrl(recipe) => Head::Ssgrl(Ssgrl::new(recipe, channels, knowledge, seed, device)),
        }
    }

    /// Refuses values out of range.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Plain(recipe) => recipe.check(),
            Self::Ssgrl(recipe) => recipe.check(),
        }
    }

    /// The output bias as the official codes draw it.
    pub fn follow_reference(&mut self) {
        match self {
            Self::Plain(recipe) => recipe.output_bias = OutputBias::Random,
            Self::Ssgrl(recipe) => recipe.follow_reference(),
        }
    }

    /// Whether a pass with dropout differs from one without.
    pub fn drops(&self) -> bool {
        match self {
            Self::Plain(recipe) => recipe.dropout > 0.0,
            Self::Ssgrl(recipe) => recipe.dropout > 0.0 || recipe.dropout_classifier > 0.0,
        }
    }
}

/// A head that gives scores and knows nothing of a loss.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Head {
    /// See [`PlainHead`].
    Plain(PlainHead),
    /// See [`Ssgrl`].
    Ssgrl(Ssgrl),
}

impl Head {
    /// Scores, `[B, F, H, W] -> [B, C]`.
    pub fn forward(&self, maps: Tensor<4>) -> Tensor<2> {
        match self {
            Self::Plain(head) => head.forward(maps),
            Self::Ssgrl(head) => head.forward(maps),
        }
    }

    /// [`forward`](Self::forward) with dropout, for training and for the spread of its scores.
    pub fn forward_dropped(&self, maps: Tensor<4>, rng: &mut impl Rng) -> Tensor<2> {
        match self {
            Self::Plain(head) => head.forward_dropped(maps, rng),
            Self::Ssgrl(head) => head.forward_dropped(maps, rng),
        }
    }

    /// Where each category is seen, `[B, F, H, W] -> [B, C, H·W]`.
    pub fn attention(&self, maps: Tensor<4>) -> Tensor<3> {
        match self {
            Self::Plain(head) => head.attention(maps),
            Self::Ssgrl(head) => head.attention(maps),
        }
    }

    /// See [`Method::export`].
    pub fn export(&self, graph: &mut Graph, maps: &Value) -> Exported {
        match self {
            Self::Plain(head) => head.export(graph, maps),
            Self::Ssgrl(head) => head.export(graph, maps),
        }
    }

    /// See [`Method::torch`].
    pub fn torch(&self) -> TorchHead {
        match self {
            Self::Plain(head) => head.torch(),
            Self::Ssgrl(head) => head.torch(),
        }
    }

    /// See [`Method::before_training`].
    pub fn before_training(&mut self, train: &dyn TrainSet) -> Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Ssgrl(head) => head.before_training(train),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Holder {
        head: HeadRecipe,
    }

    fn read(text: &str) -> std::result::Result<HeadRecipe, String> {
        toml::from_str::<Holder>(text).map(|holder| holder.head).map_err(|e| e.message().to_string())
    }

    #[test]
    fn a_name_is_short_for_a_table_and_a_table_reads_back_equal() {
        assert_eq!(read("head = 'plain'"), Ok(HeadRecipe::default()));
        assert_eq!(read("head = 'ssgrl'"), Ok(HeadRecipe::Ssgrl(NetworkRecipe::default())));
        let head = read("head = { kind = 'ssgrl', dim = 64 }").unwrap();
        assert!(matches!(&head, HeadRecipe::Ssgrl(network) if network.dim == 64));
        assert_eq!(read(&toml::to_string(&Holder { head: head.clone() }).unwrap()), Ok(head));
        assert_eq!(read("head = { dropout = 0.5 }").map(|head| head.drops()), Ok(true));
    }

    #[test]
    fn what_is_no_head_is_refused() {
        assert!(read("head = 'conv'").unwrap_err().contains("\"conv\"; expected \"plain\", \"ssgrl\""));
        assert!(read("head = 3").unwrap_err().contains("head is 3"));
        assert!(read("head = { dim = 64 }").unwrap_err().contains("dim"), "the plain head has no width");
    }
}
