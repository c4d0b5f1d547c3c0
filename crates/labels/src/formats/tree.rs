//! All files below a folder, in order of their names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::images::has_extension;
use crate::{Error, Result};

/// What lies below a folder.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The files, without those that are hidden.
    pub files: Vec<PathBuf>,
    /// Folders and images whose names begin with a dot, and what macOS puts into archives: left out.
    pub hidden: usize,
    /// Links to folders that were read before: left out, so that a loop of links ends.
    pub repeated: usize,
    /// Links that lead nowhere.
    pub broken: usize,
}

/// The files below a folder; links are followed, but none to a folder above.
///
/// # Errors
/// A folder that cannot be read.
pub(crate) fn walk(root: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    let real = std::fs::canonicalize(root).map_err(|error| Error::io(root, error))?;
    let mut seen: HashSet<PathBuf> = real.ancestors().skip(1).map(Path::to_path_buf).collect();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let failed = |error| Error::io(&folder, error);
        if !seen.insert(std::fs::canonicalize(&folder).map_err(failed)?) {
            tree.repeated += 1;
            continue;
        }
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = is_hidden(&path);
            // Asks the system about where a link leads.
            match std::fs::metadata(&path) {
                Ok(found) if found.is_dir() && !hidden => folders.push(path),
                Ok(found) if found.is_file() && !hidden => tree.files.push(path),
                Ok(found) => tree.hidden += usize::from(hidden && (found.is_dir() || is_image(&path))),
                Err(_) => tree.broken += 1,
            }
        }
    }
    tree.files.sort();
    Ok(tree)
}

/// Whether a file or folder is one that programs keep for themselves.
pub(crate) fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "__MACOSX"
}

/// Whether the name of a file ends as those of images do.
pub(crate) fn is_image(path: &Path) -> bool {
    path.to_str().is_some_and(has_extension)
}

/// The folders right in a folder, without hidden ones, in order of their names.
///
/// # Errors
/// A folder that cannot be read.
pub(crate) fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io(folder, error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() && !is_hidden(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The name of a file or folder, as far as it is text.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn files_come_in_order_and_what_is_hidden_is_counted() {
        let folder = made(&["b/2.jpg", "a.txt", "b/1.jpg", ".git/x.jpg", "b/._1.jpg", "b/.DS_Store"]);
        let tree = walk(folder.path()).unwrap();
        let names = ["a.txt", "b/1.jpg", "b/2.jpg"].map(|name| folder.path().join(name));
        assert_eq!(tree.files, names);
        assert_eq!((tree.hidden, tree.repeated, tree.broken), (2, 0, 0));
        assert_eq!(folders_in(folder.path()).unwrap(), [folder.path().join("b")]);
        assert_eq!(walk(&folder.path().join("no")).unwrap_err().kind(), crate::error::Kind::Missing);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once() {
        let folder = made(&["a/1.jpg"]);
        std::os::unix::fs::symlink("..", folder.path().join("a/up")).unwrap();
        std::os::unix::fs::symlink("../..", folder.path().join("a/far")).unwrap();
        std::os::unix::fs::symlink("1.jpg", folder.path().join("a/2.jpg")).unwrap();
        std::os::unix::fs::symlink("gone.jpg", folder.path().join("a/3.jpg")).unwrap();
        let tree = walk(folder.path()).unwrap();
        assert_eq!(tree.files, ["a/1.jpg", "a/2.jpg"].map(|name| folder.path().join(name)));
        assert_eq!((tree.repeated, tree.broken), (2, 1));
    }
}
