//! `sarb doctor`: what this program is, what it finds on this machine, and what its caches take.

use std::path::Path;

use clap::Args;
use sarb::{Result, fetch};
use serde::Serialize;

use super::CacheArgs;
use super::machine;
use crate::cli::console::print;

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

/// What is found. What the system does not say is null.
#[derive(Debug, Serialize)]
struct Found {
    version: &'static str,
    commit: Option<&'static str>,
    features: Vec<&'static str>,
    cpu: Option<String>,
    instructions: Vec<&'static str>,
    cores: usize,
    threads: usize,
    memory: Option<Memory>,
    devices: Vec<Device>,
    disks: Vec<Disk>,
    /// What was deleted, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    cleared: Option<Cleared>,
    cache: Cache,
}

#[derive(Debug, Serialize)]
struct Memory {
    total_bytes: u64,
    available_bytes: u64,
}

#[derive(Debug, Serialize)]
struct Disk {
    /// What lies on it.
    of: &'static str,
    path: String,
    free_bytes: Option<u64>,
}

impl Disk {
    fn new(of: &'static str, path: &Path) -> Self {
        Self { of, path: path.display().to_string(), free_bytes: machine::free_bytes(path) }
    }
}

#[derive(Debug, Serialize)]
struct Device {
    name: &'static str,
    built_in: bool,
}

#[derive(Debug, Serialize)]
struct Cleared {
    stores: usize,
    bytes: u64,
    in_use: usize,
}

#[derive(Debug, Serialize)]
struct Cache {
    dir: String,
    bytes: u64,
    limit_bytes: u64,
    stores: Vec<Store>,
}

#[derive(Debug, Serialize)]
struct Store {
    bytes: u64,
    maps: usize,
    about: String,
}

impl Doctor {
    /// Prints version, processor, memory, devices, disks and caches.
    pub fn run(&self) -> Result<()> {
        let found = self.look()?;
        match self.json {
            true => print(&serde_json::to_string_pretty(&found).expect("plain data")),
            false => print(found.to_text().trim_end()),
        }
    }

    fn look(&self) -> Result<Found> {
        let cache = self.cache.cache()?;
        let cleared = if self.clear_cache { Some(cache.clear()?) } else { None };
        let stores = cache.stores()?;
        let built_in = |name| Device { name, built_in: sarb::device::open(name).is_ok() };
        let here = std::env::current_dir().unwrap_or_default();
        let mut disks = vec![Disk::new("this folder", &here), Disk::new("cache", &cache.dir)];
        disks.extend(fetch::home().ok().map(|home| Disk::new("weights and downloads", &home)));
        Ok(Found {
            version: env!("CARGO_PKG_VERSION"),
            commit: sarb::program::commit(),
            features: machine::features(),
            cpu: machine::cpu_name(),
            instructions: machine::instructions(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads: rayon::current_num_threads(),
            memory: machine::memory()
                .map(|(total_bytes, available_bytes)| Memory { total_bytes, available_bytes }),
            devices: ["cpu", "vulkan", "cuda", "metal"].map(built_in).into(),
            disks,
            cleared: cleared.map(|it| Cleared { stores: it.stores, bytes: it.bytes, in_use: it.in_use }),
            cache: Cache {
                dir: cache.dir.display().to_string(),
                bytes: stores.iter().map(|store| store.bytes).sum(),
                limit_bytes: cache.limit_bytes,
                stores: stores
                    .into_iter()
                    .map(|store| Store { bytes: store.bytes, maps: store.maps, about: store.about })
                    .collect(),
            },
        })
    }
}

impl Found {
    fn to_text(&self) -> String {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
        let mut text = format!("sarb {}\n", machine::version().replace('\n', "; "));
        let (cpu, instructions) = (self.cpu.as_deref().unwrap_or("unknown"), self.instructions.join(" "));
        text += &format!("processor: {cpu}; {instructions}\n");
        if let Some(Memory { total_bytes, available_bytes }) = self.memory {
            let (total, available) = (gigabytes(total_bytes), gigabytes(available_bytes));
            text += &format!("memory: {total}, {available} available\n");
        }
        for Device { name, built_in } in &self.devices {
            text += &match (*name, built_in) {
                ("cpu", _) => format!("device cpu: {} cores, {} threads\n", self.cores, self.threads),
                (name, true) => format!("device {name}: built in\n"),
                (name, false) => format!("device {name}: not built in\n"),
            };
        }
        for Disk { of, path, free_bytes } in &self.disks {
            let free = free_bytes.map_or("unknown".into(), gigabytes);
            text += &format!("disk of {of}: {free} free, {path}\n");
        }
        if let Some(Cleared { stores, bytes, in_use }) = &self.cleared {
            let in_use = if *in_use > 0 { format!("; {in_use} in use, left alone") } else { String::new() };
            text += &format!("deleted {stores} stores, {:.1} MB{in_use}\n", megabytes(*bytes));
        }
        let Cache { dir, bytes, limit_bytes, stores } = &self.cache;
        let (used, limit) = (megabytes(*bytes), *limit_bytes as f64 / 1e9);
        text += &format!("cache {dir}: {used:.1} MB of {limit:.1} GB\n");
        for Store { bytes, maps, about } in stores {
            text += &format!("  {:>9.1} MB  {maps:>7} maps  {about}\n", megabytes(*bytes));
        }
        text
    }
}
