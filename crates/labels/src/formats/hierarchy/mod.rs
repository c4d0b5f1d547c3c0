//! A hierarchy of categories, as Open Images publishes it (`bbox_labels_600_hierarchy.json`), and what
//! labels imply by it.
//!
//! The file nests `{"LabelName": id, "Subcategory": [{…}], "Part": [{…}]}`; a category may stand in several
//! places. A subcategory is a kind of its parent: where a dog is, an animal is; where no animal is, no dog
//! is. A part implies nothing, neither up nor down: a wheel may lie without a car.
//! Specification: <https://storage.googleapis.com/openimages/web/download_v7.html>.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;

use crate::formats::report::shown;
use crate::labels::{Label, LabelMatrix, for_each_bit};
use crate::{Error, Result};

/// Which category is a kind of which.
#[derive(Debug, Default)]
pub(crate) struct Hierarchy {
    ids: Vec<String>,
    places: HashMap<String, usize>,
    parents: Vec<Vec<usize>>,
    children: Vec<Vec<usize>>,
    edges: HashSet<(usize, usize)>,
}

/// What [`Hierarchy::apply`] changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Unknown cells that became known.
    pub cells: usize,
    /// Cells that would be positive by one label and negative by another; they are unknown now.
    pub contradictions: usize,
}

/// One category as the file nests it.
#[derive(Deserialize)]
struct Node {
    #[serde(rename = "LabelName")]
    id: String,
    #[serde(rename = "Subcategory", default)]
    subcategories: Vec<Node>,
    #[serde(rename = "Part", default)]
    parts: Vec<Node>,
}

