//! The images that a run names best and worst, small and within the page, each with a heat map.

use std::path::Path;

use sarb_labels::images::{Rgb8, decode};
use sarb_labels::metrics::Scale;
use sarb_labels::text::{escape_xml, thousands};
use sarb_labels::{Annotations, Label, LabelMatrix};

use super::html::{name, section};
use crate::Result;
use crate::recognizer::Recognizer;
use crate::thumbnail::{SIDE_PX, data_uri, shrunk};

/// Most labels of a kind that are named.
const MOST_NAMES: usize = 6;
/// How far a logit may be from the kept one: cached maps are kept in half precision.
const SAME: f32 = 0.1;

/// Images by how well a system names them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Chosen {
    /// Rows, the best first.
    pub best: Vec<usize>,
    /// Rows, the worst first; none of the best.
    pub worst: Vec<usize>,
    /// How many images have a known positive, which an image needs to be chosen.
    pub of: usize,
}

/// At most `count` images of lowest and of highest loss, the mean binary cross-entropy over an image's known labels.
pub(super) fn choose(logits: &[f32], labels: &LabelMatrix, count: usize) -> Chosen {
    let c = labels.categories();
    let mut losses: Vec<(f64, usize)> = (0..labels.images())
        .filter_map(|row| Some((loss(&logits[row * c..(row + 1) * c], labels, row)?, row)))
        .collect();
    losses.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let best = count.min(losses.len().div_ceil(2));
    let worst = count.min(losses.len() - best);
    let rows = |part: &[(f64, usize)]| part.iter().map(|&(_, row)| row).collect::<Vec<_>>();
    let mut highest = rows(&losses[losses.len() - worst..]);
    highest.reverse();
    Chosen { best: rows(&losses[..best]), worst: highest, of: losses.len() }
}

/// None without a known positive.
fn loss(logits: &[f32], labels: &LabelMatrix, row: usize) -> Option<f64> {
    let (mut sum, mut known, mut positives) = (0.0, 0, 0);
    for (label, &logit) in labels.row(row).zip(logits).filter(|(label, _)| *label != Label::Unknown) {
        sum += cross_entropy(label, logit);
        known += 1;
        positives += usize::from(label == Label::Positive);
    }
    (positives > 0).then(|| sum / f64::from(known))
}

fn cross_entropy(label: Label, logit: f32) -> f64 {
    let logit = f64::from(logit) * if label == Label::Positive { -1.0 } else { 1.0 };
    logit.max(0.0) + (-logit.abs()).exp().ln_1p()
}

/// The run whose images are shown.
pub(super) struct Gallery<'a> {
    /// What the page calls it.
    pub name: &'a str,
    /// Its kept scores, `N × C`.
    pub logits: &'a [f32],
    /// Its images and labels.
    pub annotations: &'a Annotations,
    /// What draws the heat maps, or why nothing does.
    pub recognizer: std::result::Result<Recognizer, String>,
}

