//! Names and the order in which they came first.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Distinct names with their places.
#[derive(Debug)]
pub(crate) struct Names<T> {
    places: HashMap<T, u32>,
    names: Vec<T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { places: HashMap::new(), names: Vec::new() }
    }
}

impl<T: Clone + Eq + Hash> Names<T> {
    /// The place of a name, which is new or there already.
    pub fn place<Q>(&mut self, name: &Q) -> usize
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = T> + ?Sized,
    {
        if let Some(&place) = self.places.get(name) {
            return place as usize;
        }
        let place = self.names.len();
        // More than four billion names do not fit into memory.
        self.places.insert(name.to_owned(), u32::try_from(place).expect("a place fits 32 bits"));
        self.names.push(name.to_owned());
        place
    }

    /// The place of a name that is there already.
    pub fn find<Q>(&self, name: &Q) -> Option<usize>
    where
        T: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.places.get(name).map(|&place| place as usize)
    }

    /// All names, in the order of their places.
    pub fn all(&self) -> &[T] {
        &self.names
    }

    /// All names, in the order of their places.
    pub fn into_all(self) -> Vec<T> {
        self.names
    }
}
