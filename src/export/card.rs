//! The model card of a hub's folder: what a run is, what was measured of it, on what it was trained, and what it is not.

use std::fmt::Write;

use sarb_labels::formats::csv;
use sarb_labels::text::{percent, thousands};
use sarb_labels::{Label, Split};
use serde_json::Value;

use crate::Result;
use crate::recognizer::Recognizer;
use crate::run::{Run, Which};

/// Rows of the table of categories.
const MOST_CATEGORIES: usize = 200;

/// The text of `README.md`.
///
/// # Errors
/// If labels or measurements of the run cannot be read.
pub fn text(run: &Run, recognizer: &Recognizer, checkpoint: Which, config: &Value) -> Result<String> {
    let (method, backbone) = (recognizer.recipe().method.name(), recognizer.recipe().backbone.name);
    let (count, size) = (recognizer.names().len(), recognizer.size_px());
    let mut card = format!(
        "---\npipeline_tag: image-classification\ntags:\n- multi-label-classification\n- partial-labels\n- sarb\n---\n\n\
         # {method} on {backbone}: {count} categories\n\n\
         Says of an image how probable each of {count} categories is in it; several may be, or none. Trained from partial labels \
         by [sarb](https://arxiv.org/abs/2203.02172) {}, method `{method}`, images of {size} × {size} pixels.\n\n",
        env!("CARGO_PKG_VERSION")
    );
    card += USE;
    card += &measured(run, checkpoint)?;
    card += &data(run, recognizer)?;
    card += &limits(recognizer, config);
    Ok(card)
}

const USE: &str = r#"## Use

```python
import numpy, torch
from PIL import Image
from modeling import Model          # beside this page; needs torch and safetensors, nothing else

model = Model(".")
size = model.config["pretrained_cfg"]["input_size"][1]
image = Image.open("photo.jpg").convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
pixels = torch.from_numpy(numpy.asarray(image, numpy.float32) / 255).permute(2, 0, 1)[None]
for name, probability in zip(model.names, model(pixels).sigmoid()[0]):
    print(name, float(probability))
```

"#;

/// What was measured of this checkpoint, split by split.
fn measured(run: &Run, checkpoint: Which) -> Result<String> {
    let mut rows = String::new();
    for split in [Split::Test, Split::Val] {
        let Some(measurement) = run.measurement(split)? else { continue };
        if run.outdated(&measurement, checkpoint)?.is_some() {
            continue;
        }
        let scores = &measurement.scores;
        let numbers = [scores.map, scores.all.of1, scores.all.cf1].map(percent);
        writeln!(rows, "| {split} | {} | {} |", thousands(scores.images), numbers.join(" | "))
            .expect("writing to memory");
    }
    Ok(match rows.is_empty() {
        true => "## Measured\n\nNothing was measured of this checkpoint.\n\n".into(),
        false => format!(
            "## Measured\n\n| images | number | mAP | OF1 | CF1 |\n| --- | --- | --- | --- | --- |\n{rows}\n\
             In percent, by `sarb evaluate`; mAP interpolated at every recall as in the papers, F1 at probability one half. \
             Unknown labels are left out of every count.\n\n"
        ),
    })
}

/// On which labels it was trained.
fn data(run: &Run, recognizer: &Recognizer) -> Result<String> {
    let path = run.path("data/train.csv");
    if !path.is_file() {
        return Ok("## Data\n\nThe run does not say on which labels it was trained.\n\n".into());
    }
    let labels = csv::read(&path)?.labels;
    let count = |label| labels.count(label);
    let known = count(Label::Positive) + count(Label::Negative);
    let all = known + count(Label::Unknown);
    let mut text = format!(
        "## Data\n\n{} training images. Of their {} labels {} % are known: {} say that a category is there, {} that it is not; the \
         rest are unknown, and were not taken for absent unless the method says so. Fingerprint of images and labels: `{}`. Which \
         images these are, and under which terms they may be used, is for whoever publishes this model to say.\n\n",
        thousands(labels.images()),
        thousands(all),
        percent(known as f64 / all.max(1) as f64),
        thousands(count(Label::Positive)),
        thousands(count(Label::Negative)),
        run.info()?.fingerprint,
    );
    text += "| category | known to be there | known not to be |\n| --- | --- | --- |\n";
    let counts = labels.counts();
    for (name, (positive, known)) in recognizer.names().iter().zip(&counts).take(MOST_CATEGORIES) {
        let name = name.replace('|', "\\|");
        writeln!(text, "| {name} | {} | {} |", thousands(*positive), thousands(known - positive))
            .expect("writing to memory");
    }
    if counts.len() > MOST_CATEGORIES {
        writeln!(text, "| {} more | | |", counts.len() - MOST_CATEGORIES).expect("writing to memory");
    }
    text.push('\n');
    Ok(text)
}

/// What a reader must not expect.
fn limits(recognizer: &Recognizer, config: &Value) -> String {
    let calibrated = match config["sarb"]["calibration"].is_null() {
        true => {
            "Probabilities are the network's own; nothing says that of what it calls 80 % four in five are there"
        }
        false => {
            "Probabilities are calibrated on the training images, by scores of models that had not learned from them; on other images they may not hold"
        }
    };
    format!(
        "## Limits\n\n\
         - It knows its {} categories and no other: of an image of something else it still says a probability of each.\n\
         - {calibrated}.\n\
         - What was measured holds for images like those it was measured on. Other cameras, places and times were not tried.\n\
         - The backbone's weights have a license of their own, which goes with them.\n\
         - Nobody looked at how it treats people, or at what happens if it is wrong. Do so before it decides anything.\n",
        recognizer.names().len()
    )
}
