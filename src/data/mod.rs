//! Labels, categories, images and features: everything that is read from disk before a batch exists.
pub mod array_file;
pub mod cache_limit;
pub mod categories;
pub mod examples;
pub mod feature_cache;
pub mod features;
pub mod formats;
pub mod hide;
pub mod image;
pub mod inspect;
pub mod labels;
pub mod loader;
pub(crate) mod map_store;
mod score_csv;
pub mod synthetic;
mod synthetic_shapes;
pub mod transform;
pub mod words;
