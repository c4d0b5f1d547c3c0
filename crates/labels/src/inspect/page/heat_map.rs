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
/// Side of a cell with a number, in pixels.
const LARGE: f64 = 30.0;
/// Shades: from which share in percent on, and how dark.
const SHADES: [(f64, f64); 7] =
    [(0.0, 0.06), (1.0, 0.14), (2.0, 0.24), (5.0, 0.36), (10.0, 0.48), (20.0, 0.62), (50.0, 0.95)];
/// From this shade on a number is written in the color of the page.
const DARK: f64 = 0.9;
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
    // Above narrow columns the labels stand upright, lest they run into each other.
    let (cell, font, turn) = match count {
        0..=WITH_NUMBERS => (LARGE, 12.0, 45.0_f64),
        21..=40 => (18.0, 12.0, 45.0),
        _ => (12.0, 10.0, 90.0),
    };
    let labels: Vec<String> = names.iter().map(|name| short(name)).collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0) as f64;
    let label = (CHARACTER * longest * font / 11.0 + 10.0).ceil();
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
    if side >= LARGE {
        let class = if shade >= DARK { "on-dark" } else { "chart-ink" };
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
    use super::super::drawing::{annotations, assert_near, of_class, rows, shapes};
    use super::*;

    #[test]
    fn a_cell_is_shaded_by_its_share_empty_if_never_and_hatched_if_unknown() {
        let cell = |both, known| draw_cell((0.0, 0.0), 30.0, ["a<", "b"], (both, known));
        assert!(cell(1, 4).contains("fill-opacity=\"0.62\""), "{}", cell(1, 4));
        assert!(cell(1, 4).contains("b where a&lt; is: 25.0 % (1 of 4 images)"));
        assert!(cell(1, 4).contains("class=\"chart-ink\"") && cell(1, 4).contains(">25</text>"));
        assert!(cell(3, 4).contains("class=\"on-dark\"") && cell(3, 4).contains(">75</text>"));
        assert!(cell(1, 1000).contains("fill-opacity=\"0.06\"") && cell(1, 1000).contains("&lt;1"));
        assert!(cell(1, 100).contains(">1</text>"));
        assert_eq!(cell(0, 4), "");
        assert!(cell(0, 0).contains("hatch"));
    }

    /// Every second pair stands together, of the others nothing is known.
    fn drawn(count: usize, name: impl Fn(usize) -> String) -> (Vec<String>, String) {
        let names: Vec<String> = (0..count).map(name).collect();
        let values: Vec<i8> = (0..2)
            .flat_map(|image| (0..count).map(move |category| i8::from(category % 2 == image)))
            .collect();
        let labels = crate::labels::LabelMatrix::from_values(count, &values);
        let borrowed: Vec<&str> = names.iter().map(String::as_str).collect();
        let svg = draw(&borrowed, &PairCounts::of(&labels));
        (names, svg)
    }

    #[test]
    fn cells_tile_the_frame_each_in_the_row_and_column_of_its_names() {
        for (count, cell) in
            [(3, 30.0), (WITH_NUMBERS, 30.0), (WITH_NUMBERS + 1, 18.0), (40, 18.0), (41, 12.0)]
        {
            let (names, svg) = drawn(count, |at| format!("<{at}>"));
            let shapes = shapes(&svg);
            let [left, top, right, bottom] = of_class(&shapes, "rect", "frame")[0].sides();
            let side = (right - left) / count as f64;
            assert_eq!((side, bottom - top), (cell, right - left));
            let mut taken = vec![vec![0; count]; count];
            for cell in shapes.iter().filter(|it| it.name == "rect" && !it.has("class", "frame")) {
                let [x, y, x2, y2] = cell.sides();
                assert_eq!((x2 - x, y2 - y), (side, side));
                let [i, j] = [(y - top) / side, (x - left) / side];
                assert_eq!((i.fract(), j.fract()), (0.0, 0.0), "{cell:?}");
                let (i, j) = (i as usize, j as usize);
                taken[i][j] += 1;
                // A category with itself is gray, one that never meets another hatched.
                let there = cell.has("class", "there");
                assert_eq!(
                    (there, cell.has("class", "open")),
                    (i != j && (i + j) % 2 == 0, i == j),
                    "{cell:?}"
                );
                let told = format!("{} where {} is: 100.0 % (1 of 1 images)", names[j], names[i]);
                assert_eq!(cell.words, if there { &*told } else { "" });
            }
            assert!(taken.iter().flatten().all(|cells| *cells == 1), "{count}");
            let numbers = of_class(&shapes, "text", "on-dark");
            assert_eq!(numbers.is_empty(), count > WITH_NUMBERS);
        }
    }

    #[test]
    fn labels_stand_at_their_row_and_column_and_have_the_room_that_they_take() {
        for (count, letters) in [(3, 1), (3, 24), (21, 9), (41, 2), (41, 24)] {
            let (names, svg) = drawn(count, |at| format!("{at:0letters$}"));
            let shapes = shapes(&svg);
            let [left, top, right, bottom] = of_class(&shapes, "rect", "frame")[0].sides();
            let [width, height, font] = shapes[0].numbers(["width", "height", "font-size"]);
            let cell = (right - left) / count as f64;
            assert_eq!(font, if cell > 14.0 { 12.0 } else { 10.0 }, "lines need more than their letters");
            // How far a label reaches: that of two digits for names of one letter.
            let length = CHARACTER * letters.max(names.last().unwrap().len()) as f64 * font / 11.0;
            let labels = of_class(&shapes, "text", "chart-ink");
            for (at, (pair, name)) in labels.chunks(2).zip(&names).enumerate() {
                let middle = cell * (at as f64 + 0.5);
                assert_eq!([&pair[0].words, &pair[1].words], [name; 2]);
                // A line of text is highest above its base line by 0.7 of its size.
                let [x, base] = pair[0].numbers(["x", "y"]);
                assert!(pair[0].has("text-anchor", "end"));
                assert_near(base - 0.35 * font, top + middle);
                assert!((4.0..8.0).contains(&(left - x)) && (0.0..8.0).contains(&(x - length)), "{pair:?}");
                let [base, y, turn] = pair[1].moved();
                let (sine, cosine) = (-turn).to_radians().sin_cos();
                assert_near(base - 0.35 * font, left + middle);
                assert!(cell * sine >= font, "labels of columns run into each other");
                assert!(
                    (4.0..8.0).contains(&(top - y)) && (0.0..14.0).contains(&(y - sine * length)),
                    "{pair:?}"
                );
                let room = width - (base + cosine * length).max(right);
                assert!(room >= 0.0 && (room < 24.0 || at + 1 < count), "{room} {pair:?}");
            }
            assert_eq!(labels.len(), 2 * count);
            assert!((1.0..4.0).contains(&(height - bottom)), "{height} {bottom}");
        }
    }

    #[test]
    fn the_legend_has_its_shades_side_by_side_over_what_they_stand_for() {
        let legend = legend();
        let shapes = shapes(&legend);
        let steps = of_class(&shapes, "rect", "there");
        let labels = of_class(&shapes, "text", "chart-ink");
        let mut end = 0.0;
        for (step, label) in steps.iter().zip(&labels) {
            let [left, right] = step.numbers(["x", "width"]);
            assert_eq!((left, label.number("x")), (end, left));
            end = left + right;
        }
        let words: Vec<&str> = labels.iter().map(|label| &*label.words).collect();
        assert_eq!(words, [">0", "1", "2", "5", "10", "20", "50", "100 %"]);
        assert_eq!((steps.len(), labels[7].number("x")), (7, end));
        let room = shapes[0].number("width") - end;
        assert!((5.0 * CHARACTER..50.0).contains(&room), "{room}");
    }

    #[test]
    fn pairs_are_listed_and_the_section_says_of_which_categories_it_is() {
        let few = annotations(&["a", "b", "c<"], &[1, 1, 0, 1, -1, 0, 0, 1, 1, 1, 1, -1]);
        let page = section(&few, &Inspection::of(&few));
        assert_eq!(
            rows(&page),
            [
                vec!["most often together", "images", "second if first", "first if second"],
                vec!["a + b", "2", "66.7 %", "100.0 %"],
                vec!["b + c<", "1", "50.0 %", "100.0 %"],
            ]
        );
        assert!(!page.contains("with most positives") && page.contains("<title>Categories together</title>"));
        let apart = annotations(&["a", "b"], &[1, 0]);
        assert!(pairs(&Inspection::of(&apart)).contains("No two categories"));
    }
}
