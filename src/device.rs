//! Where tensors are computed, by name.

use burn::tensor::Device;

use crate::{Error, Result};

/// The names that [`open`] accepts.
pub const NAMES: [&str; 4] = ["cpu", "vulkan", "cuda", "metal"];

/// The device of a name, without autodiff.
///
/// # Errors
/// [`Error::Missing`] for a device that this program was built without, [`Error::Usage`] for an
/// unknown name.
pub fn open(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        #[cfg(feature = "vulkan")]
        "vulkan" => Ok(Device::vulkan(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        #[cfg(feature = "metal")]
        "metal" => Ok(Device::metal(burn::tensor::DeviceKind::DefaultDevice)),
        #[allow(unreachable_patterns, reason = "devices that are built in are matched above")]
        "vulkan" | "cuda" | "metal" => Err(Error::Missing(format!(
            "this program was built without {name}; build it with `cargo build --release --features {name}`"
        ))),
        _ => Err(Error::Usage(format!("unknown device `{name}`; one of {}", NAMES.join(", ")))),
    }
}

/// The name of a device, for `run.json`.
pub fn name(device: &Device) -> String {
    let is_it = |name: &&&str| open(name).is_ok_and(|opened| opened == *device);
    NAMES.iter().find(is_it).map_or_else(|| format!("{device:?}"), |name| (*name).into())
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
        assert_eq!(open("tpu").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn the_backend_is_burn_in_the_version_of_this_build() {
        let lock = include_str!("../Cargo.lock");
        let version = backend().strip_prefix("burn ").unwrap().to_owned();
        assert!(lock.contains(&format!("name = \"burn\"\nversion = \"{version}\"")), "{version}");
    }
}
