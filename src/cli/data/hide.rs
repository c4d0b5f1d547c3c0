//! `sarb data hide`: partial labels from complete ones.

use std::path::{Path, PathBuf};

use clap::Args;
use sarb::{Error, Result};
use sarb_labels::Annotations;
use sarb_labels::dataset::{self, Split};
use sarb_labels::formats::csv;
use sarb_labels::hiding::{Scheme, hide};

use super::out_folder::{OutFolder, WordFiles};
use super::source::warn_of_filled;
use super::{counts, counts_as_json};
use crate::cli::console::{print, say};
use crate::cli::numbers::proportion;

/// Arguments of `sarb data hide`.
#[derive(Debug, Args)]
pub struct Hide {
    /// Data folder: train.csv is needed, val.csv, test.csv and words.* are taken along unchanged
    dir: PathBuf,
    /// Proportion of the labels that stay known, such as 0.1 or 10%
    #[arg(long, value_name = "P", value_parser = proportion)]
    known: Option<f64>,
    /// Which labels stay known
    #[arg(long, default_value = "official")]
    scheme: Scheme,
    /// Seed of the mask; 0 gives the official masks, and the masks of one seed are nested
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Folder for the new label files; images stay where they are
    #[arg(short, long)]
    out: PathBuf,
    /// Write into a folder that is not empty
    #[arg(long)]
    force: bool,
    /// Print one JSON object: the file and the labels that stayed known
    #[arg(long)]
    json: bool,
}

impl Hide {
    /// Writes the data folder and counts what stayed known.
    pub fn run(&self) -> Result<()> {
        let train =
            hide_folder(&self.dir, self.scheme, self.proportion()?, self.seed, &self.out, self.force)?;
        let blind = |&image: &usize| train.labels.planes(image).0.iter().all(|&word| word == 0);
        let without = (0..train.labels.images()).filter(blind).count();
        let file = self.out.join(Split::Train.file_name()).display().to_string();
        if self.json {
            let mut value = counts_as_json(&train);
            value["file"] = file.into();
            value["images_without_known_label"] = without.into();
            return print(&value.to_string());
        }
        say(&format!("{without} images without a known label"));
        print(&format!("{file}: {}", counts(&train)))
    }

    /// `--known`, which every scheme but single-positive needs.
    fn proportion(&self) -> Result<f64> {
        match (self.known, self.scheme.takes_proportion()) {
            (Some(known), true) => Ok(known),
            (None, false) => Ok(1.0),
            (None, true) => Err(Error::Usage("--known P is needed: the proportion that stays known".into())),
            (Some(_), false) => {
                Err(Error::Usage("--known: single-positive keeps one label per image; leave it out".into()))
            }
        }
    }
}

