//! Losses, one per file.
pub mod asymmetric;
pub mod contrastive;
pub mod cooccurrence;
pub mod masks;
pub mod normalization;
pub mod partial_bce;
