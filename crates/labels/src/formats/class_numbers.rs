//! Labels given as places in a list of classes, which may come later in the file.

use super::marks::Marks;
use super::report::Report;
use crate::labels::Label;

/// Places in the list, with their images and lines.
#[derive(Debug, Default)]
pub(crate) struct ClassNumbers(Vec<(u32, i64, usize)>);

impl ClassNumbers {
    /// Notes that an image has the class at a place of the list.
    pub fn push(&mut self, image: usize, number: i64, line: usize) {
        // As in Marks: more than four billion images do not fit into memory.
        self.0.push((image as u32, number, line));
    }

    /// Marks the columns of the places; a place that is not in the list is noted as `what`.
    pub fn mark(self, columns: &[usize], what: &str, marks: &mut Marks, report: &mut Report<'_>) {
        for (image, number, line) in self.0 {
            match usize::try_from(number).ok().and_then(|place| columns.get(place)) {
                Some(&column) => marks.mark(image as usize, column, Label::Positive),
                None => {
                    report.line = line;
                    report.note(|| match columns.len() {
                        0 => format!("{what} is {number}, but the file lists no labels"),
                        count => format!("{what} is {number}; expected 0 to {}", count - 1),
                    });
                }
            }
        }
    }
}
