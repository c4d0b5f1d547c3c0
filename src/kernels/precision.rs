//! In which numbers layers are multiplied.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

/// In which numbers products are computed. Sums, biases, maps, weights and their gradients are f32 in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 24 bits of each factor.
    #[default]
    F32,
    /// 8 bits of each factor: half the memory, and twice the products on some processors.
    Bf16,
}

thread_local! {
    static OF_PRODUCTS: Cell<Precision> = const { Cell::new(Precision::F32) };
}

impl Precision {
    /// Does some work whose [large products](super::product::product), those by all cores, are in this precision: a
    /// forward pass and its backward, as PyTorch's autocast does it, so that no layer needs to know.
    pub fn during<T>(self, work: impl FnOnce() -> T) -> T {
        /// Puts back what there was, also when the work panics.
        struct Before(Precision);
        impl Drop for Before {
            fn drop(&mut self) {
                OF_PRODUCTS.set(self.0);
            }
        }
        let _before = Before(OF_PRODUCTS.replace(self));
        work()
    }

    /// What [`during`](Self::during) says on this thread, else f32.
    pub fn of_products() -> Self {
        OF_PRODUCTS.get()
    }

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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use burn::tensor::TensorData;

    /// That values are near to others in the sense of bf16, and not the same.
    pub(crate) fn assert_rounded(rounded: &TensorData, exact: &TensorData) {
        let [rounded, exact] = [rounded, exact].map(|data| data.try_to_vec::<f32>().unwrap());
        let norm = |values: &mut dyn Iterator<Item = f32>| {
            values.map(|value| f64::from(value).powi(2)).sum::<f64>().sqrt()
        };
        let error =
            norm(&mut rounded.iter().zip(&exact).map(|(a, b)| a - b)) / norm(&mut exact.iter().copied());
        // A factor is off by up to 2⁻⁹ of itself.
        assert!(error > 1e-6 && error < 2f64.powi(-8), "{error}");
    }

    #[test]
    fn the_precision_of_products_ends_with_the_work_whatever_becomes_of_it() {
        let inside = Precision::Bf16.during(|| {
            let f32 = Precision::F32.during(Precision::of_products);
            let other = std::thread::spawn(Precision::of_products).join().unwrap();
            [f32, other, Precision::of_products()]
        });
        assert_eq!(inside, [Precision::F32, Precision::F32, Precision::Bf16]);
        let work = std::panic::catch_unwind(|| Precision::Bf16.during(|| std::panic::panic_any(1)));
        assert!(work.is_err());
        assert_eq!(Precision::of_products(), Precision::F32);
    }
}
