//! Predictions of a model for the choices of a project: in the tasks of a file that Label Studio imports, and in the
//! answers of its machine learning backend. <https://labelstud.io/guide/predictions>

use std::io::Write;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value, json};

use super::config::{Control, Kind};
use crate::files::AtomicFile;
use crate::formats::image_names::ImageNames;
use crate::formats::json::ArrayWriter;
use crate::formats::location::served;
use crate::formats::predictions::{Prediction, PredictionWriter, Predictor, names_beside, refuse_member};
use crate::{Error, Result};

/// A prediction as Label Studio has it: what is chosen, with the mean probability of the chosen as its score, and beside it
/// how sure the model is of all categories, which the tasks of a project are sorted by. Nothing is chosen where no category
/// is named.
///
/// # Panics
/// If a category that is named is not among `categories`.
pub fn prediction(
    version: &str,
    control: &Control,
    categories: &[String],
    named: &[(usize, f32)],
    sure: f32,
) -> Value {
    let paths: Vec<&[String]> =
        named.iter().filter_map(|&(category, _)| control.choice(&categories[category])).collect();
    let value = match control.kind {
        Kind::Choices => json!({ "choices": paths.iter().flat_map(|path| path.last()).collect::<Vec<_>>() }),
        Kind::Taxonomy => json!({ "taxonomy": paths }),
    };
    let mean = named.iter().map(|&(_, probability)| probability).sum::<f32>() / named.len().max(1) as f32;
    let results = match named.is_empty() {
        true => json!([]),
        false => json!([{ "from_name": control.name, "to_name": control.image, "type": control.kind.name(),
            "score": mean, "value": value }]),
    };
    json!({ "model_version": version, "score": sure, "result": results })
}

/// A file of tasks with predictions that is being written.
#[derive(Debug)]
pub struct Tasks<'a> {
    path: PathBuf,
    predictor: Predictor<'a>,
    control: Control,
    names: ImageNames,
    file: AtomicFile,
    tasks: ArrayWriter,
}

impl<'a> Tasks<'a> {
    /// Begins a file for a project with this control. Images are served by Label Studio from the folder of the file as its
    /// document root.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn create(path: &Path, predictor: Predictor<'a>, control: Control) -> Result<Self> {
        let (names, file) = (names_beside(path)?, AtomicFile::create(path)?);
        Ok(Self { path: path.into(), predictor, control, names, file, tasks: ArrayWriter::default() })
    }

    /// Where Label Studio serves an image.
    fn address(&self, image: &Path) -> Result<String> {
        refuse_member(image, "Label Studio")?;
        let name = self.names.of(image)?;
        if Path::new(&name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Ok(served(&name));
        }
        Err(Error::Usage(format!(
            "{}: not below the folder of {}, from which Label Studio is to serve the images; write the file into a folder \
             above them",
            image.display(),
            self.path.display()
        )))
    }
}

impl PredictionWriter for Tasks<'_> {
    fn push(&mut self, said: &Prediction<'_>) -> Result<()> {
        let image = Value::from(self.address(said.image)?);
        let Predictor { categories, version } = self.predictor;
        let task = json!({
            "data": Map::from_iter([(self.control.field.clone(), image)]),
            "predictions": [prediction(version, &self.control, categories, said.named, said.sure)],
        });
        self.tasks.push(&mut self.file, &task).map_err(|error| Error::io(&self.path, error))
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>> {
        let written = self.tasks.finish(&mut self.file).and_then(|()| self.file.write_all(b"\n"));
        written.map_err(|error| Error::io(&self.path, error))?;
        self.file.commit().map(|()| Vec::new())
    }
}
