//! `yardstick annotations`: seconds and memory for opening a large instances file in COCO's format.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use rand::{Rng, RngExt};
use sarb::labels::formats::coco;
use sarb::labels::formats::options::Options;
use sarb::labels::random::{Stream, rng};
use sarb::{Error, Result};
use serde_json::{Value, json};

use super::Common;
use super::network::positive;
use super::scratch::Folder;

/// Corners of a polygon; with them an annotation takes about as many bytes as one of COCO's.
const CORNERS: usize = 36;

/// Arguments of `yardstick annotations`; the defaults are the size of COCO's training images of 2014.
#[derive(Debug, Clone, Args)]
pub struct Annotations {
    /// Number of images
    #[arg(long, default_value_t = 82_783, value_parser = positive)]
    images: usize,
    /// Number of annotations, each with a polygon
    #[arg(long, default_value_t = 604_907, value_parser = positive)]
    annotations: usize,
    /// Number of categories
    #[arg(long, default_value_t = 80, value_parser = positive)]
    categories: usize,
    /// Seed of the annotations
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the file to this folder and keep it, for other programs to read
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

impl Annotations {
    /// Measures and prints.
    pub fn run(&self) -> Result<()> {
        self.common.run(|| self.measure())
    }

    fn measure(&self) -> Result<Value> {
        let folder = Folder::new(self.keep.as_deref())?;
        let path = folder.path.join("instances.json");
        let written = File::create(&path).and_then(|file| {
            let mut file = BufWriter::new(file);
            self.write(&mut file)?;
            file.flush()
        });
        written.map_err(|error| Error::io(&path, error))?;
        let seconds = self.common.best(|| {
            black_box(coco::read(&path, &Options::default())?);
            Ok(())
        })?;
        Ok(json!({
            "images": self.images,
            "annotations": self.annotations,
            "categories": self.categories,
            "file_mb": size(&path)? as f64 / 1e6,
            "open_s": seconds,
        }))
    }

    /// Writes the file without holding it in memory.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut rng = rng(self.seed, Stream::Synthetic, 0, 0);
        write!(out, "{{\"info\": {{\"description\": \"made up\"}}, \"images\": [")?;
        for image in 1..=self.images {
            separate(out, image)?;
            write!(out, "{{\"id\": {image}, \"file_name\": \"{image:012}.jpg\", ")?;
            write!(out, "\"height\": 480, \"width\": 640}}")?;
        }
        write!(out, "], \"annotations\": [")?;
        for annotation in 1..=self.annotations {
            separate(out, annotation)?;
            self.write_annotation(out, annotation, &mut rng)?;
        }
        write!(out, "], \"categories\": [")?;
        for category in 1..=self.categories {
            separate(out, category)?;
            write!(out, "{{\"id\": {category}, \"name\": \"category {category}\"}}")?;
        }
        writeln!(out, "]}}")
    }

    fn write_annotation(&self, out: &mut impl Write, id: usize, rng: &mut impl Rng) -> io::Result<()> {
        write!(out, "{{\"segmentation\": [[")?;
        for corner in 1..=CORNERS {
            separate(out, corner)?;
            write!(out, "{:.2}, {:.2}", rng.random_range(0.0..640.0), rng.random_range(0.0..480.0))?;
        }
        let image = rng.random_range(1..=self.images);
        let category = rng.random_range(1..=self.categories);
        write!(out, "]], \"area\": 702.1, \"iscrowd\": 0, \"image_id\": {image}, ")?;
        write!(out, "\"bbox\": [473.07, 395.93, 38.65, 28.67], \"category_id\": {category}, \"id\": {id}}}")
    }
}

/// A comma before all but the first.
fn separate(out: &mut impl Write, number: usize) -> io::Result<()> {
    if number > 1 { write!(out, ", ") } else { Ok(()) }
}

fn size(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).map_err(|error| Error::io(path, error))?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        annotations: Annotations,
    }

    #[test]
    fn what_is_written_is_read_whole() {
        let sizes = ["bench", "--images", "5", "--annotations", "200", "--categories", "3"];
        let annotations = Command::parse_from(sizes).annotations;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("instances.json");
        annotations.write(&mut File::create(&path).unwrap()).unwrap();
        let read = coco::read(&path, &Options::default()).unwrap().annotations;
        assert_eq!(read.categories, ["category 1", "category 2", "category 3"]);
        // 200 draws of 15 cells leave one empty once in 70,000 seeds.
        assert_eq!(read.labels.count(sarb::labels::Label::Positive), 15);
    }
}