impl Gallery<'_> {
    /// At most `count` images of each kind.
    pub fn section(&self, count: usize) -> String {
        let chosen = choose(self.logits, &self.annotations.labels, count);
        let note = format!(
            "{}: of {} images with a known positive those with the lowest and the highest loss (mean cross-entropy over \
             the known labels of an image). {} px at most, within this page. The heat map is of the category that is \
             named; dark is least and yellow most of this image and category.",
            self.name,
            thousands(chosen.of),
            SIDE_PX
        );
        let mut content = String::new();
        if let Err(why) = &self.recognizer {
            content += &format!("<p class=\"note\">No heat maps: {}</p>\n", escape_xml(why));
        }
        if chosen.of == 0 {
            content += "<p>No image has a known positive.</p>\n";
        }
        for (title, rows, worst) in [("Best", &chosen.best, false), ("Worst", &chosen.worst, true)] {
            if !rows.is_empty() {
                let figures: String = rows.iter().map(|&row| self.figure(row, worst)).collect();
                content += &format!("<h3>{title}</h3>\n<div class=\"gallery\">\n{figures}</div>\n");
            }
        }
        section("images", "Best and worst images", &note, &content)
    }

    fn figure(&self, row: usize, worst: bool) -> String {
        let path = &self.annotations.images[row];
        let category = self.category(row, worst);
        let mapped = &self.annotations.categories[category];
        let file = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let pictures = match self.pictures(path, row, category) {
            Ok((photo, heat)) => {
                let alt = escape_xml(&file);
                let heat = match heat {
                    Ok(heat) => {
                        format!("<img alt=\"{alt}: where {} is seen\" src=\"{heat}\">", escape_xml(mapped))
                    }
                    Err(why) => format!("<div class=\"lost\">{}</div>", escape_xml(&why)),
                };
                format!("<div class=\"pair\"><img alt=\"{alt}\" src=\"{photo}\">{heat}</div>")
            }
            Err(error) => format!("<div class=\"lost\">{}</div>", escape_xml(&error.to_string())),
        };
        let heading = format!("{}<br>heat map: {}", name(&file), name(mapped));
        format!("<figure>{pictures}<figcaption>{heading}{}</figcaption></figure>\n", self.labels(row))
    }

    /// The category that a heat map is most wanted of: what is found in a good image, the mistake in a bad one.
    fn category(&self, row: usize, worst: bool) -> usize {
        let logits = self.row(row);
        let labels = self.annotations.labels.row(row).enumerate();
        let wanted = labels.filter(|(_, label)| match worst {
            true => *label != Label::Unknown,
            false => *label == Label::Positive,
        });
        let value = |(category, label): &(usize, Label)| match worst {
            true => cross_entropy(*label, logits[*category]),
            false => f64::from(logits[*category]),
        };
        let most = wanted.max_by(|a, b| value(a).total_cmp(&value(b)).then(b.0.cmp(&a.0)));
        most.expect("a chosen image has a known positive").0
    }

    fn row(&self, row: usize) -> &[f32] {
        let c = self.annotations.categories.len();
        &self.logits[row * c..(row + 1) * c]
    }

    /// The picture and its heat map, or why there is none, as data URIs.
    #[allow(clippy::type_complexity)]
    fn pictures(
        &self,
        path: &Path,
        row: usize,
        category: usize,
    ) -> Result<(String, std::result::Result<String, String>)> {
        let photo = decode(path)?;
        let small = shrunk(&photo);
        let heat = match &self.recognizer {
            Err(_) => Err("no heat map".to_owned()),
            Ok(recognizer) => self.heat(recognizer, &photo, &small, row, category)?,
        };
        Ok((data_uri(&small), heat))
    }

    fn heat(
        &self,
        recognizer: &Recognizer,
        photo: &Rgb8,
        small: &Rgb8,
        row: usize,
        category: usize,
    ) -> Result<std::result::Result<String, String>> {
        let recognition = recognizer.recognize(photo)?;
        let differs = |(now, kept): (&f32, &f32)| (now - kept).abs() > SAME + 0.02 * kept.abs();
        if recognition.logits.iter().zip(self.row(row)).any(differs) {
            return Ok(Err(
                "no heat map: the checkpoint says other scores of this file than those that were kept \
                           (another checkpoint was evaluated, or the file changed)"
                    .into(),
            ));
        }
        Ok(Ok(data_uri(&recognizer.heat_map(&recognition, small, category))))
    }

    /// What is there and found or missed, and what is claimed and is not there.
    fn labels(&self, row: usize) -> String {
        let logits = self.row(row);
        let mut all: Vec<(usize, Label)> = self.annotations.labels.row(row).enumerate().collect();
        all.sort_by(|a, b| logits[b.0].total_cmp(&logits[a.0]));
        let mut text = String::new();
        for (class, words, label, claimed) in [
            ("found", "found", Label::Positive, true),
            ("missed", "missed", Label::Positive, false),
            ("missed", "claimed, not there", Label::Negative, true),
        ] {
            let of_kind: Vec<usize> = all
                .iter()
                .filter(|(category, known)| *known == label && (logits[*category] >= 0.0) == claimed)
                .map(|(category, _)| *category)
                .collect();
            if of_kind.is_empty() {
                continue;
            }
            let named = of_kind.iter().take(MOST_NAMES).map(|&category| {
                let percent = 100.0 * Scale::Logits.probability(logits[category]);
                format!("{}\u{a0}{percent:.0}\u{a0}%", name(&self.annotations.categories[category]))
            });
            let more = match of_kind.len().saturating_sub(MOST_NAMES) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let named = named.collect::<Vec<_>>().join(", ");
            text += &format!("<br><span class=\"{class}\">{words}:</span> {named}{more}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations() -> Annotations {
        Annotations {
            images: (0..4).map(|row| format!("/nowhere/<{row}>.jpg").into()).collect(),
            // Row 2 has no known positive, row 3 nothing known.
            labels: LabelMatrix::from_values(2, &[1, -1, 1, 0, -1, -1, 0, 0]),
            categories: vec!["cat".into(), "<dog>".into()],
            source: "test.csv".into(),
        }
    }

    #[test]
    fn images_are_chosen_by_the_loss_of_known_labels_and_none_twice() {
        let annotations = annotations();
        let logits = [3.0, -3.0, -2.0, 99.0, 9.0, 9.0, 9.0, 9.0];
        let chosen = choose(&logits, &annotations.labels, 5);
        assert_eq!(chosen, Chosen { best: vec![0], worst: vec![1], of: 2 });
        // (softplus(−3) + softplus(−3)) / 2
        let expected = (1.0 + (-3.0f64).exp()).ln();
        assert!((loss(&logits[..2], &annotations.labels, 0).unwrap() - expected).abs() < 1e-12);
        assert_eq!(choose(&logits, &annotations.labels, 0).best, [0; 0]);
    }

    #[test]
    fn a_picture_that_is_not_there_is_said_and_names_are_escaped() {
        let annotations = annotations();
        let logits = [3.0, -3.0, -2.0, 99.0, 9.0, 9.0, 9.0, 9.0];
        let gallery = Gallery {
            name: "run",
            logits: &logits,
            annotations: &annotations,
            recognizer: Err("none <here>.".into()),
        };
        let html = gallery.section(2);
        assert!(html.contains("No heat maps: none &lt;here&gt;."), "{html}");
        assert!(html.contains("&lt;1&gt;.jpg") && !html.contains("<1>") && html.contains("class=\"lost\""));
        assert!(
            html.contains("<span class=\"missed\">missed:</span> <bdi>cat</bdi>\u{a0}12\u{a0}%"),
            "{html}"
        );
        assert_eq!(html.matches("<figure>").count(), 2);
    }
}
