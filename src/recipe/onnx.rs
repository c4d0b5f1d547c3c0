//! A network in ONNX form in a recipe: where its file is, and what it means for the other settings.

use std::path::Path;

use super::{BackboneRecipe, Recipe};
use crate::backbone::Freeze;
use crate::onnx;
use crate::onnx::options::OnnxOptions;
use crate::{Error, Result};

/// Makes the file that a recipe in `folder` names relative to the folder in which the program runs.
pub(super) fn locate(recipe: &mut toml::Table, folder: &Path) {
    let backbone = recipe.get_mut("backbone").and_then(toml::Value::as_table_mut);
    if let Some(toml::Value::String(file)) = backbone.and_then(|backbone| backbone.get_mut("onnx")) {
        *file = folder.join(&*file).display().to_string();
    }
}

/// A network in ONNX form stands in the place of `backbone.name`, which would only mislead who reads the recipe.
pub(super) fn without_name(mut recipe: toml::Table) -> toml::Table {
    if let Some(toml::Value::Table(backbone)) = recipe.get_mut("backbone") {
        backbone.remove("name");
    }
    recipe
}

impl Recipe {
    /// The recipe with what a network in ONNX form means where `said`, what was written, does not: it is frozen,
    /// nothing is averaged, images have the size that its file says. Its path becomes absolute, so that the run
    /// can be continued from any folder.
    pub(super) fn following_onnx(mut self, said: &toml::Table) -> Result<Self> {
        let backbone = &mut self.backbone;
        let Some(file) = &mut backbone.onnx else { return Ok(self) };
        *file = std::path::absolute(&*file).map_err(|error| Error::io(&*file, error))?;
        let says = |part: &str, key: &str| {
            said.get(part).and_then(toml::Value::as_table).is_some_and(|part| part.contains_key(key))
        };
        if !says("data", "size_px") {
            self.data.size_px = onnx::size_px_of(file, backbone.input.as_deref())?.ok_or_else(|| {
                Error::Recipe(format!(
                    "{}: the network does not say the size of its images; say it with data.size_px",
                    file.display()
                ))
            })?;
        }
        if !says("backbone", "freeze") {
            backbone.freeze = Freeze::All;
        }
        if !says("backbone", "pool") {
            backbone.pool = false;
        }
        backbone.normalization.get_or_insert_default();
        // It stands in for what `name` says, so that two recipes with other names are equal.
        backbone.name = BackboneRecipe::default().name;
        Ok(self)
    }
}

impl BackboneRecipe {
    /// What the network is called: its name, or that of its file.
    pub fn shown(&self) -> String {
        let file = self.onnx.as_deref().and_then(Path::file_name);
        file.map_or_else(|| self.name.to_string(), |file| file.to_string_lossy().into_owned())
    }

    /// How the network of `onnx` is used.
    pub fn onnx_options(&self) -> OnnxOptions {
        OnnxOptions {
            input: self.input.clone(),
            output: self.output.clone(),
            normalization: self.normalization.unwrap_or_default(),
            skip_tokens: self.skip_tokens,
            grid: self.grid,
            channels_last: self.channels_last,
            pool: self.pool,
        }
    }

    /// Whether what is said of a network in ONNX form fits together.
    pub(super) fn check_onnx(&self, recipe: &str) -> Result<()> {
        let refused = |why: String| Err(Error::Recipe(format!("{recipe}: {why}")));
        if self.onnx.is_none() {
            let said = [
                ("input", self.input.is_some()),
                ("output", self.output.is_some()),
                ("normalization", self.normalization.is_some()),
                ("skip_tokens", self.skip_tokens.is_some()),
                ("grid", self.grid.is_some()),
                ("channels_last", self.channels_last.is_some()),
            ];
            return match said.into_iter().find(|(_, said)| *said) {
                None => Ok(()),
                Some((key, _)) => refused(format!(
                    "backbone.{key} is of a network in ONNX form; name it with backbone.onnx"
                )),
            };
        }
        if self.freeze != Freeze::All {
            return refused(format!(
                "backbone.freeze is \"{}\", but a network in ONNX form is frozen and cannot be trained; set backbone.freeze = \"all\", or leave it out",
                self.freeze
            ));
        }
        match self.normalization {
            Some(normalization) if !normalization.is_valid() => refused(
                "backbone.normalization needs means that are numbers and standard deviations above 0".into(),
            ),
            _ => Ok(()),
        }
    }
}
