//! `sarb predict`: what is in images.

use std::collections::HashSet;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sarb::{Error, Recognition, Recognizer, Result, Which};
use sarb_labels::images::{self, tar_member};

use super::heat_map;
use crate::cli::console::fail;

/// Arguments of `sarb predict`.
#[derive(Debug, Clone, Args)]
pub struct Predict {
    /// Folder of a run
    pub run: PathBuf,
    /// Files, folders and tar files (searched for images), globs, or - for a list of files on stdin
    #[arg(required = true)]
    pub paths: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
    /// Print the K most probable categories [default: those of at least 50 % in the table, all otherwise]
    #[arg(long, value_name = "K")]
    pub top: Option<usize>,
    /// Write a heat map of each printed category over each image to this folder
    #[arg(long, value_name = "DIR")]
    pub maps: Option<PathBuf>,
    /// Which checkpoint of the run
    #[arg(long, value_enum, default_value = "best")]
    pub checkpoint: Which,
    /// cpu, vulkan, cuda or metal
    #[arg(long, value_name = "D", default_value = "cpu")]
    pub device: String,
}

/// How predictions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line per image, for people.
    Table,
    /// A row per image, a column of probabilities per category.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Predict {
    /// Predicts; an image that cannot be read is reported, and the others continue.
    pub fn run(&self) -> Result<()> {
        let files = expand(&self.paths)?;
        if files.is_empty() {
            return Err(Error::Missing(format!(
                "no image in {}; looked for {}",
                self.paths.join(" "),
                images::EXTENSIONS.join(", ")
            )));
        }
        let recognizer = Recognizer::open(&self.run, self.checkpoint, &sarb::device::open(&self.device)?)?;
        if let Some(dir) = &self.maps {
            std::fs::create_dir_all(dir).map_err(|e| Error::io(dir, e))?;
        }
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        if self.format == Format::Csv {
            self.print(
                &mut out,
                &csv_line(std::iter::once("image").chain(recognizer.names().iter().map(String::as_str))),
            )?;
        }
        let (mut failed, mut names) = (0, HashSet::new());
        for file in &files {
            match recognizer.recognize(file) {
                Ok(recognition) => {
                    self.print(&mut out, &self.line(file, &recognition))?;
                    if let Some(dir) = &self.maps {
                        let name = unused(&mut names, file);
                        let attention = recognizer.attention(&recognition);
                        let shown = self.shown(&recognition).into_iter().map(|c| (c, &*recognition.names[c]));
                        heat_map::write(&dir.join(name), file, &attention, &shown.collect::<Vec<_>>())?;
                    }
                }
                Err(Error::Labels(error)) => {
                    failed += 1;
                    fail(&error.into());
                }
                Err(error) => return Err(error),
            }
        }
        out.flush().or_else(ignore_closed_pipe)?;
        match failed {
            0 => Ok(()),
            _ => Err(Error::Data(format!("{failed} of {} images could not be read", files.len()))),
        }
    }

    /// The categories to show, most probable first.
    fn shown(&self, recognition: &Recognition) -> Vec<usize> {
        let ranking = recognition.ranking();
        match (self.top, self.format) {
            (Some(top), _) => ranking.into_iter().take(top).collect(),
            (None, Format::Table) => ranking.into_iter().filter(|&c| recognition.logits[c] >= 0.0).collect(),
            (None, _) => ranking,
        }
    }

    fn line(&self, file: &Path, recognition: &Recognition) -> String {
        let probabilities = recognition.probabilities();
        let shown = self.shown(recognition);
        let name = file.display().to_string();
        match self.format {
            Format::Table => {
                let said: Vec<String> = shown
                    .iter()
                    .map(|&c| format!("{} {:.0} %", recognition.names[c], 100.0 * probabilities[c]))
                    .collect();
                format!("{name}  {}\n", if said.is_empty() { "–".into() } else { said.join(", ") })
            }
            Format::Csv => {
                let cells = (0..probabilities.len()).map(|c| match shown.contains(&c) {
                    true => format!("{:.6}", probabilities[c]),
                    false => String::new(),
                });
                csv_line(std::iter::once(name).chain(cells))
            }
            Format::Jsonl => {
                let labels: Vec<_> = shown
                    .iter()
                    .map(|&c| serde_json::json!({ "name": recognition.names[c], "probability": probabilities[c], "logit": recognition.logits[c] }))
                    .collect();
                format!("{}\n", serde_json::json!({ "image": name, "labels": labels }))
            }
        }
    }

    fn print(&self, out: &mut impl Write, text: &str) -> Result<()> {
        out.write_all(text.as_bytes()).or_else(ignore_closed_pipe)
    }
}

/// `sarb predict … | head` is not a failure.
fn ignore_closed_pipe(error: std::io::Error) -> Result<()> {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        _ => Err(Error::io("standard output", error)),
    }
}

/// The stem of a file; a second file of the same stem gets a number.
fn unused(names: &mut HashSet<String>, file: &Path) -> String {
    let stem = file.file_stem().map_or("image".into(), |stem| stem.to_string_lossy().into_owned());
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let name = std::iter::once(stem.clone()).chain(numbered).find(|name| !names.contains(name));
    let name = name.expect("numbers do not end");
    names.insert(name.clone());
    name
}

fn csv_line<T: AsRef<[u8]>>(cells: impl Iterator<Item = T>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).expect("writing to memory");
    String::from_utf8(writer.into_inner().expect("writing to memory")).expect("cells are UTF-8")
}

/// Files as given, the images of folders in name order and of tar files as they lie there, the lines of stdin
/// for `-`.
fn expand(paths: &[String]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if path == "-" {
            for line in std::io::stdin().lock().lines() {
                let line = line.map_err(|e| Error::io("standard input", e))?;
                files.extend((!line.trim().is_empty()).then(|| PathBuf::from(line.trim())));
            }
        } else if Path::new(path).is_dir() {
            images_below(Path::new(path), &mut files)?;
        } else if path.contains(['*', '?', '[']) && !is_there(Path::new(path)) {
            // The shell expands globs; this is for those that it was told not to.
            let pattern = glob::glob(path).map_err(|e| Error::Usage(format!("{path}: {e}")))?;
            files.extend(pattern.filter_map(std::result::Result::ok));
        } else if path.ends_with(".tar") && Path::new(path).is_file() {
            files.extend(tar_member::members(Path::new(path))?.into_iter().filter(|file| is_image(file)));
        } else {
            files.push(PathBuf::from(path));
        }
    }
    Ok(files)
}

/// Whether a path is a file or leads into a tar file, so that its `[` is not that of a glob.
fn is_there(path: &Path) -> bool {
    path.exists() || tar_member::split(path).is_some()
}

fn images_below(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = std::fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(|e| Error::io(dir, e))?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() && !entry.is_symlink() {
            images_below(&entry, files)?;
        } else if is_image(&entry) {
            files.push(entry);
        }
    }
    Ok(())
}

/// Whether a file is an image by its name.
fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    images::EXTENSIONS.contains(&extension.as_str())
}
