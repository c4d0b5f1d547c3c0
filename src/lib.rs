//! Multi-label image recognition from partial labels: for each image some labels are known to be there
//! (+1), some known not to be (−1), and most are unknown (0). This crate trains, evaluates and uses SARB
//! (Semantic-Aware Representation Blending, AAAI 2022) and the systems it is compared with, under one
//! protocol.
//!
//! ```
//! use sarb::{Cache, Cancel, Device, Evaluation, Existing, Inputs, Recipe, Recognizer, Which};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let dir = folder.path();
//! let (data, out) = (dir.join("data"), dir.join("run"));
//! sarb::synthetic::generate(&data, 24, 12, 32, 0)?; // 24 + 12 pictures of 32 px, with labels
//! let settings = ["data.known=0.5", "data.size_px=32", "train.epochs=1", "backbone.name=resnet-small",
//!     "backbone.freeze=none", "backbone.pool=false"];
//! let recipe = Recipe::read(None, Some("bce"), &settings.map(String::from))?;
//! let cache = Cache::in_folder(dir.join("cache"));
//! let inputs = Inputs { cache: cache.clone(), ..Inputs::new(data)? };
//! let device = sarb::device::open("cpu")?;
//! let (events, cancel) = (|event: sarb::Event<'_>| println!("{event:?}"), Cancel::new());
//! let run = sarb::train(&recipe, &inputs, (&out, Existing::Refuse), &device, &events, &cancel)?;
//!
//! let evaluation = Evaluation { cache, ..Evaluation::of_test_images()? };
//! let scores = sarb::evaluate(&run, &evaluation, &device, &events, &cancel)?;
//! println!("mAP {:.1} %", 100.0 * scores.map);
//!
//! let recognizer = Recognizer::open(&out, Which::Best, &device)?;
//! let image = inputs.data.join("images/test-0000.png");
//! # let image = if image.exists() { image } else { sarb::labels::dataset::open_split(&inputs.data, sarb::labels::Split::Test)?.images[0].clone() };
//! for (category, probability) in recognizer.recognize(&image)?.top(3) {
//!     println!("{category} {probability:.2}");
//! }
//! # Ok::<(), sarb::Error>(())
//! ```
//!
//! # The doors
//! - [`labels`]: label matrices, every label format, hiding, splitting, checking, metrics; a crate of its own.
//! - [`Recipe`]: one experiment as a file, or one of the [`recipes`] in the program; [`METHODS`] is what it can train.
//! - [`train()`] and [`evaluate()`]: a recipe and [`Inputs`] become a [`Run`], a run becomes scores.
//! - [`Recognizer`]: a run names what is in a path, bytes or pixels, in one image or many.
//! - [`compare`]: systems on the same images, with intervals of the paired bootstrap.
//! - [`decisions`]: thresholds of a run, unknown labels filled in with a promise, known ones that look wrong, from the
//!   [`OutOfFold`] scores that [`out_of_fold()`] makes.
//! - [`sweep`] and [`report`]: methods × known proportions × seeds, and the paper's tables of them.
//! - [`export`]: a run in the forms that other programs read.
//! - [`import`]: checkpoints of the official code as runs.
//! - [`forecast`]: what a training will cost, before it is begun.
//! - [`tune`]: which settings of a recipe do best, judged on training images alone.
//! - [`track`]: a run told to a tracking server, MLflow, while it is trained or later.
//! - `serve` (feature of this name, on by default): runs answer over HTTP.
//! - [`weights`], [`datasets`] and [`fetch`]: pretrained weights and public data by name.
//! - [`layers`]: what SARB's forward pass is made of; `examples/forward.rs` shows it in 50 lines.
//!
//! # The map
//! ```text
//! annotations ──► labels [N, C] in {−1, 0, +1} ──hide(known, seed)──► partial labels [N, C]
//!                                                      └──► co-occurrence [C, C]; word vectors [C, E]
//! image ──decode, augment──► Batch { input: Images [B, 3, S, S] | Maps [B, F, H, W], labels, indices }
//!   backbone/   frozen trunk, trained last stage          [B, 3, S, S] → [B, F, H, W]
//!   represent   reduce to D, semantic decoupling          → category representations [B, C, D]
//!   blend       instance- and prototype-level             → [B, C, D] and soft targets [B, C]
//!   classify    gated graph, fuse, per-category linear    → logits [B, C]
//!   loss/       partial BCE + contrastive + blended BCEs  → Losses → backward → Adam
//! ```
//! Axis letters: N images, B batch, C categories, F channels of a feature map, D representation
//! width, H W positions (P = H·W), K prototypes per category, E word width, M joint width.
//!
//! Read `methods/sarb.rs` first, then `train.rs`.

