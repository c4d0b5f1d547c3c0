//! Which categories stand together, as a table of shades.

use super::layout::{section as page_section, short};
use crate::annotations::Annotations;
use crate::cooccurrence::PairCounts;
use crate::inspect::Inspection;
use crate::text::{escape_xml, thousands};

/// Most categories that are drawn.
const MOST: usize = 80;
/// Up to here a cell has room for its number.
const WITH_NUMBERS: usize = 20;
/// Shades: from which share in percent on, and how dark.
const SHADES: [(f64, f64); 7] =
    [(0.0, 0.06), (1.0, 0.14), (2.0, 0.24), (5.0, 0.36), (10.0, 0.48), (20.0, 0.62), (50.0, 0.95)];
/// Wide enough for a character of the labels' size in any sans-serif face.
const CHARACTER: f64 = 6.6;

/// The heat map, and the pairs that stand together most often.
pub(super) fn section(annotations: &Annotations, inspection: &Inspection) -> String {
    let (all, columns) = (annotations.categories.len(), most_frequent(inspection, MOST));
    let labels = annotations.labels.select_categories(&columns);
    let names: Vec<&str> = columns.iter().map(|&column| annotations.categories[column].as_str()).collect();
    let which = if all > names.len() {
        format!(" The {} categories with most positives, of {}.", names.len(), thousands(all))
    } else {
        String::new()
    };
    let note = format!(
        "How often the category of a column is there where that of the row is, in percent of the images in which it is \
         known. Hatched: no such image.{which}"
    );
    let content = format!(
        "<div class=\"wide\">\n{}</div>\n{}{}",
        draw(&names, &PairCounts::of(&labels)),
        legend(),
        pairs(inspection)
    );
    page_section("Categories together", &note, &content)
}

/// The columns with most known positives, in column order.
fn most_frequent(inspection: &Inspection, most: usize) -> Vec<usize> {
    let mut columns: Vec<usize> = (0..inspection.per_category.len()).collect();
    columns.sort_by_key(|&column| std::cmp::Reverse(inspection.per_category[column].positive));
    columns.truncate(most);
    columns.sort_unstable();
    columns
}

fn draw(names: &[&str], counts: &PairCounts) -> String {
    let count = names.len();
    let cell = match count {
        0..=WITH_NUMBERS => 30.0,
        21..=40 => 18.0,
        _ => 12.0,
    };
    let font = if cell < 13.0 { 10.0 } else { 12.0 };
    let labels: Vec<String> = names.iter().map(|name| short(name)).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
    let label = (CHARACTER * longest * font / 11.0 + 10.0).ceil();
    // Above narrow columns the labels stand upright, lest they run into each other.
    let turn = if cell < 18.0 { 90.0 } else { 45.0_f64 };
    let (sine, cosine) = turn.to_radians().sin_cos();
    let (left, top, side) = (label, (sine * label + 8.0).ceil(), cell * count as f64);
    let (width, height) = (left + side + cosine * label + 2.0, top + side + 2.0);
    let mut svg = format!(
        "<svg width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         font-size=\"{font}\">\n<title>Categories together</title>\n\
         <desc>The table below the drawing lists the pairs that stand together most often.</desc>\n\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
         <path class=\"chart-grid\" d=\"M0 6L6 0\"/></pattern></defs>\n"
    );
    for (at, name) in labels.iter().enumerate() {
        let (name, middle) = (escape_xml(name), cell * (at as f64 + 0.5) + 0.35 * font);
        svg += &format!(
            "<text class=\"chart-ink\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>\
             <text class=\"chart-ink\" transform=\"translate({:.1} {:.1}) rotate(-{turn})\">{name}</text>\n",
            left - 6.0,
            top + middle,
            left + middle,
            top - 5.0
        );
    }
    for i in 0..count {
        let at = cell * i as f64;
        svg += &format!(
            "<rect class=\"open\" x=\"{:.1}\" y=\"{:.1}\" width=\"{cell}\" height=\"{cell}\"/>\n",
            left + at,
            top + at
        );
        for j in (0..count).filter(|&j| j != i) {
            let place = (left + cell * j as f64, top + cell * i as f64);
            svg += &draw_cell(
                place,
                cell,
                [names[i], names[j]],
                (counts.both(i, j), counts.positive_and_known(i, j)),
            );
        }
    }
    svg += &format!(
        "<rect class=\"frame\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{side:.1}\" height=\"{side:.1}\"/>\n</svg>\n"
    );
    svg
}

