//! How many labels an image has.

use super::layout::section as page_section;
use crate::annotations::Annotations;
use crate::inspect::Inspection;
use crate::labels::ones;
use crate::svg::{line, text, ticks};
use crate::text::{escape_xml, thousands};

/// Most bars of a histogram.
const BARS: usize = 24;
/// Sizes in pixels.
const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 58.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 24.0;

/// Images by known positives and by known labels.
pub(super) fn section(annotations: &Annotations, inspection: &Inspection) -> String {
    let mut by_known = vec![0; 1];
    for image in 0..annotations.labels.images() {
        let (known, _) = annotations.labels.planes(image);
        let known = ones(known);
        by_known.resize(by_known.len().max(known + 1), 0);
        by_known[known] += 1;
    }
    let charts = [
        draw("Images by number of known positives", &inspection.images_by_positives),
        draw("Images by number of known labels", &by_known),
    ];
    let note = "How many categories are known to be there in an image, and how many are known at all.";
    let content = format!("<div class=\"side-by-side\">\n{}</div>\n", charts.concat());
    page_section("Labels of an image", note, &content)
}

/// One bar: what it counts, and how many.
struct Bar {
    label: String,
    images: usize,
}

/// The images with 0, 1, 2 … labels, several numbers to a bar where there are many.
fn bars(counts: &[usize]) -> Vec<Bar> {
    let width = counts.len().div_ceil(BARS).max(1);
    let label = |from: usize, to: usize| if from == to { from.to_string() } else { format!("{from}–{to}") };
    let bars = counts.chunks(width).enumerate().map(|(at, counts)| Bar {
        label: label(at * width, at * width + counts.len() - 1),
        images: counts.iter().sum(),
    });
    bars.collect()
}

fn draw(title: &str, counts: &[usize]) -> String {
    let bars = bars(counts);
    let most = bars.iter().map(|bar| bar.images).max().unwrap_or(0).max(1) as f64;
    let (bottom, step) = (HEIGHT - BOTTOM, (WIDTH - LEFT) / bars.len() as f64);
    let y = |images: f64| bottom - (bottom - TOP) * images / most;
    let told: Vec<String> = bars.iter().map(|bar| format!("{}: {}", bar.label, bar.images)).collect();
    let mut svg = format!(
        "<svg class=\"fits\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-size=\"12\">\n<title>{0}</title>\n<desc>{0}: {1}</desc>\n",
        escape_xml(title),
        told.join(", ")
    );
    text(&mut svg, (LEFT, 14.0), "start", title);
    for tick in ticks((0.0, most)).0.into_iter().filter(|tick| tick.fract() == 0.0) {
        line(&mut svg, "chart-grid", (LEFT, y(tick)), (WIDTH, y(tick)));
        text(&mut svg, (LEFT - 8.0, y(tick) + 4.0), "end", &thousands(tick as usize));
    }
    let widest = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(1) as f64 * 7.2 + 6.0;
    let every = (widest / step).ceil().max(1.0) as usize;
    for (at, bar) in bars.iter().enumerate() {
        let (left, top) = (LEFT + step * at as f64, y(bar.images as f64));
        svg += &format!(
            "<rect class=\"there\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}: {} images</title></rect>\n",
            left + 0.08 * step,
            0.84 * step,
            bottom - top,
            bar.label,
            thousands(bar.images)
        );
        if at % every == 0 {
            text(&mut svg, (left + step / 2.0, bottom + 17.0), "middle", &bar.label);
        }
    }
    line(&mut svg, "chart-axis", (LEFT, bottom), (WIDTH, bottom));
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_numbers_share_bars_and_no_image_is_lost() {
        let labels = |counts: &[usize]| -> Vec<String> {
            let bars = bars(counts);
            assert_eq!(bars.iter().map(|bar| bar.images).sum::<usize>(), counts.iter().sum::<usize>());
            bars.into_iter().map(|bar| bar.label).collect()
        };
        assert_eq!(labels(&[5, 0, 2]), ["0", "1", "2"]);
        let many = labels(&[1; 81]);
        assert_eq!((many.len(), &many[0], &many[20]), (21, &"0–3".to_owned(), &"80".to_owned()));
    }

    #[test]
    fn the_drawing_says_its_numbers() {
        let svg = draw("a < b", &[1200, 3]);
        assert!(svg.contains("a &lt; b: 0: 1200, 1: 3</desc>") && svg.contains("0: 1,200 images"), "{svg}");
        assert!(!draw("nothing", &[0]).contains("NaN"));
    }
}
