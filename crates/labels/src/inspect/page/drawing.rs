//! What stands where in a drawing, for tests.

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::Event;

use crate::annotations::Annotations;
use crate::labels::LabelMatrix;

/// An element of an SVG or HTML text.
#[derive(Debug)]
pub(super) struct Shape {
    pub name: String,
    attributes: HashMap<String, String>,
    /// The words in it, those of its title included.
    pub words: String,
}

impl Shape {
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("{name} of {self:?}"))
    }

    pub fn number(&self, attribute: &str) -> f64 {
        self.attribute(attribute).parse().unwrap_or_else(|_| panic!("{attribute} of {self:?}"))
    }

    /// The numbers of several attributes.
    pub fn numbers<const N: usize>(&self, attributes: [&str; N]) -> [f64; N] {
        attributes.map(|attribute| self.number(attribute))
    }

    /// Left, top, right and bottom of a rectangle.
    pub fn sides(&self) -> [f64; 4] {
        let [x, y, width, height] = self.numbers(["x", "y", "width", "height"]);
        [x, y, x + width, y + height]
    }

    /// The numbers in `transform`: where it is moved to and by what it is turned.
    pub fn moved(&self) -> [f64; 3] {
        let numbers =
            self.attribute("transform").split(|it: char| !(it.is_ascii_digit() || "-.".contains(it)));
        let numbers: Vec<f64> = numbers.filter_map(|number| number.parse().ok()).collect();
        numbers.try_into().unwrap_or_else(|_| panic!("transform of {self:?}"))
    }

    pub fn has(&self, attribute: &str, value: &str) -> bool {
        self.attributes.get(attribute).is_some_and(|found| found == value)
    }
}

/// All elements in the order in which they begin.
pub(super) fn shapes(markup: &str) -> Vec<Shape> {
    let mut reader = Reader::from_str(markup);
    reader.config_mut().expand_empty_elements = true;
    let (mut shapes, mut open) = (Vec::<Shape>::new(), Vec::new());
    loop {
        let words = match reader.read_event().unwrap() {
            Event::Start(start) => {
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    (attribute.key.as_ref().to_owned(), unescape(&attribute.value).unwrap().into_owned())
                });
                let attributes = attributes.collect();
                open.push(shapes.len());
                shapes.push(Shape {
                    name: start.name().as_ref().to_owned(),
                    attributes,
                    words: String::new(),
                });
                continue;
            }
            Event::Text(text) => text.to_string(),
            Event::GeneralRef(reference) => resolve_predefined_entity(&reference).unwrap().to_owned(),
            Event::End(_) => {
                open.pop().unwrap();
                continue;
            }
            Event::Eof => return shapes,
            event => panic!("{event:?}"),
        };
        open.iter().for_each(|at: &usize| shapes[*at].words += &words);
    }
}

/// The elements of a name and a class.
pub(super) fn of_class<'a>(shapes: &'a [Shape], name: &str, class: &str) -> Vec<&'a Shape> {
    shapes.iter().filter(|shape| shape.name == name && shape.has("class", class)).collect()
}

/// The words of the cells of tables, row by row.
pub(super) fn rows(markup: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for shape in shapes(markup) {
        match &*shape.name {
            "tr" => rows.push(Vec::new()),
            "th" | "td" => rows.last_mut().expect("a cell in a row").push(shape.words.trim().to_owned()),
            _ => {}
        }
    }
    rows
}

/// Whether two places are the same, as both are written with one decimal.
#[track_caller]
pub(super) fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 0.16, "{found}, not {expected}");
}

/// Labels without images.
pub(super) fn annotations(categories: &[&str], values: &[i8]) -> Annotations {
    let labels = LabelMatrix::from_values(categories.len(), values);
    Annotations {
        images: (0..labels.images()).map(|image| format!("{image}.jpg").into()).collect(),
        labels,
        categories: categories.iter().map(|name| (*name).to_owned()).collect(),
        source: "a.csv".into(),
    }
}
