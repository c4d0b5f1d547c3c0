//! `sarb report` of runs and of other programs' scores: one page.

use std::path::{Path, PathBuf};

use sarb::labels::Split;
use sarb::labels::metrics::Scale;
use sarb::report::runs::{Measured, Page, ReadRun, Row, Saved, Settings, Source};
use sarb::{Error, Result, Which};
use serde_json::json;

use super::console::{print, say, warn};
use super::report::Report;
use super::systems::Basis;

/// Best and worst images, where nobody says how many.
const IMAGES: u8 = 6;

impl Report {
    /// Reads runs and files, prints how they compare, writes the page.
    pub fn page_of_runs(&self) -> Result<()> {
        let out = self.page()?;
        let split = self.split.unwrap_or(Split::Test);
        let checkpoint = self.checkpoint.unwrap_or(Which::Best);
        let mut runs: Vec<ReadRun> = self
            .dirs
            .iter()
            .map(|dir| ReadRun::open(dir, self.data.as_deref(), split, checkpoint))
            .collect::<Result<_>>()?;
        let measured = self.measured(&mut runs, split)?;
        let settings = Settings {
            bootstrap: self.bootstrap.options(),
            images: self.images.unwrap_or(IMAGES).into(),
            split,
            checkpoint,
        };
        let page = Page::of(&runs, measured.as_ref(), &settings)?;
        page.save(&out)?;
        if self.json {
            let comparison = page.comparison.map(|comparison| json!(comparison)).unwrap_or_default();
            let value = json!({ "comparison": comparison, "notes": page.notes, "files": [out.display().to_string()] });
            return print(&serde_json::to_string_pretty(&value).expect("plain data"));
        }
        if let Some(comparison) = &page.comparison {
            print(&comparison.to_text())?;
        }
        page.notes.iter().for_each(|note| warn(note));
        say(&out.display().to_string());
        Ok(())
    }

    /// Where the page is written.
    fn page(&self) -> Result<PathBuf> {
        let is_page = |out: &Path| out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("html"));
        match (&self.out, self.dirs.first()) {
            (Some(out), _) if is_page(out) => Ok(out.clone()),
            (Some(out), _) => Err(Error::Usage(format!(
                "{}: a report of runs is one page; give -o NAME.html",
                out.display()
            ))),
            (None, Some(dir)) => Ok(dir.join("report.html")),
            (None, None) => Err(Error::Usage("give -o NAME.html, the page to write".into())),
        }
    }

    /// Runs with kept scores, files, anchors, brought to the labels and categories of the first; none of nothing.
    fn measured(&self, runs: &mut [ReadRun], split: Split) -> Result<Option<Measured>> {
        let mut basis: Option<Basis> = None;
        let (mut rows, mut anchors) = (Vec::new(), Vec::<Row>::new());
        for (place, run) in runs.iter_mut().enumerate() {
            let Some(Saved { logits, anchor, annotations }) = &mut run.saved else { continue };
            let here = Basis {
                name: run.name.clone(),
                labels: annotations.labels.clone(),
                categories: annotations.categories.clone(),
            };
            let basis = basis.get_or_insert_with(|| here.clone());
            let scale = Scale::Logits;
            let system = basis.system(run.name.clone(), std::mem::take(logits), &here, 0.0)?;
            rows.push(Row { system, scale, source: Source::Run(place) });
            if let Some(logits) = anchor.take() {
                let system = basis.system(format!("anchor of {}", run.name), logits, &here, 0.0)?;
                // Runs on the same features share their anchor.
                if anchors.iter().all(|known| known.system.values != system.values) {
                    anchors.push(Row { system, scale, source: Source::Anchor(place) });
                }
            }
        }
        if let [anchor] = &mut anchors[..] {
            anchor.system.name = "anchor (linear on the same features)".to_owned();
        }
        for (place, path) in self.others.scores.iter().enumerate() {
            let labels = self.labels_of_scores(runs, split)?;
            let (values, here) = self.others.read(path, &labels)?;
            let basis = basis.get_or_insert_with(|| here.clone());
            let (scale, threshold) =
                if self.others.probabilities { (Scale::Probabilities, 0.5) } else { (Scale::Logits, 0.0) };
            let system = basis.system(path.display().to_string(), values, &here, threshold)?;
            rows.push(Row { system, scale, source: Source::File(place) });
        }
        rows.extend(anchors);
        Ok(basis.map(|Basis { labels, categories, .. }| Measured { rows, labels, categories }))
    }

    fn labels_of_scores(&self, runs: &[ReadRun], split: Split) -> Result<PathBuf> {
        match (&self.others.labels, runs.first()) {
            (Some(labels), _) => Ok(labels.clone()),
            (None, Some(run)) => Ok(run.run.data(self.data.as_deref())?.join(split.file_name())),
            (None, None) => Err(Error::Usage("--scores needs --labels FILE, or a RUN beside it".into())),
        }
    }
}
