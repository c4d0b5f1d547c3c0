//! The result of a check: counts and findings, for people and for programs.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;

use super::findings::{counted, shown};
use super::images::{Seen, Whole};
use super::places::Places;
use super::{Code, Finding, Found, Place, Settings, Severity, lines};
use crate::labels::Label;
use crate::text::aligned;
use crate::{Error, Result};

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checkup {
    /// How many findings of each severity there are.
    pub counts: Counts,
    /// How many findings of each code there are, those without any left out.
    pub codes: BTreeMap<Code, usize>,
    /// The splits that were checked.
    pub splits: Vec<SplitCounts>,
    /// The image files, if they were opened.
    pub images: Option<ImageCounts>,
    /// All findings, errors first, then by code.
    pub findings: Vec<Finding>,
}

/// Findings by severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Training stops, or what is measured is wrong.
    pub errors: usize,
    /// Probably not what was meant.
    pub warnings: usize,
    /// Worth knowing.
    pub infos: usize,
}

/// What one split holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitCounts {
    /// Its name.
    pub name: String,
    /// Its label file.
    pub file: String,
    /// Number of images.
    pub images: usize,
    /// Number of categories.
    pub categories: usize,
    /// Known positives.
    pub positive: usize,
    /// Known negatives.
    pub negative: usize,
    /// Unknown labels.
    pub unknown: usize,
}

/// What the image files are; a file that is in several rows counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageCounts {
    /// Files that were opened.
    pub files: usize,
    /// Those that are whole images.
    pub whole: usize,
    /// Whole images by encoding: `jpeg`, `png` ….
    pub formats: BTreeMap<String, usize>,
    /// Whole images of gray levels only.
    pub gray: usize,
    /// Pixels in a row, upright; none without a whole image.
    pub width: Option<Range>,
    /// Rows, upright; none without a whole image.
    pub height: Option<Range>,
    /// Bits that hashes of pictures that look alike may differ in.
    pub distance: u32,
}

/// The range of a number and its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The least.
    pub min: u32,
    /// As many are less as are more.
    pub median: u32,
    /// The largest.
    pub max: u32,
}

impl Checkup {
    /// How many findings of a code are printed; JSON has all.
    pub const SHOWN: usize = 20;

    pub(super) fn of(places: &Places<'_>, seen: &[Seen], settings: &Settings, mut found: Vec<Found>) -> Self {
        // Stable: findings of one code keep their order.
        found.sort_by_key(|found| found.code);
        let (mut counts, mut codes) = (Counts::default(), BTreeMap::new());
        for found in &found {
            *codes.entry(found.code).or_default() += 1;
            match found.code.severity() {
                Severity::Error => counts.errors += 1,
                Severity::Warning => counts.warnings += 1,
                Severity::Info => counts.infos += 1,
            }
        }
        let splits = places.splits().iter().map(|(name, annotations)| {
            let [positive, negative, unknown] = [Label::Positive, Label::Negative, Label::Unknown]
                .map(|label| annotations.labels.count(label));
            SplitCounts {
                name: name.clone(),
                file: annotations.source.display().to_string(),
                images: annotations.images.len(),
                categories: annotations.categories.len(),
                positive,
                negative,
                unknown,
            }
        });
        Self {
            counts,
            codes,
            splits: splits.collect(),
            images: settings.images.then(|| ImageCounts::of(seen, settings.distance)),
            findings: with_lines(places, found),
        }
    }

    /// Nothing if there is no error, else an error of exit code 3 that says how many there are.
    ///
    /// # Errors
    /// [`Error::Data`] if there is a finding of [`Severity::Error`].
    pub fn verdict(&self) -> Result<()> {
        match self.counts.errors {
            0 => Ok(()),
            count => Err(Error::Data(format!("{} in the data", counted(count, "error")))),
        }
    }
}

