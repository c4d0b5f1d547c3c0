//! A checkpoint of the official code of SARB, SST and HST (HCPLab-SYSU/HCP-MLR-PL) as a run that `evaluate` and `predict`
//! read.
//!
//! Its `state_dict` holds backbone, head, word vectors and graph. What it does not hold, a run has not: SARB's prototypes
//! and the queues of SST are outside of it. Heads of pairs, which scores do not need, are left out.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use sarb_labels::LabelMatrix;
use sarb_labels::categories::Categories;
use sarb_labels::words::Words;

use crate::backbone::weights;
use crate::backbone::{Backbone, Freeze};
use crate::extractor::{frozen, initial_backbone};
use crate::methods::official::{BACKBONE, network, shares};
use crate::methods::ssgrl::Represent;
use crate::model::Model;
use crate::nn::linear::set;
use crate::recipe::Recipe;
use crate::run::{MapOrigin, Run, RunInfo, State, Status, Which};
use crate::run_folder::{self, Existing};
use crate::train::adam;
use crate::{Error, Result, checkpoint, program};

/// What the official code keeps in the same parts though it changes no score, or keeps a second time.
const WITHOUT_EFFECT: [&str; 4] = [
    "GraphNeuralNetwork.inMatrix",
    "GraphNeuralNetwork.outMatrix",
    "SemanticDecoupling.fc3.bias",
    "SemanticDecoupling.fc4.bias",
];

/// A checkpoint and what it does not say.
#[derive(Debug, Clone)]
pub struct Official<'a> {
    /// The `.pth` file, or its tensors as safetensors.
    pub checkpoint: &'a Path,
    /// Its method, backbone, widths and size of images.
    pub recipe: &'a Recipe,
    /// Names of the categories, in its order.
    pub names: Vec<String>,
    /// The data folder of the run.
    pub data: PathBuf,
}

impl Official<'_> {
    /// Writes the run.
    ///
    /// # Errors
    /// [`Error::Recipe`] if the recipe is of another network than the official code has, [`Error::Incompatible`] if the
    /// checkpoint does not fit it, [`Error::Data`] if it cannot be read or is of another number of categories, and what
    /// claiming and writing the folder says.
    pub fn import(&self, (out, existing): (&Path, Existing), device: &Device) -> Result<Run> {
        let lock = run_folder::claim(out, existing)?;
        self.check_recipe()?;
        let categories = self.categories()?;
        let model = self.model(&categories, device)?;
        let (run, _lock) = run_folder::create(out, existing, lock)?;
        run.save_recipe(self.recipe)?;
        categories.save(&run.path("data"))?;
        let (optimizer, state) = (adam(self.recipe), State::default());
        for which in [Which::Last, Which::Best] {
            checkpoint::save(&run, which, &model, &optimizer, &state)?;
        }
        run.save_info(&self.info(&run, device)?)?;
        Ok(run)
    }

    fn check_recipe(&self) -> Result<()> {
        let (method, backbone) = (self.recipe.method.name(), &self.recipe.backbone);
        let refused = |why: &str| Err(Error::Recipe(why.to_owned()));
        if !["ssgrl", "sarb", "sst", "hst"].contains(&method) {
            return refused(&format!(
                "method.name is \"{method}\"; expected ssgrl, sarb, sst or hst, which the official code has"
            ));
        }
        if backbone.onnx.is_some() || backbone.descriptor.is_some() || backbone.freeze == Freeze::All {
            return refused(
                "the backbone is in the checkpoint: expected backbone.freeze = \"trunk\" or \"none\", and neither backbone.onnx nor backbone.descriptor",
            );
        }
        Ok(())
    }

    /// The categories with the words and the graph of the checkpoint.
    fn categories(&self) -> Result<Categories> {
        let path = self.checkpoint;
        let shown = path.display();
        let [words, graph, transposed] = weights::matrices(path, ["wordFeatures", "inMatrix", "outMatrix"])?;
        let missing = |name: &str| {
            Error::Incompatible(format!(
                "{shown}: has no {name}; expected a checkpoint of the official code of SARB, SST or HST"
            ))
        };
        let (words, graph) =
            (words.ok_or_else(|| missing("wordFeatures"))?, graph.ok_or_else(|| missing("inMatrix"))?);
        let count = self.names.len();
        if words.rows != count || [graph.rows, graph.columns] != [count, count] {
            return Err(Error::Data(format!(
                "{shown}: has words of {} categories and a graph of {} × {}, but {count} names are given",
                words.rows, graph.rows, graph.columns
            )));
        }
        if let Some(value) = graph.values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
            return Err(Error::Data(format!(
                "{shown}: inMatrix holds {value}; expected proportions in [0, 1]"
            )));
        }
        let is_transposed = |of: &weights::NamedMatrix| {
            (0..count * count).all(|at| of.values[at] == graph.values[at % count * count + at / count])
        };
        if transposed.is_some_and(|of| of.values.len() != count * count || !is_transposed(&of)) {
            return Err(Error::Incompatible(format!(
                "{shown}: outMatrix is not inMatrix transposed, which a run cannot keep"
            )));
        }
        let words = Words { width: words.columns, values: words.values, warnings: Vec::new() };
        Ok(Categories { names: self.names.clone(), words: Some(words), cooccurrence: graph.values })
    }

    fn model(&self, categories: &Categories, device: &Device) -> Result<Model> {
        let (recipe, path) = (self.recipe, self.checkpoint);
        let backbone: Backbone = frozen(initial_backbone(recipe, device), &recipe.backbone);
        let (channels, labels) = (backbone.channels(), LabelMatrix::unknown(0, categories.names.len()));
        let mut model = Model::new(recipe, categories, &labels, channels, Some(backbone), device);
        let Model { backbone, head } = &mut model;
        let (backbone, head) = (backbone.as_mut().expect("just given"), head);
        for (name, share) in shares(head) {
            if let Some(value) = weights::number(path, name)? {
                set(share, vec![value]);
            }
        }
        let network = network(head).expect("the recipe's method has one");
        if let Represent::Attention(_) = network.pool {
            return Err(Error::Recipe(
                "method.representation is \"attention\"; expected \"decoupling\": the official code has no other".into(),
            ));
        }
        let what = format!("{} on {}", recipe.method.name(), recipe.backbone.name);
        let all = &mut |visit: &mut crate::backbone::state_dict::Visit<'_>| {
            backbone.tensors(&mut |name, slot| visit(format!("{BACKBONE}{name}"), slot));
            network.tensors(visit);
        };
        weights::load_all(all, &what, &WITHOUT_EFFECT, path)?;
        Ok(model)
    }

    fn info(&self, run: &Run, device: &Device) -> Result<RunInfo> {
        Ok(RunInfo {
            status: Status::Done,
            error: None,
            version: program::build(),
            method: self.recipe.method.name().into(),
            data: std::path::absolute(&self.data).map_err(|e| Error::io(&self.data, e))?,
            fingerprint: format!("imported-{}", weights::fingerprint(self.checkpoint)?),
            val_file: None,
            channels: self.recipe.backbone.name.channels(),
            maps: MapOrigin::Trained,
            weights: Some(weights::fingerprint(self.checkpoint)?),
            words: None,
            files: run.hashes()?,
            backend: crate::device::backend(),
            device: crate::device::name(device),
            ranks: 1,
            epochs: 0,
            best_epoch: 0,
            images_per_second: 0.0,
            seconds: 0.0,
            peak_rss_mb: 0.0,
            validation: None,
            anchor: None,
        })
    }
}
