//! Names and the order in which they came first.

use std::ffi::OsStr;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// Distinct names with their places. Two are the same if they are written alike, so paths have to be
/// [tidy](crate::files::tidy). Each is kept once: a table of places stands beside the list, which is what a million
/// images ask for.
#[derive(Debug)]
pub(crate) struct Names<T> {
    names: Vec<T>,
    places: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { names: Vec::new(), places: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T: AsRef<OsStr>> Names<T> {
    /// The place of a name, which is new or there already.
    pub fn place<Q>(&mut self, name: &Q) -> usize
    where
        Q: AsRef<OsStr> + ToOwned<Owned = T> + ?Sized,
    {
        self.find(name).unwrap_or_else(|| self.insert(name.to_owned()))
    }

    /// Adds a name that is new.
    ///
    /// # Errors
    /// Its place, if it is there already.
    pub fn add(&mut self, name: T) -> Result<(), usize> {
        match self.find(&name) {
            Some(before) => Err(before),
            None => {
                self.insert(name);
                Ok(())
            }
        }
    }

    /// The place of a name that is there already.
    pub fn find<Q: AsRef<OsStr> + ?Sized>(&self, name: &Q) -> Option<usize> {
        let name = name.as_ref();
        let same = |&place: &u32| self.names[place as usize].as_ref() == name;
        self.places.find(self.hasher.hash_one(name), same).map(|&place| place as usize)
    }

    /// The place of a name that is not there yet.
    fn insert(&mut self, name: T) -> usize {
        let place = self.names.len();
        // More than four billion names do not fit into memory.
        let number = u32::try_from(place).expect("a place fits 32 bits");
        let hash = self.hasher.hash_one(name.as_ref());
        self.names.push(name);
        let Self { names, places, hasher } = self;
        places.insert_unique(hash, number, |&place| hasher.hash_one(names[place as usize].as_ref()));
        place
    }

    /// All names, in the order of their places.
    pub fn all(&self) -> &[T] {
        &self.names
    }

    /// All names, in the order of their places.
    pub fn into_all(self) -> Vec<T> {
        self.names
    }

    /// All names so far, which are forgotten here.
    pub fn take(&mut self) -> Vec<T> {
        self.places.clear();
        std::mem::take(&mut self.names)
    }
}
