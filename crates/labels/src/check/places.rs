//! The rows of all splits in one numbering, and which of them name the same file.

use std::ops::Range;
use std::path::Path;

use super::findings::shown;
use crate::annotations::Annotations;
use crate::files::folder_of;
use crate::same_files::{SameFiles, number};
use crate::text::listed;

/// Rows of all splits, one after the other; a place is an index into them.
pub(super) struct Places<'a> {
    splits: &'a [(String, &'a Annotations)],
    /// The first place of every split, and the number of places at the end.
    starts: Vec<usize>,
    /// The file of every place, files numbered as they appear.
    files: Vec<u32>,
    /// A place of every file, the first.
    firsts: Vec<u32>,
}

impl<'a> Places<'a> {
    /// Finds which rows name the same file, by their paths; opens no image.
    pub fn of(splits: &'a [(String, &'a Annotations)]) -> Self {
        let mut starts = vec![0];
        for (_, annotations) in splits {
            starts.push(starts[starts.len() - 1] + annotations.images.len());
        }
        let mut same = SameFiles::default();
        let (mut files, mut firsts) = (Vec::new(), Vec::new());
        for image in splits.iter().flat_map(|(_, annotations)| &annotations.images) {
            let file = same.number(image);
            if file as usize == firsts.len() {
                firsts.push(number(files.len()));
            }
            files.push(file);
        }
        Self { splits, starts, files, firsts }
    }

    /// The split of a place.
    pub fn split(&self, place: u32) -> usize {
        self.starts.partition_point(|&start| start <= place as usize) - 1
    }

    /// The row of a place in its split.
    pub fn row(&self, place: u32) -> usize {
        place as usize - self.starts[self.split(place)]
    }

    /// The place of a row.
    pub fn place(&self, split: usize, row: usize) -> u32 {
        number(self.starts[split] + row)
    }

    /// Name and annotations of all splits.
    pub fn splits(&self) -> &'a [(String, &'a Annotations)] {
        self.splits
    }

    /// The image of a place.
    pub fn image(&self, place: u32) -> &'a Path {
        let (_, annotations) = &self.splits[self.split(place)];
        &annotations.images[self.row(place)]
    }

    /// All files, by number.
    pub fn all_files(&self) -> Range<u32> {
        0..number(self.firsts.len())
    }

    /// The first place of a file.
    pub fn first_of(&self, file: u32) -> u32 {
        self.firsts[file as usize]
    }

    /// The places of every file, by file, in their order.
    pub fn by_file(&self) -> Vec<Vec<u32>> {
        let mut places = vec![Vec::new(); self.firsts.len()];
        for (place, &file) in self.files.iter().enumerate() {
            places[file as usize].push(number(place));
        }
        places
    }

    /// The image of a place as messages name it: seen from the folder of its label file.
    pub fn name(&self, place: u32) -> String {
        let (_, annotations) = &self.splits[self.split(place)];
        let image = self.image(place);
        shown(image.strip_prefix(folder_of(&annotations.source)).unwrap_or(image))
    }

    /// The image of a place with its split: `images/3.jpg of train`.
    pub fn name_and_split(&self, place: u32) -> String {
        format!("{} of {}", self.name(place), shown(&self.splits[self.split(place)].0))
    }

    /// The first few of the places by name; with their splits if `elsewhere`.
    pub fn list(&self, places: &[u32], elsewhere: bool) -> String {
        const LISTED: usize = 3;
        let name = |&place: &u32| if elsewhere { self.name_and_split(place) } else { self.name(place) };
        let mut names: Vec<String> = places.iter().take(LISTED).map(name).collect();
        if places.len() > LISTED {
            names.push(format!("{} more", places.len() - LISTED));
        }
        listed(&names)
    }

    /// The places in the split of the first, and those in others.
    pub fn apart(&self, places: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let home = self.split(places[0]);
        places.iter().partition(|&&place| self.split(place) == home)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::annotations;

    #[test]
    fn rows_of_all_splits_are_numbered_one_after_the_other() {
        let [train, empty, test] = [&["a.jpg", "b.jpg"][..], &[], &["x/a.jpg", "b.jpg"]]
            .map(|images| annotations(images, &["cat"], &vec![0; images.len()]));
        let splits = [("train".into(), &train), ("val".into(), &empty), ("test".into(), &test)];
        let places = Places::of(&splits);
        assert_eq!(places.all_files(), 0..3);
        let found: Vec<(usize, usize)> = (0..4).map(|at| (places.split(at), places.row(at))).collect();
        assert_eq!(found, [(0, 0), (0, 1), (2, 0), (2, 1)]);
        assert_eq!(places.place(2, 1), 3);
        assert_eq!(places.by_file(), [vec![0], vec![1, 3], vec![2]]);
        assert_eq!(places.apart(&[0, 1, 3]), (vec![0, 1], vec![3]));
        assert_eq!(places.list(&[1, 3], true), "b.jpg of train and b.jpg of test");
        assert_eq!(places.list(&[0, 1, 2, 3, 0], false), "a.jpg, b.jpg, x/a.jpg and 2 more");
        assert_eq!((places.first_of(2), places.image(3)), (2, Path::new("b.jpg")));
    }

    #[cfg(unix)]
    #[test]
    fn one_file_by_two_ways_is_one_file() {
        let root = tempfile::tempdir().unwrap();
        let images = root.path().join("images");
        std::fs::create_dir(&images).unwrap();
        std::os::unix::fs::symlink(&images, root.path().join("link")).unwrap();
        let paths = ["images/a.jpg", "link/a.jpg", "images/../images/a.jpg", "gone/../b.jpg", "b.jpg"];
        let paths = paths.map(|path| root.path().join(path));
        let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        let train = annotations(&paths, &["cat"], &[0; 5]);
        let splits = [("train".into(), &train)];
        assert_eq!(Places::of(&splits).by_file(), [vec![0, 1, 2], vec![3, 4]]);
    }

    #[cfg(unix)]
    #[test]
    fn one_member_by_two_ways_to_its_tar_file_is_one_file() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("shards")).unwrap();
        std::fs::write(root.path().join("shards/0.tar"), "").unwrap();
        std::os::unix::fs::symlink("shards", root.path().join("link")).unwrap();
        std::os::unix::fs::symlink("shards/0.tar", root.path().join("link.tar")).unwrap();
        let paths = ["shards/0.tar/x/a.jpg", "link/0.tar/x/a.jpg", "link.tar/x/a.jpg", "link.tar/a.jpg"];
        let paths = paths.map(|path| root.path().join(path));
        let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        let train = annotations(&paths, &["cat"], &[0; 4]);
        let splits = [("train".into(), &train)];
        assert_eq!(Places::of(&splits).by_file(), [vec![0, 1, 2], vec![3]]);
    }
}
