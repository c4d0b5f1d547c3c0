//! `sarb sweep`: methods × known proportions × seeds; and a sweep's progress.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use sarb::Shard;
use sarb::sweep::{self, Options, Plan};
use sarb::{Cancel, Error, Result};
use sarb_labels::Split;

use super::CacheArgs;
use super::track::TrackArgs;
use crate::cli::console::{print, say};
use crate::cli::numbers::time;
use crate::cli::signals;

/// Arguments of `sarb sweep`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Sweep {
    #[command(subcommand)]
    command: Option<SweepCommand>,
    /// The plan, a file or one in the program such as coco18: rows with their recipes, known proportions, seeds
    #[arg(required = true)]
    plan: Option<PathBuf>,
    /// Data folder with train.csv, the split to evaluate and, if wanted, val.csv to select epochs on
    #[arg(long, value_name = "DIR", required = true)]
    data: Option<PathBuf>,
    /// Folder of the sweep; one that was begun there continues
    #[arg(long, value_name = "DIR", required = true)]
    out: Option<PathBuf>,
    /// Pretrained weights of the backbone: a .pth or .safetensors file, or a name of `sarb weights list`
    #[arg(long, value_name = "FILE|NAME")]
    weights: Option<PathBuf>,
    /// Word vectors: .npy [C, E] in column order, or GloVe text looked up by name
    #[arg(long, value_name = "FILE")]
    words: Option<PathBuf>,
    /// Your own features in place of images, rows in file order; with --test-features
    #[arg(long, value_name = "FILE", requires = "test_features")]
    features: Option<PathBuf>,
    /// Those of the images of val.csv
    #[arg(long, value_name = "FILE", requires = "features")]
    val_features: Option<PathBuf>,
    /// Those of the images to evaluate
    #[arg(long, value_name = "FILE", requires = "features")]
    test_features: Option<PathBuf>,
    /// Which split cells are evaluated on: train, val or test
    #[arg(long, default_value = "test", value_parser = |text: &str| text.parse::<Split>().map_err(|e| e.to_string()))]
    split: Split,
    /// Where cells are trained: cpu, vulkan, cuda or metal; cuda:1 or vulkan:1 is the second GPU
    #[arg(long, value_name = "D", default_value = "cpu")]
    device: String,
    /// Cells to run at once; they share the cores
    #[arg(long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Only every N-th cell, beginning with number I from 0; N alone takes I from the array index of
    /// Slurm, AWS Batch or Kubernetes, whose arrays are used without --shard too
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Retry cells that failed
    #[arg(long)]
    retry_failed: bool,
    /// Evaluate trained cells anew, on another --split or other --test-features, or after test.csv was corrected
    #[arg(long, conflicts_with = "shard")]
    evaluate_again: bool,
    /// Stop after this time, such as 55m, with exit code 75 and everything kept that is done; the same command continues
    #[arg(long, value_name = "TIME", value_parser = time)]
    max_time: Option<Duration>,
    /// Check everything and say what each cell will cost in time, disk and memory; write nothing
    #[arg(long, conflicts_with_all = ["shard", "retry_failed", "evaluate_again", "track"])]
    dry_run: bool,
    /// With --dry-run: print one JSON object
    #[arg(long, requires = "dry_run")]
    json: bool,
    #[command(flatten)]
    track: TrackArgs,
    #[command(flatten)]
    cache: CacheArgs,
}

#[derive(Debug, Clone, Subcommand)]
enum SweepCommand {
    /// Show a sweep's progress
    Status(StatusArgs),
}

/// Arguments of `sarb sweep status`.
#[derive(Debug, Clone, Args)]
struct StatusArgs {
    /// Folder of the sweep
    dir: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Sweep {
    /// Runs a sweep, or shows how far one is.
    ///
    /// `threads` are shared by the cells that run at once.
    pub fn run(&self, threads: Option<NonZeroUsize>) -> Result<()> {
        match (&self.command, &self.plan, &self.data, &self.out) {
            (Some(SweepCommand::Status(status)), ..) => status.run(),
            (None, Some(plan), Some(data), Some(out)) => {
                let cancel = signals::listen();
                if let Some(time) = self.max_time {
                    cancel.cancel_after(time);
                }
                self.sweep(plan, data, out, threads, &cancel)
            }
            _ => Err(Error::Usage("give a PLAN with --data DIR and --out DIR, or `status DIR`".into())),
        }
    }

    fn sweep(
        &self,
        plan: &Path,
        data: &Path,
        out: &Path,
        threads: Option<NonZeroUsize>,
        cancel: &Cancel,
    ) -> Result<()> {
        sarb::device::open(&self.device)?;
        let track = self.track.target()?;
        let shard = Shard::choose(self.shard.as_deref(), |name| std::env::var(name).ok())?;
        let given = |path: &Option<PathBuf>| path.as_deref().map(absolute).transpose();
        let (plan, base) = Plan::read(plan)?;
        let sweep = sweep::Sweep {
            dir: absolute(out)?,
            base: absolute(&base)?,
            data: absolute(data)?,
            weights: given(&self.weights.as_deref().map(sarb::weights::find).transpose()?)?,
            words: given(&self.words)?,
            features: given(&self.features)?,
            val_features: given(&self.val_features)?,
            test_features: given(&self.test_features)?,
            split: self.split,
            plan,
        };
        if self.dry_run {
            return self.forecast(&sweep, threads, cancel);
        }
        let recipes = sweep.begin(self.evaluate_again, &say, cancel)?;
        let (jobs, retry_failed, device) = (self.jobs, self.retry_failed, self.device.clone());
        let mut cache = self.cache.arguments();
        if let Some(threads) = threads {
            let each = (threads.get() / jobs.get()).max(1);
            cache.extend(["--threads".into(), each.to_string().into()]);
        }
        let options = Options { jobs, retry_failed, shard, device, cache, track };
        let result = sweep::run(&sweep, &recipes, &options, &say, cancel);
        let ended = match &result {
            Ok(()) => true,
            Err(Error::Sweep { code, .. }) => *code != 75,
            Err(_) => false,
        };
        if ended {
            print(&sweep::to_table(&sweep, &sweep.cells()?))?;
        }
        result
    }

    fn forecast(&self, sweep: &sweep::Sweep, threads: Option<NonZeroUsize>, cancel: &Cancel) -> Result<()> {
        let recipes = sweep.check()?;
        let mut arguments = self.cache.arguments();
        if let Some(threads) = threads {
            arguments.extend(["--threads".into(), threads.to_string().into()]);
        }
        let (cells, total) = sweep::dry_run(sweep, &recipes, &self.device, &arguments, &say, cancel)?;
        if self.json {
            let object = serde_json::json!({ "cells": cells, "total": total });
            return print(&serde_json::to_string_pretty(&object).expect("plain data"));
        }
        print(&sweep::planned_to_table(&cells, &total))
    }
}

impl StatusArgs {
    fn run(&self) -> Result<()> {
        let sweep = sweep::Sweep::open(&self.dir)?;
        let cells = sweep.cells()?;
        if self.json {
            return print(&sweep::to_json(&sweep, &cells).to_string());
        }
        print(&sweep::to_table(&sweep, &cells))
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, e))
}
