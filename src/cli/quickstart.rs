//! `sarb quickstart`: the whole job on a generated data set.
//!
//! A small trunk is trained once, on pictures of single objects, as backbones are on ImageNet; then
//! linear, SSGRL and SARB are trained on its frozen maps of scenes of which 10 % of the labels are
//! known, and measured on the same test scenes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;

use super::CacheArgs;
use crate::cli::evaluate::Evaluate;
use crate::cli::train::Train;
use crate::console::{duration, print, say};
use crate::data::{Split, synthetic};
use crate::metrics::Scores;
use crate::recognizer::Recognizer;
use crate::run::Which;
use crate::{Error, Result};

const OBJECT_IMAGES: usize = 480;
const TRAIN_IMAGES: usize = 600;
const TEST_IMAGES: usize = 400;
const SIZE_PX: usize = 56;

/// The recipes of the quickstart, compiled in: it needs no file but the program.
const RECIPES: &[(&str, &str)] = &[
    ("trunk", include_str!("../../recipes/quickstart/trunk.toml")),
    ("linear", include_str!("../../recipes/quickstart/linear.toml")),
    ("ssgrl", include_str!("../../recipes/quickstart/ssgrl.toml")),
    ("sarb", include_str!("../../recipes/quickstart/sarb.toml")),
];

/// Arguments of `sarb quickstart`.
#[derive(Debug, Clone, Args)]
pub struct Quickstart {
    /// Where data and runs go; a folder of an earlier quickstart is replaced
    #[arg(long, value_name = "DIR", default_value = "runs/quickstart")]
    pub out: PathBuf,
    /// Seed of the data and the training
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

impl Quickstart {
    /// Generates, trains, measures, prints the table.
    pub fn run(&self) -> Result<()> {
        let started = Instant::now();
        self.clear()?;
        let data = self.out.join("data");
        synthetic::generate(&data, TRAIN_IMAGES, TEST_IMAGES, SIZE_PX, self.seed)?;
        let objects = self.out.join("objects");
        synthetic::generate_objects(&objects, OBJECT_IMAGES, SIZE_PX, self.seed)?;
        for (name, text) in RECIPES {
            let path = self.out.join(format!("{name}.toml"));
            crate::files::write_atomically(&path, |file| file.write_all(text.as_bytes()))?;
        }
        say(&format!(
            "generated {OBJECT_IMAGES} pictures of single objects, {TRAIN_IMAGES} + {TEST_IMAGES} of scenes, in {}",
            self.out.display()
        ));

        let weights = self.train_trunk(&objects)?;
        let mut rows = Vec::new();
        for name in ["linear", "ssgrl", "sarb"] {
            say(&format!("\n{name}: on the frozen maps of that trunk"));
            let clock = Instant::now();
            self.train(&data, name, Some(&weights))?;
            rows.push((name, self.evaluate(name)?, clock.elapsed().as_secs_f64()));
        }
        print_table(&rows)?;
        let out = self.out.display();
        print(&format!(
            "\nMeasured on {TEST_IMAGES} test images, 10 % of the training labels known, seed {}, in {}.",
            self.seed,
            duration(started.elapsed().as_secs_f64())
        ))?;
        print(&format!("Runs, recipes and data are in {out}. Now try:"))?;
        print(&format!("  sarb predict {out}/sarb {out}/data/images --top 3"))?;
        print("  sarb train recipes/coco18/sarb.toml --data YOUR_FOLDER --weights FILE --out RUN")?;
        Ok(())
    }

    /// Only a folder that a quickstart made is replaced.
    fn clear(&self) -> Result<()> {
        let occupied =
            self.out.is_dir() && self.out.read_dir().map_err(|e| Error::io(&self.out, e))?.next().is_some();
        if occupied && !self.out.join("trunk.toml").is_file() {
            return Err(Error::Usage(format!(
                "{} is not empty and no earlier quickstart; give another --out",
                self.out.display()
            )));
        }
        if occupied {
            std::fs::remove_dir_all(&self.out).map_err(|e| Error::io(&self.out, e))?;
        }
        std::fs::create_dir_all(&self.out).map_err(|e| Error::io(&self.out, e))
    }

    /// Trains the small trunk with the plain head on `data` and saves it as weights.
    fn train_trunk(&self, data: &Path) -> Result<PathBuf> {
        say("\ntrunk: a small ResNet with the plain head, trained on the pictures of single objects");
        self.train(data, "trunk", None)?;
        let recognizer = Recognizer::open(&self.out.join("trunk"), Which::Best, &super::device("cpu")?)?;
        let backbone = recognizer.model.backbone.expect("the trunk recipe trains its backbone");
        let path = self.out.join("trunk.safetensors");
        backbone.save(&path)?;
        Ok(path)
    }

    fn train(&self, data: &Path, name: &str, weights: Option<&Path>) -> Result<()> {
        let train = Train {
            recipe: Some(self.out.join(format!("{name}.toml"))),
            data: data.to_path_buf(),
            out: self.out.join(name),
            method: None,
            known: None,
            mask_seed: None,
            weights: weights.map(Path::to_path_buf),
            words: None,
            features: None,
            set: Vec::new(),
            device: "cpu".into(),
            seed: Some(self.seed),
            resume: false,
            force: true,
            cache: self.cache(),
        };
        train.train(&super::device("cpu")?).map(|_| ())
    }

    fn evaluate(&self, name: &str) -> Result<Scores> {
        let evaluate = Evaluate {
            run: Some(self.out.join(name)),
            data: None,
            split: Split::Test,
            checkpoint: Which::Best,
            features: None,
            scores: None,
            labels: None,
            probabilities: false,
            json: false,
            fail_under: None,
            cache: self.cache(),
        };
        evaluate.evaluate()
    }

    /// The maps of this trunk are of no use to anybody else: they stay with the runs.
    fn cache(&self) -> CacheArgs {
        CacheArgs::in_folder(self.out.join("cache"))
    }
}

fn print_table(rows: &[(&str, Scores, f64)]) -> Result<()> {
    print(&format!("\n{:<8} {:>6} {:>6} {:>6} {:>8}", "method", "mAP", "OF1", "CF1", "seconds"))?;
    for (name, scores, seconds) in rows {
        let percent = |value: f64| format!("{:.1}", 100.0 * value);
        print(&format!(
            "{name:<8} {:>6} {:>6} {:>6} {seconds:>8.0}",
            percent(scores.map),
            percent(scores.all.of1),
            percent(scores.all.cf1)
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::backbone::BackboneName;
    use crate::recipe::Recipe;

    #[test]
    fn every_compiled_in_recipe_is_valid() {
        for (name, text) in RECIPES {
            let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
            std::fs::write(file.path(), text).unwrap();
            let recipe = Recipe::read(Some(file.path()), None, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(recipe.data.known, if *name == "trunk" { 1.0 } else { 0.1 }, "{name}");
        }
        let name = RECIPES.iter().find(|(name, _)| *name == "trunk").unwrap().1;
        assert!(name.contains(&BackboneName::ResnetSmall.to_string()));
    }
}
