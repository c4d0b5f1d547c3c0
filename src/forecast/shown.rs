//! A forecast for people, and how it was made.

use sarb_labels::text::{duration, thousands};

use super::sample::Sample;
use super::timing::Timing;
use super::{Forecast, Seconds};
use crate::cache::limit::readable;
use crate::recipe::Recipe;

/// How it was estimated, and what is not in it.
pub(super) fn how(recipe: &Recipe, sample: &Sample, closed: bool, timing: &Timing) -> Vec<String> {
    let images = sample.training_images;
    let mut how = vec![match closed || recipe.train.epochs == 0 {
        true => format!("feature maps and scores were timed on {images} of the images"),
        false => format!("two epochs of {images} of the images were trained, the second was timed"),
    }];
    if closed {
        how.push("the closed form itself is not in it: it takes seconds for thousands of images".into());
    } else {
        how.push(
            "what a method does before and between epochs, and blends or pseudo-labels that begin later, are not in it"
                .into(),
        );
    }
    if timing.is_pooled && !closed {
        how.push("nor is the anchor, linear on the same maps".into());
    }
    how.push(
        "memory is the peak of this process on the sample, and what a whole epoch reads ahead and ridge regression \
         keeps; memory of an accelerator is not in it"
            .into(),
    );
    how
}

impl Forecast {
    /// Lines for people.
    pub fn to_text(&self) -> String {
        let mut lines = vec![self.work()];
        if let Some(maps) = &self.maps {
            let disk = match maps.to_compute {
                0 => String::new(),
                _ => format!(", which takes {} on disk", readable(maps.bytes)),
            };
            lines.push(format!(
                "feature maps: {} of {} are cached, {} are to be computed{disk}",
                thousands(maps.cached),
                thousands(maps.wanted),
                thousands(maps.to_compute)
            ));
        }
        lines.push(format!("run folder: about {}", readable(self.run_bytes)));
        lines.push(format!("time: about {}{}", duration(self.seconds.total), parts(&self.seconds)));
        lines.push(format!("memory: about {} MB", thousands(self.memory_mb.round() as usize)));
        lines.push(format!("how: {}", self.how.join("; ")));
        lines.push("everything that it reads is there and fits; nothing was written".into());
        lines.join("\n")
    }

    fn work(&self) -> String {
        let validation = match self.validation_images {
            0 => String::new(),
            images => format!(", {} validate", thousands(images)),
        };
        let steps = match self.epochs {
            0 => "no epoch".to_owned(),
            epochs => format!(
                "{epochs} epochs of {} steps, {} in all",
                thousands(self.steps_per_epoch),
                thousands(epochs * self.steps_per_epoch)
            ),
        };
        format!("{}: {} images train{validation}; {steps}", self.method, thousands(self.images))
    }
}

/// The parts of the time that are not nothing.
fn parts(seconds: &Seconds) -> String {
    let parts = [
        ("feature maps", seconds.maps),
        ("steps", seconds.training),
        ("validation and checkpoints", seconds.validation),
        ("evaluation", seconds.evaluation),
    ];
    let shown: Vec<String> = parts
        .iter()
        .filter(|(_, seconds)| *seconds > 0.0)
        .map(|(name, seconds)| format!("{name} {}", duration(*seconds)))
        .collect();
    if shown.is_empty() { String::new() } else { format!(": {}", shown.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::super::Maps;
    use super::*;

    #[test]
    fn a_forecast_says_what_is_to_be_done() {
        let forecast = Forecast {
            method: "sarb".into(),
            images: 7200,
            validation_images: 800,
            evaluated_images: 0,
            epochs: 20,
            steps_per_epoch: 900,
            maps: Some(Maps { wanted: 8000, cached: 6000, to_compute: 2000, bytes: 400_000_000 }),
            run_bytes: 12_300_000,
            seconds: Seconds { maps: 100.0, training: 3600.0, total: 3700.0, ..Seconds::default() },
            memory_mb: 1234.4,
            how: vec!["measured".into()],
        };
        let text = forecast.to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..5],
            [
                "sarb: 7,200 images train, 800 validate; 20 epochs of 900 steps, 18,000 in all",
                "feature maps: 6,000 of 8,000 are cached, 2,000 are to be computed, which takes 400.0 MB on disk",
                "run folder: about 12.3 MB",
                "time: about 1 h 1 min: feature maps 1 min 40 s, steps 1 h 0 min",
                "memory: about 1,234 MB",
            ]
        );
    }
}
