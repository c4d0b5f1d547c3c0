//! Labels, categories, images and features: everything that is read from disk before a batch exists.
pub mod categories;
pub mod feature_cache;
pub mod features;
pub mod formats;
pub mod hide;
pub mod image;
pub mod inspect;
pub mod labels;
pub mod loader;
pub mod synthetic;
pub mod transform;
pub mod words;
