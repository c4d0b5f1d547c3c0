//! Names of columns, which tables write in many ways.

/// A name in small letters, without spaces and signs.
pub(crate) fn letters(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
