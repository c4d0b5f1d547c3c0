//! One JSON file of LabelMe.

use serde::Deserialize;
use serde::de::MapAccess;

use crate::Result;
use crate::formats::json::{Document, Entries, Lenient, Member, Scalar, read_object, text};
use crate::formats::report::{Report, shown};

/// What a file says of its image.
pub struct File {
    /// The path of the image from the folder of the file.
    pub image: String,
    pub flags: Vec<(String, bool)>,
    pub shapes: Vec<Shape>,
}

/// The label of a shape, and how many of its flags are ticked.
pub struct Shape {
    pub label: String,
    pub flags: usize,
}

impl File {
    /// Reads the file of a report; nothing if something is wrong, which the report then says. The image that
    /// LabelMe may put into the file is read over.
    ///
    /// # Errors
    /// If the file cannot be opened or read.
    pub fn read(report: &mut Report<'_>) -> Result<Option<Self>> {
        let before = report.problems.len();
        let mut keys = Keys::default();
        let whole = read_object(report, &mut keys)?;
        let image = match keys.image {
            Some(Scalar::Text(image)) if !image.is_empty() => image,
            image => {
                if whole {
                    report.line = keys.image_line.max(1);
                    let kind = image.as_ref().map_or("missing", Scalar::kind);
                    report.note(|| format!("imagePath is {kind}; expected the path of the image"));
                }
                return Ok(None);
            }
        };
        let right = report.problems.len() == before;
        Ok(right.then_some(Self { image, flags: keys.flags, shapes: keys.shapes }))
    }
}

#[derive(Default)]
struct Keys {
    image: Option<Scalar>,
    image_line: usize,
    flags: Vec<(String, bool)>,
    shapes: Vec<Shape>,
}

#[derive(Deserialize)]
#[serde(expecting = "a shape: an object with label")]
struct AnyShape {
    label: Option<Scalar>,
    flags: Option<Lenient<Entries<Scalar>>>,
}

impl Document for Keys {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error> {
        match key {
            // Null in files of early versions.
            "flags" => member.value(|flags: Option<Entries<Scalar>>, report| {
                let flags = flags.unwrap_or_default().0;
                flags.into_iter().for_each(|(name, value)| self.flag(name, &value, report));
            }),
            "shapes" => member.each(|shape, report| self.shape(shape, report)),
            "imagePath" => member.value(|image, report| {
                self.image = Some(image);
                self.image_line = report.line;
            }),
            _ => member.skip(),
        }
    }
}

impl Keys {
    fn flag(&mut self, name: String, value: &Scalar, report: &mut Report<'_>) {
        match value {
            _ if name.is_empty() => report.note(|| "a flag without a name".into()),
            Scalar::Flag(on) => self.flags.push((name, *on)),
            value => {
                report.note(|| format!("flag {} is {}; expected true or false", shown(&name), value.kind()))
            }
        }
    }

    fn shape(&mut self, shape: AnyShape, report: &mut Report<'_>) {
        let flags = match shape.flags {
            Some(Lenient::Object(Entries(flags))) => flags.iter().filter(|(_, flag)| flag.is_on()).count(),
            _ => 0,
        };
        let label = text(shape.label, "the label of a shape", report);
        self.shapes.extend(label.map(|label| Shape { label, flags }));
    }
}
