//! Losses, one a file.
pub mod contrastive;
pub mod normalization;
pub mod partial_bce;
