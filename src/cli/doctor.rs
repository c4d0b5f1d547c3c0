//! `sarb doctor`: what this program is, what it finds on this machine, and what its caches take.

use clap::Args;
use sarb::{Cache, Result, fetch};
use serde_json::{Value, json};

use super::CacheArgs;
use super::console::{print, say};
use super::machine;

/// Arguments of `sarb doctor`.
#[derive(Debug, Clone, Args)]
pub struct Doctor {
    /// Delete the cached feature maps
    #[arg(long)]
    pub clear_cache: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub cache: CacheArgs,
}

impl Doctor {
    /// Prints version, processor, memory, devices, disks and caches.
    pub fn run(&self) -> Result<()> {
        let cache = self.cache.cache()?;
        if self.clear_cache {
            let cleared = cache.clear()?;
            let in_use = match cleared.in_use {
                0 => String::new(),
                in_use => format!("; {in_use} in use, left alone"),
            };
            say(&format!("deleted {} stores, {:.1} MB{in_use}", cleared.stores, megabytes(cleared.bytes)));
        }
        let report = report(&cache)?;
        if self.json { print(&report.to_string()) } else { show(&report) }
    }
}

/// Everything that is found, once for people and for machines. What the system does not say is null.
fn report(cache: &Cache) -> Result<Value> {
    let devices = ["cpu", "vulkan", "cuda", "metal"].map(|name| {
        let built = sarb::device::open(name).is_ok();
        json!({ "name": name, "built_in": built })
    });
    let disk = |what: &str, path: &std::path::Path| json!({ "what": what, "path": path.display().to_string(), "free_bytes": machine::free_bytes(path) });
    let here = std::env::current_dir().unwrap_or_default();
    let mut disks = vec![disk("this folder", &here), disk("cache", &cache.dir)];
    disks.extend(fetch::home().ok().map(|home| disk("weights and downloads", &home)));
    let stores = cache.stores()?;
    let total: u64 = stores.iter().map(|store| store.bytes).sum();
    let stores: Vec<_> = stores
        .into_iter()
        .map(|store| json!({ "bytes": store.bytes, "maps": store.maps, "about": store.about }))
        .collect();
    let memory = machine::memory();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": machine::commit(),
        "features": machine::features(),
        "cpu": {
            "name": machine::cpu_name(),
            "cores": std::thread::available_parallelism().map_or(1, usize::from),
            "instructions": machine::instructions(),
        },
        "memory": { "total_bytes": memory.map(|it| it.0), "available_bytes": memory.map(|it| it.1) },
        "devices": devices,
        "disks": disks,
        "cache": {
            "path": cache.dir.display().to_string(),
            "bytes": total,
            "limit_bytes": cache.limit_bytes,
            "stores": stores,
        },
    }))
}

fn show(report: &Value) -> Result<()> {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or("unknown").to_owned();
    let gigabytes = |value: &Value| match value.as_u64() {
        Some(bytes) => format!("{:.1} GB", bytes as f64 / 1e9),
        None => "unknown".into(),
    };
    print(&format!("sarb {}", machine::version().replace('\n', "; ")))?;
    let cpu = &report["cpu"];
    let instructions: Vec<_> = cpu["instructions"].as_array().into_iter().flatten().map(text).collect();
    print(&format!("cpu: {}, {} cores; {}", text(&cpu["name"]), cpu["cores"], instructions.join(" ")))?;
    let memory = &report["memory"];
    let (total, available) = (gigabytes(&memory["total_bytes"]), gigabytes(&memory["available_bytes"]));
    print(&format!("memory: {total}, {available} available"))?;
    for device in report["devices"].as_array().into_iter().flatten() {
        let built = if device["built_in"] == true { "built in" } else { "not built in" };
        print(&format!("device {}: {built}", text(&device["name"])))?;
    }
    for disk in report["disks"].as_array().into_iter().flatten() {
        print(&format!(
            "disk of {}: {} free, {}",
            text(&disk["what"]),
            gigabytes(&disk["free_bytes"]),
            text(&disk["path"])
        ))?;
    }
    let cache = &report["cache"];
    let (bytes, limit) = (megabytes(number(&cache["bytes"])), gigabytes(&cache["limit_bytes"]));
    print(&format!("cache {}: {bytes:.1} MB of {limit}", text(&cache["path"])))?;
    for store in cache["stores"].as_array().into_iter().flatten() {
        let bytes = megabytes(number(&store["bytes"]));
        print(&format!("  {bytes:>9.1} MB  {:>7} maps  {}", number(&store["maps"]), text(&store["about"])))?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
