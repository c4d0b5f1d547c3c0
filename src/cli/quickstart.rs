//! `sarb quickstart`: the whole job on a generated data set.
//!
//! A small trunk is trained once, on pictures of single objects, as backbones are on ImageNet; then
//! linear, SSGRL and SARB are trained on its frozen maps of scenes of which 10 % of the labels are
//! known, and measured on the same test scenes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use sarb::labels::files::write_atomically;
use sarb::labels::metrics::Scores;
use sarb::labels::text::{aligned, duration, percent};
use sarb::{
    Cache, Cancel, Error, Evaluation, Existing, Inputs, Recipe, Recognizer, Result, Which, synthetic,
};

use super::console::{print, say};
use super::progress::Progress;

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
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        let started = Instant::now();
        self.clear()?;
        let data = self.out.join("data");
        synthetic::generate(&data, TRAIN_IMAGES, TEST_IMAGES, SIZE_PX, self.seed)?;
        let objects = self.out.join("objects");
        synthetic::generate_objects(&objects, OBJECT_IMAGES, SIZE_PX, self.seed)?;
        for (name, text) in RECIPES {
            let path = self.out.join(format!("{name}.toml"));
            write_atomically(&path, |file| file.write_all(text.as_bytes()))?;
        }
        say(&format!(
            "generated {OBJECT_IMAGES} pictures of single objects, {TRAIN_IMAGES} + {TEST_IMAGES} of scenes, in {}",
            self.out.display()
        ));

        let weights = self.train_trunk(&objects, cancel)?;
        let mut rows = Vec::new();
        for name in ["linear", "ssgrl", "sarb"] {
            say(&format!("\n{name}: on the frozen maps of that trunk"));
            let clock = Instant::now();
            self.train(&data, name, Some(&weights), cancel)?;
            rows.push((name, self.evaluate(name, cancel)?, clock.elapsed().as_secs_f64()));
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
    fn train_trunk(&self, data: &Path, cancel: &Cancel) -> Result<PathBuf> {
        say("\ntrunk: a small ResNet with the plain head, trained on the pictures of single objects");
        self.train(data, "trunk", None, cancel)?;
        let recognizer = Recognizer::open(&self.out.join("trunk"), Which::Best, &sarb::device::open("cpu")?)?;
        let path = self.out.join("trunk.safetensors");
        recognizer.save_backbone(&path)?;
        Ok(path)
    }

    fn train(&self, data: &Path, name: &str, weights: Option<&Path>, cancel: &Cancel) -> Result<()> {
        let file = self.out.join(format!("{name}.toml"));
        let recipe = Recipe::read(Some(&file), None, &[format!("seed={}", self.seed)])?;
        let inputs = Inputs {
            data: data.into(),
            weights: weights.map(Path::to_path_buf),
            words: None,
            features: None,
            val_features: None,
            cache: self.cache(),
        };
        let (device, progress) = (sarb::device::open("cpu")?, Progress::new(recipe.train.epochs));
        let events = |event: sarb::Event<'_>| progress.show(event);
        let out = self.out.join(name);
        sarb::train(&recipe, &inputs, (&out, Existing::Replace), &device, &events, cancel).map(|_| ())
    }

    fn evaluate(&self, name: &str, cancel: &Cancel) -> Result<Scores> {
        let evaluation = Evaluation { cache: self.cache(), ..Evaluation::of_test_images()? };
        let (device, progress) = (sarb::device::open("cpu")?, Progress::new(0));
        let run = sarb::Run::open(&self.out.join(name))?;
        sarb::evaluate(&run, &evaluation, &device, &|event| progress.show(event), cancel)
    }

    /// The maps of this trunk are of no use to anybody else: they stay with the runs.
    fn cache(&self) -> Cache {
        Cache::in_folder(self.out.join("cache"))
    }
}

fn print_table(rows: &[(&str, Scores, f64)]) -> Result<()> {
    let heading = ["method", "mAP", "OF1", "CF1", "seconds"].map(str::to_owned).to_vec();
    let row = |(name, scores, seconds): &(&str, Scores, f64)| {
        let [map, of1, cf1] = [scores.map, scores.all.of1, scores.all.cf1].map(percent);
        vec![(*name).to_owned(), map, of1, cf1, format!("{seconds:.0}")]
    };
    let table: Vec<Vec<String>> = std::iter::once(heading).chain(rows.iter().map(row)).collect();
    print(&format!("\n{}", aligned(&table).trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_compiled_in_recipe_is_valid() {
        for (name, text) in RECIPES {
            let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
            std::fs::write(file.path(), text).unwrap();
            let recipe = Recipe::read(Some(file.path()), None, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(recipe.data.known, if *name == "trunk" { 1.0 } else { 0.1 }, "{name}");
        }
        let name = RECIPES.iter().find(|(name, _)| *name == "trunk").unwrap().1;
        assert!(name.contains("resnet-small"));
    }
}
