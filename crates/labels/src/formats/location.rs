//! Where an annotation tool says that an image is: Label Studio's server, or any URL.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::images::EXTENSIONS;

/// The path of an image below the folder of images.
#[derive(Debug, PartialEq)]
pub struct Location<'a> {
    pub name: Cow<'a, str>,
    /// Whether it was the address of an image elsewhere.
    pub remote: bool,
}

const UPLOADED: &str = "/data/upload/";
/// Files of the server, relative to its document root.
const SERVED: &str = "/data/local-files/?d=";

/// The path in a task's data: a local path, an uploaded or served file, or a URL (`https://`, `s3://`…),
/// which becomes its path below the host or bucket.
pub fn locate(text: &str) -> Result<Location<'_>, String> {
    if text.starts_with("data:") {
        return Err("an image inside the file (data: URI); expected its path".into());
    }
    let (path, remote) = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => (rest.find('/').map_or("", |at| &rest[at..]), true),
        _ => (text, false),
    };
    let name = if let Some(served) = path.strip_prefix(SERVED) {
        decode(served.split('&').next().unwrap_or_default())
    } else if let Some(uploaded) = path.strip_prefix(UPLOADED) {
        decode(uploaded)
    } else if remote {
        decode(without_query(path).trim_start_matches('/'))
    } else {
        path.into()
    };
    if name.is_empty() { Err("an empty image name".into()) } else { Ok(Location { name, remote }) }
}

/// What stands for itself in a path of a URL.
const IN_PATHS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The URL by which Label Studio serves a file below its document root.
pub fn served(path: &str) -> String {
    format!("{SERVED}{}", utf8_percent_encode(path, IN_PATHS))
}

/// Whether the text ends like the name of an image.
pub fn is_image(text: &str) -> bool {
    let end =
        |text: &str| text.rsplit_once('.').is_some_and(|(_, end)| EXTENSIONS.contains(&&*end.to_lowercase()));
    end(text) || end(without_query(text))
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// `%20` and the like as the characters that they stand for; as it is where that gives no text.
fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8().unwrap_or(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> String {
        locate(text).unwrap().name.into_owned()
    }

    #[test]
    fn uploads_served_files_and_urls_become_paths_below_the_folder_of_images() {
        assert_eq!(name("images/a b%20.jpg"), "images/a b%20.jpg");
        assert_eq!(name("/data/upload/3/0a1b-cat.jpg"), "3/0a1b-cat.jpg");
        assert_eq!(name("/data/local-files/?d=set/my%20cat.jpg&x=1"), "set/my cat.jpg");
        assert_eq!(name("http://localhost:8080/data/local-files/?d=a/b.jpg"), "a/b.jpg");
        assert_eq!(name("s3://bucket/set/cat.jpg"), "set/cat.jpg");
        assert_eq!(name("a/b://c/cat.jpg"), "a/b://c/cat.jpg");
        assert_eq!(name("https://example.org/a/cat%2B1.jpg?size=2#x"), "a/cat+1.jpg");
        assert!(locate("gs://bucket/cat.jpg").unwrap().remote && !locate("cat.jpg").unwrap().remote);
    }

    #[test]
    fn what_is_no_path_is_refused_and_broken_escapes_stay() {
        assert!(locate("data:image/png;base64,AAAA").unwrap_err().contains("data: URI"));
        assert!(locate("https://example.org").is_err() && locate("").is_err());
        assert_eq!(name("/data/upload/100%.jpg"), "100%.jpg");
        assert_eq!(name("/data/upload/%zz%4"), "%zz%4");
        assert_eq!(name("/data/upload/%FF.jpg"), "%FF.jpg");
    }

    #[test]
    fn a_served_name_is_found_again() {
        for path in ["a.jpg", "ä b&c/?d=%20#.jpg", "../x/y.jpg", "/abs/ü.jpg"] {
            assert_eq!(name(&served(path)), path);
        }
    }

    #[test]
    fn image_names_are_told_by_their_ends() {
        assert!(
            is_image("/data/upload/1/a.JPG") && is_image("https://h/a.png?x=.y") && is_image("/d?d=a.jpeg")
        );
        assert!(!is_image("jpg") && !is_image("outdoor") && !is_image("a.txt"));
    }
}
