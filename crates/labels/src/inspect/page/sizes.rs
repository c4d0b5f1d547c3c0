//! How large the images are, from the headers of their files.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::layout::section as page_section;
use crate::annotations::Annotations;
use crate::check::Range;
use crate::images::stored_size;
use crate::random::{Stream, rng};
use crate::svg::{line, text};
use crate::text::thousands;

/// Most headers that are read.
const MOST: usize = 20_000;
/// Cells along an axis of the drawing.
const CELLS: usize = 40;
/// Side of a cell, in pixels.
const CELL: f64 = 9.0;
const LEFT: f64 = 52.0;
const BOTTOM: f64 = 42.0;

/// Where the images lie by width and height, and how many are wide, high and square.
pub(super) fn section(annotations: &Annotations, seed: u64) -> String {
    let (all, sample) = (annotations.images.len(), sample(&annotations.images, seed));
    let sizes: Vec<(u32, u32)> = sample.par_iter().filter_map(|path| stored_size(path)).collect();
    let what = which(sample.len(), all);
    let lost = match sample.len() - sizes.len() {
        0 => String::new(),
        lost => format!(" {} could not be read.", thousands(lost)),
    };
    let note = format!(
        "Sizes of {what} as their files say, before the camera\u{2019}s orientation is applied.{lost}"
    );
    let content = match Plot::of(&sizes) {
        Some(plot) => format!("<div class=\"side-by-side\">\n{}{}</div>\n", plot.draw(), table(&sizes)),
        None => String::new(),
    };
    page_section("Image sizes", &note, &content)
}

fn sample(images: &[PathBuf], seed: u64) -> Vec<&Path> {
    if images.len() <= MOST {
        return images.iter().map(PathBuf::as_path).collect();
    }
    let rows = rand::seq::index::sample(&mut rng(seed, Stream::Shuffle, 0, 1), images.len(), MOST);
    rows.into_iter().map(|row| images[row].as_path()).collect()
}

/// Of which images something is told.
fn which(read: usize, all: usize) -> String {
    if read == all {
        format!("all {} images", thousands(all))
    } else {
        format!("{} images, drawn at random from {}", thousands(read), thousands(all))
    }
}

fn table(sizes: &[(u32, u32)]) -> String {
    let range = |numbers: Vec<u32>| Range::of(numbers).map_or(String::new(), |range| range.to_string());
    let count = |keep: fn(&(u32, u32)) -> bool| thousands(sizes.iter().filter(|size| keep(size)).count());
    let rows = [
        ("width", range(sizes.iter().map(|size| size.0).collect())),
        ("height", range(sizes.iter().map(|size| size.1).collect())),
        ("wider than high", count(|(width, height)| width > height)),
        ("higher than wide", count(|(width, height)| width < height)),
        ("square", count(|(width, height)| width == height)),
    ];
    let rows = rows.map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n"));
    format!("<div class=\"wide\"><table><tbody>\n{}</tbody></table></div>\n", rows.concat())
}

/// Images counted in cells, both axes logarithmic and alike, so that square images lie on the diagonal.
struct Plot {
    /// Logarithms of the least and the largest side.
    low: f64,
    high: f64,
    /// Rows from the least height on.
    cells: Vec<[usize; CELLS]>,
}

impl Plot {
    /// None of no images.
    fn of(sizes: &[(u32, u32)]) -> Option<Self> {
        let sides = || sizes.iter().flat_map(|&(width, height)| [width, height]).map(f64::from);
        let least = sides().min_by(f64::total_cmp)?;
        let largest = sides().max_by(f64::total_cmp)?;
        // Some room, so that a single size has a place too.
        let (low, high) = ((0.8 * least).ln(), (1.25 * largest).ln());
        let mut plot = Self { low, high, cells: vec![[0; CELLS]; CELLS] };
        for &(width, height) in sizes {
            let [x, y] = [width, height].map(|side| plot.place(f64::from(side)) as usize);
            plot.cells[y][x] += 1;
        }
        Some(plot)
    }

    /// In cells from the axis.
    fn place(&self, side: f64) -> f64 {
        CELLS as f64 * (side.ln() - self.low) / (self.high - self.low)
    }

    /// The least and the first excluded size of a cell.
    fn sides(&self, cell: usize) -> (f64, f64) {
        let side = |at: usize| (self.low + (self.high - self.low) * at as f64 / CELLS as f64).exp();
        (side(cell), side(cell + 1))
    }

