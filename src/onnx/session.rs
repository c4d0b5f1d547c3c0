//! A file in ONNX form, run as it is: what other programs get of a run that was exported.

use std::path::Path;
use std::sync::Arc;

use rten::{Model, RunOptions, Value};
use rten_tensor::{AsView, Layout};

use super::file::NetworkFile;
use super::{load, threads};
use crate::{Error, Result};

/// A network with one input.
pub struct Session {
    model: Model,
    shown: String,
    input: String,
}

/// Numbers with their shape, `[B, …]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// Sizes.
    pub shape: Vec<usize>,
    /// Values, row by row.
    pub values: Vec<f32>,
}

impl Session {
    /// Of a file.
    ///
    /// # Errors
    /// What reading and loading it says.
    pub fn open(path: &Path) -> Result<Self> {
        let file = NetworkFile::read(path)?;
        let (shown, input) = (path.display().to_string(), file.input(None)?.name.clone());
        Ok(Self { model: load(file)?, shown, input })
    }

    /// Whether it has an output, or a value within, of this name.
    pub fn has(&self, name: &str) -> bool {
        self.model.find_node(name).is_some()
    }

    /// What outputs are for an input.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if it fails on it, or has no such output.
    pub fn run(&self, input: Numbers, outputs: &[&str]) -> Result<Vec<Numbers>> {
        let failed = |why: &str| Error::Incompatible(format!("{}: cannot be run: {why}", self.shown));
        let id = |name: &str| {
            self.model.find_node(name).ok_or_else(|| failed(&format!("it has nothing called {name:?}")))
        };
        let ids = outputs.iter().map(|name| id(name)).collect::<Result<Vec<_>>>()?;
        let Numbers { shape, values } = input;
        let input =
            Value::from_shape(shape.as_slice(), values).map_err(|error| failed(&error.to_string()))?;
        let inputs = vec![(id(&self.input)?, input.into())];
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(threads::pool())));
        let run = || self.model.run(inputs, &ids, Some(options));
        let found = threads::guarded(run).ok_or_else(|| failed("a layer gets what it was not made for"))?;
        let found = found.map_err(|error| failed(&error.to_string()))?;
        let numbers = |value| match value {
            Value::FloatTensor(tensor) => {
                Ok(Numbers { shape: tensor.shape().to_vec(), values: tensor.to_vec() })
            }
            _ => Err(failed("an output does not hold floating-point numbers")),
        };
        found.into_iter().map(numbers).collect()
    }
}