/// Writes the data folder `out`: the training labels of `dir` with some hidden, the other splits and the
/// word vectors as they are. Returns the partial labels.
fn hide_folder(
    dir: &Path,
    scheme: Scheme,
    known: f64,
    seed: u32,
    out: &Path,
    force: bool,
) -> Result<Annotations> {
    let dataset = dataset::open(dir)?;
    warn_of_filled(&dataset.train);
    let others = [(Split::Val, dataset.val), (Split::Test, dataset.test)];
    let others: Vec<(Split, Annotations)> =
        others.into_iter().filter_map(|(split, annotations)| Some((split, annotations?))).collect();
    let words = WordFiles::of(dir)?;

    let mut written = vec![Split::Train.file_name()];
    written.extend(others.iter().map(|(split, _)| split.file_name()));
    written.extend(words.names());
    let out = OutFolder::prepare(dir, out, force, &written)?;

    for (split, annotations) in &others {
        csv::write(&out.path().join(split.file_name()), annotations)?;
    }
    words.copy(out.path())?;
    // Last, so that a folder that was there and is left half-written is not a data folder.
    let labels = hide(&dataset.train.labels, scheme, known, u64::from(seed));
    let train = Annotations { labels, ..dataset.train };
    csv::write(&out.path().join(Split::Train.file_name()), &train)?;
    out.finish()?;
    Ok(train)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::data::DataCommand;
    use clap::Parser;
    use sarb_labels::inspect::Inspection;
    use sarb_labels::words::Words;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: DataCommand,
    }

    fn call(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Result<()> {
        let words = arguments.iter().map(|argument| argument.as_ref().to_owned());
        let cli = Cli::try_parse_from([std::ffi::OsString::from("data")].into_iter().chain(words));
        crate::cli::data::run(cli.map_err(|error| Error::Usage(error.to_string()))?.command)
    }

    fn usage(result: Result<()>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    }

    fn data_folder() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        std::fs::create_dir_all(&data).unwrap();
        let rows = (0..100).map(|row| format!("images/{row}.jpg,{},{}\n", row % 2, row / 50));
        std::fs::write(data.join("train.csv"), "image,cat,dog\n".to_owned() + &rows.collect::<String>())
            .unwrap();
        std::fs::write(data.join("test.csv"), "image,dog,cat\nimages/x.jpg,1,?\n").unwrap();
        std::fs::write(data.join("words.txt"), "cat 1 2\ndog 3 4\n").unwrap();
        root
    }

    #[test]
    fn hide_writes_a_data_folder_and_opens_no_image() {
        let root = data_folder();
        let (dir, out) = (root.path().join("data"), root.path().join("out/ten"));
        call(&[&"hide", &dir, &"--known", &"0.3", &"--out", &out]).unwrap();
        let (full, hidden) = (dataset::open(&dir).unwrap(), dataset::open(&out).unwrap());
        assert_eq!(hidden.train.labels, full.train.labels.hide(0.3, 0));
        assert_eq!(hidden.test.as_ref().unwrap().labels, full.test.as_ref().unwrap().labels);
        assert_eq!(hidden.train.images[5], out.join("../../data/images/5.jpg"));
        assert_eq!(std::fs::read(out.join("words.txt")).unwrap(), b"cat 1 2\ndog 3 4\n");
        call(&[&"inspect", &out]).unwrap();
        call(&[&"inspect", &out, &"--split", &"test", &"--json"]).unwrap();
    }

    #[test]
    fn hide_refuses_to_lose_or_mix_files() {
        let root = data_folder();
        let (dir, out) = (root.path().join("data"), root.path().join("out"));
        let hide = |out: &Path, flag: &[&dyn AsRef<std::ffi::OsStr>]| {
            let first: [&dyn AsRef<std::ffi::OsStr>; 6] = [&"hide", &dir, &"--known", &"0.5", &"-o", &out];
            call(&[&first, flag].concat())
        };
        hide(&out, &[]).unwrap();
        assert!(usage(hide(&out, &[])).contains("not empty"));
        hide(&out, &[&"--force", &"--seed", &"1"]).unwrap();
        let full = dataset::open(&dir).unwrap().train.labels;
        assert_eq!(dataset::open(&out).unwrap().train.labels, full.hide(0.5, 1));
        assert!(usage(hide(&dir.join("../data"), &[&"--force"])).contains("the data folder itself"));
        std::fs::write(out.join("val.csv"), "image,a\n").unwrap();
        assert!(usage(hide(&out, &[&"--force"])).contains("holds val.csv, which"));
        assert_eq!(dataset::open(&dir).unwrap().train.labels, full);
    }

    #[test]
    fn arguments_out_of_range_are_usage_errors() {
        for known in ["150%", "-0.1", "nan", "ten"] {
            let known = format!("--known={known}");
            assert!(usage(call(&[&"hide", &"d", &known, &"-o", &"o"])).contains("a proportion from 0 to 1"));
        }
        assert!(usage(call(&[&"inspect", &"d", &"--split", &"dev"])).contains("expected train, val or test"));
        assert!(usage(call(&[&"hide", &"d", &"-o", &"o"])).contains("--known"));
        assert_eq!(call(&[&"inspect", &"/nowhere"]).unwrap_err().exit_code(), 4);
    }

    #[test]
    #[ignore = "needs data that is not in the repository"]
    fn outside_data_the_photographs_of_coco18_keep_their_paths() {
        let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").into();
        let data = std::env::var_os("SARB_TEST_DATA").map_or_else(beside, std::path::PathBuf::from);
        let dir = data.join("data/coco18");
        let out = tempfile::tempdir().unwrap();
        call(&[&"hide", &dir, &"--known", &"0.1", &"-o", &out.path()]).unwrap();
        let hidden = dataset::open(out.path()).unwrap();
        // numpy: np.random.seed(0); m = np.random.random(labels.shape) < 0.1
        let inspection = Inspection::of(&hidden.train);
        assert_eq!((inspection.positive, inspection.negative), (1254, 13222));
        println!("{inspection}");
        assert!(hidden.train.images.iter().chain(&hidden.test.unwrap().images).all(|image| image.exists()));
        assert!(Words::in_folder(out.path(), &hidden.categories).unwrap().is_some());
    }
}
