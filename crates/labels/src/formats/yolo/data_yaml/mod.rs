//! `data.yaml`: the names of the classes and where the images of each set are.
//!
//! Read as `check_det_dataset` and `check_class_names` of Ultralytics do (`ultralytics/data/utils.py`,
//! `ultralytics/nn/autobackend.py`): `names` is a list or a map of numbers to names, `nc` their number; `train`,
//! `val` and `test` are folders or lists of images, or several of these, below `path`.

use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::error::Problems;
use crate::formats::report::{Report, shown};
use crate::guard::guarded;
use crate::{Error, Result};

/// Most bytes of a file; a thousand names take 20 kB.
const MOST_BYTES: u64 = 4 << 20;

/// Most lists and maps inside one another.
const DEEPEST: usize = 16;

/// Most classes without names.
const MOST_CLASSES: u32 = 100_000;

/// What a file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct DataYaml {
    /// The classes in order of their numbers; none if the file has only their count.
    pub names: Vec<String>,
    /// The number of classes.
    pub count: Option<usize>,
    /// `path`, the folder that the others are below.
    pub root: Option<String>,
    /// The sets that have images, in the order of the file.
    pub sets: Vec<YamlSet>,
}

/// `train`, `val` or `test`.
#[derive(Debug, PartialEq)]
pub(super) struct YamlSet {
    pub name: &'static str,
    pub line: usize,
    /// Folders or lists of images, as they are written.
    pub targets: Vec<String>,
}

/// A value and its line.
struct Node {
    line: usize,
    value: Value,
}

enum Value {
    /// A scalar; nothing for one that is null.
    Text(Option<String>),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// `*name`: never put in, so that aliases inside one another cost nothing.
    Alias,
}

impl DataYaml {
    /// Reads a file.
    ///
    /// # Errors
    /// What is not YAML; all values that are not what they should be.
    pub fn read(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        if std::fs::metadata(path).map_err(failed)?.len() > MOST_BYTES {
            let what = "more than 4 MiB; expected the names of classes and the folders of images";
            return Err(Error::Data(format!("{}: {what}", path.display())));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let mut report = Report::new(path);
        let yaml = match String::from_utf8(bytes) {
            Ok(text) => Self::parse(text.trim_start_matches('\u{feff}'), &mut report),
            Err(_) => {
                report.note(|| "no UTF-8 text; save the file as UTF-8".into());
                Self::default()
            }
        };
        report.problems.or(yaml)
    }

    fn parse(text: &str, report: &mut Report<'_>) -> Self {
        let mut yaml = Self::default();
        let parsed = guarded(|| parse(text));
        match parsed.unwrap_or_else(|| Err((1, "its bytes are damaged".into()))) {
            Ok(Node { value: Value::Map(members), .. }) => {
                members.into_iter().for_each(|(key, value)| yaml.member(&key, value, report));
                yaml.check_count(report);
            }
            Ok(Node { line, .. }) => {
                report.line = line;
                report.note(|| "no map; expected names: and train: at the beginning of lines".into());
            }
            Err((line, what)) => {
                report.line = line;
                report.note(|| format!("no YAML: {what}"));
            }
        }
        yaml
    }

    fn member(&mut self, key: &Node, value: Node, report: &mut Report<'_>) {
        let Value::Text(Some(key)) = &key.value else { return };
        report.line = value.line;
        match &**key {
            "names" => self.names = names(value, report),
            "nc" => match &value.value {
                Value::Text(Some(text)) if text.parse::<u32>().is_ok_and(|count| count <= MOST_CLASSES) => {
                    self.count = text.parse().ok();
                }
                Value::Text(Some(text)) if text.parse::<u32>().is_ok() => {
                    report.note(|| format!("nc is {text}; expected at most {MOST_CLASSES} classes"));
                }
                _ => report.note(|| "nc is not a number; expected the number of classes".into()),
            },
            "path" => match value.value {
                Value::Text(path) => self.root = path.filter(|path| !path.is_empty()),
                _ => report.note(|| "path is not text; expected a folder".into()),
            },
            "train" => self.set("train", value, report),
            "val" | "validation" => self.set("val", value, report),
            "test" => self.set("test", value, report),
            _ => {}
        }
    }

    fn set(&mut self, name: &'static str, value: Node, report: &mut Report<'_>) {
        let line = value.line;
        let items = match value.value {
            Value::List(items) => items,
            _ => vec![value],
        };
        let mut targets = Vec::new();
        for item in items {
            match item.value {
                Value::Text(text) => targets.extend(text.filter(|text| !text.is_empty())),
                _ => {
                    report.line = item.line;
                    report.note(|| format!("{name} is not text; expected folders or lists of images"));
                }
            }
        }
        if self.sets.iter().any(|set| set.name == name) {
            report.line = line;
            report.note(|| format!("{name} appears twice"));
        }
        if !targets.is_empty() {
            self.sets.push(YamlSet { name, line, targets });
        }
    }

    fn check_count(&mut self, report: &mut Report<'_>) {
        let names = self.names.len();
        match self.count {
            Some(count) if names > 0 && count != names => {
                report.line = 1;
                report.note(|| format!("nc is {count}, but there are {names} names; correct one of them"));
            }
            _ if !report.problems.is_empty() || names > 0 || self.count.is_some_and(|count| count > 0) => {}
            _ => {
                report.line = 1;
                report.note(|| "no names; expected names: with a list of the classes".into());
            }
        }
    }
}

/// The names of a list, or of a map that numbers them from 0.
fn names(value: Node, report: &mut Report<'_>) -> Vec<String> {
    let line = value.line;
    let mut numbered = Vec::new();
    match value.value {
        Value::List(items) => numbered.extend(items.into_iter().enumerate()),
        Value::Map(members) => {
            for (key, name) in members {
                report.line = key.line;
                match key.value {
                    Value::Text(Some(text)) if text.parse::<u32>().is_ok() => {
                        numbered.push((text.parse().unwrap_or_default(), name));
                    }
                    _ => report.note(|| "a key of names is not a number; expected 0: name".into()),
                }
            }
            numbered.sort_by_key(|(number, _)| *number);
        }
        _ => {
            report.note(|| "names is neither a list nor a map; expected names: [cat, dog]".into());
            return Vec::new();
        }
    }
    let mut names: Vec<String> = Vec::with_capacity(numbered.len());
    let mut before = std::collections::HashMap::new();
    for (place, (number, name)) in numbered.into_iter().enumerate() {
        report.line = name.line;
        if number != place {
            let twice = number < place;
            report.line = if twice { report.line } else { line };
            report.note(|| match twice {
                true => format!("class {number} has two names"),
                false => format!("class {place} has no name; expected all numbers from 0 on"),
            });
            return names;
        }
        match name.value {
            Value::Text(Some(name)) if !name.trim().is_empty() => {
                let name = name.trim().to_owned();
                if let Some(first) = before.insert(name.clone(), number) {
                    report.note(|| {
                        let what = "give each class a name of its own";
                        format!("classes {first} and {number} are both {}; {what}", shown(&name))
                    });
                }
                names.push(name);
            }
            _ => {
                report.note(|| format!("the name of class {number} is empty or no text; expected a name"));
                return names;
            }
        }
    }
    names
}

/// The first document, or what is wrong and where.
fn parse(text: &str) -> std::result::Result<Node, (usize, String)> {
    let mut parser = Parser::new_from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut root: Option<Node> = None;
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| (error.marker().line(), error.info().to_owned()))?;
        let line = span.start.line();
        let done = match event {
            Event::DocumentStart(_) if root.is_some() => {
                return Err((line, "a second document; expected one".into()));
            }
            Event::Scalar(text, style, ..) => {
                let null = style == ScalarStyle::Plain && ["", "~", "null", "Null", "NULL"].contains(&&*text);
                Value::Text((!null).then(|| text.into_owned()))
            }
            Event::Alias(_) => Value::Alias,
            Event::SequenceStart(..) | Event::MappingStart(..) => {
                if open.len() == DEEPEST {
                    return Err((line, format!("more than {DEEPEST} lists and maps inside one another")));
                }
                let is_map = matches!(event, Event::MappingStart(..));
                open.push(Open { line, is_map, values: Vec::new() });
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(closed) => {
                    let node = closed.node();
                    close(&mut open, &mut root, node);
                    continue;
                }
                None => continue,
            },
            _ => continue,
        };
        close(&mut open, &mut root, Node { line, value: done });
    }
    root.ok_or((1, "an empty file".into()))
}

