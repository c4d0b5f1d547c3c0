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

    /// A drawing, read back: its shapes, its axis and its bars.
    struct Drawn {
        shapes: Vec<Shape>,
        left: f64,
        right: f64,
        bottom: f64,
        bars: Vec<Bar>,
    }

    impl Drawn {
        fn of(counts: &[usize]) -> Self {
            let shapes = shapes(&draw("images", counts));
            let [width, height] = shapes[0].numbers(["width", "height"]);
            let [left, bottom, right, end] =
                of_class(&shapes, "line", "chart-axis")[0].numbers(["x1", "y1", "x2", "y2"]);
            assert!(0.0 < left && left < right && right <= width && bottom == end && bottom < height);
            Self { shapes, left, right, bottom, bars: bars(counts) }
        }

        fn each() -> impl Iterator<Item = Self> {
            [&[3, 12, 0, 6][..], &[1], &[0], &[1; 90], &[5000, 70, 1234]].into_iter().map(Self::of)
        }

        /// Where a bar of so many images ends.
        fn y(&self, images: f64) -> f64 {
            let most = self.bars.iter().map(|bar| bar.images).max().unwrap().max(1);
            self.bottom - (self.bottom - 28.0) * images / most as f64
        }

        fn step(&self) -> f64 {
            (self.right - self.left) / self.bars.len() as f64
        }

        fn texts(&self, anchor: &str) -> Vec<&Shape> {
            let texts = of_class(&self.shapes, "text", "chart-ink");
            texts.into_iter().filter(|text| text.has("text-anchor", anchor)).collect()
        }

        fn rectangles(&self) -> Vec<&Shape> {
            of_class(&self.shapes, "rect", "there")
        }
    }

    #[test]
    fn lines_lie_where_a_bar_of_their_number_would_end() {
        for drawn in Drawn::each() {
            let [heading] = drawn.texts("start")[..] else { panic!("one heading") };
            assert_eq!((&*heading.words, heading.number("x")), ("images", drawn.left));
            let (lines, labels) = (of_class(&drawn.shapes, "line", "chart-grid"), drawn.texts("end"));
            assert_eq!(lines.len(), labels.len());
            assert!(lines.len() > 1);
            for (line, label) in lines.iter().zip(&labels) {
                let at = drawn.y(label.words.replace(',', "").parse().unwrap());
                assert_eq!(line.numbers(["x1", "x2"]), [drawn.left, drawn.right]);
                let [y1, y2] = line.numbers(["y1", "y2"]);
                assert_near(y1, at);
                assert_near(y2, at);
                assert!(y1 >= heading.number("y") + 8.0, "a line runs into the heading");
                assert_near(label.number("y") - 4.0, at);
                assert!((4.0..10.0).contains(&(drawn.left - label.number("x"))));
            }
        }
    }

    #[test]
    fn bars_stand_side_by_side_on_the_axis_as_high_as_their_numbers() {
        for drawn in Drawn::each() {
            assert_eq!(drawn.rectangles().len(), drawn.bars.len());
            let mut end = drawn.left - 0.08 * drawn.step();
            for (bar, rectangle) in drawn.bars.iter().zip(drawn.rectangles()) {
                let [from, top, to, foot] = rectangle.sides();
                assert_near(foot, drawn.bottom);
                assert_near(top, drawn.y(bar.images as f64));
                // A sixth of the room lies between two bars.
                assert_near(from - end, 0.16 * drawn.step());
                assert_near(to - from, 0.84 * drawn.step());
                assert_eq!(rectangle.words, format!("{}: {} images", bar.label, thousands(bar.images)));
                end = to;
            }
            assert!((end + 0.08 * drawn.step() - drawn.right).abs() < 3.0, "{end} {}", drawn.right);
        }
    }

    #[test]
    fn labels_stand_in_the_middle_below_their_bar_and_keep_apart() {
        for drawn in Drawn::each() {
            let labels = drawn.texts("middle");
            let place = |label: &Shape| drawn.bars.iter().position(|bar| bar.label == label.words).unwrap();
            for label in &labels {
                let [from, _, to, _] = drawn.rectangles()[place(label)].sides();
                assert_near(label.number("x"), (from + to) / 2.0);
                assert!((12.0..20.0).contains(&(label.number("y") - drawn.bottom)));
                assert!(label.number("y") < drawn.shapes[0].number("height") - 4.0);
            }
            // Every so many bars one: as many as have room, from the first on.
            let widest = drawn.bars.iter().map(|bar| bar.label.chars().count()).max().unwrap() as f64 * 7.2;
            let every = labels.get(1).map_or(1, |label| place(label));
            assert!(every as f64 * drawn.step() > widest + 3.0, "{every} {widest}");
            assert!((every as f64 - 1.0) * drawn.step() < widest + 9.0, "{every} {widest}");
            assert_eq!((place(labels[0]), labels.len()), (0, drawn.bars.len().div_ceil(every)));
        }
    }

    #[test]
    fn lines_stand_for_whole_numbers_of_images() {
        let drawn = Drawn::of(&[1, 1]);
        let numbers = drawn.texts("end").into_iter();
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
