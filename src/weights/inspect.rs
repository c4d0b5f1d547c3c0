//! What is in a file of weights.

use std::path::Path;

use crate::Result;
use crate::backbone::weights;
pub use crate::backbone::weights::TensorInfo;
use crate::fetch::Digest;

/// What is in a file of weights.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The tensors, by name.
    pub tensors: Vec<TensorInfo>,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// The backbone that it fits, with nothing missing.
    pub backbone: Option<&'static str>,
    /// The name under which `sarb weights fetch` brings this very file.
    pub known_as: Option<&'static str>,
}

impl Inspection {
    /// Numbers in all tensors.
    pub fn parameters(&self) -> usize {
        self.tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum()
    }
}

/// Reads a `.pth`, `.pt` or `.safetensors` file.
///
/// # Errors
/// If it is not there, or not a whole file of its kind.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let (tensors, backbone) = weights::describe(path)?;
    let digest = Digest::of_file(path)?;
    let sha256 = digest.hex();
    let known = super::ALL.iter().find(|entry| sha256.starts_with(&*entry.result().sha256));
    Ok(Inspection {
        tensors,
        bytes: digest.bytes(),
        backbone: backbone.map(|name| name.as_str()),
        known_as: known.map(|entry| entry.name),
        sha256,
    })
}