/// A list or map whose end has not come.
struct Open {
    line: usize,
    is_map: bool,
    values: Vec<Node>,
}

impl Open {
    fn node(self) -> Node {
        let Self { line, is_map, values } = self;
        if !is_map {
            return Node { line, value: Value::List(values) };
        }
        let mut members = Vec::with_capacity(values.len() / 2);
        let mut values = values.into_iter();
        while let (Some(key), Some(value)) = (values.next(), values.next()) {
            members.push((key, value));
        }
        Node { line, value: Value::Map(members) }
    }
}

fn close(open: &mut [Open], root: &mut Option<Node>, node: Node) {
    match open.last_mut() {
        Some(outer) => outer.values.push(node),
        None => *root = Some(node),
    }
}

/// The problem of a folder that holds the data set itself: all of it would be searched, and what lies around it.
pub(super) fn holds_itself(path: &Path, set: &YamlSet, target: &str) -> Error {
    let what = "holds the data set itself; expected a folder in it";
    Error::Data(format!("{}:{}: {}: {} {what}", path.display(), set.line, set.name, shown(target)))
}

/// The error for a path that leads to two places.
pub(super) fn two_places(path: &Path, set: &YamlSet, target: &str, first: &Path, second: &Path) -> Error {
    let [first, second] = [first, second].map(|place| place.display());
    let what = format!("may be {first} or {second}, and both are there; write the one that is meant");
    Error::Data(format!("{}:{}: {}: {} {what} in full", path.display(), set.line, set.name, shown(target)))
}

/// The problems of a set whose folders are not there.
pub(super) fn missing(path: &Path, sets: &[(&YamlSet, &str)]) -> Error {
    let mut problems = Problems::default();
    for (set, target) in sets {
        let what = "is not there; correct the path, or give the folder of the labels instead of this file";
        problems.push(format!("{}:{}: {}: {} {what}", path.display(), set.line, set.name, shown(target)));
    }
    Error::Problems(problems)
}

#[cfg(test)]
mod tests;
