//! A page of filled labels to look through: those that are least sure first, each with its photograph. What a person
//! marks as wrong is saved as a table, which [`super::corrections`] reads.

use sarb_labels::images::decode;
use sarb_labels::text::{escape_xml, json_in_html, percent, thousands};
use serde_json::json;

use super::fill::{Cell, Filled};
use crate::recognizer::Recognizer;
use crate::run::{Run, Which};
use crate::thumbnail::{data_uri, shrunk};

const STYLE: &str = include_str!("sheet.css");
const SCRIPT: &str = include_str!("sheet.js");

impl Filled {
    /// The page, with at most `most` filled labels of a run; `images` are the names of the images in the file of labels.
    /// Beside each photograph lies where the run sees the category, if it tells places apart. Photographs that cannot be read
    /// are left out, and said to be.
    pub fn sheet(&self, run: &Run, images: &[String], most: usize) -> String {
        let recognizer = Recognizer::open_to_see(run, Which::Best);
        let mut cells: Vec<&Cell> = self.cells.iter().collect();
        cells.sort_by(|a, b| a.probability.total_cmp(&b.probability));
        cells.truncate(most);
        let figures: String = cells
            .iter()
            .enumerate()
            .map(|(at, cell)| self.figure(at, cell, images, recognizer.as_ref().ok()))
            .collect();
        let data: Vec<_> = cells
            .iter()
            .map(|cell| {
                let category = &self.annotations.categories[cell.category];
                json!({ "image": images[cell.row], "category": category, "positive": cell.positive })
            })
            .collect();
        let maps = match &recognizer {
            Ok(_) => "A photograph shows where the category is seen while it is pointed at.".to_owned(),
            Err(why) => format!("No heat maps: {why}"),
        };
        let note = format!(
            "{} of {} filled labels, those that are least sure first. Mark what is wrong, save the table, and fill again \
             with --corrections corrections.csv: what you marked is turned around. {maps}",
            thousands(cells.len()),
            thousands(self.cells.len())
        );
        page(&note, &figures, &serde_json::Value::from(data), recognizer.is_ok())
    }

    fn figure(&self, at: usize, cell: &Cell, images: &[String], recognizer: Option<&Recognizer>) -> String {
        let path = &self.annotations.images[cell.row];
        let name = escape_xml(&images[cell.row]);
        let picture = match decode(path) {
            Ok(photo) => {
                let small = shrunk(&photo);
                let recognition = recognizer.and_then(|it| Some((it, it.recognize(&photo).ok()?)));
                let map = recognition.map_or(String::new(), |(recognizer, recognition)| {
                    let map = recognizer.heat_map(&recognition, &small, cell.category);
                    format!("<img class=\"map\" alt=\"\" src=\"{}\">", data_uri(&map))
                });
                format!("<img alt=\"{name}\" src=\"{}\">{map}", data_uri(&small))
            }
            Err(error) => format!("<span class=\"lost\">{}</span>", escape_xml(&error.to_string())),
        };
        let category = escape_xml(&self.annotations.categories[cell.category]);
        let claim = if cell.positive { category } else { format!("no {category}") };
        format!(
            "<label><span class=\"picture\">{picture}</span><input type=\"checkbox\" value=\"{at}\"> \
             <span class=\"claim\"><bdi>{claim}</bdi></span> {} %<br><span class=\"file\"><bdi>{name}</bdi></span></label>\n",
            percent(cell.probability)
        )
    }
}

/// Nothing but the page's own script runs, whatever names hold, and nothing is fetched.
fn page(note: &str, figures: &str, data: &serde_json::Value, has_maps: bool) -> String {
    let maps =
        if has_maps { "<button id=\"maps\" aria-pressed=\"false\">Show heat maps</button> " } else { "" };
    let data = json_in_html(data);
    let nonce = blake3::hash(format!("{figures}{data}").as_bytes()).to_hex();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src \
         'unsafe-inline'; script-src 'nonce-{nonce}'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>Filled labels</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <main>\n<h1>Filled labels</h1>\n<p class=\"note\">{}</p>\n\
         <div class=\"bar\"><button id=\"save\" disabled>Save corrections</button> <span id=\"count\" \
         aria-live=\"polite\"></span> {maps}</div>\n<div class=\"sheet\">\n{figures}</div>\n</main>\n\
         <script type=\"application/json\" id=\"data\">{data}</script>\n<script nonce=\"{nonce}\">\n{SCRIPT}</script>\n\
         </body>\n</html>\n",
        escape_xml(note)
    )
}
