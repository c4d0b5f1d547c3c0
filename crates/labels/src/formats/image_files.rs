//! The files of images that a source names: tools add a prefix, leave out an extension or write the paths of
//! another system, and the image is there under a name next to it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::annotations::Annotations;
use crate::formats::report::shown;
use crate::images::{EXTENSIONS, tar_member};

/// Puts the images that are there under a name next to the one that is given in its place: with `/` for
/// Windows' `\\`, without the prefix that Label Studio gives an upload, with an extension. Notes say how many,
/// and how many are not there at all.
pub fn find_images(annotations: &mut Annotations) -> Vec<String> {
    let mut taken: HashSet<PathBuf> = annotations.images.iter().cloned().collect();
    let (mut notes, mut missing) = (Vec::new(), Vec::new());
    let mut counts = [0; WAYS.len()];
    for image in &mut annotations.images {
        if is_there(image) {
            continue;
        }
        let found = WAYS.iter().enumerate().find_map(|(way, (_, rename))| {
            let mut there = rename(image).into_iter().filter(|path| is_there(path));
            let path = there.next()?;
            (there.next().is_none() && taken.insert(path.clone())).then_some((way, path))
        });
        match found {
            Some((way, path)) => {
                counts[way] += 1;
                *image = path;
            }
            None => missing.push(image.clone()),
        }
    }
    for ((what, _), count) in WAYS.iter().zip(counts).filter(|(_, count)| *count > 0) {
        notes.push(format!("{count} images are found {what}"));
    }
    if let Some(first) = missing.first() {
        let (count, all) = (missing.len(), annotations.images.len());
        let first = shown(&first.display().to_string());
        notes.push(format!(
            "{count} of {all} images are not there, such as {first}; pass --images DIR if they are elsewhere"
        ));
    }
    notes
}

/// How a name is changed, in words and as the paths that it may mean.
type Way = (&'static str, fn(&Path) -> Vec<PathBuf>);

const WAYS: [Way; 4] = [
    ("with / for \\ in their paths", |path| Vec::from_iter(slashes(path))),
    ("without the prefix of an upload", |path| Vec::from_iter(without_prefix(path))),
    ("by adding an extension", extended),
    ("with / for \\ and without the prefix of an upload", |path| {
        slashes(path).and_then(|path| without_prefix(&path)).into_iter().collect()
    }),
];

fn is_there(path: &Path) -> bool {
    path.is_file() || tar_member::split(path).is_some()
}

fn slashes(path: &Path) -> Option<PathBuf> {
    let text = path.to_str()?;
    text.contains('\\').then(|| PathBuf::from(text.replace('\\', "/")))
}

/// Label Studio puts eight hexadecimal digits and a hyphen before the name of an uploaded file.
pub(crate) fn without_prefix(path: &Path) -> Option<PathBuf> {
    let (prefix, name) = path.file_name()?.to_str()?.split_once('-')?;
    let is_prefix = prefix.len() == 8 && prefix.chars().all(|c| c.is_ascii_hexdigit());
    (is_prefix && !name.is_empty()).then(|| path.with_file_name(name))
}

fn extended(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let both = EXTENSIONS.iter().flat_map(|extension| [(*extension).to_owned(), extension.to_uppercase()]);
    both.map(|extension| path.with_file_name(format!("{name}.{extension}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::LabelMatrix;

    fn found(there: &[&str], named: &[&str]) -> (Vec<String>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        for name in there {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let mut annotations = Annotations {
            images: named.iter().map(|name| folder.path().join(name)).collect(),
            labels: LabelMatrix::unknown(named.len(), 1),
            categories: vec!["cat".into()],
            source: folder.path().join("labels.json"),
        };
        let notes = find_images(&mut annotations);
        let below = |image: &PathBuf| image.strip_prefix(folder.path()).unwrap().display().to_string();
        (annotations.images.iter().map(below).collect(), notes)
    }

    #[test]
    fn images_under_a_name_next_to_the_given_one_are_found_and_counted() {
        let (images, notes) = found(
            &["a.jpg", "photos/b.jpg", "IMG_2000.jpg", "train_0.JPG", "photos/c-d.jpg"],
            &["a.jpg", "photos\\b.jpg", "92a3b7a3-IMG_2000.jpg", "train_0", "photos\\0123abcd-c-d.jpg"],
        );
        assert_eq!(images, ["a.jpg", "photos/b.jpg", "IMG_2000.jpg", "train_0.JPG", "photos/c-d.jpg"]);
        assert_eq!(notes.len(), 4, "{notes:?}");
        assert_eq!(notes[0], "1 images are found with / for \\ in their paths");
    }

    #[test]
    fn only_eight_hexadecimal_digits_and_a_name_are_the_prefix_of_an_upload() {
        let without = |name: &str| without_prefix(Path::new(name));
        assert_eq!(without("a/0123abCD-b-c.jpg").as_deref(), Some(Path::new("a/b-c.jpg")));
        for name in ["0123abc-b.jpg", "0123abcg-b.jpg", "beach-b.jpg", "0123abcd-", "0123abcd.jpg"] {
            assert_eq!(without(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_not_there_or_could_be_two_is_counted_and_left_alone() {
        let (images, notes) = found(&["x.jpg", "x.png", "y.jpg"], &["x", "y", "y.jpg", "gone.jpg"]);
        assert_eq!(images, ["x", "y", "y.jpg", "gone.jpg"]);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("3 of 4 images are not there, such as \""), "{notes:?}");
        assert!(found(&["a.jpg"], &["a.jpg"]).1.is_empty());
    }
}
