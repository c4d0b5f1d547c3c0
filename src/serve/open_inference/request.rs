//! What a client asks: JSON, JSON with binary tensors behind it, or the bare bytes of one image.

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sarb_labels::images::{MAX_PIXELS, MAX_SIDE_PX, Rgb8};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::decisions::thresholds::Goal;
use crate::serve::pictures::{Content, Image};
use crate::serve::problem::Problem;

/// The header that says how many bytes of a body are JSON; what follows are binary tensors.
pub const JSON_LENGTH: &str = "inference-header-content-length";

/// A request.
#[derive(Debug)]
pub struct Asked {
    /// What the client calls it.
    pub id: Option<String>,
    /// Its images.
    pub images: Vec<Image>,
    /// What it wants to know.
    pub outputs: Vec<Wanted>,
    /// Whether scores are those of the run's decisions.
    pub decide: Option<Goal>,
}

/// An output that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub kind: Kind,
    /// Whether as bytes behind the JSON.
    pub binary: bool,
}

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Probabilities.
    Scores,
    /// Logits.
    Logits,
    /// Names of the categories, in the order of the columns.
    Labels,
    /// From which score on the run says that a category is there.
    Thresholds,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Scores, Self::Logits, Self::Labels, Self::Thresholds];

    /// As it is called in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scores => "scores",
            Self::Logits => "logits",
            Self::Labels => "labels",
            Self::Thresholds => "thresholds",
        }
    }
}

/// Keys that are not listed are those of other servers, and mean nothing here.
#[derive(Debug, Deserialize)]
struct Json {
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Debug, Deserialize)]
struct Input {
    name: String,
    shape: Vec<u64>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    data: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl Asked {
    /// Reads a body with at most `most` images.
    ///
    /// # Errors
    /// 400 with what is wrong and what is expected; 413 of too many images.
    pub fn read(headers: &HeaderMap, body: &Bytes, most: usize) -> Result<Self, Problem> {
        let length = match headers.get(JSON_LENGTH) {
            None => body.len(),
            Some(length) => length
                .to_str()
                .ok()
                .and_then(|length| length.parse().ok())
                .filter(|length| *length <= body.len())
                .ok_or_else(|| {
                    Problem::bad(format!(
                        "{JSON_LENGTH}: expected at most the {} bytes of the body",
                        body.len()
                    ))
                })?,
        };
        if length == 0 && !body.is_empty() {
            return Ok(Self::bare(body.clone()));
        }
        let json: Json = serde_json::from_slice(&body[..length])
            .map_err(|error| Problem::bad(format!("JSON: {error}")))?;
        let input = match &json.inputs[..] {
            [input] => input,
            _ => return Err(Problem::bad("expected one input: image (BYTES) or pixels (UINT8)")),
        };
        let binary = input.binary(&body.slice(length..))?;
        let contents = match &*input.name {
            "image" => input.encoded(binary, most)?,
            "pixels" => input.pixels(binary, most)?,
            other => {
                return Err(Problem::bad(format!(
                    "no input {other:?}; expected image (BYTES) or pixels (UINT8)"
                )));
            }
        };
        let name = |at: usize| format!("image {at}");
        let images = contents.into_iter().enumerate().map(|(at, content)| Image { name: name(at), content });
        Ok(Self { images: images.collect(), outputs: json.outputs()?, decide: json.decide()?, id: json.id })
    }

    /// The bytes of one image and nothing else.
    fn bare(bytes: Bytes) -> Self {
        let images = vec![Image { name: "the image".into(), content: Content::Bytes(bytes) }];
        Self { id: None, images, outputs: vec![Wanted { kind: Kind::Scores, binary: false }], decide: None }
    }
}

impl Json {
    /// The outputs that are asked for; the scores where nothing is said.
    fn outputs(&self) -> Result<Vec<Wanted>, Problem> {
        let all_binary = flag(&self.parameters, "binary_data_output")?.unwrap_or(false);
        if self.outputs.is_empty() {
            return Ok(vec![Wanted { kind: Kind::Scores, binary: all_binary }]);
        }
        let wanted = |output: &Output| {
            let kind = Kind::ALL.into_iter().find(|kind| kind.name() == output.name).ok_or_else(|| {
                let names = Kind::ALL.map(Kind::name).join(", ");
                Problem::bad(format!("no output {:?}; expected one of {names}", output.name))
            })?;
            if output.parameters.contains_key("classification") {
                return Err(Problem::bad("classification is not answered; ask for the output labels"));
            }
            Ok(Wanted { kind, binary: flag(&output.parameters, "binary_data")?.unwrap_or(all_binary) })
        };
        self.outputs.iter().map(wanted).collect()
    }

    fn decide(&self) -> Result<Option<Goal>, Problem> {
        let Some(goal) = self.parameters.get("decide") else { return Ok(None) };
        let goal =
            goal.as_str().ok_or_else(|| Problem::bad("parameters.decide: expected a text such as f1"))?;
        goal.parse().map(Some).map_err(|error: Error| Problem::bad(format!("parameters.decide: {error}")))
    }
}

fn flag(parameters: &Map<String, Value>, name: &str) -> Result<Option<bool>, Problem> {
    match parameters.get(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(other) => Err(Problem::bad(format!("{name} is {other}; expected true or false"))),
    }
}

impl Input {
    fn wrong(&self, what: &str) -> Problem {
        Problem::bad(format!("input {}: {what}", self.name))
    }

