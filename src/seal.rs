//! Whether a file is still what the program wrote.
//!
//! A small file carries a seal, a hash of all else that it holds. The hashes of large files stand in a small one. So
//! one changed bit, on a disk or in a copy, is found when the file is read, and not believed.
//!
//! A file without a seal is taken as it is: an earlier version wrote it, or a person who took the seal out to
//! change the file by hand.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Result};

/// The key of a seal, the last of a file of JSON.
const KEY: &str = "seal";
/// What a seal begins with; the hash is BLAKE3.
const PREFIX: &str = "blake3:";
/// The line of a seal, the last of a file of TOML.
const LINE: &str = "# seal: ";

/// A value as a file of JSON; an object is sealed.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(value).expect("plain data");
    if let (Ok(Value::Object(map)), Some(end)) = (serde_json::from_str(&text), text.rfind("\n}")) {
        text.truncate(end);
        text.push_str(&format!(",\n  {KEY:?}: {:?}\n}}", seal_of(&map)));
    }
    text.push('\n');
    text.into_bytes()
}

/// Reads a file of [`json`].
///
/// # Errors
/// [`Error::Incompatible`] if it is damaged, was changed by hand, or is of another version.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let unreadable = |e: serde_json::Error| Error::Incompatible(format!("{}: {e}", path.display()));
    let mut value: Value = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if let Value::Object(map) = &mut value {
        // By its value, so that a damaged key does not make a file one without a seal.
        let is_seal = |value: &Value| value.as_str().is_some_and(|text| text.starts_with(PREFIX));
        let seal = map.remove(KEY).or_else(|| map.values().find(|value| is_seal(value)).cloned());
        if seal.is_some_and(|seal| seal != seal_of(map).as_str()) {
            return Err(broken(path, KEY));
        }
    }
    serde_json::from_value(value).map_err(unreadable)
}

/// A file of TOML with its seal.
pub fn toml(text: &str) -> String {
    format!("{}{LINE}{}\n", ended(text), hash(ended(text).as_bytes()))
}

/// Whether the text of a file of [`toml`] at `path` is what was written.
///
/// # Errors
/// [`Error::Incompatible`] if it is not.
pub fn check_toml(text: &str, path: &Path) -> Result<()> {
    let Some(at) = text.rfind(PREFIX).and_then(|at| text[..at].rfind('\n')) else { return Ok(()) };
    // Another end of lines, as some programs for versions make it, is no change.
    let sealed = text[..=at].replace("\r\n", "\n");
    let line = format!("{LINE}{}", hash(sealed.as_bytes()));
    if text[at..].trim() == line { Ok(()) } else { Err(broken(path, LINE.trim_end())) }
}

/// Whether the text of a file of TOML has a seal, and so was written by the program.
pub fn is_sealed_toml(text: &str) -> bool {
    text.contains(LINE)
}

fn ended(text: &str) -> String {
    format!("{}\n", text.trim_end_matches('\n'))
}

/// Of an object without its seal; equal objects have equal ones, however they are written.
fn seal_of(map: &serde_json::Map<String, Value>) -> String {
    hash(&serde_json::to_vec(map).expect("plain data"))
}

fn hash(bytes: &[u8]) -> String {
    format!("{PREFIX}{}", blake3::hash(bytes).to_hex())
}

fn broken(path: &Path, seal: &str) -> Error {
    Error::Incompatible(format!(
        "{}: damaged, or changed by hand: it does not fit its seal; put the file back as it was written, or take the \
         line with `{seal}` out to have it read as it is",
        path.display()
    ))
}

/// The hashes of files in a folder, by their paths in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

impl Hashes {
    /// Whether nothing is known of any file: an earlier version wrote the folder.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of a file, if it is known.
    pub fn get(&self, part: &str) -> Option<&str> {
        self.0.get(part).map(String::as_str)
    }

    /// Notes what a file of the folder holds now.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn note(&mut self, folder: &Path, part: &str) -> Result<()> {
        let hash = hash_of(&folder.join(part))?;
        self.0.insert(part.to_owned(), hash);
        Ok(())
    }

    /// That a file of the folder holds what was noted; of one that was not, nothing is said.
    ///
    /// # Errors
    /// [`Error::Incompatible`] if it holds something else, [`Error::Missing`] if it is gone.
    pub fn check(&self, folder: &Path, part: &str) -> Result<()> {
        let path = folder.join(part);
        match self.get(part) {
            Some(noted) if noted != hash_of(&path)? => Err(damaged(&path)),
            _ => Ok(()),
        }
    }

    /// Whether `bytes` are what was noted of a file, or nothing was.
    pub fn fit(&self, part: &str, bytes: &[u8]) -> bool {
        self.get(part).is_none_or(|noted| noted == hash(bytes))
    }
}

