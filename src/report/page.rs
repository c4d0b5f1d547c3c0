//! The report as one HTML page that needs no other file, no network and no script.

use sarb_labels::text::escape_xml;

use super::Report;

const STYLE: &str = "
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1b1b; --quiet: #5c5c5c; --rule: #d9d9d9; }
@media (prefers-color-scheme: dark) {
  :root { --page: #16181d; --ink: #ececec; --quiet: #a5a8ae; --rule: #3a3d44; }
}
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', sans-serif; }
h1 { font-size: 1.5rem; margin-bottom: 0.25rem; }
.wide { overflow-x: auto; margin: 2.5rem 0; }
table { border-collapse: collapse; border-top: 2px solid; border-bottom: 2px solid; font-size: 0.92rem;
  font-variant-numeric: tabular-nums; }
caption, figcaption, .note { text-align: left; color: var(--quiet); font-size: 0.92rem; max-width: 60rem; }
caption { padding-bottom: 0.5rem; }
caption strong, figcaption strong { color: var(--ink); }
th, td { padding: 0.2rem 1.25rem 0.2rem 0; text-align: left; white-space: nowrap; font-weight: normal; }
thead tr:last-child th, thead tr:last-child td { border-bottom: 1px solid; }
.group { border-bottom: 1px solid var(--rule); color: var(--quiet); }
.number { text-align: right; }
tbody tr + tr > * { border-top: 1px solid var(--rule); }
.note { margin: 0.3rem 0; }
figure { margin: 2.5rem 0; overflow-x: auto; }
figure svg { max-width: 100%; height: auto; }
";

impl Report {
    /// The report as one HTML page.
    pub fn to_html(&self) -> String {
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>sarb report</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
             <h1>Multi-label recognition from partial labels</h1>\n<p>{}</p>\n",
            escape_xml(&self.setting)
        );
        for note in &self.notes {
            page += &format!("<p class=\"note\">{}</p>\n", escape_xml(note));
        }
        let mut figures = self.figures.iter();
        for (at, table) in self.tables.iter().enumerate() {
            page += &format!("<div class=\"wide\">\n{}</div>\n", table.to_html());
            // The first figure after the first table; the rest at the end.
            if at == 0 {
                page.extend(figures.next().map(figure));
            }
        }
        page.extend(figures.map(figure));
        page + &format!("<p class=\"note\">sarb {}</p>\n</body>\n</html>\n", env!("CARGO_PKG_VERSION"))
    }
}

fn figure(chart: &super::Chart) -> String {
    format!(
        "<figure>\n{}<figcaption><strong>{}.</strong> {}</figcaption>\n</figure>\n",
        chart.to_svg(),
        escape_xml(&chart.title),
        escape_xml(&chart.caption)
    )
}
