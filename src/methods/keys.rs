//! What is said of a key of a recipe: its type, what it may be, what it means. Each method lists its keys
//! beside its settings; a page of the documentation, `sarb recipes keys` and messages are made of them.

/// The largest whole number of TOML.
const MOST: u64 = i64::MAX as u64;
/// The end of a range that nobody meets.
pub const OPEN: u64 = u64::MAX;

/// A key of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Its name within the table.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it means, as a sentence without its full stop.
    pub meaning: &'static str,
}

impl Key {
    /// A key with what it may be and what it means.
    pub const fn new(name: &'static str, kind: Kind, meaning: &'static str) -> Self {
        Self { name, kind, meaning }
    }
}

/// What the value of a key may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// True or false.
    Flag,
    /// A whole number, from the first to the second.
    Whole(u64, u64),
    /// A number of an interval.
    Number(Interval),
    /// One of these words.
    Word(&'static [&'static str]),
    /// One of these words, or a number from 0 to below 1.
    WordOrShare(&'static [&'static str]),
    /// Any text; what it is.
    Text(&'static str),
    /// A list of such values.
    List(&'static Kind),
    /// A table of keys, shared by those who name it so.
    Table(&'static str, &'static [Key]),
    /// A table whose key of this name chooses which further keys it has.
    Choice(&'static str, &'static [Variant]),
}

/// One of the tables that a [`Kind::Choice`] may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant {
    /// The word that chooses it.
    pub name: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// Which numbers are accepted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The least, infinite where there is none.
    pub from: f64,
    /// The greatest, infinite where there is none.
    pub to: f64,
    /// Whether the least itself is accepted.
    pub with_from: bool,
    /// Whether the greatest itself is accepted.
    pub with_to: bool,
}

impl Interval {
    /// Any finite number.
    pub const ANY: Self =
        Self { from: f64::NEG_INFINITY, to: f64::INFINITY, with_from: false, with_to: false };
    /// Above 0.
    pub const ABOVE_0: Self = Self { from: 0.0, ..Self::ANY };
    /// 0 or more.
    pub const FROM_0: Self = Self { with_from: true, ..Self::ABOVE_0 };
    /// 0 to 1.
    pub const SHARE: Self = Self { from: 0.0, to: 1.0, with_from: true, with_to: true };
    /// 0 to below 1.
    pub const BELOW_1: Self = Self { with_to: false, ..Self::SHARE };
    /// Above 0, to 1.
    pub const PROPORTION: Self = Self { with_from: false, ..Self::SHARE };
}

impl std::fmt::Display for Interval {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.from.is_finite(), self.with_from, self.to.is_finite(), self.with_to) {
            (false, _, false, _) => write!(f, "any"),
            (false, _, true, true) => write!(f, "{} or less", self.to),
            (false, _, true, false) => write!(f, "below {}", self.to),
            (true, true, false, _) => write!(f, "{} or more", self.from),
            (true, false, false, _) => write!(f, "above {}", self.from),
            (true, true, true, true) => write!(f, "{} to {}", self.from, self.to),
            (true, true, true, false) => write!(f, "{} to below {}", self.from, self.to),
            (true, false, true, true) => write!(f, "above {}, to {}", self.from, self.to),
            (true, false, true, false) => write!(f, "above {}, to below {}", self.from, self.to),
        }
    }
}

impl Kind {
    /// A whole number, 0 or more.
    pub const COUNT: Self = Kind::Whole(0, OPEN);
    /// A whole number, 1 or more.
    pub const AT_LEAST_1: Self = Kind::Whole(1, OPEN);
    /// A seed: people take large ones, so its end is said.
    pub const SEED: Self = Kind::Whole(0, MOST);

    /// The type, in words.
    pub fn name(&self) -> String {
        match self {
            Kind::Flag => "true or false".into(),
            Kind::Whole(..) => "whole number".into(),
            Kind::Number(_) => "number".into(),
            Kind::Word(_) => "word".into(),
            Kind::WordOrShare(_) => "word or number".into(),
            Kind::Text(_) => "text".into(),
            Kind::List(of) => format!("list of {}", of.plural()),
            Kind::Table(..) | Kind::Choice(..) => "table".into(),
        }
    }

