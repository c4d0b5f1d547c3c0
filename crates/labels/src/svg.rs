//! The strokes that every drawing is made of, as SVG, and the colors that they share.

use std::fmt::Write;

use crate::text::escape_xml;

/// Colors on a light and on a dark page: Okabe and Ito's, which color-blind people tell apart,
/// without the yellow that a white page swallows.
pub const COLORS: [(&str, &str); 7] = [
    ("#0072b2", "#4da9e0"),
    ("#d55e00", "#ff8c42"),
    ("#009e73", "#34cfa0"),
    ("#b5518f", "#e79bc6"),
    ("#e69f00", "#f5c04a"),
    ("#56b4e9", "#9ad6f7"),
    ("#7a7a7a", "#b0b0b0"),
];

/// At least four round numbers in a range, as few as can be, and the decimals that tell them apart.
pub fn ticks((low, high): (f64, f64)) -> (Vec<f64>, usize) {
    let largest = 10f64.powf((high - low).log10().floor());
    let steps = [1.0, 0.5, 0.2, 0.1, 0.05].map(|factor| factor * largest);
    let between = |step: f64| ((low / step).ceil() as i64, (high / step).floor() as i64);
    let enough = |step: &f64| between(*step).1 - between(*step).0 >= 3;
    let step = steps.into_iter().find(enough).unwrap_or(steps[4]);
    let decimals = (-(step * 1.001).log10().floor()).clamp(0.0, 12.0) as usize;
    let (first, last) = between(step);
    ((first..=last).map(|number| number as f64 * step).collect(), decimals)
}

/// A line between two points; `class` gives its color.
pub fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

/// Words at a point; `anchor` is `start`, `middle` or `end`. Nothing for no words.
pub fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    if !words.is_empty() {
        let words = escape_xml(words);
        let _ = writeln!(
            svg,
            "<text class=\"chart-ink\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_within_the_range() {
        let (values, decimals) = ticks((47.2, 63.9));
        assert_eq!((values, decimals), ((24..32).map(|number| 2.0 * f64::from(number)).collect(), 0));
        let (values, decimals) = ticks((28.0, 95.0));
        assert_eq!((values.len(), values[0], decimals), (7, 30.0, 0));
        let (values, decimals) = ticks((0.012, 0.031));
        let shown: Vec<String> = values.iter().map(|value| format!("{value:.decimals$}")).collect();
        assert_eq!(shown, ["0.015", "0.020", "0.025", "0.030"]);
    }
    #[test]
    fn ticks_are_at_least_four_where_the_range_begins_at_a_power_of_ten() {
        let (values, decimals) = ticks((0.0, 1.0));
        assert_eq!((values.len(), values[5], decimals), (6, 1.0, 1), "0.0, 0.2 … 1.0");
        let (values, decimals) = ticks((0.0, 0.4));
        assert_eq!((values.len(), decimals), (5, 1), "0.0, 0.1 … 0.4");
    }

    #[test]
    fn strokes_are_rounded_and_words_escaped() {
        let mut svg = String::new();
        line(&mut svg, "grid", (0.04, 1.0), (2.26, 3.0));
        text(&mut svg, (1.0, 2.0), "middle", "cats & dogs");
        text(&mut svg, (1.0, 2.0), "middle", "");
        assert_eq!(
            svg,
            "<line class=\"grid\" x1=\"0.0\" y1=\"1.0\" x2=\"2.3\" y2=\"3.0\"/>\n\
             <text class=\"chart-ink\" x=\"1.0\" y=\"2.0\" text-anchor=\"middle\">cats &amp; dogs</text>\n"
        );
    }
}
