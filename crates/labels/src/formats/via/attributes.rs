//! The attributes of images and regions, and which of them hold labels.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::categories::did_you_mean;
use crate::formats::json::{Entries, Lenient, Scalar};
use crate::formats::marks::Marks;
use crate::formats::names::Names;
use crate::formats::report::{Report, shown};
use crate::labels::Label;
use crate::{Error, Result};

/// The attributes of a project in order of appearance, their values, and which image has which.
#[derive(Default)]
pub struct Attributes {
    places: HashMap<String, usize>,
    attributes: Vec<Attribute>,
    /// An image and the value of an attribute.
    marks: Vec<(u32, u32, u32)>,
}

#[derive(Default)]
struct Attribute {
    name: String,
    /// Whether its values are chosen from a list, as far as the file says.
    choice: bool,
    /// Whether VIA fills in a value that nobody chose.
    has_default: bool,
    values: Names<String>,
    unticked: usize,
}

/// How a project defines an attribute.
#[derive(Deserialize)]
#[serde(expecting = "an attribute: an object with type")]
pub struct Definition {
    #[serde(rename = "type")]
    kind: Option<Scalar>,
    options: Option<Lenient<Entries<Value>>>,
    default_options: Option<Lenient<Entries<Value>>>,
    default_value: Option<Scalar>,
}

impl Attributes {
    fn place(&mut self, name: &str) -> usize {
        if let Some(&place) = self.places.get(name) {
            return place;
        }
        let place = self.attributes.len();
        self.places.insert(name.to_owned(), place);
        self.attributes.push(Attribute { name: name.to_owned(), ..Attribute::default() });
        place
    }

    /// Takes the definition of an attribute; the options that it lists are values, chosen or not.
    pub fn define(&mut self, name: &str, definition: Definition) {
        let place = self.place(name);
        let attribute = &mut self.attributes[place];
        let Definition { kind, options, default_options, default_value } = definition;
        let is_choice = ["checkbox", "radio", "dropdown", "image"];
        if matches!(&kind, Some(Scalar::Text(kind)) if is_choice.contains(&&**kind)) {
            attribute.choice = true;
            if let Some(Lenient::Object(Entries(options))) = options {
                options.iter().filter(|(option, _)| !option.is_empty()).for_each(|(option, _)| {
                    attribute.values.place(option);
                });
            }
            let defaults =
                |defaults| matches!(defaults, Some(Lenient::Object(Entries(it))) if !it.is_empty());
            attribute.has_default |= defaults(default_options);
        } else {
            attribute.has_default |= matches!(default_value, Some(Scalar::Text(text)) if !text.is_empty());
        }
    }

    /// Takes the value that an image has, or one of its regions; whether it says anything.
    pub fn value(&mut self, image: usize, name: &str, value: &Value, report: &mut Report<'_>) -> bool {
        let place = self.place(name);
        let attribute = &mut self.attributes[place];
        let mut mark = |value: usize| self.marks.push((image as u32, place as u32, value as u32));
        match value {
            Value::Null => false,
            Value::String(text) => {
                let text = text.trim();
                if !text.is_empty() {
                    mark(attribute.values.place(text));
                }
                !text.is_empty()
            }
            Value::Number(number) => {
                mark(attribute.values.place(number.to_string().as_str()));
                true
            }
            Value::Object(options) => {
                attribute.choice = true;
                let mut ticked = false;
                for (option, on) in options.iter().filter(|(option, _)| !option.is_empty()) {
                    let place = attribute.values.place(option);
                    match on {
                        Value::Bool(true) => {
                            mark(place);
                            ticked = true;
                        }
                        Value::Bool(false) => attribute.unticked += 1,
                        other => report.note(|| {
                            let (option, other) = (shown(option), shown(&other.to_string()));
                            format!("checkbox {option} of {} is {other}; expected true", shown(name))
                        }),
                    }
                }
                ticked
            }
            Value::Bool(_) | Value::Array(_) => {
                report.note(|| {
                    let value = shown(&value.to_string());
                    format!("attribute {} is {value}; expected text or an object of checkboxes", shown(name))
                });
                false
            }
        }
    }

