//! Values of settings out of range, refused as `key is value; expected …`.

use crate::{Error, Result};

/// At least one of something, and no more than there can be.
pub fn at_least_one(key: &str, value: usize) -> Result<()> {
    check((1..=1_000_000).contains(&value), key, value, "1 to 1000000")
}

/// The width of a layer: two of the largest take a gigabyte between them.
pub fn width(key: &str, value: usize) -> Result<()> {
    check((1..=16_384).contains(&value), key, value, "1 to 16384")
}

/// A share that may be all.
pub fn share(key: &str, value: f64) -> Result<()> {
    check((0.0..=1.0).contains(&value), key, value, "0 to 1")
}

/// A rate of dropout, which must leave something.
pub fn dropout(key: &str, value: f64) -> Result<()> {
    check((0.0..1.0).contains(&value), key, value, "0 or more and less than 1")
}

/// A weight of a loss or a factor on a rate.
pub fn weight(key: &str, value: f64) -> Result<()> {
    check(value >= 0.0 && value.is_finite(), key, value, "0 or more")
}

/// Refuses the value of a key unless `holds`.
pub fn check(holds: bool, key: &str, value: impl std::fmt::Display, expected: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Recipe(format!("{key} is {value}; expected {expected}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_key_value_and_range() {
        assert_eq!(
            dropout("dropout", 1.0).unwrap_err().to_string(),
            "dropout is 1; expected 0 or more and less than 1"
        );
        assert!(share("alpha", f64::NAN).is_err() && weight("w", f64::INFINITY).is_err());
        assert!(width("dim", 1 << 20).is_err() && at_least_one("dim", usize::MAX).is_err());
        assert!(at_least_one("dim", 1).is_ok() && share("alpha", 1.0).is_ok() && weight("w", 0.0).is_ok());
    }
}
