//! The frame of the page: head, style, script and the order of its parts.

use sarb_labels::text::escape_xml;

use crate::report::chart::{Chart, colors, style_sheet};
use sarb_labels::text::json_in_html;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page around its parts. `title` is plain text, `lead` and the parts are HTML; `data` is what the script reads.
pub(super) fn whole(title: &str, lead: &str, parts: &[String], data: &serde_json::Value) -> String {
    let data = json_in_html(data);
    // Nothing but this page's own script runs, whatever names hold; nothing is fetched. What a name holds goes into
    // the hash, so that nobody can write a name with the number.
    let nonce = blake3::hash(format!("{lead}{}{data}", parts.concat()).as_bytes()).to_hex();
    let policy =
        format!("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n\
         <style>\n{}\n{STYLE}@media print {{ {} }}\n</style>\n</head>\n<body>\n<main>\n<h1>{}</h1>\n{lead}{}</main>\n\
         <footer><p class=\"note\">sarb {}</p></footer>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script nonce=\"{nonce}\">\n{SCRIPT}</script>\n\
         </body>\n</html>\n",
        escape_xml(title),
        style_sheet(),
        colors(false),
        escape_xml(title),
        parts.concat(),
        env!("CARGO_PKG_VERSION")
    )
}

/// A chart below its title.
pub(super) fn figure(chart: &Chart) -> String {
    let title = escape_xml(&chart.title);
    format!("<figure><figcaption><strong>{title}</strong></figcaption>\n{}</figure>\n", chart.to_small_svg())
}
