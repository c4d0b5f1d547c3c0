//! Labels of several sources brought together: two tools, two people, or parts of one data set.
//!
//! A cell that is known in one source and unknown in the others is known; one that is positive in one and
//! negative in another is a [`Contradiction`] and becomes unknown. Nothing is guessed: images are the same
//! where their paths lead to the same file, categories where their names are equal, and what looks like a
//! difference in writing only is said in the notes.
//!
//! Three sources are merged together, not two and then the third: a cell that two of them contradict stays
//! unknown whatever the third says.

mod notes;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::annotations::Annotations;
use crate::files::{folder_of, write_atomically};
use crate::formats::image_names;
use crate::formats::report::shown;
use crate::labels::{Label, LabelMatrix, for_each_bit};
use crate::same_files::SameFiles;
use crate::text::listed;
use crate::{Error, Result};

/// What merging gave.
#[derive(Debug)]
pub struct Merged<'a> {
    /// Every image and every category of any source, in the order in which they first appear; unknown are the
    /// categories that no source of an image has, and what is contradicted.
    pub annotations: Annotations,
    /// What the user should know: images and categories that probably should have met.
    pub notes: Vec<String>,
    union: Union<'a>,
    /// Image and category of what is contradicted, in that order.
    contradicted: Vec<(usize, usize)>,
}

/// A label that is positive in some sources and negative in others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contradiction<'a> {
    /// The image, as its first source names it.
    #[serde(serialize_with = "lossy")]
    pub image: &'a Path,
    /// The category.
    pub category: &'a str,
    /// Names of the sources in which it is there.
    pub positive: Vec<&'a str>,
    /// Names of the sources in which it is not there.
    pub negative: Vec<&'a str>,
}

/// Merges labels, each with the name that messages give their source. Opens no image.
///
/// # Errors
/// [`Error::Usage`] without a source.
///
/// ```
/// use sarb_labels::{Annotations, LabelMatrix, merging::merge};
///
/// let source = |categories: &[&str], labels: &[i8]| Annotations {
///     images: vec!["a.jpg".into()],
///     labels: LabelMatrix::from_values(categories.len(), labels),
///     categories: categories.iter().map(|name| name.to_string()).collect(),
///     source: "labels.csv".into(),
/// };
/// let sources = [
///     ("first".to_owned(), source(&["cat", "dog"], &[1, 1])),
///     ("second".to_owned(), source(&["dog", "owl"], &[-1, -1])),
/// ];
/// let merged = merge(&sources)?;
/// assert_eq!(merged.annotations.categories, ["cat", "dog", "owl"]);
/// assert_eq!(merged.annotations.labels.to_floats(), [1.0, 0.0, -1.0]);
/// assert_eq!(merged.contradictions().next().unwrap().category, "dog");
/// # Ok::<(), sarb_labels::Error>(())
/// ```
pub fn merge(sources: &[(String, Annotations)]) -> Result<Merged<'_>> {
    let Some((_, first)) = sources.first() else { return Err(Error::Usage("nothing to merge".into())) };
    let union = Union::of(sources);
    let (labels, contradicted) = union.labels();
    let annotations = Annotations {
        images: union.places.iter().map(|places| union.image(places).to_path_buf()).collect(),
        labels,
        categories: union.names.iter().map(|name| (*name).to_owned()).collect(),
        source: first.source.clone(),
    };
    let notes = notes::notes(&union);
    Ok(Merged { annotations, notes, union, contradicted })
}

impl Merged<'_> {
    /// How many labels are contradicted.
    pub fn contradicted(&self) -> usize {
        self.contradicted.len()
    }

    /// All of them, image by image.
    pub fn contradictions(&self) -> impl Iterator<Item = Contradiction<'_>> {
        self.contradicted.iter().map(|&(image, category)| self.union.contradiction(image, category))
    }

    /// Writes all of them as CSV: image, category, and a column for each source with 1, 0 or nothing;
    /// `1 and 0` where a source has the image twice.
    ///
    /// # Errors
    /// If the file cannot be written, or a path is no text.
    pub fn write_contradictions(&self, path: &Path) -> Result<()> {
        let images = image_names::image_names(&self.annotations, folder_of(path))?;
        let sources = self.union.sources.iter().map(|(name, _)| name.as_str());
        write_atomically(path, |writer| {
            let mut writer = csv::Writer::from_writer(writer);
            writer.write_record(["image", "category"].into_iter().chain(sources))?;
            for &(image, category) in &self.contradicted {
                let said = self.union.said(image, category);
                let cells = said.iter().map(|said| match said {
                    Said { positive: false, negative: false } => "",
                    Said { positive: true, negative: false } => "1",
                    Said { positive: false, negative: true } => "0",
                    Said { positive: true, negative: true } => "1 and 0",
                });
                let names = [images[image].as_str(), self.union.names[category]];
                writer.write_record(names.into_iter().chain(cells))?;
            }
            writer.flush()
        })
    }
}

