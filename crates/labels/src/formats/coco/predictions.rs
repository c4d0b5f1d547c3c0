//! Predictions as COCO annotations with a `score`, as results of detectors have it.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Category, Image};
use crate::files::{AtomicFile, folder_of};
use crate::formats::image_names::ImageNames;
use crate::formats::instances::writing::Extentless;
use crate::formats::json::{ArrayWriter, write_array};
use crate::formats::predictions::{Info, Prediction, PredictionWriter, Predictor, lost_sizes, names_beside};
use crate::images::stored_size;
use crate::{Error, Result};

/// A file of instances that is being written. Images go to the file as they come; annotations, which stand behind all of
/// them, wait in a file without a name.
#[derive(Debug)]
pub struct Instances {
    path: PathBuf,
    names: ImageNames,
    file: AtomicFile,
    images: ArrayWriter,
    count: usize,
    waiting: BufWriter<File>,
    annotations: ArrayWriter,
    annotated: usize,
    unopened: usize,
}

#[derive(Serialize)]
struct Scored {
    #[serde(flatten)]
    annotation: Extentless,
    score: f32,
}

impl Instances {
    /// Begins the file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path, predictor: Predictor<'_>) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        let names = names_beside(path)?;
        let mut file = AtomicFile::create(path)?;
        begin(&mut file, &predictor).map_err(failed)?;
        let waiting = BufWriter::new(tempfile::tempfile_in(folder_of(path)).map_err(failed)?);
        let (images, annotations) = Default::default();
        Ok(Self {
            path: path.into(),
            names,
            file,
            images,
            count: 0,
            waiting,
            annotations,
            annotated: 0,
            unopened: 0,
        })
    }

    fn write(&mut self, file_name: &str, said: &Prediction<'_>) -> io::Result<()> {
        let size = stored_size(said.image);
        self.unopened += usize::from(size.is_none());
        let (width, height) = size.unwrap_or_default();
        self.count += 1;
        let id = self.count;
        self.images.push(&mut self.file, &Image { id, width, height, file_name })?;
        for &(category, score) in said.named {
            self.annotated += 1;
            let annotation = Extentless::new(self.annotated, id, category + 1);
            self.annotations.push(&mut self.waiting, &Scored { annotation, score })?;
        }
        Ok(())
    }

    /// Writes what stands behind the images.
    fn end(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.images).finish(&mut self.file)?;
        std::mem::take(&mut self.annotations).finish(&mut self.waiting)?;
        self.waiting.flush()?;
        self.file.write_all(b",\"annotations\":")?;
        let waiting = self.waiting.get_mut();
        waiting.rewind()?;
        io::copy(waiting, &mut self.file)?;
        self.file.write_all(b"}\n")
    }
}

fn begin(file: &mut AtomicFile, predictor: &Predictor<'_>) -> io::Result<()> {
    file.write_all(b"{\"info\":")?;
    serde_json::to_writer(&mut *file, &Info::of(predictor))?;
    file.write_all(b",\"licenses\":[],\"categories\":")?;
    let categories = predictor.categories.iter().zip(1..);
    write_array(file, categories.map(|(name, id)| Category { id, name, supercategory: "" }))?;
    file.write_all(b",\"images\":")
}

impl PredictionWriter for Instances {
    fn push(&mut self, said: &Prediction<'_>) -> Result<()> {
        let name = self.names.of(said.image)?;
        self.write(&name, said).map_err(|error| Error::io(&self.path, error))
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>> {
        self.end().map_err(|error| Error::io(&self.path, error))?;
        let lost = lost_sizes(self.unopened);
        self.file.commit()?;
        Ok(lost.into_iter().collect())
    }
}
