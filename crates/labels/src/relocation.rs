//! Paths that are valid from one folder, made valid from another.

use std::path::{Component, Path, PathBuf};

use crate::files::tidy;
use crate::{Error, Result};

/// Turns paths that are valid from here into paths that are valid from a folder.
///
/// Follows symbolic links only in the two folders, never in what lies below them, and opens no file.
#[derive(Debug)]
pub struct Relocation {
    from: PathBuf,
    from_real: PathBuf,
    to_real: PathBuf,
}

impl Relocation {
    /// For paths that begin with the folder `from` (others are taken as they are), to be read from the
    /// folder `to`, which must be there.
    pub fn new(from: &Path, to: &Path) -> Result<Self> {
        let here = Path::new(".");
        let [real_from, real_to] = [from, to].map(|at| if at.as_os_str().is_empty() { here } else { at });
        // Labels that were made up in memory may have no folder yet.
        let from_real = std::fs::canonicalize(real_from)
            .or_else(|_| std::path::absolute(real_from))
            .map_err(|error| Error::io(from, error))?;
        let to_real = std::fs::canonicalize(real_to).map_err(|error| Error::io(to, error))?;
        Ok(Self { from: tidy(from), from_real, to_real })
    }

    /// `path` as seen from the folder `to`: relative where the two share more than the root of the
    /// file system, else absolute.
    pub fn apply(&self, path: &Path) -> Result<PathBuf> {
        let path = tidy(path);
        let full = match path.strip_prefix(&self.from) {
            Ok(below) if below.is_relative() => self.below_source(below),
            _ => std::path::absolute(&path).map_err(|error| Error::io(&path, error))?,
        };
        let roots =
            full.components().take_while(|part| matches!(part, Component::Prefix(_) | Component::RootDir));
        let roots = roots.count();
        let shared = full.components().zip(self.to_real.components()).take_while(|(a, b)| a == b).count();
        if shared <= roots {
            return Ok(full);
        }
        let up = self.to_real.components().count() - shared;
        let climb = std::iter::repeat_n(Component::ParentDir, up);
        Ok(climb.chain(full.components().skip(shared)).collect())
    }

    /// Leading `..` are taken off here: the real source folder has no links that they could cross.
    fn below_source(&self, mut below: &Path) -> PathBuf {
        let mut folder = self.from_real.clone();
        while let Ok(rest) = below.strip_prefix(Component::ParentDir) {
            folder.pop();
            below = rest;
        }
        folder.join(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relocated_paths_lead_to_the_same_file() {
        let root = tempfile::tempdir().unwrap();
        let (data, out) = (root.path().join("data"), root.path().join("runs/a"));
        for folder in [&data.join("images"), &data.join("images/sub"), &out] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let relocation = Relocation::new(&data, &out).unwrap();
        let apply = |path: PathBuf| relocation.apply(&path).unwrap();
        assert_eq!(apply(data.join("images/1.jpg")), Path::new("../../data/images/1.jpg"));
        assert_eq!(apply(data.join("./images/1.jpg")), Path::new("../../data/images/1.jpg"));
        assert_eq!(apply(data.join("../1.jpg")), Path::new("../../1.jpg"));
        assert_eq!(apply(PathBuf::from("/elsewhere/1.jpg")), Path::new("/elsewhere/1.jpg"));
        let inward = Relocation::new(&data, &data.join("images/sub")).unwrap();
        assert_eq!(inward.apply(&data.join("images/1.jpg")).unwrap(), Path::new("../1.jpg"));
    }

    #[cfg(unix)]
    #[test]
    fn relocation_looks_through_a_linked_folder() {
        // OUT is a link: its `..` is the parent of where it leads, not of the link.
        let root = tempfile::tempdir().unwrap();
        let (data, real, link) =
            (root.path().join("data"), root.path().join("x/y/out"), root.path().join("out"));
        std::fs::create_dir_all(&data).unwrap();
        std::fs::create_dir_all(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        std::fs::write(data.join("1.jpg"), b"image").unwrap();
        let path = Relocation::new(&data, &link).unwrap().apply(&data.join("1.jpg")).unwrap();
        assert_eq!(path, Path::new("../../../data/1.jpg"));
        assert_eq!(std::fs::read(link.join(path)).unwrap(), b"image");
    }
}