impl Hierarchy {
    /// Reads a hierarchy file.
    ///
    /// # Errors
    /// If the file is missing, is not of this form or makes a category a kind of itself.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| Error::io(path, error))?;
        // serde_json refuses deep nesting.
        let root: Node = serde_json::from_slice(&bytes).map_err(|error| {
            let (line, what) = (error.line().max(1), error.to_string());
            let what = what.rsplit_once(" at line ").map_or(&*what, |(what, _)| what);
            let expected = r#"expected {"LabelName": …, "Subcategory": […], "Part": […]}"#;
            Error::Data(format!("{}:{line}: {what}; {expected}", path.display()))
        })?;
        let mut hierarchy = Self::default();
        hierarchy.add(&root);
        match hierarchy.circle() {
            Some(id) => Err(Error::Data(format!(
                "{}: category {} is a subcategory of itself",
                path.display(),
                shown(id)
            ))),
            None => Ok(hierarchy),
        }
    }

    /// The category at the top, `Entity` in Open Images.
    pub fn root(&self) -> &str {
        &self.ids[0]
    }

    /// The categories that positive labels of `positives` make positive, and negative ones of `negatives`
    /// negative, with those themselves as far as they stand in the hierarchy.
    pub fn implied<'a>(
        &self,
        positives: impl IntoIterator<Item = &'a str>,
        negatives: impl IntoIterator<Item = &'a str>,
    ) -> Vec<&str> {
        let [mut up, mut down] = [Reach::new(self.ids.len()), Reach::new(self.ids.len())];
        up.spread(positives.into_iter().filter_map(|id| self.places.get(id).copied()), &self.parents);
        down.spread(negatives.into_iter().filter_map(|id| self.places.get(id).copied()), &self.children);
        let further = down.reached.iter().filter(|node| !up.has(**node));
        up.reached.iter().chain(further).map(|&node| &*self.ids[node]).collect()
    }

    /// Fills in what the labels imply: a positive label makes its ancestors positive, a negative one its
    /// descendants negative. A cell for which both hold becomes unknown. To apply it again changes nothing.
    pub fn apply(&self, labels: &mut LabelMatrix, column: impl Fn(&str) -> Option<usize>) -> Filled {
        let columns: Vec<Option<usize>> = self.ids.iter().map(|id| column(id)).collect();
        let mut nodes = vec![None; labels.categories()];
        for (node, column) in columns.iter().enumerate() {
            if let Some(column) = column {
                nodes[*column] = Some(node);
            }
        }
        let [mut up, mut down] = [Reach::new(self.ids.len()), Reach::new(self.ids.len())];
        let mut filled = Filled::default();
        for image in 0..labels.images() {
            let (known, positive) = labels.planes(image);
            up.spread(nodes_of(positive.iter().copied(), &nodes), &self.parents);
            let negative = known.iter().zip(positive).map(|(known, positive)| known & !positive);
            down.spread(nodes_of(negative, &nodes), &self.children);
            let positives = up.reached.iter().map(|node| (*node, Label::Positive));
            let negatives = down.reached.iter().filter(|node| !up.has(**node));
            for (node, label) in positives.chain(negatives.map(|node| (*node, Label::Negative))) {
                let Some(column) = columns[node] else { continue };
                if up.has(node) && down.has(node) {
                    filled.contradictions += 1;
                    labels.set(image, column, Label::Unknown);
                } else if labels.get(image, column) == Label::Unknown {
                    filled.cells += 1;
                    labels.set(image, column, label);
                }
            }
        }
        filled
    }

    fn add(&mut self, node: &Node) -> usize {
        let place = self.place(&node.id);
        for child in &node.subcategories {
            let child = self.add(child);
            if self.edges.insert((place, child)) {
                self.children[place].push(child);
                self.parents[child].push(place);
            }
        }
        // Below a part there may be kinds of it.
        for part in &node.parts {
            self.add(part);
        }
        place
    }

    fn place(&mut self, id: &str) -> usize {
        if let Some(&place) = self.places.get(id) {
            return place;
        }
        let place = self.ids.len();
        self.places.insert(id.to_owned(), place);
        self.ids.push(id.to_owned());
        self.parents.push(Vec::new());
        self.children.push(Vec::new());
        place
    }

    /// A category from which its own subcategories lead back to it or to another circle.
    fn circle(&self) -> Option<&str> {
        let mut above: Vec<usize> = self.parents.iter().map(Vec::len).collect();
        let mut free: Vec<usize> = (0..above.len()).filter(|&node| above[node] == 0).collect();
        while let Some(node) = free.pop() {
            for &child in &self.children[node] {
                above[child] -= 1;
                if above[child] == 0 {
                    free.push(child);
                }
            }
        }
        above.iter().position(|&left| left > 0).map(|node| &*self.ids[node])
    }
}

/// The nodes of the columns whose bits are set.
fn nodes_of(words: impl Iterator<Item = u64>, nodes: &[Option<usize>]) -> Vec<usize> {
    let mut found = Vec::new();
    for (word, bits) in words.enumerate() {
        for_each_bit(bits, |bit| found.extend(nodes[word * 64 + bit]));
    }
    found
}

/// The nodes that some others lead to along edges, those others included.
struct Reach {
    reached: Vec<usize>,
    /// Per node the round in which it was reached last, so that no round has to clear it.
    rounds: Vec<usize>,
    round: usize,
}

impl Reach {
    fn new(nodes: usize) -> Self {
        Self { reached: Vec::new(), rounds: vec![0; nodes], round: 0 }
    }

    /// Starts a new round.
    fn spread(&mut self, from: impl IntoIterator<Item = usize>, edges: &[Vec<usize>]) {
        self.round += 1;
        self.reached.clear();
        from.into_iter().for_each(|node| self.reach(node));
        let mut next = 0;
        while let Some(&node) = self.reached.get(next) {
            edges[node].iter().for_each(|&to| self.reach(to));
            next += 1;
        }
    }

    fn reach(&mut self, node: usize) {
        if self.rounds[node] != self.round {
            self.rounds[node] = self.round;
            self.reached.push(node);
        }
    }

    fn has(&self, node: usize) -> bool {
        self.rounds[node] == self.round
    }
}

#[cfg(test)]
mod tests;
