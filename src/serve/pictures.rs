//! The images in the body of a request: the bytes of one, a form with several, or JSON with base64.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use sarb_labels::images::Rgb8;
use serde::Deserialize;

use super::problem::Problem;

/// What an image without a name is called.
const UNNAMED: &str = "image";

/// An image of a request.
#[derive(Debug, Clone)]
pub struct Image {
    /// What it is called in the answer.
    pub name: String,
    /// What it holds.
    pub content: Content,
}

/// What an image of a request holds.
#[derive(Debug, Clone)]
pub enum Content {
    /// The bytes of a file.
    Bytes(Bytes),
    /// Decoded pixels.
    Pixels(Rgb8),
}

/// `{"images": [{"name": "a.jpg", "base64": "…"}, "…"]}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    images: Vec<ListedImage>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected base64 or {\"name\": …, \"base64\": …}")]
enum ListedImage {
    Bare(String),
    Named(NamedImage),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedImage {
    name: Option<String>,
    base64: String,
}

/// The images of a body, at most `most` of them, and whether it could have held several. What is neither a form nor JSON is
/// the bytes of one image, which is called `name`.
///
/// # Errors
/// 400 of a body that is not what it says; 413 of too many images.
pub async fn images(
    headers: &HeaderMap,
    body: Bytes,
    name: Option<String>,
    most: usize,
) -> Result<(Vec<Image>, bool), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let images = match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "multipart/form-data" => of_form(kind, body, most).await?,
        "application/json" => of_json(&body, most)?,
        _ => {
            let name = name.unwrap_or_else(|| UNNAMED.to_owned());
            return Ok((vec![Image { name, content: Content::Bytes(body) }], false));
        }
    };
    if images.is_empty() {
        return Err(Problem::bad("no image in the request"));
    }
    Ok((images, true))
}

async fn of_form(kind: &str, body: Bytes, most: usize) -> Result<Vec<Image>, Problem> {
    let wrong = |error: multer::Error| Problem::bad(format!("multipart/form-data: {error}"));
    let boundary = multer::parse_boundary(kind).map_err(wrong)?;
    let whole = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>(body) });
    let mut form = multer::Multipart::new(whole, boundary);
    let mut images = Vec::new();
    while let Some(field) = form.next_field().await.map_err(wrong)? {
        check_count(images.len() + 1, most)?;
        let name = field.file_name().or(field.name()).unwrap_or(UNNAMED).to_owned();
        images.push(Image { name, content: Content::Bytes(field.bytes().await.map_err(wrong)?) });
    }
    Ok(images)
}

fn of_json(body: &[u8], most: usize) -> Result<Vec<Image>, Problem> {
    let Listed { images } =
        serde_json::from_slice(body).map_err(|error| Problem::bad(format!("JSON: {error}")))?;
    check_count(images.len(), most)?;
    let decoded = images.into_iter().enumerate().map(|(at, image)| {
        let (name, text) = match image {
            ListedImage::Bare(text) => (None, text),
            ListedImage::Named(NamedImage { name, base64 }) => (name, base64),
        };
        let bytes =
            STANDARD.decode(text).map_err(|error| Problem::bad(format!("images[{at}]: base64: {error}")))?;
        let name = name.unwrap_or_else(|| format!("{UNNAMED}-{}", at + 1));
        Ok(Image { name, content: Content::Bytes(bytes.into()) })
    });
    decoded.collect()
}

fn check_count(count: usize, most: usize) -> Result<(), Problem> {
    if count <= most {
        return Ok(());
    }
    Err(Problem::too_large(format!("more than {most} images in one request (--max-images)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names and bytes.
    type Plain = Vec<(String, Vec<u8>)>;

    fn read(kind: &str, body: &str) -> Result<(Plain, bool), Problem> {
        let headers = [(header::CONTENT_TYPE, kind.parse().unwrap())].into_iter().collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (images, several) = runtime.block_on(images(&headers, body, Some("x.jpg".into()), 2))?;
        let plain = images.into_iter().map(|image| match image.content {
            Content::Bytes(bytes) => (image.name, bytes.to_vec()),
            Content::Pixels(_) => unreachable!(),
        });
        Ok((plain.collect(), several))
    }

    fn named(pairs: &[(&str, &str)]) -> Plain {
        pairs.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.as_bytes().to_vec())).collect()
    }

    #[test]
    fn whatever_is_neither_form_nor_json_is_the_bytes_of_one_image() {
        // curl --data-binary says that it is a form of HTML.
        for kind in ["image/jpeg", "application/x-www-form-urlencoded", "application/octet-stream", ""] {
            assert_eq!(read(kind, "bytes").unwrap(), (named(&[("x.jpg", "bytes")]), false), "{kind}");
        }
    }

    #[test]
    fn forms_and_json_hold_several() {
        let form = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a b.jpg\"\r\n\r\none\r\n\
                    --b\r\nContent-Disposition: form-data; name=\"g\"\r\n\r\ntwo\r\n--b--\r\n";
        let expected = named(&[("a b.jpg", "one"), ("g", "two")]);
        assert_eq!(read("multipart/form-data; boundary=b", form).unwrap(), (expected, true));
        let json = r#"{"images": [{"name": "a.jpg", "base64": "b25l"}, "dHdv"]}"#;
        let expected = named(&[("a.jpg", "one"), ("image-2", "two")]);
        assert_eq!(read("Application/JSON; charset=utf-8", json).unwrap(), (expected, true));
    }

    #[test]
    fn what_is_not_what_it_says_is_refused() {
        for (kind, body, status, expected) in [
            ("multipart/form-data", "", 400, "boundary"),
            ("multipart/form-data; boundary=b", "--b\r\n", 400, "incomplete"),
            ("multipart/form-data; boundary=b", "--b--\r\n", 400, "no image"),
            ("application/json", "{", 400, "JSON: EOF"),
            ("application/json", r#"{"images": [], "top": 3}"#, 400, "unknown field `top`"),
            ("application/json", r#"{"images": [3]}"#, 400, "expected base64 or"),
            ("application/json", r#"{"images": ["*"]}"#, 400, "images[0]: base64"),
            ("application/json", r#"{"images": []}"#, 400, "no image"),
            ("application/json", r#"{"images": ["", "", ""]}"#, 413, "more than 2 images"),
        ] {
            let problem = read(kind, body).unwrap_err();
            assert_eq!(problem.status.as_u16(), status, "{problem:?}");
            assert!(problem.detail.contains(expected), "{problem:?}");
        }
    }
}
