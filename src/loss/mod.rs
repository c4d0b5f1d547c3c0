//! One loss a file.
pub mod contrastive;
pub mod partial_bce;
