//! The labels of one image as lists of names or numbers: what JSON objects of several formats say, which
//! columns numbers mean, and lists of numbers that may have one number per category instead.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::marks::Marks;
use super::name_list;
use super::options::{Options, Unlisted};
use super::report::{multi_hot, shown};
use crate::labels::{Label, LabelMatrix};
use crate::{Error, Result};

type Said<T> = std::result::Result<T, String>;

/// A label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Text(String),
    /// A place in a list of names.
    Number(u64),
}

/// What an object or a list says of an image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    pub positive: Vec<Name>,
    /// Without it the positive ones are one list, and nothing is said of the others.
    pub negative: Option<Vec<Name>>,
    /// All categories in their order; our own files say so once.
    pub categories: Vec<String>,
    /// Whether the positive ones are one label, or one per box, and so no list that may be multi-hot.
    pub single: bool,
}

/// The members of a JSON object in their order; a key that is there twice is an error.
#[derive(Debug, Default)]
pub(crate) struct Members(pub Vec<(String, Value)>);

impl Members {
    /// Takes out the value of a key, unless it is null.
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(name, _)| name == key)?;
        Some(self.0.remove(at).1).filter(|value| !value.is_null())
    }

    /// Whether the key is there.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(AnyMembers)
    }
}

struct AnyMembers;

impl<'de> Visitor<'de> for AnyMembers {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Members, A::Error> {
        let (mut members, mut keys) = (Vec::new(), HashSet::new());
        while let Some((key, value)) = map.next_entry::<String, Value>()? {
            if !keys.insert(key.clone()) {
                return Err(A::Error::custom(format!("key {} twice", shown(&key))));
            }
            members.push((key, value));
        }
        Ok(Members(members))
    }
}

/// Keys of one list of labels that have no other meaning.
pub(crate) const FURTHER: [&str; 3] = ["label", "tags", "objects"];

/// What is accepted everywhere.
pub(crate) const ACCEPTED: &str =
    r#"{"positive": […], "negative": […]}, {"labels": […], "negative_labels": […]} or {"labels": […]}"#;

/// What an object says of its image: `positive` and `negative`, or `labels` with or without
/// `negative_labels`, or one of the `further` keys. `None` if it says nothing of labels.
///
/// # Errors
/// What is wrong, where, and what is accepted.
pub(crate) fn labels_of(members: &mut Members, further: &[&str]) -> Said<Option<Labels>> {
    let [positive, negative, labels, other] =
        ["positive", "negative", "labels", "negative_labels"].map(|key| members.take(key));
    let both = positive.is_some() || negative.is_some();
    if both && (labels.is_some() || other.is_some()) {
        return Err(format!("labels beside positive and negative; expected {ACCEPTED}"));
    }
    let list = |list: Option<Value>, key| list.map(|list| names(list, key)).transpose();
    if both || other.is_some() {
        let (first, second) = if both { ("positive", "negative") } else { ("labels", "negative_labels") };
        let positive = list(positive.or(labels), first)?.unwrap_or_default();
        let negative = Some(list(negative.or(other), second)?.unwrap_or_default());
        let categories = categories(members.take("categories"));
        return Ok(Some(Labels { positive, negative, categories, single: false }));
    }
    let mut found = Vec::from_iter(labels.map(|labels| ("labels", labels)));
    found.extend(further.iter().filter_map(|&key| Some((key, members.take(key)?))));
    found.retain(|(key, value)| *key != "objects" || categories_of_boxes(value).is_some());
    let (key, value) = match &mut found[..] {
        [] => return Ok(None),
        [(key, value)] => (*key, value.take()),
        [(first, _), (second, _), ..] => {
            return Err(format!("{first} and {second} may both be the labels; keep one of them"));
        }
    };
    let (positive, single) = match (key, value) {
        ("objects", boxes) => (boxed_names(&boxes)?, true),
        ("label", Value::String(name)) => (vec![one(&name)?], true),
        ("label", number @ Value::Number(_)) => (entries(vec![number], key)?, true),
        (key, value) => (names(value, key)?, false),
    };
    Ok(Some(Labels { positive, single, ..Labels::default() }))
}

