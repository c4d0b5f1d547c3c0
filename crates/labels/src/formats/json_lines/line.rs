//! One line: its image, its set and what it says of labels, whichever program wrote it.

use super::content::{Kind, Line, Said, text};
use super::{sagemaker, vertex};
use crate::formats::label_lists::{FURTHER, Members, labels_of};
use crate::text::letters;

/// Keys of paths of images beside `file_name`, best first, compared as [`letters`] does.
const IMAGES: [&str; 8] = ["filename", "image", "imagepath", "imgpath", "path", "filepath", "file", "img"];

impl Kind {
    /// By the key of the image.
    pub fn of(members: &Members) -> Option<Self> {
        if members.has(vertex::IMAGE) {
            return Some(Kind::Vertex);
        }
        if sagemaker::IMAGES.iter().any(|key| members.has(key)) {
            return Some(Kind::SageMaker);
        }
        image_key(members).map(|_| Kind::Plain)
    }

    /// The key of the image, for a message.
    pub fn image_key(self) -> &'static str {
        match self {
            Kind::Plain => "file_name and labels",
            Kind::Vertex => "imageGcsUri (Vertex AI)",
            Kind::SageMaker => "source-ref (SageMaker)",
        }
    }

    /// Whether an object of this kind is one of labeled images; only the plain ones may be anything.
    pub fn tells_labels(self, members: &Members) -> bool {
        let keys = ["positive", "negative", "labels", "negative_labels"];
        let listed = || keys.iter().chain(&FURTHER).any(|key| members.has(key));
        self != Kind::Plain
            || members.0.iter().any(|(key, value)| is_image_key(key) && value.is_string()) && listed()
    }
}

fn is_image_key(key: &str) -> bool {
    IMAGES.contains(&&*letters(key))
}

/// The key whose value is the image of a plain line.
fn image_key(members: &Members) -> Option<&str> {
    let key = |name: &&str| members.0.iter().find(|(key, _)| letters(key) == **name);
    IMAGES.iter().find_map(key).map(|(key, _)| &**key)
}

/// Reads the object of a line.
///
/// # Errors
/// What is wrong, and what is accepted.
pub(super) fn parse(mut members: Members) -> Result<Line, String> {
    match Kind::of(&members) {
        Some(Kind::Vertex) => vertex::parse(members),
        Some(Kind::SageMaker) => sagemaker::parse(members),
        Some(Kind::Plain) => {
            let key = image_key(&members).unwrap_or_default().to_owned();
            let image = text(members.take(&key), &key, "the path of an image")?;
            let set =
                members.take("split").map(|set| text(Some(set), "split", "the name of a set")).transpose()?;
            let said = labels_of(&mut members, &FURTHER)?.map_or(Said::Nothing, Said::Lists);
            Ok(Line { kind: Kind::Plain, image, set, said, left_out: Vec::new() })
        }
        None => Err("no image; expected file_name, imageGcsUri or source-ref".into()),
    }
}
