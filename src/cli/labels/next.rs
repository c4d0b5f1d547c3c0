//! `sarb labels next`: what to ask people for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use sarb::decisions::next::{Asked, By, next, write};
use sarb::labels::files::folder_of;
use sarb::labels::formats::image_names::image_names;
use sarb::labels::formats::label_studio::{Question, write_questions};
use sarb::labels::text::thousands;
use sarb::{Error, OutOfFold, Result, Run};

use super::pool::Pool;
use crate::cli::console::{print, say, warn};
use crate::cli::data::convert::{keep, make_folder_of};

/// Lines that are printed without --out.
const SHOWN: usize = 20;
/// Categories that the reason for a whole image names.
const NAMED: usize = 3;

/// Arguments of `sarb labels next`.
#[derive(Debug, Args)]
pub struct Next {
    /// Folder of a run with out-of-fold scores: one of linear, or one trained with --folds
    run: PathBuf,
    #[command(flatten)]
    pool: Pool,
    /// How many labels, or with --by image how many images, people can look at
    #[arg(long, value_name = "N")]
    budget: usize,
    /// What is asked for at once
    #[arg(long, value_enum, default_value_t = Unit::Label)]
    by: Unit,
    /// Seed by which --by image and --by chance draw [default: 0]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// File to write: .csv, with an empty column to fill in, or .json, tasks for Label Studio; without it the first are
    /// printed
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What is asked for at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Unit {
    /// Single labels: a yes or no for one category of an image
    Label,
    /// All unknown labels of an image
    Image,
    /// Single labels drawn at random, by which all others can be judged: fill --audited
    Chance,
}

/// How the list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Csv,
    LabelStudio,
}

impl Next {
    /// Ranks, and prints or writes.
    pub fn run(&self) -> Result<()> {
        let to = self.out.as_deref().map(format_of).transpose()?;
        self.out.as_ref().map_or(Ok(()), |out| keep("--out", out, self.force))?;
        let scores = self.pool.scores(&Run::open(&self.run)?)?;
        let by = self.by()?;
        let asked = next(&scores, by, self.budget)?;
        let questions = questions(&scores, &asked);
        if let (Some(out), Some(to)) = (&self.out, to) {
            make_folder_of(out)?;
            match to {
                To::Csv => write(out, &scores, &asked)?,
                To::LabelStudio => {
                    write_questions(out, &scores.annotations, &questions)?;
                    warn_of_images_elsewhere(out, &scores, &questions)?;
                }
            }
        }
        let images = image_names(&scores.annotations, Path::new("."))?;
        if self.json {
            return print(&self.as_json(&scores, &images, &asked).to_string());
        }
        say(&format!(
            "{} labels of {} images, the most useful first",
            thousands(asked.len()),
            thousands(questions.len())
        ));
        match &self.out {
            Some(out) => print(&out.display().to_string()),
            None => print(&table(&images, &questions)),
        }
    }

    /// What is asked for; a seed where nothing is drawn is refused.
    fn by(&self) -> Result<By> {
        let seed = self.seed.unwrap_or(0);
        match (self.by, self.seed) {
            (Unit::Image, _) => Ok(By::Image { seed }),
            (Unit::Chance, _) => Ok(By::Chance { seed }),
            (Unit::Label, None) => Ok(By::Label),
            (Unit::Label, Some(_)) => {
                Err(Error::Usage("--seed: --by label draws nothing; leave it out, or say --by image".into()))
            }
        }
    }

    fn as_json(&self, scores: &OutOfFold, images: &[String], asked: &[Asked]) -> serde_json::Value {
        let label = |asked: &Asked| {
            serde_json::json!({
                "image": images[asked.row],
                "category": scores.annotations.categories[asked.category],
                "probability": asked.probability,
                "known_positives": asked.known_positives,
            })
        };
        serde_json::json!({
            "out": self.out.as_ref().map(|out| out.display().to_string()),
            "ask": asked.iter().map(label).collect::<Vec<_>>(),
        })
    }
}

fn format_of(out: &Path) -> Result<To> {
    match out.extension().and_then(|extension| extension.to_str()) {
        Some("csv") => Ok(To::Csv),
        Some("json") => Ok(To::LabelStudio),
        _ => Err(Error::Usage(format!(
            "--out {}: expected a name that ends in .csv, or in .json for tasks of Label Studio",
            out.display()
        ))),
    }
}

/// The labels of an image become one question, which stands where the first of them does.
fn questions(scores: &OutOfFold, asked: &[Asked]) -> Vec<Question> {
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut images: Vec<Vec<&Asked>> = Vec::new();
    for asked in asked {
        let place = *places.entry(asked.row).or_insert(images.len());
        if place == images.len() {
            images.push(Vec::new());
        }
        images[place].push(asked);
    }
    images
        .into_iter()
        .map(|asked| {
            let mut reasons: Vec<String> =
                asked.iter().take(NAMED).map(|asked| asked.reason(scores)).collect();
            if asked.len() > NAMED {
                reasons.push(format!("and {} more", asked.len() - NAMED));
            }
            Question {
                row: asked[0].row,
                categories: asked.iter().map(|asked| asked.category).collect(),
                reason: reasons.join("; "),
            }
        })
        .collect()
}

/// A line for each of the first questions.
fn table(images: &[String], questions: &[Question]) -> String {
    let shown = &questions[..questions.len().min(SHOWN)];
    let width = shown.iter().map(|it| images[it.row].chars().count()).max().unwrap_or(0);
    let mut lines: Vec<String> =
        shown.iter().map(|it| format!("{:<width$}  {}", images[it.row], it.reason)).collect();
    if questions.len() > SHOWN {
        lines.push(format!("… and {}; -o FILE writes them all", thousands(questions.len() - SHOWN)));
    }
    lines.join("\n")
}

/// Label Studio serves what lies below its document root, which is the folder of the file.
fn warn_of_images_elsewhere(out: &Path, scores: &OutOfFold, questions: &[Question]) -> Result<()> {
    let names = image_names(&scores.annotations, folder_of(out))?;
    let is_outside =
        |it: &&Question| names[it.row].starts_with("..") || Path::new(&names[it.row]).is_absolute();
    match questions.iter().filter(is_outside).count() {
        0 => {}
        count => warn(&format!(
            "{}: {} images lie outside its folder, and Label Studio serves only what is below it; write the file into a \
             folder above the images",
            out.display(),
            thousands(count)
        )),
    }
    Ok(())
}
