//! The tags of a project and their types: what GetTags gives.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Map, Value};

use crate::Result;
use crate::categories::did_you_mean;
use crate::formats::json::read_elements;
use crate::formats::report::{Report, shown};

/// The tags of a project, in order.
#[derive(Default)]
pub struct Tags {
    list: Vec<Tag>,
    by_id: HashMap<String, usize>,
}

struct Tag {
    name: String,
    negative: bool,
}

impl Tags {
    /// Reads `tags.json`.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn read(path: &Path) -> Result<Self> {
        let mut report = Report::new(path);
        let mut tags = Self::default();
        read_elements(&mut report, |tag: Map<String, Value>, report| {
            if let Err(what) = tags.add(&tag) {
                report.note(|| what);
            }
        })?;
        report.problems.or(tags)
    }

    fn add(&mut self, tag: &Map<String, Value>) -> Result<(), String> {
        let name = text(tag, &["name"]).ok_or("a tag without a name; expected text")?;
        let id = text(tag, &["id"]).ok_or_else(|| format!("tag {} without an id", shown(name)))?;
        let negative = match text(tag, &["type"]) {
            Some("Negative") => true,
            Some("Regular" | "GeneralProduct") => false,
            other => {
                let other = other.map_or("missing".to_owned(), shown);
                let expected = "expected Regular, Negative or GeneralProduct";
                return Err(format!("type of tag {} is {other}; {expected}", shown(name)));
            }
        };
        if self.by_id.insert(id.to_ascii_lowercase(), self.list.len()).is_some() {
            return Err(format!("tag {} has the id of another", shown(name)));
        }
        self.list.push(Tag { name: name.to_owned(), negative });
        Ok(())
    }

    /// The tags that are categories.
    pub fn categories(&self) -> impl Iterator<Item = &str> {
        self.list.iter().filter(|tag| !tag.negative).map(|tag| tag.name.as_str())
    }

    /// Whether the tag with this id, or, without one, this name, says that there is none of the others.
    pub fn is_negative(&self, id: Option<&str>, name: &str) -> Result<bool, String> {
        let place = match id {
            Some(id) => self.by_id.get(&id.to_ascii_lowercase()).copied(),
            None => self.list.iter().position(|tag| tag.name == name),
        };
        let Some(place) = place else {
            let hint = did_you_mean(name, self.list.iter().map(|tag| tag.name.as_str()));
            return Err(format!("tag {} is not in tags.json{hint}", shown(name)));
        };
        Ok(self.list[place].negative)
    }
}

/// The text of a member under one of its names, if it is there and not empty.
pub fn text<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    let text = names.iter().find_map(|name| object.get(*name)?.as_str())?;
    (!text.is_empty()).then_some(text)
}
