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
use sarb::recipes::BuiltIn;
use sarb::{Cache, Cancel, Evaluation, Existing, Inputs, Recipe, Recognizer, Result, Which, synthetic};

use super::console::{print, say};
use super::made::Made;
use super::numbers::seed;
use super::progress::Progress;

const OBJECT_IMAGES: usize = 480;
const TRAIN_IMAGES: usize = 600;
const TEST_IMAGES: usize = 400;
const SIZE_PX: usize = 56;

/// Its recipes, by their names in `quickstart/`.
const RECIPES: [&str; 4] = ["trunk", "linear", "ssgrl", "sarb"];

/// Arguments of `sarb quickstart`.
#[derive(Debug, Clone, Args)]
pub struct Quickstart {
    /// Where data and runs go; what an earlier quickstart made there is replaced
    #[arg(long, value_name = "DIR", default_value = "runs/quickstart")]
    pub out: PathBuf,
    /// Seed of the data and the training
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = seed)]
    pub seed: u64,
}

impl Quickstart {
    /// Generates, trains, measures, prints the table.
    pub fn run(&self, cancel: &Cancel) -> Result<()> {
        let made = self.made()?;
        let result = self.work(cancel);
        // Stopped or failed, too: the next one must know what is whose.
        made.finish()?;
        result
    }

    fn work(&self, cancel: &Cancel) -> Result<()> {
        let started = Instant::now();
        let data = self.out.join("data");
        synthetic::generate(&data, TRAIN_IMAGES, TEST_IMAGES, SIZE_PX, self.seed)?;
        let objects = self.out.join("objects");
        synthetic::generate_objects(&objects, OBJECT_IMAGES, SIZE_PX, self.seed)?;
        for name in RECIPES {
            let path = self.out.join(format!("{name}.toml"));
            let text = BuiltIn::named(&format!("quickstart/{name}"), None)?.text;
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
        self.suggestions().iter().try_for_each(|line| print(&format!("  {line}")))
    }

    /// What to do next: commands that work as they stand, then one for other images.
    fn suggestions(&self) -> [String; 5] {
        let out = self.out.display();
        [
            format!("sarb predict {out}/sarb {out}/data/images --top 3"),
            format!(
                "sarb train quickstart/ssgrl --data {out}/data --weights {out}/trunk.safetensors --known 0.5 --out {out}-half"
            ),
            "sarb recipes list".into(),
            "sarb weights fetch efficientnet-lite2".into(),
            "sarb train coco18/best --data YOUR_FOLDER --weights efficientnet-lite2 --out RUN".into(),
        ]
    }

    /// The folder, without what an earlier quickstart made in it.
    fn made(&self) -> Result<Made> {
        let recipes = RECIPES.map(|name| format!("{name}.toml"));
        let own = RECIPES.into_iter().chain(recipes.iter().map(String::as_str));
        let more = ["data/train.csv", "data/test.csv", "data/images", "objects", "trunk.safetensors"];
        let made = Made::take(&self.out, &own.chain(more).collect::<Vec<_>>())?;
        if made.strangers() > 0 {
            say(&format!("{}: {} files of yours stay as they are", self.out.display(), made.strangers()));
        }
        Ok(made)
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
            skip_broken: None,
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
    fn its_recipes_are_in_the_program() {
        for name in RECIPES {
            let file = PathBuf::from(format!("sarb:quickstart/{name}"));
            let recipe = Recipe::read(Some(&file), None, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(recipe.data.known, if name == "trunk" { 1.0 } else { 0.1 }, "{name}");
        }
        assert!(BuiltIn::named("quickstart/trunk", None).unwrap().text.contains("resnet-small"));
    }

    #[test]
    fn what_it_suggests_is_understood_and_names_recipes_that_are_there() {
        use clap::Parser;
        let quickstart = Quickstart { out: "out".into(), seed: 0 };
        let mut recipes = 0;
        for line in quickstart.suggestions() {
            let words: Vec<&str> = line.split_whitespace().collect();
            assert!(crate::cli::Cli::try_parse_from(&words).is_ok(), "{line}");
            if words[1] == "train" {
                Recipe::read(Some(Path::new(words[2])), None, &[]).unwrap();
                recipes += 1;
            }
        }
        assert_eq!(recipes, 2);
    }
}
