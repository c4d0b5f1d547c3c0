//! The values of a JSON map, of any type, so that a wrong one does not end the reading.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::formats::json::Scalar;
use crate::formats::report::shown;

/// The value of a member.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Entry {
    /// One label, null or something else without a list around it.
    One(Scalar),
    List(Vec<Scalar>),
    /// Categories with what is said of them, one more than once if it is there so.
    States(Vec<(String, Scalar)>),
}

impl Entry {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        match self {
            Entry::One(value) => *value == Scalar::Other("null"),
            Entry::List(list) => list.is_empty(),
            Entry::States(states) => states.is_empty(),
        }
    }
}

/// A value as a message shows it.
pub(super) fn said(value: &Scalar) -> String {
    match value {
        Scalar::Text(text) => shown(text),
        Scalar::Number(number) => number.to_string(),
        other => other.kind().into(),
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyEntry)
    }
}

struct AnyEntry;

impl<'de> Visitor<'de> for AnyEntry {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Entry, E> {
        Scalar::deserialize(flag.into_deserializer()).map(Entry::One)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Entry, E> {
        Scalar::deserialize(number.into_deserializer()).map(Entry::One)
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Entry, E> {
        Scalar::deserialize(number.into_deserializer()).map(Entry::One)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Entry, E> {
        Scalar::deserialize(number.into_deserializer()).map(Entry::One)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Entry, E> {
        Scalar::deserialize(text.into_deserializer()).map(Entry::One)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Entry, E> {
        Scalar::deserialize(().into_deserializer()).map(Entry::One)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Entry, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = elements.next_element()? {
            list.push(value);
        }
        Ok(Entry::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Entry, A::Error> {
        let mut states = Vec::new();
        while let Some(state) = members.next_entry()? {
            states.push(state);
        }
        Ok(Entry::States(states))
    }
}

/// The first member in the head of a file that says something; the head may end anywhere after it, or in its
/// list or object.
pub(super) fn first_telling(head: &[u8]) -> Option<(String, Entry)> {
    /// How many commas are tried, since some may stand in names.
    const COMMAS: usize = 8;
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if head.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    let find = |text: &[u8]| {
        let mut found = None;
        // The error says no more than that the looking ended.
        let _ = serde_json::Deserializer::from_slice(text).deserialize_map(FirstTelling(&mut found));
        found
    };
    let commas = head.iter().enumerate().rev().filter(|(_, byte)| **byte == b',').map(|(at, _)| at);
    let ends = std::iter::once(head.len()).chain(commas.take(COMMAS));
    let closed =
        |end: usize| [b"]}", b"}}"].iter().find_map(|close| find(&[&head[..end], &close[..]].concat()));
    find(head).or_else(|| ends.into_iter().find_map(closed))
}

struct FirstTelling<'f>(&'f mut Option<(String, Entry)>);

impl<'de> Visitor<'de> for FirstTelling<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some((key, entry)) = members.next_entry::<String, Entry>()? {
            if !entry.is_empty() {
                *self.0 = Some((key, entry));
                return Err(A::Error::custom("found"));
            }
        }
        Ok(())
    }
}
