//! The keys of a recipe, beside those of its method.

use super::Validation;
use crate::backbone::descriptor::Block;
use crate::methods::keys::Kind::{Choice, Flag, Number, Text, Whole, Word, WordOrShare};
use crate::methods::keys::{Interval, Key, Kind, Variant, flat};
use crate::methods::{self, MethodRecipe};

/// Keys that had another name, as `table.old` and `new`; the old one is read for as long as runs with it are.
pub(super) const RENAMED: [(&str, &str, &str); 1] = [("method", "standardise", "standardize")];

/// Keys outside every table.
pub const TOP: &[Key] = &[
    Key::new(
        "extends",
        Text("a recipe, relative to this one or by its name in the program"),
        "The recipe whose settings hold where this one says nothing; only in a file",
    ),
    Key::new(
        "protocol",
        Word(&["corrected", "reference"]),
        "Whether the official code's choices are repeated: the best epoch chosen on the test set, a biased graph, the last batch dropped, output biases near 0, an overwritten label",
    ),
    Key::new(
        "seed",
        Kind::SEED,
        "Seed of everything but the mask: initial weights, order, crops, blends, dropout",
    ),
];

/// Keys of `[data]`.
pub const DATA: &[Key] = &[
    Key::new(
        "known",
        Number(Interval::PROPORTION),
        "Proportion of the labels that stay known; the rest are hidden by the official scheme",
    ),
    Key::new("mask_seed", Whole(0, u32::MAX as u64), "Seed of the mask that hides them"),
    Key::new(
        "filled",
        Word(&["known", "soft", "unknown"]),
        "What labels are taken for that `sarb labels fill` filled in, those that `train.filled.csv` lists: known ones, probable ones that count with their probability, or unknown ones",
    ),
    Key::new(
        "cooccurrence",
        Choice(
            "estimator",
            &[
                Variant {
                    name: "unbiased",
                    meaning: "P(j | i) over the images in which j is known",
                    keys: &[Key::new(
                        "shrinkage",
                        Number(Interval::FROM_0),
                        "Weight, in images, of the prevalence that steadies rare pairs",
                    )],
                },
                Variant {
                    name: "reference",
                    meaning: "The official code's, which hidden labels bias",
                    keys: &[],
                },
            ],
        ),
        "How the co-occurrence graph is estimated from the known labels",
    ),
    Key::new(
        "validation",
        WordOrShare(Validation::WORDS),
        "What the best epoch is selected on: `val.csv` of the data folder, a share of the training images that is held out, or \"auto\": `val.csv` where there is one, else 0.1",
    ),
    Key::new("size_px", Whole(32, 2048), "Side of the square image that the network sees, in pixels"),
    Key::new(
        "augment",
        Flag,
        "Crop and flip while training; with a wholly frozen backbone it needs `backbone.views`",
    ),
];