/// A label that stands alone; several in one text are refused.
///
/// # Errors
/// An empty text, or one with a comma that no space follows: names may hold `, ` (great white shark, white
/// shark), but no list is written so.
pub(crate) fn one(name: &str) -> Said<Name> {
    if name.is_empty() {
        return Err("an empty label; expected a name".into());
    }
    if name.replace(", ", "").contains(',') {
        return Err(format!("{} looks like several labels; expected one, or a list", shown(name)));
    }
    Ok(Name::Text(name.to_owned()))
}

/// The names and numbers of a list in which each label is once.
///
/// # Errors
/// What is no such list.
pub(crate) fn names(list: Value, key: &str) -> Said<Vec<Name>> {
    match list {
        Value::Array(list) => no_multi_hot(entries(list, key)?, key),
        Value::Object(_) => Err(format!("{key} is an object; expected a list of labels")),
        other => Err(format!("{key} is {}; expected a list of labels", shown(&other.to_string()))),
    }
}

fn entries(list: Vec<Value>, key: &str) -> Said<Vec<Name>> {
    let name = |value: Value| match value {
        Value::String(name) if !name.is_empty() => Ok(Name::Text(name)),
        Value::Number(number) if number.is_u64() => Ok(Name::Number(number.as_u64().unwrap_or_default())),
        other => {
            let other = shown(&other.to_string());
            Err(format!("{other} in {key}; expected names or numbers from 0"))
        }
    };
    list.into_iter().map(name).collect()
}

/// Refuses a list in which the number 0 or 1, as text too, is twice: one number per category, not one per
/// label.
///
/// # Errors
/// What is wrong with the list.
pub(crate) fn no_multi_hot(names: Vec<Name>, key: &str) -> Said<Vec<Name>> {
    let number = |name: &Name| match name {
        Name::Text(text) if text == "0" => Some(0),
        Name::Text(text) if text == "1" => Some(1),
        Name::Text(_) => None,
        Name::Number(number) => Some(*number),
    };
    let count = |wanted| names.iter().filter(|name| number(name) == Some(wanted)).count();
    match [0, 1].into_iter().find(|&number| count(number) > 1) {
        Some(number) => Err(multi_hot(number, key)),
        None => Ok(names),
    }
}

/// The list of an `objects` member as Hugging Face's data sets of boxes have it: one entry for each box.
fn categories_of_boxes(objects: &Value) -> Option<&Value> {
    let list = objects.get("categories").or_else(|| objects.get("category"));
    list.filter(|list| !list.is_null()).or(objects.is_array().then_some(objects))
}

fn boxed_names(objects: &Value) -> Said<Vec<Name>> {
    let key = "objects.categories";
    match categories_of_boxes(objects) {
        Some(Value::Array(list)) if !objects.is_array() => entries(list.clone(), key),
        _ => Err(format!("objects is {}; expected an object with the list categories", kind(objects))),
    }
}

/// What a value is, for a message.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "empty",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The names in our own key; other programs may mean something else by it.
fn categories(value: Option<Value>) -> Vec<String> {
    let Some(Value::Array(names)) = value else { return Vec::new() };
    let names = names.iter().map(|name| Some(name.as_str()?.to_owned()));
    names.collect::<Option<_>>().unwrap_or_default()
}

/// Which columns names and numbers mean.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// What numbers mean, by `--categories`.
    names: Vec<String>,
    /// Their columns, once a label was a number.
    columns: Vec<usize>,
    /// Whether a number had no name.
    unnamed: bool,
    lists: NumberLists,
}

impl Columns {
    /// With the names of the list that the user gives.
    ///
    /// # Errors
    /// If the list cannot be read.
    pub fn new(options: &Options) -> Result<Self> {
        let names = match &options.categories {
            Some(list) => name_list::read(list, "categories")?.into_iter().map(|entry| entry.name).collect(),
            None => Vec::new(),
        };
        Ok(Self { names, ..Self::default() })
    }

