//! Line charts as SVG: panels with a shared legend, readable on light and dark pages, in colors that
//! color-blind people tell apart and with a marker of its own for each line.

mod style;

use std::fmt::Write;

use sarb_labels::svg::{line, text, ticks};
use sarb_labels::text::escape_xml;

use style::{Style, Styled, marker};

pub use style::{colors, style_sheet};

/// Panels of lines with one legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Its name in files.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// What has to be known to read it.
    pub caption: String,
    /// What the horizontal axis measures.
    pub x_label: String,
    /// What the vertical axis measures.
    pub y_label: String,
    /// Names of the lines, in the order of the legend.
    pub names: Vec<String>,
    /// The line that stands out.
    pub emphasis: Option<usize>,
    /// Whether points carry markers.
    pub markers: bool,
    /// The panels, three in a row.
    pub panels: Vec<Panel>,
}

/// One coordinate system.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What sets it apart from the others; empty where there is one.
    pub title: String,
    /// Places and labels on the horizontal axis.
    pub x_ticks: Vec<(f64, String)>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// Whether both axes measure the same, so that a dashed line shows where they are equal.
    pub diagonal: bool,
}

/// The points of one line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Index into the chart's names.
    pub name: usize,
    /// From left to right.
    pub points: Vec<Point>,
}

/// A point, with what it may be off by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Place on the horizontal axis.
    pub x: f64,
    /// Place on the vertical axis.
    pub y: f64,
    /// Length of the error bar to either side.
    pub deviation: Option<f64>,
}

/// Sizes in pixels.
const LEFT: f64 = 58.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
const GAP: f64 = 18.0;
const LEGEND_LINE: f64 = 20.0;
const LEGEND_SAMPLE: f64 = 30.0;
/// Wide enough for a character of the legend's size in any sans-serif face.
const CHARACTER: f64 = 7.2;
const COLUMNS: usize = 3;
/// Width and height of the panel of a small drawing.
const SMALL: (f64, f64) = (264.0, 176.0);
const SMALL_TOP: f64 = 10.0;

/// Where a panel's coordinates lie on the page.
struct Frame {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: (f64, f64),
    y: (f64, f64),
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        self.left + self.width * (value - self.x.0) / (self.x.1 - self.x.0)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + self.height * (self.y.1 - value) / (self.y.1 - self.y.0)
    }
}

impl Chart {
    /// The chart as a complete SVG file.
    pub fn to_svg(&self) -> String {
        let columns = self.panels.len().clamp(1, COLUMNS);
        let (panel_width, panel_height) = if self.panels.len() > 1 { (236.0, 180.0) } else { (480.0, 320.0) };
        let (cell_width, cell_height) = (LEFT + panel_width + GAP, TOP + panel_height + BOTTOM);
        let legend_left = columns as f64 * cell_width + 4.0;
        let longest = self.names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        let width = legend_left + LEGEND_SAMPLE + 10.0 + CHARACTER * longest as f64 + GAP;
        let legend_height = TOP + LEGEND_LINE * self.names.len() as f64 + GAP;
        let height = legend_height.max(self.panels.len().div_ceil(columns) as f64 * cell_height);

        let mut svg = self.head(width, height);
        for (at, panel) in self.panels.iter().enumerate() {
            let (column, row) = (at % columns, at / columns);
            let frame = Frame {
                left: LEFT + column as f64 * cell_width,
                top: TOP + row as f64 * cell_height,
                width: panel_width,
                height: panel_height,
                x: panel.x_range(),
                y: panel.y_range(),
            };
            // Each label stands once a row of panels, and below the last panel of a column.
            let y_label = if column == 0 { self.y_label.as_str() } else { "" };
            let x_label = if at + columns >= self.panels.len() { self.x_label.as_str() } else { "" };
            self.draw_panel(&mut svg, panel, &frame, x_label, y_label);
        }
        self.draw_legend(&mut svg, legend_left);
        svg + "</svg>\n"
    }

