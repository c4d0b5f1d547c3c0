//! The ids of a file of instances, which may be named before they are defined, and pairs of what they name.

use std::collections::HashMap;

use crate::formats::report::shown;

/// The id of an image or a category. COCO's are whole numbers; its descendants (COCO Camera Traps) also use
/// text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Id {
    Number(i64),
    Text(Box<str>),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Id::Number(number) => write!(f, "{number}"),
            Id::Text(text) => f.write_str(&shown(text)),
        }
    }
}

/// Things with an id, in order of first mention.
#[derive(Default)]
pub(super) struct Entries {
    places: HashMap<Id, u32>,
    pub entries: Vec<Entry>,
    /// Places in the order of the array that defines them.
    pub defined: Vec<u32>,
}

pub(super) struct Entry {
    pub id: Id,
    name: Option<String>,
    /// Where it is defined, or else first mentioned.
    pub line: usize,
    pub mentions: usize,
}

impl Entries {
    /// The place of an id that is in the current line.
    pub fn mention(&mut self, id: Id, line: usize) -> u32 {
        let next = u32::try_from(self.entries.len()).expect("four billion ids do not fit into memory");
        let place = *self.places.entry(id.clone()).or_insert(next);
        if place == next {
            self.entries.push(Entry { id, name: None, line, mentions: 0 });
        }
        self.entries[place as usize].mentions += 1;
        place
    }

    /// Names an id; `Err` has the line that named it before.
    pub fn define(&mut self, id: Id, name: String, line: usize) -> Result<u32, usize> {
        let place = self.mention(id, line);
        let entry = &mut self.entries[place as usize];
        if entry.name.is_some() {
            return Err(entry.line);
        }
        (entry.name, entry.line) = (Some(name), line);
        self.defined.push(place);
        Ok(place)
    }

    pub fn name(&self, place: u32) -> &str {
        self.entries[place as usize].name.as_deref().expect("only defined places have names")
    }

    pub fn undefined(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.name.is_none())
    }
}

/// Distinct pairs of places (image, category).
#[derive(Default)]
pub(super) struct Pairs {
    pub pairs: Vec<(u32, u32)>,
    /// How many there were after the last sorting out.
    distinct: usize,
}

impl Pairs {
    /// An image has many annotations of one category: repeats are sorted out now and then.
    pub fn push(&mut self, pair: (u32, u32)) {
        const FEW: usize = 1 << 20;
        self.pairs.push(pair);
        if self.pairs.len() >= FEW.max(2 * self.distinct) {
            self.sort_out();
        }
    }

    pub fn sort_out(&mut self) {
        self.pairs.sort_unstable();
        self.pairs.dedup();
        self.distinct = self.pairs.len();
    }
}