/// Keys of `[backbone]`.
pub const BACKBONE: &[Key] = &[
    Key::new(
        "name",
        Word(&[
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
            "efficientnet-lite0",
            "efficientnet-lite2",
            "resnet-small",
        ]),
        "The network that turns an image into a feature map",
    ),
    Key::new(
        "freeze",
        Word(&["all", "trunk", "none"]),
        "What stays as it was loaded: everything (maps are computed once and cached), all but the last stage, nothing",
    ),
    Key::new("pool", Flag, "Average the last map 2 × 2 (448 px become 7 × 7)"),
    Key::new("freeze_batch_norm", Flag, "Keep the running statistics of the trained last stage's BatchNorm"),
    Key::new(
        "views",
        Kind::COUNT,
        "Augmented views cached for each training image: of the whole map when everything is frozen (0 trains on the test-time view alone), of the map before the last stage when the trunk is (0 caches nothing and augments anew in each epoch)",
    ),
    Key::new(
        "learning_rate_factor",
        Number(Interval::ABOVE_0),
        "Factor on the learning rate of trained backbone layers",
    ),
    Key::new(
        "precision",
        Word(&["f32", "bf16"]),
        "In which numbers frozen layers are multiplied on the CPU; bf16 is faster on processors by AMD from Zen 4 on",
    ),
    Key::new(
        "descriptor",
        Kind::Table(
            "descriptor",
            &[
                Key::new(
                    "blocks",
                    Kind::List(&Word(Block::NAMES)),
                    "What is pooled over positions: the mean of each channel, the mean of its strongest eighth, the largest probability and the largest score of each class of the backbone's ImageNet classifier",
                ),
                Key::new(
                    "sizes_px",
                    Kind::List(&Whole(32, 2048)),
                    "Sides of the images that the backbone sees, in pixels; the largest is `data.size_px`",
                ),
                Key::new("flip", Flag, "Whether the mirror image is seen too"),
            ],
        ),
        "One vector of pooled blocks for each image in place of its map; of a frozen backbone of this program",
    ),
    Key::new(
        "onnx",
        Kind::Text("a file, relative to the recipe; with --set to the folder you are in"),
        "A frozen network in ONNX form in place of `name`",
    ),
    Key::new(
        "input",
        Kind::Text("a name in the network"),
        "Of `onnx`: the input that takes the images; the only one by default",
    ),
    Key::new(
        "output",
        Kind::Text("a name in the network"),
        "Of `onnx`: the output that is read, a map, tokens or a vector; the only one by default",
    ),
    Key::new(
        "normalization",
        Kind::Text(
            "imagenet, clip, zero-one, minus-one-one, or a table of mean and std of three numbers each",
        ),
        "Of `onnx`: what pixels are normalized with, ImageNet's statistics by default",
    ),
    Key::new(
        "skip_tokens",
        Kind::COUNT,
        "Of `onnx` with tokens: so many at the beginning are left out, those of the class and registers; 0 by default",
    ),
    Key::new(
        "grid",
        Kind::List(&Kind::AT_LEAST_1),
        "Of `onnx` with tokens: rows and columns of the others; a square by default",
    ),
    Key::new("channels_last", Flag, "Of `onnx` with a map: it is [B, H, W, F]"),
];

/// Keys of `[train]`.
pub const TRAIN: &[Key] = &[
    Key::new("epochs", Kind::COUNT, "Passes over the training images"),
    Key::new("batch_size", Kind::AT_LEAST_1, "Images per step"),
    Key::new("learning_rate", Number(Interval::ABOVE_0), "Learning rate of the first step (Adam)"),
    Key::new(
        "weight_decay",
        Number(Interval::FROM_0),
        "L2 decay, added to the gradient before Adam's moments",
    ),
    Key::new(
        "schedule",
        Word(&["constant", "step", "cosine"]),
        "How the learning rate falls: not at all, by `decay_factor` every `decay_epochs`, along half a cosine",
    ),
    Key::new("decay_epochs", Kind::AT_LEAST_1, "Epochs between two falls of `schedule = \"step\"`"),
    Key::new("decay_factor", Number(Interval::ABOVE_0), "The factor of each fall"),
    Key::new("drop_last", Flag, "Leave out the last, incomplete batch"),
    Key::new(
        "normalization",
        Word(&["supervised", "image", "all", "sum"]),
        "What a loss over a batch's entries is divided by: the weight of the supervised ones, that of each image, all entries, nothing",
    ),
    Key::new(
        "precision",
        Word(&["f32", "bf16"]),
        "In which numbers the large products of what is trained, a last stage and the graph of SSGRL and its descendants, are computed on the CPU, forward and backward; weights, gradients and sums are f32",
    ),
    Key::new(
        "select",
        Word(&["loss", "map", "last", "test"]),
        "Which epoch `checkpoints/best` keeps: the lowest validation loss, the highest validation mAP, the last one; \"test\" goes with `protocol = \"reference\"` alone",
    ),
];

