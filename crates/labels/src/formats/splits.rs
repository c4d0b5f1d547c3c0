//! The sets of images (training, validation, test) that the rows of a source say they belong to; they are never
//! read as one.

use std::collections::BTreeMap;
use std::path::Path;

use super::shards::{is_same_set, is_split_name, several_meant, usual};
use crate::{Error, Result};

/// What rows are called that say nothing, where others do; Vertex AI calls them so.
const NONE: &str = "unassigned";

/// The sets that were seen so far.
#[derive(Debug, Default)]
pub(crate) struct Splits<'a> {
    wanted: Option<&'a str>,
    /// For each place where a row may say it, what was said there and how often, [`NONE`] included.
    places: Vec<BTreeMap<String, usize>>,
    /// How many rows are of different splits in two places, and the first two.
    contradictions: usize,
    contradiction: Option<(String, String)>,
}

impl<'a> Splits<'a> {
    pub fn new(wanted: Option<&'a str>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Whether a row is wanted that says this of itself, in each place where it may.
    pub fn takes<'b>(&mut self, said: impl IntoIterator<Item = Option<&'b str>>) -> bool {
        let (mut told, mut wanted) = (false, false);
        let mut split: Option<String> = None;
        for (place, set) in said.into_iter().enumerate() {
            let set = set.map(|set| set.trim().to_lowercase()).filter(|set| !set.is_empty() && set != NONE);
            told |= set.is_some();
            wanted |= self.wanted.zip(set.as_ref()).is_some_and(|(wanted, set)| is_same_set(wanted, set));
            if place == self.places.len() {
                self.places.push(BTreeMap::new());
            }
            match (&split, set.as_ref().filter(|set| is_split_name(set))) {
                (Some(first), Some(set)) if !is_same_set(first, set) => {
                    self.contradictions += 1;
                    self.contradiction.get_or_insert_with(|| (first.clone(), set.clone()));
                }
                (None, Some(set)) => split = Some(set.clone()),
                _ => {}
            }
            *self.places[place].entry(set.unwrap_or_else(|| NONE.to_owned())).or_default() += 1;
        }
        self.wanted.is_none_or(|name| wanted || (!told && usual(name) == NONE))
    }

