//! How lines look: color, dashes and marker, so that no two of a chart look alike.

use sarb_labels::svg::COLORS;

/// Which of the looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Styled {
    /// The line that the others are compared with: the ink's color, thicker.
    Emphasized,
    /// Any other, by its number.
    Line(usize),
}

/// The look of one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Style {
    /// Class of its group, which sets the color.
    pub class: String,
    shape: usize,
    hollow: bool,
    dashes: &'static str,
    width: f64,
}

impl Style {
    /// The look of a line.
    pub fn of(line: Styled) -> Self {
        let Styled::Line(number) = line else {
            return Self { class: "chart-first".into(), shape: 0, hollow: false, dashes: "", width: 2.6 };
        };
        let (color, round) = (number % COLORS.len(), number / COLORS.len());
        // The next round of colors has other shapes as well, hollow and dashed.
        Self {
            class: format!("chart-{color}"),
            shape: (color + 1 + round) % SHAPES,
            hollow: round % 2 == 1,
            dashes: ["", "6 3", "2 3"][round % 3],
            width: 1.6,
        }
    }

    /// Width and dashes as attributes.
    pub fn stroke(&self) -> String {
        let dashes = if self.dashes.is_empty() {
            String::new()
        } else {
            format!(" stroke-dasharray=\"{}\"", self.dashes)
        };
        format!("stroke-width=\"{}\" stroke-linejoin=\"round\"{dashes}", self.width)
    }
}

const SHAPES: usize = 7;

/// A marker around a place; all have about the same area.
pub fn marker(style: &Style, (x, y): (f64, f64)) -> String {
    let scale = if style.class == "chart-first" { 1.25 } else { 1.0 };
    let polygon = |corners: &[(f64, f64)]| {
        let points = corners.iter().map(|(dx, dy)| format!("{:.1},{:.1}", x + scale * dx, y + scale * dy));
        format!("<polygon points=\"{}\"", points.collect::<Vec<_>>().join(" "))
    };
    let shape = match style.shape {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{:.1}\"", 3.6 * scale),
        1 => polygon(&[(-3.2, -3.2), (3.2, -3.2), (3.2, 3.2), (-3.2, 3.2)]),
        2 => polygon(&[(0.0, -4.6), (4.3, 3.2), (-4.3, 3.2)]),
        3 => polygon(&[(0.0, -4.6), (4.6, 0.0), (0.0, 4.6), (-4.6, 0.0)]),
        4 => polygon(&[(0.0, 4.6), (4.3, -3.2), (-4.3, -3.2)]),
        5 => polygon(&[(-4.6, 0.0), (3.2, 4.3), (3.2, -4.3)]),
        _ => polygon(&[(4.6, 0.0), (-3.2, 4.3), (-3.2, -4.3)]),
    };
    let fill = if style.hollow { "class=\"chart-page\"" } else { "fill=\"currentColor\"" };
    format!("{shape} {fill} stroke=\"currentColor\" stroke-width=\"1.2\"/>\n")
}

/// Colors for light pages, and for dark ones where the reader prefers them.
pub fn style_sheet() -> String {
    format!("{}@media (prefers-color-scheme:dark){{{}}}", colors(false), colors(true))
}

/// Colors for dark pages or for light ones, which paper is.
pub fn colors(dark: bool) -> String {
    let [page, ink, grid, axis] = match dark {
        true => ["#16181d", "#ececec", "#33363d", "#8a8d94"],
        false => ["#ffffff", "#1b1b1b", "#e3e3e3", "#8a8a8a"],
    };
    let color = |(light, night): (&'static str, &'static str)| if dark { night } else { light };
    let lines = COLORS.iter().enumerate().map(|(at, pair)| format!(".chart-{at}{{color:{}}}", color(*pair)));
    format!(
        ".chart-page{{fill:{page}}}.chart-ink{{fill:{ink}}}.chart-grid{{stroke:{grid}}}\
         .chart-axis{{stroke:{axis}}}.chart-first{{color:{ink}}}{}",
        lines.collect::<String>()
    )
}