    /// Its bytes behind the JSON, if they are there and not in it.
    fn binary(&self, rest: &Bytes) -> Result<Option<Bytes>, Problem> {
        let size = match self.parameters.get("binary_data_size") {
            None => None,
            Some(size) => Some(
                size.as_u64().ok_or_else(|| self.wrong("binary_data_size: expected a number of bytes"))?,
            ),
        };
        match (size, &self.data) {
            (Some(size), None) if size == rest.len() as u64 => Ok(Some(rest.clone())),
            (Some(size), None) => {
                Err(self
                    .wrong(&format!("binary_data_size is {size}, but {} bytes follow the JSON", rest.len())))
            }
            (None, Some(_)) if rest.is_empty() => Ok(None),
            (None, Some(_)) => {
                Err(self.wrong(&format!("{} bytes follow the JSON that no tensor has", rest.len())))
            }
            (None, None) => {
                Err(self.wrong("expected data, or parameters.binary_data_size and bytes behind the JSON"))
            }
            (Some(_), Some(_)) => Err(self.wrong("data and binary_data_size exclude each other")),
        }
    }

    /// The number of elements, which fits what is there.
    fn elements(&self, datatype: &str) -> Result<u64, Problem> {
        if self.datatype != datatype {
            return Err(self.wrong(&format!("datatype is {:?}; expected {datatype:?}", self.datatype)));
        }
        let all = self.shape.iter().try_fold(1u64, |product, side| product.checked_mul(*side));
        all.ok_or_else(|| self.wrong("the shape has too many elements"))
    }

    /// Files of images, `[B]` or `[B, 1]`.
    fn encoded(&self, binary: Option<Bytes>, most: usize) -> Result<Vec<Content>, Problem> {
        let expected = self.elements("BYTES")?;
        self.check_count(expected, most)?;
        let files: Vec<Bytes> = match binary {
            Some(bytes) => self.lengths_and_bytes(bytes)?,
            None => {
                let mut texts = Vec::new();
                flatten(self.data.as_ref().unwrap_or(&Value::Null), &mut texts);
                texts.into_iter().map(|text| self.of_base64(text)).collect::<Result<_, _>>()?
            }
        };
        if files.len() as u64 != expected {
            let what =
                format!("the shape {:?} has {expected} elements, the data {}", self.shape, files.len());
            return Err(self.wrong(&what));
        }
        Ok(files.into_iter().map(Content::Bytes).collect())
    }

    fn of_base64(&self, text: &Value) -> Result<Bytes, Problem> {
        let text = text.as_str().ok_or_else(|| self.wrong("expected base64 in data"))?;
        Ok(STANDARD.decode(text).map_err(|error| self.wrong(&format!("base64: {error}")))?.into())
    }

    /// Each element is its length, four bytes of which the least comes first, and its bytes.
    fn lengths_and_bytes(&self, mut bytes: Bytes) -> Result<Vec<Bytes>, Problem> {
        let mut elements = Vec::new();
        while !bytes.is_empty() {
            let short = || self.wrong("the binary data end within an element");
            let length =
                u32::from_le_bytes(bytes.get(..4).ok_or_else(short)?.try_into().expect("four bytes"));
            let end = 4 + length as usize;
            if end > bytes.len() {
                return Err(short());
            }
            let element = bytes.split_to(end);
            elements.push(element.slice(4..));
        }
        Ok(elements)
    }

    /// Pixels, `[B, H, W, 3]` or, of one image, `[H, W, 3]`.
    fn pixels(&self, binary: Option<Bytes>, most: usize) -> Result<Vec<Content>, Problem> {
        let expected = self.elements("UINT8")?;
        let (count, height, width) = match self.shape[..] {
            [count, height, width, 3] => (count, height, width),
            [height, width, 3] => (1, height, width),
            _ => return Err(self.wrong(&format!("the shape is {:?}; expected [B, H, W, 3]", self.shape))),
        };
        self.check_count(count, most)?;
        let longest = u64::from(MAX_SIDE_PX);
        if height == 0 || width == 0 || height > longest || width > longest || height * width > MAX_PIXELS {
            return Err(self.wrong(&format!("images of {width} × {height} pixels; expected 1 to {MAX_PIXELS} pixels, no side longer than {MAX_SIDE_PX}")));
        }
        let values = match binary {
            Some(bytes) => bytes.to_vec(),
            None => {
                let mut numbers = Vec::new();
                flatten(self.data.as_ref().unwrap_or(&Value::Null), &mut numbers);
                let byte = |number: &Value| number.as_u64().and_then(|it| u8::try_from(it).ok());
                let bytes: Option<Vec<u8>> = numbers.into_iter().map(byte).collect();
                bytes.ok_or_else(|| self.wrong("expected numbers from 0 to 255 in data"))?
            }
        };
        if values.len() as u64 != expected {
            let what =
                format!("the shape {:?} has {expected} elements, the data {}", self.shape, values.len());
            return Err(self.wrong(&what));
        }
        let (width, height) = (width as u32, height as u32);
        let images = values.chunks_exact(3 * width as usize * height as usize);
        Ok(images.map(|pixels| Content::Pixels(Rgb8 { width, height, pixels: pixels.to_vec() })).collect())
    }

    fn check_count(&self, count: u64, most: usize) -> Result<(), Problem> {
        match count {
            0 => Err(self.wrong("no image")),
            count if count > most as u64 => Err(Problem::too_large(format!(
                "{count} images in one request; the server takes {most} (--max-images)"
            ))),
            _ => Ok(()),
        }
    }
}

/// The elements of nested arrays, row by row.
fn flatten<'a>(value: &'a Value, into: &mut Vec<&'a Value>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| flatten(value, into)),
        value => into.push(value),
    }
}
