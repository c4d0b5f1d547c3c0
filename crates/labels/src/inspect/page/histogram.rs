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
    use super::super::drawing::{Shape, annotations, assert_near, of_class, shapes};
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

    #[test]
    fn bars_stand_side_by_side_on_the_axis_as_high_as_their_numbers() {
        for counts in [&[3, 12, 0, 6][..], &[1], &[0], &[1; 90], &[5000, 70, 1234]] {
            let svg = draw("images", counts);
            let shapes = shapes(&svg);
            let [width, height] = shapes[0].numbers(["width", "height"]);
            let axis = of_class(&shapes, "line", "chart-axis")[0];
            let [left, bottom, right] = axis.numbers(["x1", "y1", "x2"]);
            assert!(
                0.0 < left
                    && left < right
                    && right <= width
                    && axis.number("y2") == bottom
                    && bottom < height
            );
            let texts = of_class(&shapes, "text", "chart-ink");
            let heading = texts[0];
            assert_eq!((&*heading.words, heading.number("x")), ("images", left));
            // The scale: what a gridline stands for is written beside it.
            let lines = of_class(&shapes, "line", "chart-grid");
            let (at_lines, below): (Vec<&Shape>, Vec<&Shape>) =
                texts[1..].iter().copied().partition(|text| text.has("text-anchor", "end"));
            let bars = bars(counts);
            let most = bars.iter().map(|bar| bar.images).max().unwrap().max(1) as f64;
            let top = of_class(&shapes, "line", "chart-grid")
                .iter()
                .map(|line| line.number("y1"))
                .fold(bottom, f64::min);
            assert!(top >= heading.number("y") + 8.0, "lines run into the heading");
            let y = |images: f64| bottom - (bottom - 28.0) * images / most;
            assert_eq!(lines.len(), at_lines.len());
            assert!(lines.len() > 1 && lines.iter().all(|line| line.numbers(["x1", "x2"]) == [left, right]));
            for (line, label) in lines.iter().zip(&at_lines) {
                let value: f64 = label.words.replace(',', "").parse().unwrap();
                assert_near(line.number("y1"), y(value));
                assert_near(line.number("y2"), y(value));
                assert_near(label.number("y") - 4.0, y(value));
                assert!((4.0..10.0).contains(&(left - label.number("x"))));
            }
            let drawn = of_class(&shapes, "rect", "there");
            assert_eq!(drawn.len(), bars.len());
            let step = (right - left) / bars.len() as f64;
            let mut end = left - 0.08 * step;
            for (bar, drawn) in bars.iter().zip(&drawn) {
                let [from, top, to, foot] = drawn.sides();
                assert_near(foot, bottom);
                assert_near(top, y(bar.images as f64));
                // A sixth of the room lies between two bars.
                assert_near(from - end, 0.16 * step);
                assert_near(to - from, 0.84 * step);
                assert_eq!(drawn.words, format!("{}: {} images", bar.label, thousands(bar.images)));
                end = to;
            }
            assert!((end + 0.08 * step - right).abs() < 3.0, "{end} {right}");
            // Every so many bars a label, in the middle below its bar.
            let place = |label: &str| bars.iter().position(|bar| bar.label == label).unwrap();
            assert_eq!(place(&below[0].words), 0);
            for label in &below {
                assert!(label.has("text-anchor", "middle"));
                let [from, _, to, _] = drawn[place(&label.words)].sides();
                assert_near(label.number("x"), (from + to) / 2.0);
                assert!(
                    (12.0..20.0).contains(&(label.number("y") - bottom)) && label.number("y") < height - 4.0
                );
            }
            // They keep apart, and no more than they must.
            let widest = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap() as f64 * 7.2;
            let apart = if below.len() > 1 { place(&below[1].words) } else { 1 };
            assert!(
                apart as f64 * step > widest + 3.0 && (apart as f64 - 1.0) * step < widest + 9.0,
                "{apart} {widest}"
            );
            assert_eq!(below.len(), bars.len().div_ceil(apart));
        }
    }

    #[test]
    fn lines_stand_for_whole_numbers_of_images() {
        let svg = draw("images", &[1, 1]);
        let shapes = shapes(&svg);
        let texts = of_class(&shapes, "text", "chart-ink");
        let numbers = texts.iter().filter(|text| text.has("text-anchor", "end"));
        assert_eq!(numbers.map(|text| &*text.words).collect::<Vec<_>>(), ["0", "1"]);
    }

    #[test]
    fn images_are_counted_by_positives_and_by_known_labels() {
        let labels = annotations(&["a", "b", "c"], &[1, 1, -1, 1, 0, -1, 0, 0, 0, 1, -1, 0]);
        let page = section(&labels, &Inspection::of(&labels));
        assert!(page.contains("known positives: 0: 1, 1: 2, 2: 1</desc>"), "{page}");
        assert!(page.contains("known labels: 0: 1, 1: 0, 2: 2, 3: 1</desc>"), "{page}");
    }
}
