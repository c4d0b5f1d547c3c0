//! The labels of one sample of a WebDataset.

use serde::Deserialize;
use serde_json::Value;

use crate::formats::report::{multi_hot, shown};

/// Longest path of an image; other programs may put the image itself there, as text.
const LONGEST_PATH: usize = 4096;

/// A label.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name {
    Text(String),
    /// A place in a list of names.
    Number(u64),
}

/// What a member says of the image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    pub positive: Vec<Name>,
    /// Without it the positive ones are one list, and nothing is said of the others.
    pub negative: Option<Vec<Name>>,
    /// All categories in their order; our own files say so once.
    pub categories: Vec<String>,
    /// The path of the image where it is not in the tar file.
    pub image: Option<String>,
}

/// The keys of an object that matter here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    positive: Option<Value>,
    negative: Option<Value>,
    labels: Option<Value>,
    categories: Option<Value>,
    image: Option<Value>,
}

/// Reads a `.json` member; `None` if it says nothing of labels.
///
/// # Errors
/// What is wrong, where, and what is accepted.
pub(super) fn parse_json(bytes: &[u8]) -> Result<Option<Labels>, String> {
    let wrong = |error: serde_json::Error| format!("{error}; expected {ACCEPTED}");
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let list: Value = serde_json::from_slice(bytes).map_err(wrong)?;
        return Ok(Some(Labels { positive: names(list, "the list")?, ..Labels::default() }));
    }
    let Object { positive, negative, labels, categories, image } =
        serde_json::from_slice(bytes).map_err(wrong)?;
    let lists = |list: Option<Value>, key| list.map(|list| names(list, key)).transpose();
    let both = positive.is_some() || negative.is_some();
    let (positive, negative) = match (both, labels) {
        (true, Some(_)) => return Err(format!("labels beside positive and negative; expected {ACCEPTED}")),
        (true, None) => {
            let negative = lists(negative, "negative")?.unwrap_or_default();
            (lists(positive, "positive")?.unwrap_or_default(), Some(negative))
        }
        (false, Some(list)) => (names(list, "labels")?, None),
        (false, None) => return Ok(None),
    };
    // Other programs may mean something else by these keys.
    let categories = match categories {
        Some(Value::Array(names)) if both => names
            .iter()
            .map(|name| Some(name.as_str()?.to_owned()))
            .collect::<Option<_>>()
            .unwrap_or_default(),
        _ => Vec::new(),
    };
    let image = image.and_then(|image| Some(image.as_str()?.to_owned()));
    let image = image.filter(|image| (1..=LONGEST_PATH).contains(&image.len()));
    Ok(Some(Labels { positive, negative, categories, image }))
}

const ACCEPTED: &str = r#"{"positive": […], "negative": […]}, {"labels": […]} or a list of labels"#;

/// Reads a `.cls` member: one label per line.
///
/// # Errors
/// If it is not UTF-8 text.
pub(super) fn parse_class(bytes: &[u8]) -> Result<Labels, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "no UTF-8 text; expected one label per line")?;
    let mut positive = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let parts: Vec<&str> =
            line.split(|c: char| c == ',' || c.is_whitespace()).filter(|part| !part.is_empty()).collect();
        let numbers: Option<Vec<i64>> = parts.iter().map(|part| part.parse().ok()).collect();
        match numbers {
            Some(numbers) => {
                for number in numbers {
                    let name = u64::try_from(number).map_err(|_| format!("{number}; {ONE_A_LINE}"))?;
                    positive.push(Name::Number(name));
                }
            }
            // Names may hold a comma, but no list is written as one: `great white shark, white shark`.
            None if line.replace(", ", "").contains(',') => {
                return Err(format!("{}; {ONE_A_LINE}", shown(line)));
            }
            None => positive.push(Name::Text(line.to_owned())),
        }
    }
    Ok(Labels { positive: no_multi_hot(positive, "the file")?, ..Labels::default() })
}

const ONE_A_LINE: &str = "expected one label per line: a name, or a number from 0";

/// Refuses a list of numbers in which 0 or 1 is twice: one number per category, not one per label.
fn no_multi_hot(names: Vec<Name>, key: &str) -> Result<Vec<Name>, String> {
    let count = |number| names.iter().filter(|name| **name == Name::Number(number)).count();
    match [0, 1].into_iter().find(|&number| count(number) > 1) {
        Some(number) => Err(multi_hot(number, key)),
        None => Ok(names),
    }
}

fn names(list: Value, key: &str) -> Result<Vec<Name>, String> {
    let Value::Array(list) = list else {
        return Err(format!("{key} is {}; expected a list of labels", shown(&list.to_string())));
    };
    let name = |value: Value| match value {
        Value::String(name) if !name.is_empty() => Ok(Name::Text(name)),
        Value::Number(number) if number.is_u64() => Ok(Name::Number(number.as_u64().unwrap_or_default())),
        other => {
            let other = shown(&other.to_string());
            Err(format!("{other} in {key}; expected names or numbers from 0"))
        }
    };
    no_multi_hot(list.into_iter().map(name).collect::<Result<_, _>>()?, key)
}