    /// The first panel alone, readable on a telephone, for a page that has the [`style_sheet`] and shows the
    /// [`legend`](Self::legend) itself.
    pub fn to_small_svg(&self) -> String {
        let (width, height) = (LEFT + SMALL.0 + GAP, SMALL_TOP + SMALL.1 + BOTTOM);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" font-size=\"12\">\n",
            escape_xml(&format!("{}: {}", self.title, self.caption))
        );
        if let Some(panel) = self.panels.first() {
            let (x, y) = (panel.x_range(), panel.y_range());
            let frame = Frame { left: LEFT, top: SMALL_TOP, width: SMALL.0, height: SMALL.1, x, y };
            self.draw_panel(&mut svg, panel, &frame, &self.x_label, &self.y_label);
        }
        svg + "</svg>\n"
    }

    /// The legend as an HTML list, of the lines that are drawn.
    pub fn legend(&self) -> String {
        let drawn = |name: &usize| self.panels.iter().flat_map(|panel| &panel.lines).any(|l| l.name == *name);
        let item = |name: usize| {
            let style = self.style(name);
            format!(
                "<li><svg class=\"{}\" width=\"{LEGEND_SAMPLE}\" height=\"12\" aria-hidden=\"true\"><path fill=\"none\" \
                 stroke=\"currentColor\" {} d=\"M0 6h{LEGEND_SAMPLE}\"/>{}</svg> <bdi>{}</bdi></li>",
                style.class,
                style.stroke(),
                if self.markers { marker(&style, (LEGEND_SAMPLE / 2.0, 6.0)) } else { String::new() },
                escape_xml(&self.names[name])
            )
        };
        let items: String = (0..self.names.len()).filter(drawn).map(item).collect();
        format!("<ul class=\"legend\">{items}</ul>\n")
    }

    fn head(&self, width: f64, height: f64) -> String {
        let (width, height) = (width.ceil(), height.ceil());
        let name = &self.name;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{name}-title {name}-desc\" \
             font-family=\"system-ui, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif\" font-size=\"12\">\n\
             <title id=\"{name}-title\">{}</title>\n<desc id=\"{name}-desc\">{}</desc>\n<style>{}</style>\n\
             <rect class=\"chart-page\" width=\"{width}\" height=\"{height}\"/>\n",
            escape_xml(&self.title),
            escape_xml(&self.caption),
            style_sheet()
        )
    }

    fn draw_panel(&self, svg: &mut String, panel: &Panel, frame: &Frame, x_label: &str, y_label: &str) {
        let Frame { left, top, width, height, .. } = *frame;
        let (middle, bottom) = (left + width / 2.0, top + height);
        let (ticks, decimals) = ticks(frame.y);
        for tick in ticks {
            let y = frame.y(tick);
            line(svg, "chart-grid", (left, y), (left + width, y));
            text(svg, (left - 8.0, y + 4.0), "end", &format!("{tick:.decimals$}"));
        }
        line(svg, "chart-axis", (left, bottom), (left + width, bottom));
        let mut free_from = f64::NEG_INFINITY;
        for (value, label) in &panel.x_ticks {
            let (x, half) = (frame.x(*value), CHARACTER * label.chars().count() as f64 / 2.0);
            line(svg, "chart-axis", (x, bottom), (x, bottom + 5.0));
            // A label that would run into the one before it is left out; its tick stays.
            if x - half >= free_from {
                text(svg, (x, bottom + 19.0), "middle", label);
                free_from = x + half + 4.0;
            }
        }
        text(svg, (middle, top - 10.0), "middle", &panel.title);
        text(svg, (middle, bottom + 38.0), "middle", x_label);
        if !y_label.is_empty() {
            let (x, y) = (left - LEFT + 14.0, top + height / 2.0);
            let _ = writeln!(
                svg,
                "<text class=\"chart-ink\" text-anchor=\"middle\" transform=\"translate({x:.1} {y:.1}) rotate(-90)\">{}</text>",
                escape_xml(y_label)
            );
        }
        if panel.diagonal {
            let (low, high) = (frame.x.0.max(frame.y.0), frame.x.1.min(frame.y.1));
            let _ = writeln!(
                svg,
                "<path class=\"chart-axis\" stroke-dasharray=\"4 4\" d=\"M{:.1} {:.1}L{:.1} {:.1}\"/>",
                frame.x(low),
                frame.y(low),
                frame.x(high),
                frame.y(high)
            );
        }
        // The line that stands out lies on top.
        let emphasized = |line: &&Line| Some(line.name) == self.emphasis;
        let (above, below): (Vec<&Line>, Vec<&Line>) = panel.lines.iter().partition(emphasized);
        below.into_iter().chain(above).for_each(|line| self.draw_line(svg, line, frame));
    }

    fn draw_line(&self, svg: &mut String, line: &Line, frame: &Frame) {
        let style = self.style(line.name);
        let places: Vec<(f64, f64)> =
            line.points.iter().map(|point| (frame.x(point.x), frame.y(point.y))).collect();
        let _ = writeln!(
            svg,
            "<g class=\"{}\"><title>{}</title>",
            style.class,
            escape_xml(&self.names[line.name])
        );
        let points: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"currentColor\" {} points=\"{}\"/>",
            style.stroke(),
            points.join(" ")
        );
        for point in &line.points {
            let Some(deviation) = point.deviation else { continue };
            let (x, high, low) =
                (frame.x(point.x), frame.y(point.y + deviation), frame.y(point.y - deviation));
            let _ = writeln!(
                svg,
                "<path fill=\"none\" stroke=\"currentColor\" d=\"M{x:.1} {high:.1}V{low:.1}M{:.1} {high:.1}h8M{:.1} {low:.1}h8\"/>",
                x - 4.0,
                x - 4.0
            );
        }
        // A line of one point is seen by its marker only.
        if self.markers || line.points.len() == 1 {
            places.iter().for_each(|place| svg.push_str(&marker(&style, *place)));
        }
        svg.push_str("</g>\n");
    }

    fn draw_legend(&self, svg: &mut String, left: f64) {
        for (name, label) in self.names.iter().enumerate() {
            let (style, y) = (self.style(name), TOP + 8.0 + LEGEND_LINE * name as f64);
            let _ = write!(
                svg,
                "<g class=\"{}\"><path fill=\"none\" stroke=\"currentColor\" {} d=\"M{left:.1} {y:.1}h{LEGEND_SAMPLE}\"/>",
                style.class,
                style.stroke()
            );
            if self.markers {
                svg.push_str(&marker(&style, (left + LEGEND_SAMPLE / 2.0, y)));
            }
            svg.push_str("</g>\n");
            text(svg, (left + LEGEND_SAMPLE + 8.0, y + 4.0), "start", label);
        }
    }

    fn style(&self, name: usize) -> Style {
        match self.emphasis {
            Some(emphasis) if emphasis == name => Style::of(Styled::Emphasized),
            Some(emphasis) if emphasis < name => Style::of(Styled::Line(name - 1)),
            _ => Style::of(Styled::Line(name)),
        }
    }
}