    /// The attributes whose values are categories.
    ///
    /// # Errors
    /// [`Error::Usage`] if the user must choose, or chose one that is not there.
    pub fn choose(&self, path: &Path, field: Option<&str>) -> Result<Vec<usize>> {
        let with_values = self.attributes.iter().enumerate().filter(|(_, it)| !it.values.all().is_empty());
        let there: Vec<usize> = with_values.map(|(place, _)| place).collect();
        let name = |&place: &usize| self.attributes[place].name.as_str();
        let names = || there.iter().map(|place| shown(name(place))).collect::<Vec<_>>().join(", ");
        if let Some(field) = field {
            return match there.iter().find(|place| name(place) == field) {
                Some(&place) => Ok(vec![place]),
                None => {
                    let hint = did_you_mean(field, there.iter().map(name));
                    let what = format!("no image or region has an attribute {}{hint}", shown(field));
                    let names =
                        if there.is_empty() { String::new() } else { format!("; there are {}", names()) };
                    Err(Error::Usage(format!("{}: {what}{names}", path.display())))
                }
            };
        }
        let choices: Vec<usize> = there.iter().copied().filter(|&it| self.attributes[it].choice).collect();
        match (there.len(), choices.is_empty()) {
            (0 | 1, _) => Ok(there),
            (_, false) => Ok(choices),
            (_, true) => Err(Error::Usage(format!(
                "{}: the attributes {} hold text, which may be labels or not; choose one with --field",
                path.display(),
                names()
            ))),
        }
    }

    /// Marks what images have of the chosen attributes.
    pub fn mark(&self, chosen: &[usize], rows: &[usize], marks: &mut Marks) {
        let mut columns: HashMap<usize, Vec<usize>> = HashMap::new();
        for &place in chosen {
            let Attribute { name, values, .. } = &self.attributes[place];
            let category = |value: &String| match chosen {
                [_] => marks.category(value),
                _ => marks.category(&format!("{name}/{value}")),
            };
            columns.insert(place, values.all().iter().map(category).collect());
        }
        for &(image, attribute, value) in &self.marks {
            if let Some(columns) = columns.get(&(attribute as usize)) {
                marks.mark(rows[image as usize], columns[value as usize], Label::Positive);
            }
        }
    }

    /// What the user should know of the attributes that were chosen and of the others.
    pub fn notes(&self, chosen: &[usize]) -> Vec<String> {
        let mut notes = Vec::new();
        let all = || self.attributes.iter().enumerate().filter(|(_, it)| !it.values.all().is_empty());
        for Attribute { name, choice, has_default, values, .. } in
            chosen.iter().map(|&it| &self.attributes[it])
        {
            if !choice {
                let count = values.all().len();
                notes
                    .push(format!("attribute {} holds text: its {count} values are categories", shown(name)));
            }
            if *has_default {
                notes.push(format!("attribute {} has a default, which VIA fills in unasked", shown(name)));
            }
        }
        if chosen.len() > 1 {
            notes.push(format!("{} attributes are read as categories ATTRIBUTE/VALUE", chosen.len()));
        }
        let others = all().filter(|(place, _)| !chosen.contains(place)).map(|(_, it)| shown(&it.name));
        let others = others.collect::<Vec<_>>();
        if !others.is_empty() {
            let more = if others.len() > 10 { ", …" } else { "" };
            let first = others[..others.len().min(10)].join(", ");
            notes.push(format!("attributes that are not read: {first}{more}; choose one with --field"));
        }
        let unticked: usize = chosen.iter().map(|&it| self.attributes[it].unticked).sum();
        if unticked > 0 {
            notes
                .push(format!("{unticked} checkboxes are false, not ticked: read as if they were not there"));
        }
        notes
    }
}
