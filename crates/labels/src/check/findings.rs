//! What a check reports: one finding a problem, each with a code that scripts may rely on.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Training stops at it, or what is measured is wrong.
    Error,
    /// Probably not what was meant.
    Warning,
    /// Worth knowing.
    Info,
}

/// What kind of problem a finding is; its name stays the same between versions of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// No such file.
    ImageMissing,
    /// The system does not let the file be read.
    ImageUnreadable,
    /// A file of no bytes.
    ImageEmpty,
    /// No image by its content.
    ImageNotAnImage,
    /// More pixels than are decoded.
    ImageTooLarge,
    /// Damaged or cut off.
    ImageBroken,
    /// The same file in two splits.
    LeakPath,
    /// The same content in two splits.
    LeakExact,
    /// Positive in one place, negative in another.
    Contradiction,
    /// A category that one split has and another has not.
    CategoriesDiffer,
    /// Images that look alike in two splits.
    LeakNear,
    /// The same file twice in a split.
    DuplicatePath,
    /// The same content twice in a split.
    DuplicateExact,
    /// Names that differ only in case, spaces, `_` and `-`.
    CategorySameName,
    /// Unknown in every image of every split.
    CategoryUnused,
    /// Unknown in every image of one split.
    CategoryAllUnknown,
    /// No known positive.
    CategoryNoPositive,
    /// No known negative.
    CategoryNoNegative,
    /// Positive in every image.
    CategoryEverywhere,
    /// A split without a known positive.
    NoPositives,
    /// A split without a known negative.
    NoNegatives,
    /// Images that nobody looked at probably became all negative.
    UnlabeledNegative,
    /// −1 probably meant unknown.
    MinusOneUnknown,
    /// Several frames, of which the first is read.
    ImageAnimated,
    /// Hardly any pixels.
    ImageTiny,
    /// One color all over.
    ImageOneColor,
    /// An image whose brightest value is at most a sixteenth of what it could be.
    ImageDark,
    /// Names that differ by one letter or a plural.
    CategorySimilarName,
    /// Images that look alike in one split.
    DuplicateNear,
    /// Nothing is unknown.
    NothingUnknown,
    /// Images without any known label.
    ImageNothingKnown,
    /// Many more pixels than a network reads.
    ImageLarge,
    /// Much wider than high, or the other way round.
    ImageElongated,
}

impl Code {
    /// All codes, errors first.
    pub const ALL: [Code; 33] = [
        Code::ImageMissing,
        Code::ImageUnreadable,
        Code::ImageEmpty,
        Code::ImageNotAnImage,
        Code::ImageTooLarge,
        Code::ImageBroken,
        Code::LeakPath,
        Code::LeakExact,
        Code::Contradiction,
        Code::CategoriesDiffer,
        Code::LeakNear,
        Code::DuplicatePath,
        Code::DuplicateExact,
        Code::CategorySameName,
        Code::CategoryUnused,
        Code::CategoryAllUnknown,
        Code::CategoryNoPositive,
        Code::CategoryNoNegative,
        Code::CategoryEverywhere,
        Code::NoPositives,
        Code::NoNegatives,
        Code::UnlabeledNegative,
        Code::MinusOneUnknown,
        Code::ImageAnimated,
        Code::ImageTiny,
        Code::ImageOneColor,
        Code::ImageDark,
        Code::CategorySimilarName,
        Code::DuplicateNear,
        Code::NothingUnknown,
        Code::ImageNothingKnown,
        Code::ImageLarge,
        Code::ImageElongated,
    ];

    /// The name in tables and JSON.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// How much it matters.
    pub fn severity(self) -> Severity {
        self.entry().1
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        self.entry().2
    }

