//! VIA's annotations as CSV: a line for each region, or for an image without one.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde_json::Value;

use super::Project;
use crate::formats::json::{Entries, Scalar};
use crate::formats::lines::{Lines, fields};
use crate::formats::report::{Report, shown};
use crate::{Error, Result};

/// The columns of VIA 1.1 and 2; VIA 1.0 puts a `#` before them.
const HEADER: [&str; 7] = [
    "filename",
    "file_size",
    "file_attributes",
    "region_count",
    "region_id",
    "region_shape_attributes",
    "region_attributes",
];

/// Whether the first line has the columns of VIA.
pub fn is_table(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let line = line.trim_start_matches('\u{feff}').trim().trim_start_matches('#');
    line.split(',').map(|name| name.trim_matches(['"', ' '])).eq(HEADER)
}

/// Reads the lines; attributes are JSON in a cell.
pub fn read(path: &Path, report: &mut Report<'_>, project: &mut Project) -> Result<()> {
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let mut lines = Lines::new(path, BufReader::with_capacity(1 << 20, file));
    let mut first = true;
    let mut last: Option<[String; 2]> = None;
    while lines.advance()? {
        let Lines { bytes, report, .. } = &mut lines;
        let Some(cells) = fields(bytes, report) else { continue };
        if std::mem::take(&mut first) {
            continue;
        }
        let [name, _, of_file, count, _, shape, of_region] = &cells[..] else {
            report.note(|| format!("{} fields; expected {} as in the header", cells.len(), HEADER.len()));
            continue;
        };
        // The lines of an image follow each other; later ones are the image again.
        let again = last.as_ref().is_some_and(|[last, _]| last == name);
        let before = project.repeated;
        let Some(row) = project.row(Some(&Scalar::Text(name.to_string())), report) else { continue };
        if again {
            project.repeated = before;
        }
        // Each of them has the attributes of the image, which count once.
        if !again || last.as_ref().is_some_and(|[_, last]| last != of_file) {
            for (name, value) in attributes(of_file, "file_attributes", report).0 {
                project.attributes.value(row, &name, &value, report);
            }
        }
        last = Some([name.to_string(), of_file.to_string()]);
        let of_region = attributes(of_region, "region_attributes", report);
        let is_region = count.trim() != "0" || shape.trim() != "{}" || !of_region.0.is_empty();
        if is_region {
            project.region(row, of_region, report);
        }
    }
    report.problems = std::mem::take(&mut lines.report.problems);
    Ok(())
}

/// The attributes of a cell.
fn attributes(cell: &str, column: &str, report: &mut Report<'_>) -> Entries<Value> {
    if cell.trim().is_empty() {
        return Entries::default();
    }
    serde_json::from_str(cell).unwrap_or_else(|_| {
        report.note(|| format!("{column} is {}; expected a JSON object", shown(cell)));
        Entries::default()
    })
}
