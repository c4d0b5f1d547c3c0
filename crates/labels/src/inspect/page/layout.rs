//! The frame of the page: its style, its heading and the table of totals.

use crate::inspect::Inspection;
use crate::text::{escape_xml, share, thousands};

/// Colors are those of the report's charts, which color-blind people tell apart.
const STYLE: &str = "
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1b1b; --quiet: #5c5c5c; --rule: #d9d9d9;
  --there: #0072b2; --absent: #e0a070; --open: #efefef; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181d; --ink: #ececec; --quiet: #a5a8ae; --rule: #3a3d44;
    --there: #4da9e0; --absent: #a8683a; --open: #262930; }
}
* { box-sizing: border-box; }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif; }
h1 { font-size: 1.5rem; margin-bottom: 0.25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 3rem 0 0.25rem; }
.note, figcaption { color: var(--quiet); font-size: 0.92rem; max-width: 60rem; margin: 0.3rem 0 0.8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; font-size: 0.92rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 1.25rem 0.2rem 0; text-align: left; font-weight: normal; white-space: nowrap; }
thead th { border-bottom: 1px solid; vertical-align: bottom; }
.number { text-align: right; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
.bar { display: block; width: 100%; min-width: 7rem; height: 0.85rem; }
.bars { width: 100%; }
.bars .drawn { width: 40%; }
.swatch { display: inline-block; width: 0.8em; height: 0.8em; margin: 0 0.2em 0 0.6em; }
.there { fill: var(--there); background: var(--there); }
.absent { fill: var(--absent); background: var(--absent); }
.open { fill: var(--open); background: var(--open); }
.side-by-side { display: flex; flex-wrap: wrap; gap: 1rem 3rem; align-items: flex-start; }
.side-by-side > * { margin: 0; max-width: 100%; }
svg { font-family: inherit; }
.legend { display: block; margin: 0.4rem 0 1.5rem; }
.fits { max-width: 100%; height: auto; }
.chart-ink { fill: var(--ink); }
.chart-grid { stroke: var(--rule); }
.chart-axis { stroke: var(--quiet); }
.on-dark { fill: var(--page); }
.frame { fill: none; stroke: var(--rule); }
.sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1.5rem 1.2rem; }
.sheet figure { margin: 0; }
.sheet .views { display: flex; gap: 2px; }
.sheet img { width: 50%; min-width: 0; aspect-ratio: 1; background: var(--open); }
.sheet .lost { aspect-ratio: 2; padding: 0.8rem; background: var(--open); overflow: hidden;
  overflow-wrap: anywhere; }
.sheet figcaption { margin: 0.2rem 0 0; line-height: 1.4; overflow-wrap: anywhere; }
.sheet .name { color: var(--ink); }
.sheet .positives { color: var(--ink); font-weight: 600; }
";

/// The page around its sections.
pub(super) fn whole(inspection: &Inspection, sections: &[String]) -> String {
    let file = escape_xml(&inspection.file);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{file}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{}</h1>\n\
         <p>{} images, {} categories</p>\n{}<p class=\"note\">sarb {}</p>\n</body>\n</html>\n",
        // A long path breaks between its parts.
        file.replace('/', "/<wbr>"),
        thousands(inspection.images),
        thousands(inspection.categories),
        sections.concat(),
        env!("CARGO_PKG_VERSION")
    )
}

/// One part of the page; `note` says how to read it. Both are plain text, `content` is HTML.
pub(super) fn section(title: &str, note: &str, content: &str) -> String {
    let (title, note) = (escape_xml(title), escape_xml(note));
    format!("<section>\n<h2>{title}</h2>\n<p class=\"note\">{note}</p>\n{content}</section>\n")
}

/// How many labels of each kind there are.
pub(super) fn totals(inspection: &Inspection) -> String {
    let Inspection { positive, negative, unknown, images, categories, .. } = inspection;
    let cells = images * categories;
    let row = |name: &str, count: usize| {
        format!(
            "<tr><th scope=\"row\">{name}</th><td class=\"number\">{}</td><td class=\"number\">{}</td></tr>\n",
            thousands(count),
            share(count, cells)
        )
    };
    let rows = [("known to be there", positive), ("known not to be there", negative), ("unknown", unknown)]
        .map(|(name, &count)| row(name, count));
    let table = format!(
        "<div class=\"wide\"><table>\n<thead><tr><th scope=\"col\">labels</th><th scope=\"col\" class=\"number\">number</th>\
         <th scope=\"col\" class=\"number\">share %</th></tr></thead>\n<tbody>\n{}{}</tbody>\n</table></div>\n",
        rows.concat(),
        row("all", cells)
    );
    let note = format!(
        "An image has {:.2} known labels on average, {:.2} of them positive; {} images have none.",
        inspection.known_per_image,
        inspection.positives_per_image,
        thousands(inspection.images_without_known)
    );
    section("Labels", &note, &table)
}

/// A name that fits into a drawing.
pub(super) fn short(name: &str) -> String {
    const LONGEST: usize = 24;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", name[..end].trim_end()),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{annotations, rows};
    use super::*;

    #[test]
    fn totals_are_of_all_labels() {
        let labels = annotations(&["a", "b"], &[1, 1, 1, -1, 1, 0, 0, 0]);
        let totals = totals(&Inspection::of(&labels));
        assert_eq!(
            rows(&totals),
            [
                ["labels", "number", "share %"],
                ["known to be there", "4", "50.0"],
                ["known not to be there", "1", "12.5"],
                ["unknown", "3", "37.5"],
                ["all", "8", "100.0"],
            ]
        );
        assert!(totals.contains("1.25 known labels on average, 1.00 of them positive; 1 images have none."));
    }

    #[test]
    fn long_names_are_cut_between_letters() {
        assert_eq!(short("traffic light"), "traffic light");
        assert_eq!(short(&"ü".repeat(24)), "ü".repeat(24));
        assert_eq!(short(&"ü".repeat(25)), format!("{}…", "ü".repeat(24)));
        assert_eq!(short("a name that ends in letter that are too many"), "a name that ends in lett…");
        assert_eq!(short("a name that ends, spaced , cut"), "a name that ends, spaced…");
    }
}