/// A cell of its shade; one of never is left empty.
fn draw_cell((x, y): (f64, f64), side: f64, [row, column]: [&str; 2], (both, known): (u32, u32)) -> String {
    let at = format!("x=\"{x:.0}\" y=\"{y:.0}\" width=\"{side}\" height=\"{side}\"");
    if known == 0 {
        return format!("<rect fill=\"url(#hatch)\" {at}/>\n");
    }
    if both == 0 {
        return String::new();
    }
    let percent = 100.0 * f64::from(both) / f64::from(known);
    let shade = SHADES.iter().rev().find(|(from, _)| percent >= *from).map_or(0.0, |(_, shade)| *shade);
    let (row, column) = (escape_xml(row), escape_xml(column));
    let mut cell = format!(
        "<rect class=\"there\" fill-opacity=\"{shade}\" {at}><title>{column} where {row} is: {percent:.1} % \
         ({both} of {known} images)</title></rect>\n"
    );
    if side >= 30.0 {
        let class = if shade > 0.9 { "on-dark" } else { "chart-ink" };
        let number = if percent < 1.0 { "&lt;1".to_owned() } else { format!("{percent:.0}") };
        cell += &format!(
            "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" pointer-events=\"none\">{number}</text>\n",
            x + side / 2.0,
            y + side / 2.0 + 4.0
        );
    }
    cell
}

/// The shades and what they stand for.
fn legend() -> String {
    const STEP: f64 = 46.0;
    let width = STEP * SHADES.len() as f64 + 40.0;
    let steps = SHADES.iter().enumerate().map(|(at, (from, shade))| {
        let (x, label) = (STEP * at as f64, if at == 0 { "&gt;0".to_owned() } else { from.to_string() });
        format!(
            "<rect class=\"there\" fill-opacity=\"{shade}\" x=\"{x}\" width=\"{STEP}\" height=\"12\"/>\
             <text class=\"chart-ink\" x=\"{x}\" y=\"27\">{label}</text>"
        )
    });
    format!(
        "<svg class=\"fits legend\" width=\"{width}\" height=\"32\" viewBox=\"0 0 {width} 32\" font-size=\"12\" \
         aria-hidden=\"true\">{}<text class=\"chart-ink\" x=\"{}\" y=\"27\">100 %</text></svg>\n",
        steps.collect::<String>(),
        STEP * SHADES.len() as f64
    )
}

/// The pairs that stand together most often.
fn pairs(inspection: &Inspection) -> String {
    if inspection.pairs.is_empty() {
        return "<p>No two categories are known to be there together.</p>\n".into();
    }
    let rows: String = inspection
        .pairs
        .iter()
        .map(|pair| {
            format!(
                "<tr><th scope=\"row\">{} + {}</th><td class=\"number\">{}</td><td class=\"number\">{:.1} %</td>\
                 <td class=\"number\">{:.1} %</td></tr>\n",
                escape_xml(&pair.first),
                escape_xml(&pair.second),
                thousands(pair.images),
                100.0 * pair.second_given_first,
                100.0 * pair.first_given_second
            )
        })
        .collect();
    let headings: String = ["images", "second if first", "first if second"]
        .map(|heading| format!("<th scope=\"col\" class=\"number\">{heading}</th>"))
        .concat();
    format!(
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">most often together</th>{headings}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_shaded_by_its_share_empty_if_never_and_hatched_if_unknown() {
        let cell = |both, known| draw_cell((0.0, 0.0), 30.0, ["a<", "b"], (both, known));
        assert!(cell(1, 4).contains("fill-opacity=\"0.62\""), "{}", cell(1, 4));
        assert!(cell(1, 4).contains("b where a&lt; is: 25.0 % (1 of 4 images)"));
        assert!(cell(1, 4).contains("class=\"chart-ink\"") && cell(1, 4).contains(">25</text>"));
        assert!(cell(3, 4).contains("class=\"on-dark\"") && cell(3, 4).contains(">75</text>"));
        assert!(cell(1, 1000).contains("fill-opacity=\"0.06\"") && cell(1, 1000).contains("&lt;1"));
        assert_eq!(cell(0, 4), "");
        assert!(cell(0, 0).contains("hatch"));
    }
}
