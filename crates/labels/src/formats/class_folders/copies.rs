//! Images that are in the folders of several classes as copies of a file.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::path::Path;

use super::Entry;
use crate::formats::tree::name_of;
use crate::{Error, Result};

/// For each image with the name and the bytes of one before it, where such images are in the folders of several
/// classes, the place of the first of them. Only files of the same name and size are opened.
pub(super) fn copies(entries: &[Entry]) -> Result<HashMap<usize, usize>> {
    let mut same_as = HashMap::new();
    let places: Vec<usize> = (0..entries.len()).collect();
    for places in alike(entries, &places, |entry| Ok(name_of(&entry.file)))? {
        // Files without a byte show nothing in common.
        let size = |entry: &Entry| Ok(std::fs::metadata(&entry.file)?.len());
        for places in alike(entries, &places, size)? {
            if size(&entries[places[0]]).unwrap_or_default() == 0 {
                continue;
            }
            for places in alike(entries, &places, |entry| hash(&entry.file))? {
                same_as.extend(places[1..].iter().map(|place| (*place, places[0])));
            }
        }
    }
    Ok(same_as)
}

/// The images of several classes that agree in what `of` gives.
fn alike<K: Ord>(
    entries: &[Entry],
    places: &[usize],
    of: impl Fn(&Entry) -> std::io::Result<K>,
) -> Result<Vec<Vec<usize>>> {
    let mut groups: BTreeMap<K, Vec<usize>> = BTreeMap::new();
    for &place in places {
        let key = of(&entries[place]).map_err(|error| Error::io(&entries[place].file, error))?;
        groups.entry(key).or_default().push(place);
    }
    let several = |group: &Vec<usize>| group.iter().any(|it| entries[*it].class != entries[group[0]].class);
    Ok(groups.into_values().filter(several).collect())
}

fn hash(file: &Path) -> std::io::Result<[u8; 32]> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(file)?)?;
    Ok(*hasher.finalize().as_bytes())
}
