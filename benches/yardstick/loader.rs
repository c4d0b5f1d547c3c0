//! `yardstick loader`: photographs a second from JPEG files to augmented training views.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, value_parser};
use rayon::prelude::*;
use sarb::internals::{ExampleKind, Examples, ImageFiles, Loader as BatchLoader, View, epoch_batches};
use sarb::labels::images::transform::Transform;
use sarb::{Error, Result};
use sarb_benches::photograph;
use serde_json::{Value, json};

use super::Common;
use super::network::positive;
use super::scratch::Folder;

/// Most bytes of batches that wait for the measurement, as in training.
const QUEUE_BYTES: usize = 512 << 20;

/// JPEG files that a measurement writes and reads.
#[derive(Debug, Clone, Args)]
pub struct Photographs {
    /// Number of generated photographs
    #[arg(long, default_value_t = 64, value_parser = positive)]
    images: usize,
    /// Width of the photographs in pixels
    #[arg(long, default_value_t = 640, value_parser = value_parser!(u32).range(1..=8192))]
    width: u32,
    /// Height of the photographs in pixels
    #[arg(long, default_value_t = 480, value_parser = value_parser!(u32).range(1..=4096))]
    height: u32,
    /// Seed of photographs and views
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the photographs to this folder and keep them, for other programs to read
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Such files; they are there as long as this is.
pub struct Written {
    pub paths: Vec<PathBuf>,
    /// Of all files together.
    bytes: usize,
    _folder: Folder,
}

impl Photographs {
    /// Writes them.
    pub fn write(&self) -> Result<Written> {
        let folder = Folder::new(self.keep.as_deref())?;
        let written: Result<Vec<(PathBuf, usize)>> = (0..self.images)
            .into_par_iter()
            .map(|index| {
                let path = folder.path.join(format!("{index:05}.jpg"));
                let bytes = photograph::jpeg(self.width, self.height, self.seed, index as u64);
                std::fs::write(&path, &bytes).map_err(|source| Error::io(&path, source))?;
                Ok((path, bytes.len()))
            })
            .collect();
        let (paths, bytes): (Vec<_>, Vec<_>) = written?.into_iter().unzip();
        Ok(Written { paths, bytes: bytes.into_iter().sum(), _folder: folder })
    }
}

/// Arguments of `yardstick loader`.
#[derive(Debug, Clone, Args)]
pub struct Loader {
    #[command(flatten)]
    photographs: Photographs,
    /// Side of the training views in pixels
    #[arg(long, default_value_t = 448, value_parser = value_parser!(u32).range(1..=4096))]
    size: u32,
    /// Images in a batch
    #[arg(long, default_value_t = 8, value_parser = positive)]
    batch: usize,
    /// Images of an epoch in which nothing is read, for what the loader itself takes
    #[arg(long, default_value_t = 1_000_000, value_parser = positive)]
    blank: usize,
    #[command(flatten)]
    common: Common,
}

impl Loader {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        self.common.run(|| self.measure())
    }

    /// One thread alone, the loader of training, and that loader with nothing to read.
    fn measure(&self) -> Result<Value> {
        let Photographs { images, width, height, .. } = self.photographs;
        let Written { paths, bytes, _folder } = self.photographs.write()?;
        let files = Arc::new(ImageFiles { paths, transform: Transform::for_size(self.size as usize) });
        let one_core = self.common.best(|| self.read_on_one_core(&files))?;
        let rows = files.paths.len();
        let together = self.common.best(|| self.load(files.clone(), rows))?;
        let blank = self.common.best(|| self.load(Arc::new(Blank), self.blank))?;
        let count = images as f64;
        Ok(json!({
            "images": images,
            "width": width,
            "height": height,
            "size": self.size,
            "batch": self.batch,
            "mean_file_kb": bytes as f64 / count / 1e3,
            "images_per_s_one_core": count / one_core,
            "images_per_s_loader": count / together,
            "blank": self.blank,
            "blank_us_per_image": 1e6 * blank / self.blank as f64,
        }))
    }

    fn view(&self) -> View {
        View::Augmented { seed: self.photographs.seed, epoch: 0 }
    }

    fn read_on_one_core(&self, files: &ImageFiles) -> Result<()> {
        let mut values = vec![0.0; files.transform.values()];
        (0..files.paths.len()).try_for_each(|row| files.read(row, self.view(), black_box(&mut values)))
    }

    /// Takes an epoch of `rows` examples out of the loader.
    fn load(&self, examples: Arc<dyn Examples>, rows: usize) -> Result<()> {
        let loader = BatchLoader::new(rayon::current_num_threads(), QUEUE_BYTES);
        let rows: Vec<usize> = (0..rows).collect();
        let batches = epoch_batches(&rows, self.batch, self.photographs.seed, 0, false);
        loader.batches(examples, batches, self.view()).try_for_each(|batch| {
            black_box(batch?);
            Ok(())
        })
    }
}

/// As many examples of one value that costs nothing to read.
struct Blank;

impl Examples for Blank {
    fn kind(&self) -> ExampleKind {
        ExampleKind::Image
    }

    fn shape(&self) -> [usize; 3] {
        [1, 1, 1]
    }

    fn read(&self, row: usize, _: View, into: &mut [f32]) -> Result<()> {
        into[0] = row as f32;
        Ok(())
    }
}