    fn entry(self) -> (&'static str, Severity, &'static str) {
        use Severity::{Error, Info, Warning};
        match self {
            Code::ImageMissing => {
                ("image-missing", Error, "put the file there, correct its path or remove its line")
            }
            Code::ImageUnreadable => {
                ("image-unreadable", Error, "look at the file's permissions and the disk")
            }
            Code::ImageEmpty => ("image-empty", Error, "copy the file again or remove its line"),
            Code::ImageNotAnImage => (
                "image-not-an-image",
                Error,
                "often a saved error page; fetch or convert the file, or remove its line",
            ),
            Code::ImageTooLarge => ("image-too-large", Error, "scale the image down"),
            Code::ImageBroken => ("image-broken", Error, "copy the file again or remove its line"),
            Code::LeakPath => ("leak-path", Error, "remove the image from all splits but one"),
            Code::LeakExact => ("leak-exact", Error, "remove the image from all splits but one"),
            Code::Contradiction => ("contradiction", Error, "decide which label holds, or leave it unknown"),
            Code::CategoriesDiffer => {
                ("categories-differ", Error, "give all splits the same categories; a column of ? is unknown")
            }
            Code::LeakNear => {
                ("leak-near", Warning, "look at the images; keep shots of one scene in the same split")
            }
            Code::DuplicatePath => ("duplicate-path", Warning, "keep one row and merge its labels"),
            Code::DuplicateExact => ("duplicate-exact", Warning, "keep one and merge its labels"),
            Code::CategorySameName => ("category-same-name", Warning, "merge the columns"),
            Code::CategoryUnused => ("category-unused", Warning, "label some images, or remove the column"),
            Code::CategoryAllUnknown => (
                "category-all-unknown",
                Warning,
                "label some images: here it is neither learned nor measured",
            ),
            Code::CategoryNoPositive => {
                ("category-no-positive", Warning, "find positives: here it is neither learned nor measured")
            }
            Code::CategoryNoNegative => {
                ("category-no-negative", Warning, "label some images in which it is not there")
            }
            Code::CategoryEverywhere => (
                "category-everywhere",
                Warning,
                "a category of every image teaches nothing; look at its source",
            ),
            Code::NoPositives => ("no-positives", Warning, "look at how the source was read"),
            Code::NoNegatives => (
                "no-negatives",
                Warning,
                "if every category was looked for, read the source with --unlisted negative",
            ),
            Code::UnlabeledNegative => {
                ("unlabeled-negative", Warning, "leave empty what nobody looked at (--unlisted unknown)")
            }
            Code::MinusOneUnknown => (
                "minus-one-unknown",
                Warning,
                "if -1 means unknown and 0 not there, read it with --convention csl",
            ),
            Code::ImageAnimated => ("image-animated", Warning, "store the frame that the labels are of"),
            Code::ImageTiny => ("image-tiny", Warning, "often a thumbnail; find the original"),
            Code::ImageOneColor => {
                ("image-one-color", Warning, "often a placeholder for a photograph that is gone; remove it")
            }
            Code::ImageDark => (
                "image-dark",
                Warning,
                "often 12 bits stored in 16; stretch the values to the full range before they are stored",
            ),
            Code::CategorySimilarName => {
                ("category-similar-name", Info, "if both mean the same, merge the columns")
            }
            Code::DuplicateNear => {
                ("duplicate-near", Info, "look at the images; they count twice in training")
            }
            Code::NothingUnknown => {
                ("nothing-unknown", Info, "right if every category was looked for in every image")
            }
            Code::ImageNothingKnown => {
                ("image-nothing-known", Info, "label them, or use them for prediction only")
            }
            Code::ImageLarge => {
                ("image-large", Info, "scale them down once: decoding takes most of the time")
            }
            Code::ImageElongated => {
                ("image-elongated", Info, "networks see it squeezed into a square; cut it")
            }
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: Code,
    /// What was found, for a person.
    pub message: String,
    /// The split it was found in, where it is one.
    pub split: Option<String>,
    /// The label file of that split.
    #[serde(serialize_with = "lossy_if_any")]
    pub file: Option<PathBuf>,
    /// The line of the image in the label file, from 1, where that is a CSV file with a line per image.
    pub line: Option<usize>,
    /// The image, where it is about one.
    #[serde(serialize_with = "lossy_if_any")]
    pub image: Option<PathBuf>,
    /// The other images that it is about.
    pub also: Vec<Place>,
}

/// Where an image stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The split.
    pub split: String,
    /// The label file of that split.
    #[serde(serialize_with = "lossy")]
    pub file: PathBuf,
    /// Its line, as in [`Finding::line`].
    pub line: Option<usize>,
    /// The image.
    #[serde(serialize_with = "lossy")]
    pub image: PathBuf,
}

/// A path as JSON can hold it: bytes that are not text become U+FFFD, where serde would fail.
fn lossy<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn lossy_if_any<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_deref().map(Path::to_string_lossy).serialize(serializer)
}

/// A path or a name as a message shows it: as it is, unless it would upset a terminal.
pub(super) fn shown(text: impl AsRef<Path>) -> String {
    let text = text.as_ref().to_string_lossy();
    if text.chars().any(char::is_control) { format!("{text:?}") } else { text.into_owned() }
}

/// A number of things: `1 image`, `2 images`.
pub(super) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_once_errors_first_under_names_of_their_own() {
        assert!(Code::ALL.is_sorted() && Code::ALL.is_sorted_by_key(|code| code.severity()));
        let mut names = Code::ALL.map(Code::name).to_vec();
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
        assert_eq!(Code::ALL.last(), Some(&Code::ImageElongated), "the last variant is listed");
        assert_eq!(serde_json::to_value(Code::LeakNear).unwrap(), "leak-near");
    }

    #[test]
    fn the_documentation_lists_every_code_with_its_severity() {
        let page = include_str!("../../../../docs/looking_at_data.md");
        for code in Code::ALL {
            let severity = format!("{:?}", code.severity()).to_lowercase();
            let row = format!("| `{}` | {severity} |", code.name());
            assert!(page.contains(&row), "{row}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_no_text_is_still_json() {
        use std::os::unix::ffi::OsStrExt;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(b"a\xff.jpg"));
        let place = Place { split: "train".into(), file: path.clone(), line: None, image: path.clone() };
        let finding = Finding {
            severity: Severity::Error,
            code: Code::ImageEmpty,
            message: shown(&path),
            split: None,
            file: None,
            line: Some(3),
            image: Some(path),
            also: vec![place],
        };
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(
            (&json["image"], &json["also"][0]["file"]),
            (&"a\u{fffd}.jpg".into(), &"a\u{fffd}.jpg".into())
        );
        assert_eq!(json["file"], serde_json::Value::Null);
    }

    #[test]
    fn control_characters_of_a_path_do_not_reach_the_terminal() {
        assert_eq!(shown("a b/Küche.jpg"), "a b/Küche.jpg");
        assert_eq!(shown("a\u{1b}[31m.jpg"), r#""a\u{1b}[31m.jpg""#);
    }
}