    /// The columns of the positive and of the negative labels.
    ///
    /// # Errors
    /// A number without a name.
    pub fn of(&mut self, labels: &Labels, marks: &mut Marks) -> Said<[Vec<usize>; 2]> {
        for name in &labels.categories {
            marks.category(name);
        }
        if labels.single || labels.negative.is_some() {
            self.lists.no_doubt();
        } else {
            self.lists.add(labels.positive.iter().map(|name| match name {
                Name::Number(number) => Some(*number),
                Name::Text(_) => None,
            }));
        }
        let mut columns = |names: &[Name]| -> Said<Vec<usize>> {
            names.iter().map(|name| self.column(name, marks)).collect()
        };
        Ok([columns(&labels.positive)?, columns(labels.negative.as_deref().unwrap_or_default())?])
    }

    fn column(&mut self, name: &Name, marks: &mut Marks) -> Said<usize> {
        let number = match name {
            Name::Text(name) => return Ok(marks.category(name)),
            Name::Number(number) => *number,
        };
        if self.names.is_empty() {
            self.unnamed = true;
            return Ok(marks.category(&number.to_string()));
        }
        // All at once, so that the columns have the order of the numbers.
        if self.columns.is_empty() {
            self.columns = self.names.iter().map(|name| marks.category(name)).collect();
        }
        match usize::try_from(number).ok().and_then(|number| self.columns.get(number)) {
            Some(column) => Ok(*column),
            None => Err(format!("label {number}; --categories names {} labels, from 0", self.names.len())),
        }
    }

    /// What the user should know of numbers.
    ///
    /// # Errors
    /// Lists of numbers that may have one number per category.
    pub fn finish(self, path: &Path) -> Result<Option<String>> {
        self.lists.check((!self.names.is_empty()).then_some(self.names.len()), path)?;
        let note = "labels are numbers without names; name them with --categories FILE, the name of 0 first";
        Ok(self.unnamed.then(|| note.into()))
    }
}

/// Lists of numbers, which of two categories may be the numbers of those that are there or one number per
/// category: `[0, 1]` is both or the second alone. Longer ones have a number twice, or one above 1.
#[derive(Debug, Default)]
pub(crate) struct NumberLists {
    pairs: usize,
    told: bool,
}

impl NumberLists {
    /// One more list; `None` stands for a name.
    pub fn add(&mut self, numbers: impl ExactSizeIterator<Item = Option<u64>>) {
        let pair = numbers.len() == 2;
        self.pairs += usize::from(pair);
        self.told |= !pair || !numbers.into_iter().all(|number| matches!(number, Some(0 | 1)));
    }

    /// Notes an image whose labels are no such list.
    pub fn no_doubt(&mut self) {
        self.told = true;
    }

    /// Refuses lists that are all of 0 and 1, of two categories as far as is known.
    ///
    /// # Errors
    /// [`Error::Data`] with what to do.
    pub fn check(&self, names: Option<usize>, path: &Path) -> Result<()> {
        if self.told || self.pairs == 0 || names.is_some_and(|names| names != 2) {
            return Ok(());
        }
        Err(Error::Data(format!(
            "{}: every list is 0 and 1 ({} lists), which may be one number per category or the numbers of both; \
             write names in place of the numbers",
            path.display(),
            self.pairs
        )))
    }
}

/// Gives the unknown cells of these rows the label that the user says.
pub(crate) fn fill_unlisted(labels: &mut LabelMatrix, rows: &[usize], unlisted: Unlisted) {
    if unlisted == Unlisted::Unknown {
        return;
    }
    for &row in rows {
        for category in 0..labels.categories() {
            if labels.get(row, category) == Label::Unknown {
                labels.set(row, category, unlisted.label());
            }
        }
    }
}

#[cfg(test)]
mod tests;
