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
    by_name: HashMap<String, usize>,
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
        if self.by_name.insert(name.to_owned(), self.list.len()).is_some() {
            return Err(format!("tag {} has the name of another", shown(name)));
        }
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

    /// The name of the tag with this id, or, without one, this name; nothing of the tag that says that there is
    /// none of the others. A tag that was renamed has the name that it has here.
    pub fn category(&self, id: Option<&str>, name: &str) -> Result<Option<&str>, String> {
        let place = match id {
            Some(id) => self.by_id.get(&id.to_ascii_lowercase()).copied(),
            None => self.by_name.get(name).copied(),
        };
        let Some(place) = place else {
            let hint = did_you_mean(name, self.list.iter().map(|tag| tag.name.as_str()));
            return Err(format!("tag {} is not in tags.json{hint}", shown(name)));
        };
        let Tag { name, negative } = &self.list[place];
        Ok((!negative).then_some(name.as_str()))
    }
}

/// The ids and names of tags, as the images have them: without a list of tags, one name is one tag.
#[derive(Default)]
pub struct Seen {
    names: HashMap<String, String>,
    ids: HashMap<String, String>,
}

impl Seen {
    /// Takes the id and the name of a tag.
    ///
    /// # Errors
    /// If the id has another name elsewhere, or the name another id: the tag was renamed in between.
    pub fn tag(&mut self, id: &str, name: &str) -> Result<(), String> {
        let id = id.to_ascii_lowercase();
        let before = self.names.entry(id.clone()).or_insert_with(|| name.to_owned());
        let same = self.ids.entry(name.to_owned()).or_insert_with(|| id.clone());
        let what = match (before == name, *same == id) {
            (true, true) => return Ok(()),
            (false, _) => format!("tag {} is called {} elsewhere", shown(name), shown(before)),
            (true, false) => format!("tag {} has another id elsewhere", shown(name)),
        };
        Err(format!("{what}, as after renaming; save what GetTags gives as tags.json beside the images"))
    }
}

/// The text of a member under one of its names, if it is there and not empty.
pub fn text<'a>(object: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    let text = names.iter().find_map(|name| object.get(*name)?.as_str())?;
    (!text.is_empty()).then_some(text)
}
