//! In which numbers frozen layers are multiplied.

use serde::{Deserialize, Serialize};

/// In which numbers the products of frozen layers are computed. Sums, biases and maps are f32 in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 24 bits of each factor.
    #[default]
    F32,
    /// 8 bits of each factor: half the memory, and twice the products on some processors.
    Bf16,
}

impl Precision {
    /// The faster one here: bf16 on processors by AMD that have `vdpbf16ps` (from Zen 4 on), which takes them as long
    /// as an f32 fused multiply-add and does twice as much. Intel's take four times as long (measured, docs/performance.md).
    pub fn fastest() -> Self {
        #[cfg(target_arch = "x86_64")]
        if is_by_amd() && std::arch::is_x86_feature_detected!("avx512bf16") {
            return Self::Bf16;
        }
        Self::F32
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Bf16 => "bf16",
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn is_by_amd() -> bool {
    let id = std::arch::x86_64::__cpuid(0);
    [id.ebx, id.edx, id.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}
