//! What the best epoch is selected on: the recipe's key `data.validation`.

use std::fmt;
use std::path::Path;

use sarb_labels::{Split, dataset};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Result;

/// What the best epoch is selected on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Validation {
    /// `"auto"`: `val.csv` where the data folder has one, else a [tenth](Self::TENTH) of the training images.
    #[default]
    Auto,
    /// `"val.csv"`: the images of that file, with its labels as they are; all of `train.csv` trains.
    File,
    /// A number: the share of the partially labeled training images that is held out.
    Share(f64),
}

impl Validation {
    /// The share that is held out where nobody says anything and there is no `val.csv`.
    pub const TENTH: f64 = 0.1;
    /// What is accepted.
    pub(super) const ACCEPTED: &str = "\"auto\", \"val.csv\" or a proportion in [0, 1)";
    const AUTO: &str = "auto";
    const FILE: &str = "val.csv";

    /// [`File`](Self::File) or [`Share`](Self::Share): what it means for the data in `folder`.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn settled(self, folder: &Path) -> Result<Self> {
        Ok(match self {
            Validation::Auto if dataset::has_split(folder, Split::Val)? => Validation::File,
            Validation::Auto => Validation::Share(Self::TENTH),
            said => said,
        })
    }

    /// The share of the training images that is held out where no `val.csv` is read.
    pub fn held_out(self) -> f64 {
        match self {
            Validation::Share(share) => share,
            Validation::File => 0.0,
            Validation::Auto => Self::TENTH,
        }
    }

    pub(super) fn is_valid(self) -> bool {
        match self {
            Validation::Auto | Validation::File => true,
            Validation::Share(share) => (0.0..1.0).contains(&share),
        }
    }
}

/// As TOML writes it.
impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Validation::Auto => write!(f, "{:?}", Self::AUTO),
            Validation::File => write!(f, "{:?}", Self::FILE),
            Validation::Share(share) => write!(f, "{share}"),
        }
    }
}

impl Serialize for Validation {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Validation::Auto => serializer.serialize_str(Self::AUTO),
            Validation::File => serializer.serialize_str(Self::FILE),
            Validation::Share(share) => serializer.serialize_f64(*share),
        }
    }
}

impl<'de> Deserialize<'de> for Validation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Validation;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Validation::ACCEPTED)
            }

            fn visit_f64<E: de::Error>(self, share: f64) -> std::result::Result<Validation, E> {
                Ok(Validation::Share(share))
            }

            fn visit_i64<E: de::Error>(self, share: i64) -> std::result::Result<Validation, E> {
                Ok(Validation::Share(share as f64))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> std::result::Result<Validation, E> {
                match word {
                    Validation::AUTO => Ok(Validation::Auto),
                    Validation::FILE => Ok(Validation::File),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
