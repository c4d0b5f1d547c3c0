//! What is known of each category, as a table with bars.

use super::layout::section as page_section;
use crate::inspect::{CategoryCounts, Inspection};
use crate::text::{escape_xml, share, thousands};

/// Most categories that are listed.
const MOST: usize = 1000;

/// The categories, those with most positives first.
pub(super) fn section(inspection: &Inspection) -> String {
    let mut categories: Vec<&CategoryCounts> = inspection.per_category.iter().collect();
    categories.sort_by_key(|category| std::cmp::Reverse(category.positive));
    categories.truncate(MOST);
    let largest = categories.first().map_or(0, |category| category.positive).max(1);
    let rows: String = categories.iter().map(|category| row(category, inspection.images, largest)).collect();
    let headings =
        [("", "category"), ("drawn", "of all images"), ("number", "known %"), ("drawn", "positives")];
    let headings =
        headings.into_iter().chain([("number", ""), ("number", "negatives"), ("number", "unknown")]);
    let headings: String =
        headings.map(|(class, name)| format!("<th scope=\"col\" class=\"{class}\">{name}</th>")).collect();
    let swatches: String = [("there", "there"), ("absent", "not there"), ("open", "unknown")]
        .map(|(class, name)| format!("<span class=\"swatch {class}\"></span>{name}"))
        .concat();
    let table = format!(
        "<p class=\"note\">First bar:{swatches}.</p>\n<div class=\"wide\"><table class=\"bars\">\n\
         <thead><tr>{headings}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    );
    let all = inspection.per_category.len();
    let which = if all > MOST {
        format!("The {MOST} of {} with most positives.", thousands(all))
    } else {
        String::new()
    };
    let note = format!(
        "The first bar shows in how many of all images the category is known to be there, known not to be there and \
         unknown; the second compares the numbers of its positives. {which}"
    );
    page_section("Categories", note.trim_end(), &table)
}

fn row(category: &CategoryCounts, images: usize, largest: usize) -> String {
    let CategoryCounts { name, known, positive, negative, unknown } = category;
    let number = |count: &usize| format!("<td class=\"number\">{}</td>", thousands(*count));
    let shares = bar(&[(*positive, "there"), (*negative, "absent"), (*unknown, "open")], images);
    let positives = bar(&[(*positive, "there")], largest);
    format!(
        "<tr><th scope=\"row\">{}</th><td>{shares}</td><td class=\"number\">{}</td><td>{positives}</td>{}{}{}</tr>\n",
        escape_xml(name),
        share(*known, images),
        number(positive),
        number(negative),
        number(unknown)
    )
}

/// A bar of parts of `whole`; the numbers beside it say the same, so that screen readers pass over it.
fn bar(parts: &[(usize, &str)], whole: usize) -> String {
    const WIDTH: f64 = 1000.0;
    let mut from = 0;
    let mut rectangles = String::new();
    for &(count, class) in parts {
        let place = |count: usize| WIDTH * count as f64 / whole.max(1) as f64;
        let (left, width) = (place(from), place(count));
        if count > 0 {
            rectangles +=
                &format!("<rect class=\"{class}\" x=\"{left:.1}\" width=\"{width:.1}\" height=\"10\"/>");
        }
        from += count;
    }
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{rectangles}</svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{annotations, rows};
    use super::*;

    #[test]
    fn the_parts_of_a_bar_fill_it() {
        let drawn = bar(&[(1, "there"), (0, "absent"), (3, "open")], 4);
        assert!(drawn.contains("class=\"there\" x=\"0.0\" width=\"250.0\""), "{drawn}");
        assert!(drawn.contains("class=\"open\" x=\"250.0\" width=\"750.0\""), "{drawn}");
        assert!(!drawn.contains("absent"));
        assert!(!bar(&[(0, "there")], 0).contains("rect"));
    }

    #[test]
    fn a_row_has_the_counts_of_its_category_and_bars_of_the_same() {
        let labels = annotations(&["rare", "a < b"], &[0, 1, -1, 1, 1, 1, 0, -1]);
        let page = section(&Inspection::of(&labels));
        let rows = rows(&page);
        assert_eq!(rows[1], ["a < b", "", "100.0", "", "3", "1", "0"]);
        assert_eq!(rows[2], ["rare", "", "50.0", "", "1", "1", "2"]);
        let bars: Vec<&str> = page.split("<svg class=\"bar\"").skip(1).collect();
        assert!(bars[2].contains("class=\"absent\" x=\"250.0\" width=\"250.0\""), "{}", bars[2]);
        // The second bar is relative to the largest number of positives.
        assert!(
            bars[1].contains("x=\"0.0\" width=\"1000.0\"") && bars[3].contains("x=\"0.0\" width=\"333.3\"")
        );
    }

    #[test]
    fn that_some_are_left_out_is_said_where_it_is_so() {
        let page = |count: usize| {
            let names: Vec<String> = (0..count).map(|category| category.to_string()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            section(&Inspection::of(&annotations(&names, &vec![1; count])))
        };
        assert!(!page(MOST).contains("with most positives"));
        assert!(page(MOST + 1).contains("The 1000 of 1,001 with most positives."));
    }
}
