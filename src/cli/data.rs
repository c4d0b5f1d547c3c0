//! `sarb data`: looks at label files and hides labels.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::console::{print, say};
use crate::data::formats::csv;
use crate::data::inspect::Inspection;
use crate::data::labels::{Label, LabelMatrix};
use crate::data::words::Words;
use crate::data::{self, Annotations, Split};
use crate::files::write_atomically;
use crate::{Error, Result};

/// Commands on data folders.
#[derive(Debug, clap::Subcommand)]
pub enum DataCommand {
    /// Count images, categories and known labels
    Inspect(Inspect),
    /// Hide labels of the training split as the official data sets do
    Hide(Hide),
}

/// Arguments of `sarb data inspect`.
#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// Data folder: holds train.csv and, if wanted, val.csv and test.csv
    dir: PathBuf,
    /// Which label file: train, val or test
    #[arg(long, default_value_t = Split::Train)]
    split: Split,
    /// Print one JSON object, proportions as fractions
    #[arg(long)]
    json: bool,
}

/// Arguments of `sarb data hide`.
#[derive(Debug, clap::Args)]
pub struct Hide {
    /// Data folder: train.csv is needed, val.csv, test.csv and words.* are taken along unchanged
    dir: PathBuf,
    /// Proportion of the labels that stay known, 0 to 1
    #[arg(long, value_name = "P", value_parser = proportion)]
    known: f64,
    /// Seed of the mask; 0 gives the official masks, and the masks of one seed are nested
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Folder for the new label files; images stay where they are
    #[arg(short, long)]
    out: PathBuf,
    /// Write into a folder that is not empty
    #[arg(long)]
    force: bool,
}

/// Runs one command.
pub fn run(command: DataCommand) -> Result<()> {
    match command {
        DataCommand::Inspect(arguments) => inspect(&arguments),
        DataCommand::Hide(arguments) => hide(&arguments),
    }
}

/// A proportion as an argument.
fn proportion(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "expected a proportion from 0 to 1, such as 0.1 for 10 %".into())
}

fn inspect(arguments: &Inspect) -> Result<()> {
    let inspection = Inspection::of(&data::open_split(&arguments.dir, arguments.split)?);
    if arguments.json {
        print(&serde_json::to_string_pretty(&inspection).expect("counts and names are plain JSON"))
    } else {
        print(inspection.to_string().trim_end())
    }
}

fn hide(arguments: &Hide) -> Result<()> {
    let Hide { dir, known, seed, out, force } = arguments;
    let labels = hide_folder(dir, *known, *seed, out, *force)?;
    let cells = labels.images() * labels.categories();
    let without = (0..labels.images()).filter(|&image| labels.planes(image).0.iter().all(|&word| word == 0));
    say(&format!(
        "{} images, {} categories, {cells} labels; {} images without a known label",
        labels.images(),
        labels.categories(),
        without.count()
    ));
    print(&format!(
        "{}: {} positive, {} negative, {} unknown",
        out.join(Split::Train.file_name()).display(),
        labels.count(Label::Positive),
        labels.count(Label::Negative),
        labels.count(Label::Unknown)
    ))
}

/// Writes the data folder `out`: the training labels of `dir` with some hidden, the other splits and the
/// word vectors as they are. Returns the partial labels.
fn hide_folder(dir: &Path, known: f64, seed: u32, out: &Path, force: bool) -> Result<LabelMatrix> {
    let dataset = data::open(dir)?;
    let others = [(Split::Val, dataset.val), (Split::Test, dataset.test)];
    let others: Vec<(Split, Annotations)> =
        others.into_iter().filter_map(|(split, annotations)| Some((split, annotations?))).collect();
    let words = Words::files(dir)?;
    let word_names: Vec<&str> = words.iter().filter_map(|path| path.file_name()?.to_str()).collect();

    let mut written = vec![Split::Train.file_name()];
    written.extend(others.iter().map(|(split, _)| split.file_name()));
    written.extend(word_names.iter().map(|name| name.to_string()));
    prepare(dir, out, force, &written)?;

    for (split, annotations) in &others {
        csv::write(&out.join(split.file_name()), annotations)?;
    }
    for (path, name) in words.iter().zip(word_names) {
        let mut source = File::open(path).map_err(|error| Error::io(path, error))?;
        write_atomically(&out.join(name), |writer| io::copy(&mut source, writer).map(drop))?;
    }
    // Last, so that a folder that was left half-written is no data folder.
    let labels = dataset.train.labels.hide(known, seed);
    let train = Annotations { labels, ..dataset.train };
    csv::write(&out.join(Split::Train.file_name()), &train)?;
    Ok(train.labels)
}

