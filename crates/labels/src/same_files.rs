//! Which paths lead to one file, without opening any.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use crate::images::tar_member::split;

/// Files by number, from 0 as they appear. `a/../b/c.jpg`, `b/c.jpg` and a path through a link to the folder
/// `b` are one file; links to files are not followed.
#[derive(Default)]
pub(crate) struct SameFiles<'a> {
    folders: Folders<'a>,
    files: HashMap<(u32, &'a OsStr), u32>,
}

/// Of each of `others`, the row in `images` that is the same file; none for one that is not among them.
pub fn rows_among(images: &[PathBuf], others: &[PathBuf]) -> Vec<Option<usize>> {
    let mut files = SameFiles::default();
    let rows: HashMap<u32, usize> = images.iter().map(|image| files.number(image)).zip(0..).collect();
    others.iter().map(|other| rows.get(&files.number(other)).copied()).collect()
}

impl<'a> SameFiles<'a> {
    /// The number of the file that `path` leads to.
    pub fn number(&mut self, path: &'a Path) -> u32 {
        let (folder, name) = match (path.parent(), path.file_name()) {
            (Some(folder), Some(name)) => (folder, name),
            _ => (path, OsStr::new("")),
        };
        let next = number(self.files.len());
        *self.files.entry((self.folders.number(folder), name)).or_insert(next)
    }
}

/// A file, folder or row by its number: more than four billion do not fit into memory.
pub(crate) fn number(index: usize) -> u32 {
    u32::try_from(index).expect("fewer than 2^32 images")
}

/// Real folders by number. `a/../b`, links and `b` are one folder.
#[derive(Default)]
struct Folders<'a> {
    seen: HashMap<&'a Path, u32>,
    real: HashMap<PathBuf, u32>,
}

impl<'a> Folders<'a> {
    fn number(&mut self, folder: &'a Path) -> u32 {
        let Self { seen, real } = self;
        *seen.entry(folder).or_insert_with(|| {
            let next = number(real.len());
            *real.entry(real_folder(folder)).or_insert(next)
        })
    }
}

/// The folder without links; of one that is not there, without `.` and `..`. Of one in a tar file, that of
/// the tar file.
fn real_folder(folder: &Path) -> PathBuf {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if let Some((tar, within)) = split(here) {
        return real_folder(tar).join(within);
    }
    std::fs::canonicalize(here).unwrap_or_else(|_| {
        let mut real = PathBuf::new();
        for part in std::path::absolute(here).unwrap_or_else(|_| here.into()).components() {
            match part {
                Component::ParentDir => drop(real.pop()),
                part => real.push(part),
            }
        }
        real
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_again_whatever_their_paths_look_like() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let images = paths(&["/x/a.jpg", "/x/y/b.jpg", "/x/c.jpg"]);
        let others = paths(&["/x/y/../c.jpg", "/x/b.jpg", "/x/./a.jpg", "/x/z/../y/b.jpg"]);
        assert_eq!(rows_among(&images, &others), [Some(2), None, Some(0), Some(1)]);
    }
}
