//! Multi-label image recognition from partial labels.
//!
//! For each image some labels are known to be there (+1), some known not to be (−1), and most are
//! unknown (0). This crate trains, evaluates and serves SARB (Semantic-Aware Representation
//! Blending, AAAI 2022) and the systems it is compared with, under one protocol.
//!
//! ```text
//! annotations ──► labels [N, C] in {−1, 0, +1} ──hide(known, seed)──► partial labels [N, C]
//!                                                      └──► co-occurrence [C, C]; word vectors [C, E]
//! image ──decode, augment──► Batch { input: Images [B, 3, S, S] | Maps [B, F, H, W], labels, indices }
//!   Backbone    frozen trunk, trained last stage          [B, 3, S, S] → [B, F, H, W]
//!   represent   reduce to D, semantic decoupling          → category representations [B, C, D]
//!   blend       instance- and prototype-level             → [B, C, D] and soft targets [B, C]
//!   classify    gated graph, fuse, per-category linear    → logits [B, C]
//!   loss        partial BCE + contrastive + blended BCEs  → Losses → backward → Adam
//! ```
//!
//! Axis letters: N images, B batch, C categories, F channels of a feature map, D representation
//! width, H W positions (P = H·W), K prototypes per category, E word width, M joint width.
//!
//! Read [`methods::sarb`] first, then [`train`].

#![warn(missing_docs)]

pub mod batch;
pub mod calibration;
pub mod cli;
pub mod console;
pub mod data;
pub mod error;
pub mod evaluate;
pub mod files;
#[cfg(test)]
mod fixture;
pub mod interrupt;
pub mod kmeans;
pub mod loss;
pub mod methods;
pub mod metrics;
pub mod model;
pub mod nn;
pub mod prepare;
pub mod recipe;
pub mod recognizer;
pub mod report;
pub mod ridge;
pub mod run;
pub mod step;
pub mod sweep;
pub mod tensorboard;
pub mod train;

pub use error::{Error, Result};
