//! Predictions as tags of CVAT for images 1.1, with `source="auto"` and their probability as the attribute `score`, which
//! CVAT keeps where the label has an attribute of that name.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::image_folder;
use crate::files::AtomicFile;
use crate::formats::image_names::ImageNames;
use crate::formats::name_list::check_name;
use crate::formats::predictions::{Prediction, PredictionWriter, Predictor, lost_sizes, names_from};
use crate::formats::xml;
use crate::images::stored_size;
use crate::{Error, Result};

/// The attribute of a label that takes the probability.
const SCORE: &str = "<attribute><name>score</name><mutable>False</mutable><input_type>text</input_type>\
    <default_value></default_value><values></values></attribute>";

/// An `annotations.xml` that is being written.
#[derive(Debug)]
pub struct Tags {
    path: PathBuf,
    labels: Vec<String>,
    names: ImageNames,
    file: AtomicFile,
    count: usize,
    unopened: usize,
}

impl Tags {
    /// Begins the file; images are named from where CVAT has them, as [`write`](super::write) does it.
    ///
    /// # Errors
    /// If a name of a category cannot be in XML, or the file cannot be written.
    pub fn create(path: &Path, predictor: Predictor<'_>) -> Result<Self> {
        let label = |name: &String| check_name(path, name, "CVAT").and_then(|()| escape(path, name));
        let labels = predictor.categories.iter().map(label).collect::<Result<Vec<String>>>()?;
        let version = escape(path, predictor.version)?;
        let names = names_from(&image_folder(path))?;
        let mut file = AtomicFile::create(path)?;
        begin(&mut file, &labels, &version).map_err(|error| Error::io(path, error))?;
        Ok(Self { path: path.into(), labels, names, file, count: 0, unopened: 0 })
    }

    fn write(&mut self, name: &str, said: &Prediction<'_>) -> io::Result<()> {
        let size = stored_size(said.image);
        self.unopened += usize::from(size.is_none());
        let (id, (width, height)) = (self.count, size.unwrap_or_default());
        self.count += 1;
        let file = &mut self.file;
        writeln!(file, r#"  <image id="{id}" name="{name}" width="{width}" height="{height}">"#)?;
        for &(category, probability) in said.named {
            let label = &self.labels[category];
            write!(file, r#"    <tag label="{label}" source="auto">"#)?;
            writeln!(file, r#"<attribute name="score">{probability:.6}</attribute></tag>"#)?;
        }
        writeln!(file, "  </image>")
    }
}

fn begin(file: &mut AtomicFile, labels: &[String], version: &str) -> io::Result<()> {
    writeln!(file, r#"<?xml version="1.0" encoding="utf-8"?>"#)?;
    writeln!(file, "<annotations>\n  <version>1.1</version>\n  <meta>")?;
    writeln!(file, "    <model_version>{version}</model_version>")?;
    writeln!(file, "    <task>\n      <mode>annotation</mode>\n      <labels>")?;
    for label in labels {
        let rest = format!("<type>tag</type><attributes>{SCORE}</attributes>");
        writeln!(file, "        <label><name>{label}</name>{rest}</label>")?;
    }
    writeln!(file, "      </labels>\n    </task>\n  </meta>")
}

fn escape(path: &Path, text: &str) -> Result<String> {
    xml::escape(text).map_err(|what| Error::Data(format!("{}: {what}", path.display())))
}

impl PredictionWriter for Tags {
    fn push(&mut self, said: &Prediction<'_>) -> Result<()> {
        let name = escape(&self.path, &self.names.of(said.image)?)?;
        self.write(&name, said).map_err(|error| Error::io(&self.path, error))
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<String>> {
        writeln!(self.file, "</annotations>").map_err(|error| Error::io(&self.path, error))?;
        let lost = lost_sizes(self.unopened);
        self.file.commit()?;
        Ok(lost.into_iter().collect())
    }
}