impl fmt::Display for Contradiction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { image, category, positive, negative } = self;
        let (image, category) = (shown(&image.to_string_lossy()), shown(category));
        let (positive, negative) = (listed(positive), listed(negative));
        write!(f, "{image}: {category} is positive in {positive}, negative in {negative}")
    }
}

/// All images and categories of the sources.
#[derive(Debug)]
struct Union<'a> {
    sources: &'a [(String, Annotations)],
    /// The categories.
    names: Vec<&'a str>,
    /// Of every column of every source, its category.
    columns: Vec<Vec<usize>>,
    /// Of every image, where it stands.
    places: Vec<Vec<Place>>,
}

/// A row of a source.
#[derive(Debug, Clone, Copy)]
struct Place {
    source: usize,
    row: usize,
}

/// What one source says of a label.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    positive: bool,
    negative: bool,
}

impl<'a> Union<'a> {
    fn of(sources: &'a [(String, Annotations)]) -> Self {
        let (mut names, mut numbers) = (Vec::new(), HashMap::new());
        let mut files = SameFiles::default();
        let (mut columns, mut places) = (Vec::new(), Vec::<Vec<Place>>::new());
        for (source, (_, annotations)) in sources.iter().enumerate() {
            let category = |name: &'a String| {
                *numbers.entry(name.as_str()).or_insert_with(|| {
                    names.push(name.as_str());
                    names.len() - 1
                })
            };
            columns.push(annotations.categories.iter().map(category).collect());
            for (row, image) in annotations.images.iter().enumerate() {
                let file = files.number(image) as usize;
                if file == places.len() {
                    places.push(Vec::new());
                }
                places[file].push(Place { source, row });
            }
        }
        Self { sources, names, columns, places }
    }

    /// An image as its first source names it.
    fn image(&self, places: &[Place]) -> &'a Path {
        let Place { source, row } = places[0];
        &self.sources[source].1.images[row]
    }

    /// What the sources say together, and the cells in which they contradict each other.
    fn labels(&self) -> (LabelMatrix, Vec<(usize, usize)>) {
        let mut labels = LabelMatrix::unknown(self.places.len(), self.names.len());
        let mut contradicted = Vec::new();
        let mut said = vec![Said::default(); self.names.len()];
        for (image, places) in self.places.iter().enumerate() {
            said.fill(Said::default());
            for &Place { source, row } in places {
                let (known, positive) = self.sources[source].1.labels.planes(row);
                for (word, (known, positive)) in known.iter().zip(positive).enumerate() {
                    for_each_bit(*known, |bit| {
                        let cell = &mut said[self.columns[source][64 * word + bit]];
                        match positive >> bit & 1 {
                            0 => cell.negative = true,
                            _ => cell.positive = true,
                        }
                    });
                }
            }
            for (category, said) in said.iter().enumerate() {
                match said {
                    Said { positive: false, negative: false } => {}
                    Said { positive: true, negative: true } => contradicted.push((image, category)),
                    Said { positive: true, .. } => labels.set(image, category, Label::Positive),
                    Said { negative: true, .. } => labels.set(image, category, Label::Negative),
                }
            }
        }
        (labels, contradicted)
    }

    /// What each source says of a label.
    fn said(&self, image: usize, category: usize) -> Vec<Said> {
        let mut said = vec![Said::default(); self.sources.len()];
        for &Place { source, row } in &self.places[image] {
            let own = self.columns[source].iter().enumerate().filter(|(_, number)| **number == category);
            for (column, _) in own {
                match self.sources[source].1.labels.get(row, column) {
                    Label::Positive => said[source].positive = true,
                    Label::Negative => said[source].negative = true,
                    Label::Unknown => {}
                }
            }
        }
        said
    }

    fn contradiction(&self, image: usize, category: usize) -> Contradiction<'a> {
        let said = self.said(image, category);
        let names = |which: fn(&Said) -> bool| {
            let them = self.sources.iter().zip(&said).filter(|(_, said)| which(said));
            them.map(|((name, _), _)| name.as_str()).collect()
        };
        Contradiction {
            image: self.image(&self.places[image]),
            category: self.names[category],
            positive: names(|said| said.positive),
            negative: names(|said| said.negative),
        }
    }
}

/// A path as JSON can hold it: bytes that are not text become U+FFFD, where serde would fail.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
mod tests;