    fn plural(&self) -> &'static str {
        match self {
            Kind::Flag => "true and false",
            Kind::Whole(..) => "whole numbers",
            Kind::Number(_) => "numbers",
            Kind::Word(_) => "words",
            Kind::WordOrShare(_) => "words and numbers",
            Kind::Text(_) => "texts",
            Kind::List(_) => "lists",
            Kind::Table(..) | Kind::Choice(..) => "tables",
        }
    }

    /// What is accepted, in words; nothing where the type says it all.
    pub fn range(&self) -> String {
        match self {
            Kind::Flag => String::new(),
            Kind::Whole(from, OPEN) => format!("{from} or more"),
            Kind::Whole(from, to) => format!("{from} to {to}"),
            Kind::Number(interval) => interval.to_string(),
            Kind::Word(words) => quoted(words.iter().copied()),
            Kind::WordOrShare(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("{} or a proportion in [0, 1)", words.join(", "))
            }
            Kind::Text(what) => (*what).into(),
            Kind::List(of) => of.range(),
            Kind::Table(name, _) => format!("see {name}"),
            Kind::Choice(tag, variants) => {
                format!("`{tag}` is {}", quoted(variants.iter().map(|variant| variant.name)))
            }
        }
    }

    /// Type and range in one, for messages: `expected a number, above 0`.
    pub fn expected(&self) -> String {
        match self {
            Kind::Flag => "true or false".into(),
            Kind::Word(_) | Kind::WordOrShare(_) => self.range(),
            Kind::Text(what) => format!("text: {what}"),
            Kind::Table(name, _) => format!("a table; `sarb recipes keys {name}` lists its keys"),
            Kind::Choice(..) | Kind::List(_) | Kind::Whole(..) | Kind::Number(_) => {
                format!("a {}, {}", self.name(), self.range())
            }
        }
    }
}

/// `"a", "b" or "c"`.
fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.map(|word| format!("\"{word}\"")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// Every key below `prefix` with its full name, tables before what is in them. A key that several variants
/// have appears once for each.
pub fn flat(prefix: &str, keys: &[Key]) -> Vec<(String, Key)> {
    let mut found = Vec::new();
    for key in keys {
        let name = if prefix.is_empty() { key.name.to_string() } else { format!("{prefix}.{}", key.name) };
        found.push((name.clone(), *key));
        match key.kind {
            Kind::Table(_, keys) => found.extend(flat(&name, keys)),
            Kind::Choice(tag, variants) => {
                let words = Kind::Text("see above");
                found.push((format!("{name}.{tag}"), Key::new(tag, words, "Which of them")));
                variants.iter().for_each(|variant| found.extend(flat(&name, variant.keys)));
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_ranges_are_said_in_words() {
        assert_eq!(Kind::Number(Interval::PROPORTION).expected(), "a number, above 0, to 1");
        assert_eq!(Kind::Number(Interval::BELOW_1).range(), "0 to below 1");
        assert_eq!(Kind::AT_LEAST_1.expected(), "a whole number, 1 or more");
        assert_eq!(Kind::Word(&["a", "b", "c"]).range(), "\"a\", \"b\" or \"c\"");
        let validation = Kind::WordOrShare(&["a", "b"]);
        assert_eq!(validation.expected(), "\"a\", \"b\" or a proportion in [0, 1)");
        assert_eq!(Kind::List(&Kind::Whole(0, 9)).expected(), "a list of whole numbers, 0 to 9");
    }

    #[test]
    fn keys_of_tables_and_of_every_variant_are_listed_in_full() {
        const INNER: &[Key] = &[Key::new("dim", Kind::Flag, "")];
        const KEYS: &[Key] = &[
            Key::new("network", Kind::Table("network", INNER), ""),
            Key::new("head", Kind::Choice("kind", &[Variant { name: "a", meaning: "", keys: INNER }]), ""),
        ];
        let names: Vec<String> = flat("method", KEYS).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["method.network", "method.network.dim", "method.head", "method.head.kind", "method.head.dim"]
        );
    }
}
