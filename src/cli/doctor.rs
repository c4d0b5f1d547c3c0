//! `sarb doctor`: what this program finds on this machine, and what its caches take.

use clap::Args;
use sarb::Result;

use super::CacheArgs;
use crate::cli::console::print;

/// Arguments of `sarb doctor`.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Delete the cached feature maps
    #[arg(long)]
    pub clear_cache: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cache: CacheArgs,
}

impl Doctor {
    /// Prints version, devices and caches.
    pub fn run(&self) -> Result<()> {
        let cache = self.cache.cache()?;
        print(&format!("sarb {}", env!("CARGO_PKG_VERSION")))?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        print(&format!("device cpu: {cores} cores"))?;
        for name in ["vulkan", "cuda", "metal"] {
            let built = sarb::device::open(name).is_ok();
            print(&format!("device {name}: {}", if built { "built in" } else { "not built in" }))?;
        }
        if self.clear_cache {
            let cleared = cache.clear()?;
            let in_use = if cleared.in_use > 0 {
                format!("; {} in use, left alone", cleared.in_use)
            } else {
                String::new()
            };
            print(&format!(
                "deleted {} stores, {:.1} MB{in_use}",
                cleared.stores,
                cleared.bytes as f64 / 1e6
            ))?;
        }
        let stores = cache.stores()?;
        let total: u64 = stores.iter().map(|store| store.bytes).sum();
        print(&format!(
            "cache {}: {:.1} MB of {:.1} GB",
            cache.dir.display(),
            total as f64 / 1e6,
            cache.limit_bytes as f64 / 1e9
        ))?;
        for store in stores {
            print(&format!(
                "  {:>9.1} MB  {:>7} maps  {}",
                store.bytes as f64 / 1e6,
                store.maps,
                store.about
            ))?;
        }
        Ok(())
    }
}
