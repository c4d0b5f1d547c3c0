//! Images as files and as pixels: decoded within limits, transformed as the papers do, also where they lie
//! in tar files.

mod decode;
mod resize;
mod strong;
pub(crate) mod tar_index;
pub mod tar_member;
pub mod transform;

pub use decode::*;