mod anchor;
mod backbone;
mod batch;
mod bootstrap;
mod cache;
mod calibration;
mod cancel;
mod checkpoint;
pub mod compare;
mod data_part;
pub mod datasets;
pub mod decisions;
pub mod device;
mod ensemble;
mod error;
mod evaluation;
mod events;
mod experiment;
mod exploding;
pub mod export;
mod extractor;
pub mod fetch;
mod fit;
#[cfg(test)]
mod fixture;
mod folds;
pub mod forecast;
mod gradients;
pub mod heat_map;
pub mod import;
mod inputs;
mod kernels;
pub mod key_page;
mod kmeans;
mod loader;
mod lock;
mod loss;
#[cfg(test)]
#[path = "../crates/labels/src/made_pages.rs"]
mod made_pages;
mod memory;
mod methods;
mod model;
mod nn;
mod onnx;
mod out_of_fold;
#[cfg(test)]
mod outside_data;
mod preflight;
mod prepare;
pub mod program;
pub mod ranks;
mod recipe;
mod recognizer;
pub mod report;
mod ridge;
mod run;
mod run_folder;
mod scoring;
mod seal;
#[cfg(feature = "serve")]
pub mod serve;
mod shard;
mod soft_labels;
mod step;
mod step_log;
pub mod sweep;
pub mod synthetic;
mod tally;
mod tensorboard;
mod thumbnail;
pub mod track;
mod train;
pub mod tune;
pub mod unnamed;
pub mod weights;

pub use burn::tensor::Device;
pub use cancel::Cancel;
pub use ensemble::Ensemble;
pub use error::{Error, Result};
pub use evaluation::{Evaluated, Evaluation, evaluate, measure, score};
pub use events::Event;
pub use experiment::{train, train_together};
pub use folds::{check_folds, out_of_fold};
pub use inputs::{Cache, Inputs};
pub use loader::features::Features;
pub use lock::FolderLock;
pub use methods::NAMES as METHODS;
pub use out_of_fold::{How, OutOfFold};
pub use prepare::filled::given as without_filled;
pub use recipe::library as recipes;
pub use recipe::{PrecisionChoice, Recipe};
pub use recognizer::{Attention, Picture, Recognition, Recognizer};
pub use run::{EpochRow, Run, RunInfo, Status, Validated, Which};
pub use run_folder::Existing;
pub use sarb_labels as labels;
pub use shard::Shard;

/// The layers of SSGRL and SARB, and what a forward pass needs besides.
pub mod layers {
    pub use crate::kernels::shared_states::SharedStates;
    pub use crate::methods::blending::{
        Blended, blend_instances, blend_prototypes, every_unknown_mask, shared_by,
    };
    pub use crate::nn::batch_norm::BatchNorm;
    pub use crate::nn::decoupling::SemanticDecoupling;
    pub use crate::nn::gated_graph::GatedGraph;
    pub use crate::nn::linear::Linear;
    pub use crate::nn::per_class_linear::PerClassLinear;
    pub use burn::tensor::Tensor;
}

/// What the benchmarks and the tests of the program reach into; nothing here is a promise.
#[doc(hidden)]
pub mod internals {
    pub use crate::backbone::conv_norm::ConvNorm;
    pub use crate::backbone::{Backbone, BackboneName, Classifier, Freeze};
    pub use crate::batch::{Batch, Input, Progress, targets};
    pub use crate::kernels::matrix::{Accum, Matrix, MatrixMut};
    pub use crate::kernels::precision::Precision;
    pub use crate::kernels::product::{Cores, product};
    pub use crate::kernels::vectorized::{joint_scores, sigmoid, tanh};
    pub use crate::kernels::window::Window;
    pub use crate::kmeans::{Clusters, kmeans};
    pub use crate::loader::{ExampleKind, Examples, ImageFiles, Loader, View, epoch_batches};
    pub use crate::loss::contrastive::{NegativePairs, contrastive};
    pub use crate::loss::normalization::Normalization;
    pub use crate::loss::partial_bce::partial_bce;
    pub use crate::memory::peak_rss_mb;
    pub use crate::methods::knowledge::CategoryKnowledge;
    pub use crate::methods::network_recipe::NetworkRecipe;
    pub use crate::methods::prototypes::cluster;
    pub use crate::methods::sarb_recipe::SarbRecipe;
    pub use crate::methods::{AnyMethod, Method, MethodRecipe};
    pub use crate::model::{Inference, Model};
    pub use crate::nn::attention::{Pooling, SemanticAttention};
    pub use crate::ridge::fit as fit_ridge;
    pub use crate::soft_labels::SoftLabels;
    pub use crate::step::{Rates, step};
    pub use crate::train::adam;
}
