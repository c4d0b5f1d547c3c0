//! One command a file.
pub mod data;
