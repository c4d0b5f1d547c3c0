//! Losses, one per file.
pub mod contrastive;
pub mod normalization;
pub mod partial_bce;
