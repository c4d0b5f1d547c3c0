//! What may be the value of a key: one of a list, or a number of a range.

/// What may be the value of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Values {
    /// One of these.
    List(Vec<toml::Value>),
    /// A number of a range, ends included.
    Range { from: f64, to: f64, log: bool, whole: bool },
}

impl Values {
    /// Reads a list or a range.
    pub fn read(key: &str, value: &toml::Value) -> Result<Self, String> {
        let expected = "expected a list of values or { from = A, to = B, log = true }";
        match value {
            toml::Value::Array(values) if values.is_empty() => {
                Err(format!("{key} is an empty list; {expected}"))
            }
            toml::Value::Array(values) => Ok(Values::List(values.clone())),
            toml::Value::Table(table) => Self::range(key, table),
            value => Err(format!("{key} is {value}; {expected}")),
        }
    }

    fn range(key: &str, table: &toml::Table) -> Result<Self, String> {
        if let Some(other) = table.keys().find(|part| !["from", "to", "log"].contains(&part.as_str())) {
            return Err(format!("{key}.{other}: a range has from, to and log alone"));
        }
        let end = |part: &str| -> Result<(f64, bool), String> {
            let value = table.get(part).ok_or_else(|| format!("{key}: a range needs from and to"))?;
            let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
            let number = number.filter(|number| number.is_finite());
            Ok((
                number.ok_or_else(|| format!("{key}.{part} is {value}; expected a number"))?,
                value.is_integer(),
            ))
        };
        let ((from, whole_from), (to, whole_to)) = (end("from")?, end("to")?);
        let log = match table.get("log") {
            None => false,
            Some(value) => {
                value.as_bool().ok_or_else(|| format!("{key}.log is {value}; expected true or false"))?
            }
        };
        if from >= to {
            return Err(format!("{key}: from is {from} and to is {to}; expected from below to"));
        }
        if log && from <= 0.0 {
            return Err(format!("{key}.from is {from}; with log = true it is above 0"));
        }
        Ok(Values::Range { from, to, log, whole: whole_from && whole_to })
    }

    /// As it was read.
    pub fn to_toml(&self) -> toml::Value {
        match self {
            Values::List(values) => values.clone().into(),
            Values::Range { from, to, log, whole } => {
                let end = |end: f64| if *whole { (end as i64).into() } else { toml::Value::from(end) };
                let ends = [("from", end(*from)), ("to", end(*to)), ("log", (*log).into())];
                toml::Table::from_iter(ends.map(|(part, value)| (part.to_owned(), value))).into()
            }
        }
    }

    /// How many there are; none of a range of real numbers.
    pub fn count(&self) -> Option<usize> {
        match self {
            Values::List(values) => Some(values.len()),
            Values::Range { .. } => None,
        }
    }

    /// The value at a place in 0…1.
    pub fn at(&self, place: f64) -> toml::Value {
        match self {
            Values::List(values) => {
                values[((place * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
            Values::Range { from, to, log, whole } => {
                let value = match log {
                    true => (from.ln() + place * (to / from).ln()).exp(),
                    false => from + place * (to - from),
                };
                match whole {
                    true => (value.round().clamp(*from, *to) as i64).into(),
                    false => readable(value).clamp(*from, *to).into(),
                }
            }
        }
    }
}

/// A number in three digits, which people can read.
pub(super) fn readable(value: f64) -> f64 {
    format!("{value:.2e}").parse().expect("a number")
}