/// Findings with paths instead of places, and with lines where the label file has a line per image.
fn with_lines(places: &Places<'_>, found: Vec<Found>) -> Vec<Finding> {
    let mut lines: HashMap<usize, Option<Vec<u32>>> = HashMap::new();
    let mut place = |at: u32| {
        let (split, row) = (places.split(at), places.row(at));
        let (name, annotations) = &places.splits()[split];
        let lines = lines
            .entry(split)
            .or_insert_with(|| lines::of_rows(&annotations.source, annotations.images.len()));
        Place {
            split: name.clone(),
            file: annotations.source.clone(),
            line: lines.as_ref().map(|lines| lines[row] as usize),
            image: places.image(at).to_path_buf(),
        }
    };
    let finding = |found: Found| {
        let Found { code, message, split, places: at } = found;
        let mut all: Vec<Place> = at.into_iter().map(&mut place).collect();
        let split = split.map(|split| &places.splits()[split]);
        let file = split.map(|(_, annotations)| annotations.source.clone());
        let plain = Finding {
            severity: code.severity(),
            code,
            message,
            split: split.map(|(name, _)| name.clone()),
            file,
            line: None,
            image: None,
            also: Vec::new(),
        };
        // A finding about a split lists its images; one about an image is at the first.
        if split.is_some() || all.is_empty() {
            return Finding { also: all, ..plain };
        }
        let Place { split, file, line, image } = all.remove(0);
        Finding { split: Some(split), file: Some(file), line, image: Some(image), also: all, ..plain }
    };
    found.into_iter().map(finding).collect()
}

impl ImageCounts {
    fn of(seen: &[Seen], distance: u32) -> Self {
        let whole: Vec<&Whole> = seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Whole(whole) => Some(whole),
                Seen::Broken(..) => None,
            })
            .collect();
        let mut formats = BTreeMap::new();
        for image in &whole {
            *formats.entry(format!("{:?}", image.format).to_lowercase()).or_default() += 1;
        }
        Self {
            files: seen.len(),
            whole: whole.len(),
            formats,
            gray: whole.iter().filter(|image| image.gray).count(),
            width: Range::of(whole.iter().map(|image| image.width).collect()),
            height: Range::of(whole.iter().map(|image| image.height).collect()),
            distance,
        }
    }
}

impl Range {
    /// None of no numbers.
    pub(crate) fn of(mut numbers: Vec<u32>) -> Option<Self> {
        numbers.sort_unstable();
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        Some(Self { min, median: numbers[numbers.len() / 2], max })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { min, median, max } = self;
        if min == max { write!(f, "{min}") } else { write!(f, "{min} to {max} (median {median})") }
    }
}

impl fmt::Display for Checkup {
    /// For a terminal, without a final line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["split", "images", "categories", "positive", "negative", "unknown", "file"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        rows.extend(self.splits.iter().map(|split| {
            let SplitCounts { name, file, images, categories, positive, negative, unknown } = split;
            let numbers = [images, categories, positive, negative, unknown].map(usize::to_string);
            [&[shown(name)][..], &numbers, &[shown(file)]].concat()
        }));
        write!(f, "{}", aligned(&rows))?;
        if let Some(images) = &self.images {
            write!(f, "\n{images}\n")?;
        }
        for by_code in self.findings.chunk_by(|a, b| a.code == b.code) {
            let code = by_code[0].code;
            let severity = format!("{:?}", code.severity()).to_lowercase();
            writeln!(f, "\n{severity}: {} ({}): {}", code.name(), by_code.len(), code.advice())?;
            for finding in by_code.iter().take(Self::SHOWN) {
                writeln!(f, "  {finding}")?;
            }
            if by_code.len() > Self::SHOWN {
                writeln!(f, "  … and {} more (all with --json)", by_code.len() - Self::SHOWN)?;
            }
        }
        let Counts { errors, warnings, infos } = self.counts;
        let [errors, warnings] = [(errors, "error"), (warnings, "warning")].map(|(n, what)| counted(n, what));
        write!(f, "\n{errors}, {warnings}, {infos} worth knowing")
    }
}

impl fmt::Display for ImageCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let formats: Vec<String> =
            self.formats.iter().map(|(format, count)| format!("{count} {format}")).collect();
        write!(f, "{} opened, {} whole", counted(self.files, "image file"), self.whole)?;
        if let (Some(width), Some(height)) = (self.width, self.height) {
            write!(f, ": {}; {width} wide, {height} high", formats.join(", "))?;
        }
        if self.gray > 0 {
            write!(f, "; {} gray", self.gray)?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    /// `train.csv:7: what`, or without the line where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{}:", shown(file))?;
            if let Some(line) = self.line {
                write!(f, "{line}:")?;
            }
            write!(f, " ")?;
        }
        write!(f, "{}", self.message)
    }
}
