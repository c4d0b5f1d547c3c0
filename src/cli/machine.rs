//! What this program was built as, and the machine it runs on.

use std::path::Path;
use std::sync::LazyLock;

use sarb::program;
use sysinfo::{Disks, System};

/// The optional features that this program was built with.
pub fn features() -> Vec<&'static str> {
    let built = [
        ("vulkan", cfg!(feature = "vulkan")),
        ("cuda", cfg!(feature = "cuda")),
        ("metal", cfg!(feature = "metal")),
    ];
    built.into_iter().filter(|(_, built)| *built).map(|(name, _)| name).collect()
}

/// The text after `sarb` in `sarb --version`: version, commit and features.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let commit = program::commit().unwrap_or("unknown");
        let features = features();
        let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
        format!("{} (commit {commit})\nfeatures: {features}", env!("CARGO_PKG_VERSION"))
    });
    &VERSION
}

/// Those instruction sets of this processor that the kernels look for, or the crates below them.
pub fn instructions() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    {
        macro_rules! found {
            ($($name:tt),*) => { [$(($name, std::is_x86_feature_detected!($name))),*] };
        }
        let all = found!(
            "sse4.2",
            "avx",
            "avx2",
            "fma",
            "avx512f",
            "avx512dq",
            "avx512bw",
            "avx512vl",
            "avx512bf16"
        );
        all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
    }
    #[cfg(target_arch = "aarch64")]
    {
        // Part of every such processor.
        vec!["neon"]
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        Vec::new()
    }
}

/// The processor's name, where the system says it.
pub fn cpu_name() -> Option<String> {
    let mut system = System::new();
    system.refresh_cpu_all();
    let name = system.cpus().first()?.brand().trim().to_owned();
    (!name.is_empty()).then_some(name)
}

/// Bytes of memory in all and available; less than the machine's where a control group says so.
pub fn memory() -> Option<(u64, u64)> {
    let mut system = System::new();
    system.refresh_memory();
    let whole = (system.total_memory(), system.available_memory());
    let group = system.cgroup_limits().filter(|group| group.total_memory < whole.0);
    let (total, available) =
        group.map_or(whole, |group| (group.total_memory, group.free_memory.min(whole.1)));
    (total > 0).then_some((total, available))
}

/// Free bytes on the disk that holds a path, which need not be there yet.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let there = path.ancestors().find(|path| path.exists())?;
    let real = std::fs::canonicalize(there).ok()?;
    let disks = Disks::new_with_refreshed_list();
    let holding = disks.iter().filter(|disk| real.starts_with(disk.mount_point()));
    holding.max_by_key(|disk| disk.mount_point().as_os_str().len()).map(|disk| disk.available_space())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_names_commit_and_features() {
        let version = version();
        assert!(version.starts_with(env!("CARGO_PKG_VERSION")), "{version}");
        assert!(!version.contains("commit )"), "{version}");
        assert!(version.contains("commit ") && version.contains("\nfeatures: "), "{version}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_and_disk_are_found() {
        let (total, available) = memory().unwrap();
        assert!(total >= available && available > 0, "{total} {available}");
        let folder = tempfile::tempdir().unwrap();
        // Not there yet: its disk is the one of the folder above.
        assert!(free_bytes(&folder.path().join("not/yet")).unwrap() > 0);
    }
}
