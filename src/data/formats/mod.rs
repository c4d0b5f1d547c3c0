//! One file format a file. A label format returns [`Annotations`](super::Annotations): paths and
//! labels, nothing of tensors.
pub mod csv;
pub mod npy;