    fn draw(&self) -> String {
        let side = CELL * CELLS as f64;
        let (width, height) = (LEFT + side + 10.0, side + BOTTOM + 6.0);
        let (top, bottom) = (6.0, 6.0 + side);
        let mut svg = format!(
            "<svg class=\"fits\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             font-size=\"12\">\n<title>Images by width and height</title>\n\
             <desc>The table beside the drawing has the ranges.</desc>\n"
        );
        for tick in self.ticks() {
            let at = CELL * self.place(f64::from(tick));
            let label = thousands(tick as usize);
            line(&mut svg, "chart-grid", (LEFT + at, top), (LEFT + at, bottom));
            line(&mut svg, "chart-grid", (LEFT, bottom - at), (LEFT + side, bottom - at));
            text(&mut svg, (LEFT + at, bottom + 17.0), "middle", &label);
            text(&mut svg, (LEFT - 6.0, bottom - at + 4.0), "end", &label);
        }
        line(&mut svg, "chart-grid", (LEFT, bottom), (LEFT + side, top));
        let most = self.cells.iter().flatten().max().copied().unwrap_or(1) as f64;
        for (y, row) in self.cells.iter().enumerate() {
            for (x, &images) in row.iter().enumerate().filter(|(_, images)| **images > 0) {
                let shade = 0.25 + 0.75 * (images as f64).ln_1p() / most.ln_1p();
                let [(left, right), (low, high)] = [self.sides(x), self.sides(y)];
                svg += &format!(
                    "<rect class=\"there\" fill-opacity=\"{shade:.2}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{CELL}\" height=\"{CELL}\">\
                     <title>{left:.0} to {right:.0} wide, {low:.0} to {high:.0} high: {} images</title></rect>\n",
                    LEFT + CELL * x as f64,
                    bottom - CELL * (y + 1) as f64,
                    thousands(images)
                );
            }
        }
        svg +=
            &format!("<rect class=\"frame\" x=\"{LEFT}\" y=\"{top}\" width=\"{side}\" height=\"{side}\"/>\n");
        text(&mut svg, (LEFT + side / 2.0, bottom + 36.0), "middle", "width [px]");
        svg += &format!(
            "<text class=\"chart-ink\" text-anchor=\"middle\" transform=\"translate(11 {:.1}) rotate(-90)\">height [px]</text>\n",
            top + side / 2.0
        );
        svg + "</svg>\n"
    }