/// The tables of a recipe beside its method's, with what they are.
pub const TABLES: [(&str, &str, &[Key]); 3] = [
    ("data", "Which labels are seen, and at which size images are read.", DATA),
    (
        "backbone",
        "The network that turns an image into a feature map, and how much of it is trained.",
        BACKBONE,
    ),
    ("train", "Optimizer, schedule and selection.", TRAIN),
];

/// Every key that a recipe of this method has, in full; of no method, those that all have.
pub(super) fn all(method: Option<&str>) -> Vec<(String, Key)> {
    let mut found = flat("", TOP);
    for (table, about, keys) in TABLES {
        found.push((table.into(), Key::new(table, Kind::Table(table, keys), about)));
        found.extend(flat(table, keys));
    }
    let default = MethodRecipe::default();
    let method = method.unwrap_or(default.name());
    found.push(("method".into(), Key::new("method", Kind::Table(METHOD.name, &[METHOD]), "The method")));
    found.extend(flat("method", &[METHOD]));
    found.extend(flat("method", MethodRecipe::keys(method).unwrap_or_default()));
    found
}

/// The key that chooses the method.
pub const METHOD: Key =
    Key::new("name", Word(methods::NAMES), "The method; what else `[method]` holds depends on it");

/// Whether a key is read under this name only because it once had it.
pub(super) fn is_old(key: &str) -> bool {
    RENAMED.iter().any(|(table, old, _)| key == format!("{table}.{old}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;

    use super::*;
    use crate::recipe::Recipe;

    /// Paths of all values of a table, and of its tables.
    fn written(prefix: &str, table: &toml::Table) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if let toml::Value::Table(table) = value {
                found.extend(written(&key, table));
            }
            found.insert(key);
        }
        found
    }

    fn default_of(method: &str) -> toml::Table {
        let recipe = Recipe::read(None, Some(method), &[]).unwrap();
        toml::Table::try_from(recipe).unwrap()
    }

    /// Reads a default recipe with one more value.
    fn with(method: &str, key: &str, value: &toml::Value) -> crate::Result<Recipe> {
        Recipe::read(None, Some(method), &[format!("{key}={value}")])
    }

    #[test]
    fn every_key_is_listed_and_every_listed_key_is_there() {
        for method in methods::NAMES {
            let written = written("", &default_of(method));
            let listed: BTreeSet<String> = all(Some(method)).into_iter().map(|(name, _)| name).collect();
            let unlisted: Vec<_> = written.difference(&listed).collect();
            assert_eq!(unlisted, Vec::<&String>::new(), "{method}");
            // What no default recipe shows: keys without a default, and those of other choices.
            let onnx = BACKBONE.iter().map(|key| format!("backbone.{}", key.name));
            let onnx: Vec<String> = onnx.skip_while(|key| key != "backbone.onnx").collect();
            let others =
                ["extends", "backbone.descriptor", "method.weight", "method.head.", "method.strategy."];
            let optional: Vec<&str> = others.into_iter().chain(onnx.iter().map(String::as_str)).collect();
            let gone =
                listed.difference(&written).filter(|key| !optional.iter().any(|part| key.starts_with(part)));
            assert_eq!(gone.collect::<Vec<_>>(), Vec::<&String>::new(), "{method}");
        }
    }

    #[test]
    fn every_choice_has_the_keys_that_are_listed() {
        for method in methods::NAMES {
            let keys = MethodRecipe::keys(method).unwrap();
            for (key, tag, variants) in keys.iter().filter_map(|key| match key.kind {
                Choice(tag, variants) => Some((key, tag, variants)),
                _ => None,
            }) {
                for variant in variants {
                    let chosen = format!("[{}]\n{tag} = \"{}\"", key.name, variant.name);
                    let settings =
                        MethodRecipe::from_settings(method, toml::from_str(&chosen).unwrap()).unwrap();
                    let table = toml::Table::try_from(settings).unwrap();
                    let mut written: Vec<&str> =
                        table[key.name].as_table().unwrap().keys().map(String::as_str).collect();
                    written.retain(|name| *name != tag);
                    let mut listed: Vec<&str> = variant.keys.iter().map(|key| key.name).collect();
                    listed.sort_unstable();
                    written.sort_unstable();
                    assert_eq!(written, listed, "{method}: {} = {}", key.name, variant.name);
                }
            }
        }
    }

    #[test]
    fn words_are_those_that_are_read_and_no_other_is() {
        let mut checked = 0;
        for method in methods::NAMES {
            for (name, key) in all(Some(method)).into_iter().filter(|(name, _)| name != "method.name") {
                let Word(words) = key.kind else { continue };
                // Keys of a choice that is not the default are those of another method's network.
                if !written("", &default_of(method)).contains(&name) {
                    continue;
                }
                let refused = with(method, &name, &"nonsense".into()).unwrap_err().to_string();
                assert!(refused.contains(&format!("--set {name}=\"nonsense\"")), "{method}: {refused}");
                let table = |word: &str| {
                    let mut table = default_of(method);
                    let mut here = &mut table;
                    let (tables, last) = name.rsplit_once('.').unwrap_or(("", &name));
                    for part in tables.split('.').filter(|part| !part.is_empty()) {
                        here = here.get_mut(part).unwrap().as_table_mut().unwrap();
                    }
                    here.insert(last.into(), word.into());
                    Recipe::deserialize(table)
                };
                words.iter().for_each(|word| assert!(table(word).is_ok(), "{method}: {name} = {word}"));
                // serde lists what it accepts; so many words it knows, and no more.
                let known = table("nonsense").unwrap_err();
                let known = known.message().lines().next().unwrap().matches('`').count() / 2 - 1;
                assert!(known == 0 || known == words.len(), "{method}: {name}: {known} words, not {words:?}");
                checked += 1;
            }
        }
        assert!(checked > 70, "{checked} words");
    }

    #[test]
    fn numbers_out_of_range_are_refused_and_the_ends_of_a_range_are_not() {
        let mut checked = 0;
        for method in methods::NAMES {
            for (name, key) in all(Some(method)) {
                // Of a choice that is not the default, and of g(p), whose numbers are checked together.
                let written = written("", &default_of(method));
                if !written.contains(&name) || name.starts_with("method.weight.") {
                    continue;
                }
                let (out, within): (Vec<toml::Value>, Vec<toml::Value>) = match key.kind {
                    Number(Interval { from, to, with_from, with_to }) => {
                        let mut probes = (vec![f64::NAN.into(), "word".into()], Vec::new());
                        for (end, inside, beyond) in [(from, with_from, from - 0.5), (to, with_to, to + 0.5)]
                        {
                            if end.is_finite() {
                                probes.0.push(beyond.into());
                                let probes = if inside { &mut probes.1 } else { &mut probes.0 };
                                probes.push(end.into());
                            }
                        }
                        probes
                    }
                    Whole(from, to) => {
                        let mut probes =
                            (vec![(from as i64 - 1).into(), 0.5.into()], vec![(from as i64).into()]);
                        if to < i64::MAX as u64 {
                            probes.0.push((to as i64 + 1).into());
                            probes.1.push((to as i64).into());
                        }
                        probes
                    }
                    WordOrShare(words) => (
                        vec![f64::NAN.into(), (-0.5).into(), 1.0.into(), "word".into(), true.into()],
                        [0.0.into()].into_iter().chain(words.iter().map(|word| (*word).into())).collect(),
                    ),
                    Flag => (vec!["word".into(), 2.into()], vec![true.into(), false.into()]),
                    _ => continue,
                };
                for value in out {
                    let refused = with(method, &name, &value).map(|_| ()).unwrap_err().to_string();
                    assert!(refused.contains(&format!("--set {name}=")), "{method}: {refused}");
                }
                for value in within {
                    if let Err(error) = with(method, &name, &value) {
                        // Refused together with another setting, not for itself.
                        let text = error.to_string();
                        assert!(!text.contains(&format!(" {name} is {value}; expected")), "{method}: {text}");
                    }
                }
                checked += 1;
            }
        }
        assert!(checked > 150, "{checked} keys");
    }
}
