//! Labels of images that are there (+1), not there (−1) or unknown (0): read and written in the formats
//! of other tools, hidden, split, checked, counted and scored. Nothing here knows of networks or tensors.
//!
//! ```
//! use sarb_labels::{Label, LabelMatrix};
//!
//! let labels = LabelMatrix::from_values(3, &[1, -1, 0, 0, 1, 1]);
//! assert_eq!(labels.get(0, 2), Label::Unknown);
//! // The official scheme of the papers, bit for bit: half of the labels stay known.
//! let partial = labels.hide(0.5, 0);
//! assert!(partial.count(Label::Unknown) >= labels.count(Label::Unknown));
//! ```
//!
//! Everything else starts from [`Annotations`]: paths, names and a [`LabelMatrix`].
//! - [`formats`] gives them, one file a format; [`dataset`] opens a data folder of our own CSV.
//! - [`merging`] brings those of several sources together.
//! - [`hiding`] and [`stratified`] make parts of them, [`check`] and [`inspect`] look at them.
//! - [`categories`], [`cooccurrence`] and [`words`] say what is known of a category beside its labels.
//! - [`metrics`] says what scores are worth; [`arrays`] and [`score_files`] read those of other programs.
//! - [`images`] decodes and transforms, also out of tar files.

pub mod annotations;
pub mod arrays;
mod bounded;
pub mod categories;
mod cell_numbers;
pub mod check;
pub mod cooccurrence;
pub mod dataset;
pub mod error;
pub mod files;
pub mod formats;
pub mod guard;
pub mod hiding;
pub mod images;
pub mod inspect;
pub mod labels;
#[cfg(test)]
mod made_pages;
pub mod matrix;
pub mod merging;
pub mod metrics;
#[cfg(test)]
mod outside_data;
pub mod random;
mod relocation;
pub mod same_files;
pub mod score_files;
pub mod stratified;
pub mod svg;
pub mod temporary;
pub mod text;
pub mod words;

pub use annotations::Annotations;
pub use dataset::{Dataset, Split};
pub use error::{Error, Result};
pub use labels::{Label, LabelMatrix};
