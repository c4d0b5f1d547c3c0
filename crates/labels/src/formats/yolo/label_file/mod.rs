//! The label file of an image: `class x y width height` in each line, relative to the size of the image, or the
//! points of an outline or a skeleton after the class.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::error::Problems;
use crate::formats::lines::{Lines, text};
use crate::formats::report::{Report, shown};
use crate::{Error, Result};

/// The objects of an image.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Objects {
    /// The numbers of their classes.
    pub classes: BTreeSet<usize>,
    /// How many have a confidence, as predictions have.
    pub predicted: usize,
    /// How many lie outside of their image.
    pub outside: usize,
}

impl Objects {
    /// Reads a file in which class numbers are places in `names`; what is wrong joins the problems.
    ///
    /// # Errors
    /// [`Error::Io`] or a missing file only.
    pub fn read(path: &Path, names: &[String], problems: &mut Problems) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(path, error))?;
        let mut lines = Lines::new(path, BufReader::with_capacity(1 << 13, file));
        lines.report.problems = std::mem::take(problems);
        let mut objects = Self::default();
        while lines.advance()? {
            let Lines { bytes, report, .. } = &mut lines;
            if let Some(line) = text(bytes, report) {
                objects.line(line, names, report);
            }
        }
        *problems = lines.report.problems;
        Ok(objects)
    }

    fn line(&mut self, line: &str, names: &[String], report: &mut Report<'_>) {
        let mut fields = line.split_whitespace();
        let Some(class) = fields.next() else { return };
        let class = match class_number(class, names) {
            Ok(class) => class,
            Err(what) => return report.note(|| what),
        };
        let mut values = 0;
        let (mut inside, mut digits) = (true, true);
        for field in fields {
            let Some(value) = field.parse::<f64>().ok().filter(|value| value.is_finite()) else {
                return report.note(|| format!("{} is not a number", shown(field)));
            };
            values += 1;
            digits &= ["0", "1"].contains(&field);
            // Ultralytics' tolerance; what comes after the box may be the visibility of a point.
            inside &= values > 4 || (-0.01..=1.01).contains(&value);
        }
        if values < 4 {
            return report.note(|| match values {
                0 => "nothing after the class; expected class x y width height".into(),
                _ => format!("{values} numbers after the class; expected class x y width height"),
            });
        }
        if digits && class < 2 {
            let what = "only 0 and 1, as where a line has one number per category";
            return report.note(|| format!("{what}; expected class x y width height"));
        }
        self.classes.insert(class);
        // Five are a box and its confidence; an outline has at least three points, six numbers.
        self.predicted += usize::from(values == 5);
        self.outside += usize::from(!inside);
    }
}

/// The number of a class; `0.0` is 0, as Ultralytics reads it.
fn class_number(field: &str, names: &[String]) -> std::result::Result<usize, String> {
    let expected = || format!("expected a number from 0 to {}", names.len().saturating_sub(1));
    let number = match field.parse::<u32>() {
        Ok(number) => number as usize,
        Err(_) => match field.parse::<f64>() {
            Ok(number) if number.fract() == 0.0 && (0.0..1e9).contains(&number) => number as usize,
            Ok(_) => return Err(format!("class {field}; {}", expected())),
            Err(_) => return Err(format!("class {} is not a number; {}", shown(field), expected())),
        },
    };
    if number < names.len() {
        return Ok(number);
    }
    Err(format!("class {number}, but there are {} names; {}", names.len(), expected()))
}

#[cfg(test)]
mod tests;