/// The refusal of a file whose hash is not what was noted.
pub fn damaged(path: &Path) -> Error {
    Error::Incompatible(format!(
        "{}: damaged: it does not hold what was written; take it from another copy of the folder",
        path.display()
    ))
}

fn hash_of(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    hasher.update_reader(file).map_err(|e| Error::io(path, e))?;
    Ok(format!("{PREFIX}{}", hasher.finalize().to_hex()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Example {
        name: String,
        value: f64,
        single: f32,
        nothing: Option<u8>,
    }

    fn example() -> Example {
        Example { name: "ä \"quoted\"".into(), value: 0.1 + 0.2, single: 0.1, nothing: None }
    }

    /// Every file that differs from `bytes` in one bit.
    fn flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
        (0..8 * bytes.len()).map(|bit| {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        })
    }

    #[test]
    fn of_a_file_of_json_no_flipped_bit_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let bytes = json(&example());
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_json::<Example>(&path).unwrap(), example());
        let mut refused = 0;
        for flipped in flipped(&bytes) {
            std::fs::write(&path, flipped).unwrap();
            match read_json::<Example>(&path) {
                // A blank for another blank, say.
                Ok(read) => assert_eq!(read, example()),
                Err(error) => {
                    assert_eq!(error.exit_code(), 7);
                    refused += 1;
                }
            }
        }
        assert!(refused > 7 * bytes.len(), "{refused}");
    }

    #[test]
    fn a_file_of_json_that_is_written_in_another_way_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.json");
        let value: Value = serde_json::from_slice(&json(&example())).unwrap();
        std::fs::write(&path, value.to_string()).unwrap();
        assert_eq!(read_json::<Example>(&path).unwrap(), example());
        // And one of an earlier version has no seal.
        std::fs::write(&path, serde_json::to_vec(&example()).unwrap()).unwrap();
        assert_eq!(read_json::<Example>(&path).unwrap(), example());
        assert!(!json(&[1, 2]).is_empty(), "a list has no place for a seal");
    }

    #[test]
    fn of_a_file_of_toml_no_flipped_bit_is_believed() {
        let text = toml("seed = 1\n[train]\nepochs = 3");
        let path = Path::new("recipe.toml");
        assert!(text.starts_with("seed = 1\n[train]\nepochs = 3\n"), "{text}");
        assert!(is_sealed_toml(&text) && !is_sealed_toml("seed = 1\n"));
        check_toml(&text, path).unwrap();
        check_toml(&text.replace('\n', "\r\n"), path).unwrap();
        check_toml("seed = 1\n", path).unwrap();
        for flipped in flipped(text.as_bytes()) {
            let Ok(flipped) = String::from_utf8(flipped) else { continue };
            // A seal that is no longer one hides nothing.
            let is_whole = flipped.starts_with("seed = 1\n[train]\nepochs = 3\n# ");
            assert!(is_whole || check_toml(&flipped, path).is_err(), "{flipped:?}");
        }
    }

    #[test]
    fn hashes_find_a_changed_file_and_one_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "what was written").unwrap();
        let mut hashes = Hashes::default();
        assert!(hashes.is_empty());
        hashes.check(dir.path(), "a").unwrap();
        hashes.note(dir.path(), "a").unwrap();
        assert!(!hashes.is_empty());
        hashes.check(dir.path(), "a").unwrap();
        assert!(hashes.fit("a", b"what was written") && !hashes.fit("a", b"what was Written"));
        std::fs::write(dir.path().join("a"), "what was Written").unwrap();
        let error = hashes.check(dir.path(), "a").unwrap_err();
        assert!(error.exit_code() == 7 && error.to_string().contains("damaged"), "{error}");
        std::fs::remove_file(dir.path().join("a")).unwrap();
        assert_eq!(hashes.check(dir.path(), "a").unwrap_err().exit_code(), 4);
    }
}