    /// Round sizes within the axes: 1, 2 and 5 times powers of ten, more of them where the axes are short.
    fn ticks(&self) -> Vec<u32> {
        let within = |tick: &u32| (self.low..self.high).contains(&f64::from(*tick).ln());
        let times = |factors: &[u32]| -> Vec<u32> {
            (0..9)
                .flat_map(|power| factors.iter().map(move |factor| factor * 10u32.pow(power)))
                .filter(within)
                .collect()
        };
        let few = times(&[1, 2, 4]);
        if few.len() >= 4 { few } else { times(&[1, 2, 3, 4, 5, 6, 8]) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{Shape, annotations, assert_near, of_class, rows, shapes};
    use super::*;

    #[test]
    fn every_image_is_counted_in_the_cell_of_its_size() {
        let plot = Plot::of(&[(640, 480), (640, 480), (1, 1), (10_000, 3)]).unwrap();
        assert_eq!(plot.cells.iter().flatten().sum::<usize>(), 4);
        let [x, y] = [640.0, 480.0].map(|side| plot.place(side) as usize);
        assert_eq!(plot.cells[y][x], 2);
        let (from, to) = plot.sides(x);
        assert!(from <= 640.0 && 640.0 < to, "{from} {to}");
        assert!(Plot::of(&[]).is_none());
    }

    #[test]
    fn images_of_one_size_have_an_axis_with_round_numbers() {
        let plot = Plot::of(&[(224, 224); 3]).unwrap();
        assert_eq!(plot.ticks(), [200]);
        assert!(!plot.draw().contains("NaN"));
        assert_eq!(Plot::of(&[(200, 150), (640, 640)]).unwrap().ticks(), [200, 300, 400, 500, 600]);
    }

    #[test]
    fn of_very_many_images_a_seeded_sample_is_read() {
        let images: Vec<PathBuf> = (0..MOST + 5).map(|row| row.to_string().into()).collect();
        assert_eq!(sample(&images, 1).len(), MOST);
        assert_eq!(sample(&images, 1), sample(&images, 1));
        assert_ne!(sample(&images, 1), sample(&images, 2));
        assert_eq!(sample(&images[..3], 1).len(), 3);
    }

    /// A drawing, read back: its shapes and its frame.
    struct Drawn {
        shapes: Vec<Shape>,
        left: f64,
        top: f64,
        right: f64,
        bottom: f64,
    }

    impl Drawn {
        /// Of five images of 100 × 400 pixels, two of 300 × 150 and one of 800 × 800.
        fn new() -> Self {
            let sizes = [vec![(100, 400); 5], vec![(300, 150); 2], vec![(800, 800)]].concat();
            let shapes = shapes(&Plot::of(&sizes).unwrap().draw());
            let [left, top, right, bottom] = of_class(&shapes, "rect", "frame")[0].sides();
            assert!(0.0 < left && 0.0 < top && right - left == bottom - top);
            Self { shapes, left, top, right, bottom }
        }

        /// How far along an axis a size lies. Both are logarithmic and reach from a fifth below the least side to
        /// a quarter above the largest.
        fn along(&self, side: f64) -> f64 {
            let (least, largest) = (80.0_f64, 1000.0_f64);
            (self.right - self.left) * (side / least).ln() / (largest / least).ln()
        }

        fn texts(&self) -> Vec<&Shape> {
            of_class(&self.shapes, "text", "chart-ink")
        }
    }

    #[test]
    fn lines_and_their_labels_lie_where_their_size_does() {
        let drawn = Drawn::new();
        let Drawn { left, top, right, bottom, .. } = drawn;
        let (lines, texts) = (of_class(&drawn.shapes, "line", "chart-grid"), drawn.texts());
        let (diagonal, lines) = lines.split_last().unwrap();
        assert_eq!(diagonal.numbers(["x1", "y1", "x2", "y2"]), [left, bottom, right, top]);
        assert!(lines.len() >= 8 && texts.len() == lines.len() + 2);
        for (pair, labels) in lines.chunks(2).zip(texts.chunks(2)) {
            let at = drawn.along(labels[0].words.replace(',', "").parse().unwrap());
            assert_eq!(labels[0].words, labels[1].words);
            let [upright, level] = [pair[0], pair[1]].map(|line| line.numbers(["x1", "y1", "x2", "y2"]));
            assert_near(upright[0], left + at);
            assert_eq!(upright, [upright[0], top, upright[0], bottom]);
            assert_near(level[1], bottom - at);
            assert_eq!(level, [left, level[1], right, level[1]]);
            // Below its line, and left of it in the middle of the letters' height.
            let [below, beside] = [labels[0], labels[1]].map(|text| text.numbers(["x", "y"]));
            assert_near(below[0], left + at);
            assert!((12.0..20.0).contains(&(below[1] - bottom)) && labels[0].has("text-anchor", "middle"));
            assert!((4.0..10.0).contains(&(left - beside[0])) && labels[1].has("text-anchor", "end"));
            assert_near(beside[1] - 4.0, bottom - at);
        }
    }

    #[test]
    fn the_axes_are_named_beside_their_labels_and_everything_has_room() {
        let drawn = Drawn::new();
        let [width, height] = drawn.shapes[0].numbers(["width", "height"]);
        assert!((4.0..16.0).contains(&(width - drawn.right)), "{width} {}", drawn.right);
        let texts = drawn.texts();
        let [.., across, up] = texts[..] else { panic!("names of the axes") };
        assert_eq!((&*across.words, &*up.words), ("width [px]", "height [px]"));
        let [x, y] = across.numbers(["x", "y"]);
        assert_near(x, (drawn.left + drawn.right) / 2.0);
        assert!(y > drawn.bottom + 20.0 + 12.0 && (4.0..12.0).contains(&(height - y)), "{y} {height}");
        assert_eq!(up.moved(), [11.0, (drawn.top + drawn.bottom) / 2.0, -90.0]);
    }

    #[test]
    fn cells_lie_where_the_sizes_of_their_images_do_and_are_darker_the_more_they_are() {
        let drawn = Drawn::new();
        let cells = of_class(&drawn.shapes, "rect", "there");
        assert_eq!(cells.len(), 3);
        let shade = |count: usize, (wide, high): (f64, f64)| {
            let (x, y) = (drawn.left + drawn.along(wide), drawn.bottom - drawn.along(high));
            let is_here = |cell: &&&Shape| {
                let [left, top, right, bottom] = cell.sides();
                (left..right).contains(&x) && (top..bottom).contains(&y)
            };
            let cell = cells.iter().find(is_here).unwrap();
            assert!(cell.words.ends_with(&format!(" high: {count} images")), "{}", cell.words);
            cell.number("fill-opacity")
        };
        let (few, more, most) =
            (shade(1, (800.0, 800.0)), shade(2, (300.0, 150.0)), shade(5, (100.0, 400.0)));
        assert!(0.3 < few && few + 0.1 < more && more + 0.1 < most && most == 1.0, "{few} {more} {most}");
    }

    #[test]
    fn the_table_has_ranges_and_counts_of_shapes() {
        let sizes = [(20, 10), (30, 10), (40, 15), (10, 50), (10, 60), (7, 7)];
        assert_eq!(
            rows(&table(&sizes)),
            [
                ["width", "7 to 40 (median 20)"],
                ["height", "7 to 60 (median 15)"],
                ["wider than high", "3"],
                ["higher than wide", "2"],
                ["square", "1"],
            ]
        );
    }

    #[test]
    fn it_is_said_of_which_images_sizes_were_read() {
        assert_eq!(which(2, 2), "all 2 images");
        assert_eq!(which(20_000, 123_456), "20,000 images, drawn at random from 123,456");
        let page = section(&annotations(&["cat"], &[1, 0]), 0);
        assert!(page.contains("Sizes of all 2 images as their files say"), "{page}");
        assert!(page.contains(" 2 could not be read.") && !page.contains("<svg"), "{page}");
    }
}
