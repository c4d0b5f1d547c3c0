//! What is said of an image: which categories, and as a line of text.

use clap::ValueEnum;
use sarb::Recognition;
use sarb::decisions::selection::Selection;
use sarb::decisions::thresholds::Decisions;

/// How predictions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line per image, for people.
    Table,
    /// A row per image, a column of probabilities per category.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// A row per image, a column of probabilities per category; needs --out
    Parquet,
    /// A row of probabilities per image, as NumPy's [N, C] float32; NaN for what is not named and for images that cannot be
    /// read; needs --out
    Npy,
    /// Tasks with predictions, for Label Studio's import; needs --out
    LabelStudio,
    /// CVAT for images 1.1, a tag of a model per category; needs --out
    Cvat,
    /// samples.json of a FiftyOneDataset, with confidences in the field predictions; needs --out
    Fiftyone,
    /// COCO annotations without extent, with scores; needs --out
    Coco,
}

impl Format {
    /// Whether it is a file of another tool, that names images and lists what is in them.
    pub fn is_import(self) -> bool {
        matches!(self, Self::LabelStudio | Self::Cvat | Self::Fiftyone | Self::Coco)
    }

    /// Whether it is written to a file alone.
    pub fn needs_file(self) -> bool {
        self.is_import() || matches!(self, Self::Parquet | Self::Npy)
    }
}

/// Which categories are printed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Lines<'a> {
    /// How.
    pub format: Format,
    /// At most so many categories of an image.
    pub top: Option<usize>,
    /// Those of at least this probability.
    pub threshold: Option<f32>,
    /// Those that the run decides are there.
    pub decisions: Option<&'a Decisions>,
}

impl Lines<'_> {
    /// The line above all others, if there is one.
    pub fn heading(&self, categories: &[String]) -> Option<String> {
        let names = std::iter::once("image").chain(categories.iter().map(String::as_str));
        (self.format == Format::Csv).then(|| csv_line(names))
    }

    /// With the calibrated logits of the run's decisions, where it makes them.
    pub fn calibrated<'r>(&self, recognition: Recognition<'r>) -> Recognition<'r> {
        self.selection().calibrated(recognition)
    }

    /// The categories to show, most probable first. A table and a file for another tool show those of at least 50 % without
    /// other wishes.
    pub fn shown(&self, recognition: &Recognition) -> Vec<usize> {
        self.selection().shown(&recognition.logits)
    }

    fn selection(&self) -> Selection<'_> {
        let lists = self.format == Format::Table || self.format.is_import();
        let default = (lists && self.top.is_none()).then_some(0.5);
        Selection { top: self.top, threshold: self.threshold.or(default), decisions: self.decisions }
    }

    /// From which probability on each category is shown, where that is said: none of one that never is.
    pub fn thresholds(&self, categories: usize) -> Option<Vec<Option<f32>>> {
        let selection = self.selection();
        let least = |category| selection.least(category).map(|it| it.is_finite().then_some(it));
        (0..categories).map(least).collect()
    }

    /// The categories that are shown, each with its probability.
    pub fn named(&self, recognition: &Recognition) -> Vec<(usize, f32)> {
        let probabilities = recognition.probabilities();
        self.shown(recognition).into_iter().map(|c| (c, probabilities[c])).collect()
    }

    /// The probability of each category that is shown.
    pub fn cells(&self, recognition: &Recognition) -> Vec<Option<f32>> {
        let mut cells = vec![None; recognition.names.len()];
        self.named(recognition).into_iter().for_each(|(c, probability)| cells[c] = Some(probability));
        cells
    }

    /// What is said of an image, in words.
    pub fn line(&self, name: &str, recognition: &Recognition) -> String {
        let probabilities = recognition.probabilities();
        let shown = self.shown(recognition);
        match self.format {
            Format::Table => {
                let said: Vec<String> = shown
                    .iter()
                    .map(|&c| format!("{} {:.0} %", recognition.names[c], 100.0 * probabilities[c]))
                    .collect();
                format!("{name}  {}\n", if said.is_empty() { "–".into() } else { said.join(", ") })
            }
            Format::Csv => {
                let cells = self.cells(recognition).into_iter();
                let cells = cells.map(|cell| cell.map_or(String::new(), |it| format!("{it:.6}")));
                csv_line(std::iter::once(name.to_owned()).chain(cells))
            }
            Format::Jsonl => {
                let labels: Vec<_> = shown
                    .iter()
                    .map(|&c| serde_json::json!({ "name": recognition.names[c], "probability": probabilities[c], "logit": recognition.logits[c] }))
                    .collect();
                format!("{}\n", serde_json::json!({ "image": name, "labels": labels }))
            }
            _ => unreachable!("a file of its own kind"),
        }
    }
}

fn csv_line<T: AsRef<[u8]>>(cells: impl Iterator<Item = T>) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).expect("writing to memory");
    String::from_utf8(writer.into_inner().expect("writing to memory")).expect("cells are UTF-8")
}
