//! The labels of one sample of a WebDataset.

use serde_json::Value;

use crate::formats::label_lists::{self, Labels, Members, Name, labels_of, no_multi_hot};
use crate::formats::report::shown;

/// Longest path of an image; other programs may put the image itself there, as text.
const LONGEST_PATH: usize = 4096;

/// What a member says of its sample.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub labels: Labels,
    /// The path of the image where it is not in the tar file.
    pub image: Option<String>,
}

/// Reads a `.json` member; `None` if it says nothing of labels.
///
/// # Errors
/// What is wrong, where, and what is accepted.
pub(super) fn parse_json(bytes: &[u8]) -> Result<Option<Said>, String> {
    let wrong = |error: serde_json::Error| format!("{error}; expected {}, or a list", label_lists::ACCEPTED);
    if bytes.trim_ascii_start().first() == Some(&b'[') {
        let list: Value = serde_json::from_slice(bytes).map_err(wrong)?;
        let positive = label_lists::names(list, "the list")?;
        return Ok(Some(Said { labels: Labels { positive, ..Labels::default() }, image: None }));
    }
    let mut members: Members = serde_json::from_slice(bytes).map_err(wrong)?;
    // Other keys, such as label, are metadata here, beside KEY.cls.
    let Some(labels) = labels_of(&mut members, &[])? else { return Ok(None) };
    let image = members.take("image").and_then(|image| Some(image.as_str()?.to_owned()));
    let image = image.filter(|image| (1..=LONGEST_PATH).contains(&image.len()));
    Ok(Some(Said { labels, image }))
}

/// Reads a `.cls` member: one label per line.
///
/// # Errors
/// If it is not UTF-8 text.
pub(super) fn parse_class(bytes: &[u8]) -> Result<Said, String> {
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
            None => {
                positive.push(label_lists::one(line).map_err(|_| format!("{}; {ONE_A_LINE}", shown(line)))?)
            }
        }
    }
    let single = positive.len() == 1;
    let positive = no_multi_hot(positive, "the file")?;
    Ok(Said { labels: Labels { positive, single, ..Labels::default() }, image: None })
}

const ONE_A_LINE: &str = "expected one label per line: a name, or a number from 0";