    /// Refuses rows of several sets, and a set that is not there or may be one of several.
    ///
    /// # Errors
    /// [`Error::Usage`] with the sets that there are.
    pub fn check(&self, path: &Path) -> Result<()> {
        if let Some((first, second)) = &self.contradiction {
            let count = self.contradictions;
            let what = format!("{count} images are of {first} in one column and of {second} in another");
            return Err(Error::Data(format!("{}: {what}; take one of the columns out", path.display())));
        }
        let telling = || self.places.iter().filter(|place| place.keys().any(|name| name != NONE));
        let meant = |place: &'_ BTreeMap<String, usize>, wanted: &str| -> Vec<String> {
            place.keys().filter(|name| is_same_set(wanted, name)).cloned().collect()
        };
        let what = match self.wanted {
            Some(_) if telling().next().is_none() => {
                "--set: nothing says which set an image belongs to; leave the option out".into()
            }
            Some(wanted) => match telling().map(|place| meant(place, wanted)).max_by_key(Vec::len) {
                Some(names) if names.len() > 1 => {
                    format!("{}; give them one name, or leave one out", several_meant(wanted, &names))
                }
                Some(names) if !names.is_empty() => return Ok(()),
                _ => format!("no images of {wanted}; choose one with --set: {}", self.names()),
            },
            None if telling().any(|place| place.len() > 1) => {
                format!("images of several sets; choose one with --set: {}", self.names())
            }
            None => return Ok(()),
        };
        Err(Error::Usage(format!("{}: {what}", path.display())))
    }

    /// The first sets, with how many images each has.
    fn names(&self) -> String {
        const SHOWN: usize = 20;
        let telling = self.places.iter().filter(|place| place.keys().any(|name| name != NONE));
        let names = telling.flatten().map(|(name, count)| format!("{name} ({count})"));
        let names: Vec<String> = names.take(SHOWN + 1).collect();
        let more = if names.len() > SHOWN { ", …" } else { "" };
        names[..names.len().min(SHOWN)].join(", ") + more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the rows are read, or why none is.
    fn read(rows: &[[Option<&str>; 2]], wanted: Option<&str>) -> std::result::Result<Vec<usize>, String> {
        let mut splits = Splits::new(wanted);
        let taken = (0..rows.len()).filter(|&row| splits.takes(rows[row])).collect();
        splits.check(Path::new("a.csv")).map(|()| taken).map_err(|error| error.to_string())
    }

    #[test]
    fn rows_of_several_sets_are_never_read_as_one() {
        let rows = [[Some("train"), None], [Some("Train "), None], [Some("val"), None], [None, None]];
        let several =
            "a.csv: images of several sets; choose one with --set: train (2), unassigned (1), val (1)";
        assert_eq!(read(&rows, None).unwrap_err(), several);
        // Rows that say nothing, beside others, may be of any set.
        let several = "a.csv: images of several sets; choose one with --set: train (2), unassigned (2)";
        assert_eq!(read(&[rows[0], rows[1], rows[3], rows[3]], None).unwrap_err(), several);
        assert_eq!(read(&rows[..2], None), Ok(vec![0, 1]));
        assert_eq!(read(&rows, Some("training")), Ok(vec![0, 1]));
        assert_eq!(read(&rows, Some("validation")), Ok(vec![2]));
        assert_eq!(read(&rows, Some("unassigned")), Ok(vec![3]));
        assert_eq!(
            read(&rows[..3], Some("unassigned")).unwrap_err().find("no images of unassigned"),
            Some(7)
        );
        let nothing = "a.csv: --set: nothing says which set an image belongs to; leave the option out";
        assert_eq!(read(&rows[3..], Some("train")).unwrap_err(), nothing);
        assert_eq!(read(&rows[3..], None), Ok(vec![0]));
        let blank = "a.csv: images of several sets; choose one with --set: train (1), unassigned (1)";
        assert_eq!(read(&[rows[0], [Some(" "), None]], None).unwrap_err(), blank);
        assert_eq!(read(&[rows[0], [Some(" "), None]], Some("unassigned")), Ok(vec![1]));
        let twenty: Vec<String> = (10..30).map(|name| name.to_string()).collect();
        let twenty: Vec<[Option<&str>; 2]> = twenty.iter().map(|name| [Some(name.as_str()), None]).collect();
        assert!(read(&twenty, None).unwrap_err().ends_with("28 (1), 29 (1)"));
        let many: Vec<String> = (10..50).map(|name| name.to_string()).collect();
        let many: Vec<[Option<&str>; 2]> = many.iter().map(|name| [Some(name.as_str()), None]).collect();
        assert!(read(&many, None).unwrap_err().ends_with("28 (1), 29 (1), …"));
    }

    #[test]
    fn names_of_one_set_are_not_read_together() {
        let rows = [[Some("val"), None], [Some("valid"), None], [Some("train"), None]];
        for wanted in ["val", "valid", "validation"] {
            let expected =
                format!("a.csv: {wanted} may mean val or valid; give them one name, or leave one out");
            assert_eq!(read(&rows, Some(wanted)).unwrap_err(), expected);
        }
        assert_eq!(read(&rows, Some("train")), Ok(vec![2]));
        // Both at once, without a choice.
        assert!(read(&rows[..2], None).is_err());
        // Two columns that agree about the same rows.
        let both = [[Some("val"), Some("valid")], [Some("train"), Some("train")]];
        assert_eq!(read(&both, Some("validation")), Ok(vec![0]));
    }

    #[test]
    fn every_place_where_a_row_may_say_it_counts() {
        let rows = [[None, Some("train")], [None, Some("test")], [Some("a"), Some("test")]];
        let several = "a.csv: images of several sets; choose one with --set: a (1), unassigned (2), test (2), \
                       train (1)";
        assert_eq!(read(&rows, None).unwrap_err(), several);
        assert_eq!(read(&rows, Some("test")), Ok(vec![1, 2]));
        assert_eq!(read(&rows, Some("a")), Ok(vec![2]));
        let error = read(&[[Some("valid"), Some("val")], [Some("test"), Some("train")]], Some("val"));
        let expected =
            "1 images are of test in one column and of train in another; take one of the columns out";
        assert_eq!(error.unwrap_err(), format!("a.csv: {expected}"));
    }
}
