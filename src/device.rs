//! Where tensors are computed, by name.

use std::panic::UnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;

use crate::{Error, Result};

/// The names that [`open`] accepts.
pub const NAMES: [&str; 4] = ["cpu", "vulkan", "cuda", "metal"];

/// Most GPUs of a kind that are told apart.
const MOST_GPUS: usize = 64;

/// The device of a name, without autodiff: `cpu`; `vulkan`, `cuda` or `metal`, the GPU that comes first; `cuda:1` or
/// `vulkan:1`, the second one; `vulkan:cpu`, the CPU as Mesa's lavapipe makes it look like a GPU.
///
/// # Errors
/// [`Error::Missing`] for a device that this program was built without or that does not answer, [`Error::Usage`] for an
/// unknown name.
pub fn open(name: &str) -> Result<Device> {
    let device = named(name)?;
    if name != "cpu" {
        answers(&device).map_err(|why| {
            Error::Missing(format!(
                "the device `{name}` does not answer: {why}; docs/gpu.md says what it needs"
            ))
        })?;
    }
    Ok(device)
}

/// The device of a name, whether it is there or not.
fn named(name: &str) -> Result<Device> {
    let (kind, which) = name.split_once(':').map_or((name, None), |(kind, which)| (kind, Some(which)));
    if !NAMES.contains(&kind) {
        return Err(Error::Usage(format!("unknown device `{name}`; one of {}", NAMES.join(", "))));
    }
    let index = which.and_then(|which| which.parse().ok()).filter(|&index: &usize| index < MOST_GPUS);
    match (kind, which, index) {
        ("cpu", None, _) => Ok(Device::flex()),
        #[cfg(feature = "vulkan")]
        ("vulkan", Some("cpu"), _) => Ok(Device::vulkan(burn::tensor::DeviceKind::Cpu)),
        #[cfg(feature = "vulkan")]
        ("vulkan", Some(_), Some(index)) => Ok(Device::vulkan(burn::tensor::DeviceKind::DiscreteGpu(index))),
        #[cfg(feature = "vulkan")]
        ("vulkan", None, _) => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        ("cuda", Some(_), Some(index)) => Ok(Device::cuda(index)),
        #[cfg(feature = "cuda")]
        ("cuda", None, _) => Ok(Device::cuda(0)),
        #[cfg(feature = "metal")]
        ("metal", None, _) => Ok(Device::metal(burn::tensor::DeviceKind::DefaultDevice)),
        ("vulkan" | "cuda", Some(which), None) if !(kind == "vulkan" && which == "cpu") => Err(Error::Usage(
            format!("device `{name}`: expected a number from 0 to {} after the colon", MOST_GPUS - 1),
        )),
        ("cpu" | "metal", Some(_), _) => {
            Err(Error::Usage(format!("device `{name}`: there is one {kind}; leave the colon out")))
        }
        _ => Err(Error::Missing(format!(
            "this program was built without {kind}; build it with `cargo build --release --features {kind}`"
        ))),
    }
}

/// Computes something. Without a driver or a GPU, Burn panics at the first operation and not before.
fn answers(device: &Device) -> std::result::Result<(), String> {
    match quietly(|| burn::tensor::Tensor::<1>::ones([2], device).sum().into_scalar::<f32>()) {
        Ok(2.0) => Ok(()),
        Ok(sum) => Err(format!("1 + 1 is {sum} there")),
        Err(why) => Err(why),
    }
}

/// What `compute` gives; if it panics, the first line of what was said first, in whichever thread: that of the device
/// says what is missing, and after it the caller's only that nothing came back.
fn quietly<T>(compute: impl FnOnce() -> T + UnwindSafe) -> std::result::Result<T, String> {
    let said = Arc::new(Mutex::new(None));
    let (hook, first) = (std::panic::take_hook(), said.clone());
    std::panic::set_hook(Box::new(move |panic| {
        let line = panic.payload_as_str().and_then(|said| said.lines().find(|line| !line.trim().is_empty()));
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| line.unwrap_or("no driver or no GPU").trim().to_owned());
    }));
    let computed = std::panic::catch_unwind(compute);
    std::panic::set_hook(hook);
    let said = said.lock().unwrap_or_else(PoisonError::into_inner).take();
    computed.map_err(|_| said.unwrap_or_else(|| "no driver or no GPU".into()))
}

/// The name of a device, for `run.json`.
pub fn name(device: &Device) -> String {
    let numbered = ["vulkan", "cuda"]
        .into_iter()
        .flat_map(|kind| (0..MOST_GPUS).map(move |index| format!("{kind}:{index}")));
    let mut names = NAMES.map(String::from).into_iter().chain(["vulkan:cpu".into()]).chain(numbered);
    names
        .find(|name| named(name).is_ok_and(|named| named == *device))
        .unwrap_or_else(|| format!("{device:?}"))
}

/// What computes, for `run.json`: `burn` and the version that Cargo.toml pins.
pub fn backend() -> String {
    let version = include_str!("../Cargo.toml")
        .lines()
        .find_map(|line| line.strip_prefix("burn = { version = \"="))
        .and_then(|rest| rest.split('"').next());
    format!("burn {}", version.expect("Cargo.toml pins burn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_and_unknown_names_are_refused() {
        assert_eq!(name(&open("cpu").unwrap()), "cpu");
        assert_eq!(name(&open("cpu").unwrap().autodiff()), "cpu");
        for wrong in ["tpu", "cpu:0", "cuda:x", "cuda:64", "vulkan:-1", "metal:1", ""] {
            assert_eq!(open(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn of_several_panics_the_first_says_why() {
        assert_eq!(quietly(|| 3), Ok(3));
        let of_the_device = || {
            let there = std::thread::spawn(|| panic!("\n=== no adapter ===\nmore")).join();
            there.expect("nothing came back");
        };
        assert_eq!(quietly(of_the_device), Err("=== no adapter ===".into()));
        assert_eq!(quietly(|| std::panic::panic_any(7)), Err::<(), _>("no driver or no GPU".into()));
    }

    #[test]
    fn the_backend_is_burn_in_the_version_of_this_build() {
        let lock = include_str!("../Cargo.lock");
        let version = backend().strip_prefix("burn ").unwrap().to_owned();
        assert!(lock.contains(&format!("name = \"burn\"\nversion = \"{version}\"")), "{version}");
    }
}
