//! Predictions in `samples.json`: the field `predictions` of each sample has the categories that are named, with their
//! confidence, and the version of the model.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::SAMPLES;
use crate::files::AtomicFile;
use crate::formats::image_names::ImageNames;
use crate::formats::json::{ArrayWriter, write_array};
use crate::formats::predictions::{
    Info, Prediction, PredictionWriter, Predictor, names_beside, refuse_member,
};
use crate::{Error, Result};

/// A `samples.json` that is being written.
#[derive(Debug)]
pub struct Samples<'a> {
    path: PathBuf,
    predictor: Predictor<'a>,
    names: ImageNames,
    file: AtomicFile,
    samples: ArrayWriter,
}

#[derive(Serialize)]
struct Sample<'a> {
    filepath: &'a str,
    tags: [&'a str; 0],
    predictions: Classifications<'a>,
}

#[derive(Serialize)]
struct Classifications<'a> {
    #[serde(rename = "_cls")]
    class: &'a str,
    classifications: Vec<Classification<'a>>,
    model_version: &'a str,
}

#[derive(Serialize)]
struct Classification<'a> {
    #[serde(rename = "_cls")]
    class: &'a str,
    tags: [&'a str; 0],
    label: &'a str,
    confidence: f32,
}

impl<'a> Samples<'a> {
    /// Begins the file, in a folder that FiftyOne imports as `FiftyOneDataset`.
    ///
    /// # Errors
    /// [`Error::Usage`] for another name than `samples.json`; if it cannot be written.
    pub fn create(path: &Path, predictor: Predictor<'a>) -> Result<Self> {
        if !path.ends_with(SAMPLES) {
            return Err(Error::Usage(format!(
                "{}: FiftyOne looks for {SAMPLES} in a folder; write FOLDER/{SAMPLES}",
                path.display()
            )));
        }
        let names = names_beside(path)?;
        let mut file = AtomicFile::create(path)?;
        begin(&mut file, &predictor).map_err(|error| Error::io(path, error))?;
        Ok(Self { path: path.into(), predictor, names, file, samples: ArrayWriter::default() })
    }
}

fn begin(file: &mut AtomicFile, predictor: &Predictor<'_>) -> io::Result<()> {
    file.write_all(b"{\"info\":")?;
    serde_json::to_writer(&mut *file, &Info::of(predictor))?;
    file.write_all(b",\"classes\":")?;
    write_array(file, predictor.categories)?;
    file.write_all(b",\"samples\":")
}

impl PredictionWriter for Samples<'_> {
    fn push(&mut self, said: &Prediction<'_>) -> Result<()> {
        refuse_member(said.image, "FiftyOne")?;
        let filepath = self.names.of(said.image)?;
        let classification = |&(category, confidence): &(usize, f32)| Classification {
            class: "Classification",
            tags: [],
            label: &self.predictor.categories[category],
            confidence,
        };
        let predictions = Classifications {
            class: "Classifications",
            classifications: said.named.iter().map(classification).collect(),
            model_version: self.predictor.version,
        };
        let sample = Sample { filepath: &filepath, tags: [], predictions };
        self.samples.push(&mut self.file, &sample).map_err(|error| Error::io(&self.path, error))
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>> {
        let written = self.samples.finish(&mut self.file).and_then(|()| self.file.write_all(b"}\n"));
        written.map_err(|error| Error::io(&self.path, error))?;
        self.file.commit().map(|()| Vec::new())
    }
}
