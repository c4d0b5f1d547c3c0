//! JSON objects whose keys are data, and values that may be of another kind than expected.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{AnyScalar, Report, Scalar};

/// Gives every entry of an object to a function.
pub(super) struct Each<'m, 'r, F, T> {
    pub report: &'m mut Report<'r>,
    pub line: &'m Cell<usize>,
    pub each: F,
    pub value: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(String, T, &mut Report<'_>)> DeserializeSeed<'de>
    for Each<'_, '_, F, T>
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(String, T, &mut Report<'_>)> Visitor<'de> for Each<'_, '_, F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { report, line, mut each, .. } = self;
        while let Some(key) = map.next_key::<String>()? {
            let first = line.get();
            let value = map.next_value()?;
            report.line = first;
            each(key, value, report);
        }
        Ok(())
    }
}

/// The members of an object in the order of the file; a key that is repeated is there again.
#[derive(Debug, PartialEq)]
pub(in crate::formats) struct Entries<T>(pub Vec<(String, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AllEntries(PhantomData))
    }
}

struct AllEntries<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AllEntries<T> {
    type Value = Entries<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<T>, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

/// An object as expected, or another value, of which only a scalar is kept.
#[derive(Debug, PartialEq)]
pub(in crate::formats) enum Lenient<T> {
    Object(T),
    Other(Scalar),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue(PhantomData))
    }
}

struct AnyValue<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AnyValue<T> {
    type Value = Lenient<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Lenient<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Lenient::Object)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Lenient<T>, E> {
        Ok(Lenient::Other(Scalar::Flag(flag)))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Lenient<T>, E> {
        AnyScalar.visit_i64(number).map(Lenient::Other)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Lenient<T>, E> {
        AnyScalar.visit_u64(number).map(Lenient::Other)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Lenient<T>, E> {
        AnyScalar.visit_f64(number).map(Lenient::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Lenient<T>, E> {
        Ok(Lenient::Other(Scalar::Text(text.to_owned())))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Lenient<T>, E> {
        AnyScalar.visit_unit().map(Lenient::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<Lenient<T>, A::Error> {
        AnyScalar.visit_seq(elements).map(Lenient::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_the_order_of_the_file_and_what_is_repeated() {
        let entries: Entries<i64> = serde_json::from_str(r#"{"b": 1, "a": 2, "b": 3}"#).unwrap();
        assert_eq!(entries.0, [("b", 1), ("a", 2), ("b", 3)].map(|(key, value)| (key.to_owned(), value)));
        let error = serde_json::from_str::<Entries<i64>>("[1]").unwrap_err().to_string();
        assert!(error.contains("expected a JSON object"), "{error}");
    }

    #[test]
    fn values_of_other_kinds_are_told_apart_from_objects() {
        let text = r#"[{"x": 1}, "a", 2, 2.5, -3, true, null, [{}], 18446744073709551615]"#;
        let values: Vec<Lenient<Entries<i64>>> = serde_json::from_str(text).unwrap();
        assert_eq!(values[0], Lenient::Object(Entries(vec![("x".into(), 1)])));
        let other = values[1..].iter().map(|value| match value {
            Lenient::Object(_) => "an object",
            Lenient::Other(scalar) => scalar.kind(),
        });
        let number = "a number";
        let kinds = ["text", number, "a fraction", number, "true or false", "null", "an array"];
        assert_eq!(other.collect::<Vec<_>>(), [&kinds[..], &["a number beyond 63 bits"]].concat());
    }
}