/// Makes the folder `out`, and refuses one whose files would be lost or would mix with the new ones.
fn prepare(dir: &Path, out: &Path, force: bool, written: &[String]) -> Result<()> {
    let failed = |error| Error::io(out, error);
    std::fs::create_dir_all(out).map_err(failed)?;
    let real = |path: &Path| std::fs::canonicalize(path).map_err(|error| Error::io(path, error));
    if real(dir)? == real(out)? {
        let what = "is the data folder itself; choose another, so that the complete labels stay";
        return Err(Error::Usage(format!("--out {}: {what}", out.display())));
    }
    let mut entries = std::fs::read_dir(out).map_err(failed)?;
    if !force && entries.next().is_some() {
        let what = "the folder is not empty; choose another or add --force";
        return Err(Error::Usage(format!("--out {}: {what}", out.display())));
    }
    let of_a_data_folder = Split::ALL.map(Split::file_name).into_iter();
    let strangers = of_a_data_folder
        .chain(["words.npy", "words.txt"].map(str::to_owned))
        .filter(|name| !written.contains(name) && out.join(name).exists());
    let strangers: Vec<String> = strangers.collect();
    if !strangers.is_empty() {
        let what = format!("holds {}, which {} does not have", strangers.join(", "), dir.display());
        return Err(Error::Usage(format!("--out {}: {what}; remove it first", out.display())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: DataCommand,
    }

    fn call(arguments: &[&dyn AsRef<std::ffi::OsStr>]) -> Result<()> {
        let words = arguments.iter().map(|argument| argument.as_ref().to_owned());
        let cli = Cli::try_parse_from([std::ffi::OsString::from("data")].into_iter().chain(words));
        run(cli.map_err(|error| Error::Usage(error.to_string()))?.command)
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
        let (full, hidden) = (data::open(&dir).unwrap(), data::open(&out).unwrap());
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
        let full = data::open(&dir).unwrap().train.labels;
        assert_eq!(data::open(&out).unwrap().train.labels, full.hide(0.5, 1));
        assert!(usage(hide(&dir.join("../data"), &[&"--force"])).contains("the data folder itself"));
        std::fs::write(out.join("val.csv"), "image,a\n").unwrap();
        assert!(usage(hide(&out, &[&"--force"])).contains("holds val.csv, which"));
        assert_eq!(data::open(&dir).unwrap().train.labels, full);
    }

    #[test]
    fn arguments_out_of_range_are_usage_errors() {
        for known in ["1.5", "-0.1", "nan", "10%"] {
            let known = format!("--known={known}");
            assert!(usage(call(&[&"hide", &"d", &known, &"-o", &"o"])).contains("a proportion from 0 to 1"));
        }
        assert!(usage(call(&[&"inspect", &"d", &"--split", &"dev"])).contains("expected train, val or test"));
        assert!(usage(call(&[&"hide", &"d", &"-o", &"o"])).contains("--known"));
        assert_eq!(call(&[&"inspect", &"/nowhere"]).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn the_photographs_of_coco18_keep_their_paths() {
        let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/coco18"));
        if !dir.exists() {
            return println!("skipped: no {}", dir.display());
        }
        let out = tempfile::tempdir().unwrap();
        call(&[&"hide", &dir, &"--known", &"0.1", &"-o", &out.path()]).unwrap();
        let hidden = data::open(out.path()).unwrap();
        // numpy: np.random.seed(0); m = np.random.random(labels.shape) < 0.1
        let inspection = Inspection::of(&hidden.train);
        assert_eq!((inspection.positive, inspection.negative), (1254, 13222));
        println!("{inspection}");
        assert!(hidden.train.images.iter().chain(&hidden.test.unwrap().images).all(|image| image.exists()));
        assert!(Words::in_folder(out.path(), &hidden.categories).unwrap().is_some());
    }
}