impl Panel {
    fn points(&self) -> impl Iterator<Item = &Point> {
        self.lines.iter().flat_map(|line| &line.points)
    }

    /// From the first to the last tick or point, with room at either end.
    fn x_range(&self) -> (f64, f64) {
        let ticks = self.x_ticks.iter().map(|(value, _)| *value);
        padded(self.points().map(|point| point.x).chain(ticks), 0.05)
    }

    /// From the lowest to the highest end of an error bar, with room at either end.
    fn y_range(&self) -> (f64, f64) {
        let ends = self.points().flat_map(|point| {
            let deviation = point.deviation.unwrap_or(0.0);
            [point.y - deviation, point.y + deviation]
        });
        padded(ends, 0.06)
    }
}

/// The range of `values`, widened by a share of itself; never empty.
fn padded(values: impl Iterator<Item = f64>, share: f64) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    match high - low {
        range if range > 0.0 && range.is_finite() => (low - share * range, high + share * range),
        _ if low.is_finite() => (low - low.abs().max(1.0) * 0.1, low + low.abs().max(1.0) * 0.1),
        _ => (0.0, 1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(names: usize) -> Chart {
        let line = |name: usize| Line {
            name,
            points: [0.1, 0.5].map(|x| Point { x, y: x + name as f64, deviation: Some(0.5) }).to_vec(),
        };
        Chart {
            name: "a".into(),
            title: "a < b".into(),
            caption: "b & c".into(),
            x_label: "x".into(),
            y_label: "y".into(),
            names: (0..names).map(|name| format!("system <{name}>")).collect(),
            emphasis: Some(0),
            markers: true,
            panels: vec![Panel {
                title: String::new(),
                x_ticks: vec![(0.1, "10".into()), (0.11, "11".into()), (0.5, "50".into())],
                lines: (0..names).map(line).collect(),
                diagonal: false,
            }],
        }
    }

    #[test]
    fn names_are_escaped_and_every_line_looks_different() {
        let svg = chart(20).to_svg();
        assert!(svg.contains("a &lt; b") && svg.contains("b &amp; c") && svg.contains("system &lt;7&gt;"));
        let looks: std::collections::HashSet<String> = (0..20)
            .map(|name| {
                let style = chart(20).style(name);
                format!("{}{}{}", style.class, style.stroke(), marker(&style, (0.0, 0.0)))
            })
            .collect();
        assert_eq!(looks.len(), 20);
    }

    #[test]
    fn labels_that_would_overlap_are_left_out() {
        let svg = chart(2).to_svg();
        assert!(svg.contains(">10</text>") && svg.contains(">50</text>") && !svg.contains(">11</text>"));
    }

    #[test]
    fn a_small_drawing_has_the_first_panel_and_a_legend_of_what_is_drawn() {
        let mut chart = chart(3);
        chart.panels[0].lines.remove(1);
        chart.panels[0].diagonal = true;
        let svg = chart.to_small_svg();
        assert!(
            svg.contains("aria-label=\"a &lt; b: b &amp; c\"") && svg.contains("stroke-dasharray=\"4 4\"")
        );
        assert_eq!((svg.matches("<polyline").count(), svg.contains("<style")), (2, false));
        let legend = chart.legend();
        assert!(
            legend.contains("<bdi>system &lt;2&gt;</bdi>") && !legend.contains("system &lt;1&gt;"),
            "{legend}"
        );
    }

    #[test]
    fn a_chart_without_a_point_or_range_is_still_a_chart() {
        assert_eq!(padded([].into_iter(), 0.1), (0.0, 1.0));
        assert_eq!(padded([50.0].into_iter(), 0.1), (45.0, 55.0));
        let mut chart = chart(1);
        chart.panels[0].lines.clear();
        assert!(!chart.to_svg().contains("NaN"));
    }
}
