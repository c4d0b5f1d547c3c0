//! What COCO and LVIS files have in common: images, categories, and annotations that name both by id.
//!
//! The three arrays come in any order (the published files have the categories last), so that ids get places
//! when they are first named, and only the distinct pairs of places are kept.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::MapAccess;

mod ids;
pub(crate) mod writing;

use self::ids::{Entries, Entry, Id, Pairs};
use super::Reading;
use super::json::{Document, Member, Scalar, read_object};
use super::marks::Marks;
use super::report::{Report, counted, shown};
use crate::Result;
use crate::labels::Label;

#[derive(Deserialize)]
#[serde(expecting = "an image: an object with id and file_name")]
struct Image {
    id: Option<Scalar>,
    file_name: Option<Scalar>,
    coco_url: Option<Scalar>,
    pos_category_ids: Option<Vec<Scalar>>,
    neg_category_ids: Option<Vec<Scalar>>,
    not_exhaustive_category_ids: Option<Vec<Scalar>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an annotation: an object with image_id and category_id")]
struct Annotation {
    image_id: Option<Scalar>,
    category_id: Option<Scalar>,
    iscrowd: Option<Scalar>,
}

#[derive(Deserialize)]
#[serde(expecting = "a category: an object with id and name")]
struct Category {
    id: Option<Scalar>,
    name: Option<Scalar>,
}

/// A file of instances, read.
#[derive(Default)]
pub(super) struct Instances {
    images: Entries,
    categories: Entries,
    annotated: Pairs,
    negative: Pairs,
    not_exhaustive: Pairs,
    /// The first line of an image that says which categories were looked for, as LVIS does.
    pub federated: Option<usize>,
    /// Images that list the categories that they show.
    pub positive_lists: usize,
    has: Has,
    crowds: usize,
}

/// Which of the three arrays the file has.
#[derive(Default)]
struct Has {
    images: bool,
    annotations: bool,
    categories: bool,
}

impl Document for Instances {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, member: Member<'_, '_, A>) -> Result<(), A::Error> {
        match key {
            "images" => {
                self.has.images = true;
                member.each(|image, report| self.image(image, report))
            }
            "annotations" => {
                self.has.annotations = true;
                member.each(|annotation, report| self.annotation(annotation, report))
            }
            "categories" => {
                self.has.categories = true;
                member.each(|category, report| self.category(category, report))
            }
            _ => member.skip(),
        }
    }
}

impl Instances {
    /// Reads the file; `None` if it is broken, which the report then says.
    ///
    /// # Errors
    /// If the file cannot be opened or read.
    pub fn read(report: &mut Report<'_>) -> Result<Option<Self>> {
        let mut instances = Self::default();
        Ok(read_object(report, &mut instances)?.then_some(instances))
    }

    fn image(&mut self, image: Image, report: &mut Report<'_>) {
        if self.federated.is_none()
            && (image.neg_category_ids.is_some() || image.not_exhaustive_category_ids.is_some())
        {
            self.federated = Some(report.line);
        }
        self.positive_lists += usize::from(image.pos_category_ids.is_some());
        let id = id("image", "id", image.id, report);
        let name = image_name(image.file_name, image.coco_url, report);
        let (Some(id), Some(name)) = (id, name) else { return };
        match self.images.define(id.clone(), name, report.line) {
            Err(line) => report.note(|| format!("image id {id} already appears on line {line}")),
            Ok(place) => {
                let lists = [
                    ("pos_category_ids", image.pos_category_ids, &mut self.annotated),
                    ("neg_category_ids", image.neg_category_ids, &mut self.negative),
                    (
                        "not_exhaustive_category_ids",
                        image.not_exhaustive_category_ids,
                        &mut self.not_exhaustive,
                    ),
                ];
                for (field, ids, pairs) in lists {
                    for value in ids.unwrap_or_default() {
                        if let Some(category) = self::id("image", field, Some(value), report) {
                            pairs.push((place, self.categories.mention(category, report.line)));
                        }
                    }
                }
            }
        }
    }

    fn annotation(&mut self, annotation: Annotation, report: &mut Report<'_>) {
        let image = id("annotation", "image_id", annotation.image_id, report);
        let category = id("annotation", "category_id", annotation.category_id, report);
        let (Some(image), Some(category)) = (image, category) else { return };
        let line = report.line;
        self.annotated.push((self.images.mention(image, line), self.categories.mention(category, line)));
        self.crowds += usize::from(annotation.iscrowd.is_some_and(|crowd| crowd.is_on()));
    }

    fn category(&mut self, category: Category, report: &mut Report<'_>) {
        let id = id("category", "id", category.id, report);
        let name = text("category", "name", category.name, report);
        let (Some(id), Some(name)) = (id, name) else { return };
        if let Err(line) = self.categories.define(id.clone(), name, report.line) {
            report.note(|| format!("category id {id} already appears on line {line}"));
        }
    }

    /// The labels, if nothing is wrong: annotated categories and those of `pos_category_ids` are positive, those of
    /// `neg_category_ids` negative, others `unlisted`; images are joined to `folder`.
    ///
    /// # Errors
    /// All problems of the file at once.
    pub fn finish(mut self, mut report: Report<'_>, folder: &Path, unlisted: Label) -> Result<Reading> {
        self.check(&mut report);
        let path = report.path;
        report.problems.or(())?;
        let mut order = self.categories.defined.clone();
        order.sort_unstable_by_key(|&place| &self.categories.entries[place as usize].id);
        let mut marks = Marks::with_categories(order.iter().map(|&place| self.categories.name(place).into()));
        let columns = inverse(&order);
        let rows: Vec<usize> = {
            let rows = self.images.defined.iter();
            rows.map(|&place| marks.image(&folder.join(self.images.name(place)))).collect()
        };
        let mut row_of = vec![0; rows.len()];
        self.images.defined.iter().zip(rows).for_each(|(&place, row)| row_of[place as usize] = row);
        let lists = [
            (&mut self.annotated, Label::Positive),
            (&mut self.negative, Label::Negative),
            (&mut self.not_exhaustive, Label::Unknown),
        ];
        for (pairs, label) in lists {
            pairs.sort_out();
            for &(image, category) in &pairs.pairs {
                marks.mark(row_of[image as usize], columns[category as usize], label);
            }
        }
        let notes = self.notes(marks.images().len(), unlisted);
        let mut reading = marks.finish(unlisted, path)?;
        reading.notes.splice(..0, notes);
        Ok(reading)
    }

    fn check(&self, report: &mut Report<'_>) {
        report.line = 1;
        let hint = "; files with image_info in their names hold no labels";
        let has = [
            (self.has.images, "images", ""),
            (self.has.annotations, "annotations", hint),
            (self.has.categories, "categories", ""),
        ];
        for (has, key, hint) in has {
            if !has {
                report.note(|| {
                    format!("no {key}; expected an object with images, annotations and categories{hint}")
                });
            }
        }
        self.check_categories(report);
        if self.has.images {
            for Entry { id, line, mentions, .. } in self.images.undefined() {
                report.line = *line;
                report.note(|| format!("image_id {id} is not among the images (named {mentions} times)"));
            }
        }
    }

    fn check_categories(&self, report: &mut Report<'_>) {
        let mut lines = HashMap::new();
        for &place in &self.categories.defined {
            let Entry { line, .. } = self.categories.entries[place as usize];
            let name = self.categories.name(place);
            if let Some(before) = lines.insert(name, line) {
                report.line = line;
                report.note(|| {
                    format!("category {} already appears on line {before}; names must differ", shown(name))
                });
            }
        }
        let known = self.categories.defined.iter().map(|&place| &self.categories.entries[place as usize].id);
        let Some((least, most)) = known.clone().min().zip(known.max()) else {
            if report.problems.is_empty() {
                report.note(|| "categories is empty; expected objects with id and name".into());
            }
            return;
        };
        for Entry { id, line, mentions, .. } in self.categories.undefined() {
            report.line = *line;
            report.note(|| {
                let count = self.categories.defined.len();
                format!(
                    "category_id {id} is not among the categories (named {mentions} times); expected one of \
                     {count} ids from {least} to {most}"
                )
            });
        }
    }

    fn notes(&self, rows: usize, unlisted: Label) -> Vec<String> {
        let mut spoken_of = vec![false; self.images.entries.len()];
        let pairs = self.annotated.pairs.iter().chain(&self.negative.pairs);
        pairs.for_each(|&(image, _)| spoken_of[image as usize] = true);
        let silent = spoken_of.iter().filter(|spoken_of| !**spoken_of).count();
        let all = if unlisted == Label::Negative { "negative" } else { "unknown" };
        let counts = [
            (
                self.positive_lists,
                format!("images list the categories that they show (pos_category_ids): others are {all}"),
            ),
            (self.crowds, "crowd annotations: read as positive".to_owned()),
            (silent, format!("images have no annotation: kept, every category {all}")),
            (
                self.images.defined.len() - rows,
                "images are listed again under another id: their annotations are put together".to_owned(),
            ),
        ];
        counted(counts).collect()
    }
}

/// Where each place stands in `order`.
fn inverse(order: &[u32]) -> Vec<usize> {
    let mut inverse = vec![0; order.len()];
    order.iter().enumerate().for_each(|(index, &place)| inverse[place as usize] = index);
    inverse
}

/// The id in a field; a missing or wrong one is noted.
fn id(what: &str, field: &str, value: Option<Scalar>, report: &mut Report<'_>) -> Option<Id> {
    match value {
        Some(Scalar::Number(number)) => Some(Id::Number(number)),
        Some(Scalar::Text(text)) if !text.is_empty() => Some(Id::Text(text.into())),
        value => {
            report.note(|| wrong(what, field, value.as_ref(), "a whole number"));
            None
        }
    }
}

/// The text in a field; a missing, empty or wrong one is noted.
fn text(what: &str, field: &str, value: Option<Scalar>, report: &mut Report<'_>) -> Option<String> {
    match value {
        Some(Scalar::Text(text)) if !text.is_empty() => Some(text),
        value => {
            report.note(|| wrong(what, field, value.as_ref(), "text"));
            None
        }
    }
}

fn wrong(what: &str, field: &str, value: Option<&Scalar>, expected: &str) -> String {
    match value {
        None if field == "category_id" => format!(
            "{what} without category_id; expected instances (captions and panoptic segments are other files)"
        ),
        None => format!("{what} without {field}"),
        Some(value) => format!("{field} of {what} is {}; expected {expected}", value.kind()),
    }
}

/// The name of an image: `file_name`, or where there is none the end of `coco_url` with its folder, as in
/// `…/train2017/000000391895.jpg`. LVIS 0.5 calls its images `COCO_val2014_…`, but takes them from the
/// folders of 2017, as the URL says.
fn image_name(file_name: Option<Scalar>, url: Option<Scalar>, report: &mut Report<'_>) -> Option<String> {
    let old = matches!(&file_name, Some(Scalar::Text(name)) if name.starts_with("COCO_"));
    match url {
        Some(Scalar::Text(url)) if file_name.is_none() || old => {
            let start = url.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
            text("image", "coco_url", Some(Scalar::Text(url[start..].to_owned())), report)
        }
        _ => text("image", "file_name", file_name, report),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_annotations_take_no_memory() {
        let mut pairs = Pairs::default();
        for repeat in 0..6_000_000_u32 {
            pairs.push((repeat % 3, 7));
        }
        assert!(pairs.pairs.capacity() <= 1 << 21, "{}", pairs.pairs.capacity());
        pairs.sort_out();
        assert_eq!(pairs.pairs, [(0, 7), (1, 7), (2, 7)]);
    }

    #[test]
    fn the_end_of_a_url_with_its_folder_is_the_name_of_an_image() {
        let name = |file_name: Option<&str>, url: Option<&str>| {
            let text = |value: &str| Scalar::Text(value.to_owned());
            let mut report = Report::new(Path::new("a.json"));
            image_name(file_name.map(text), url.map(text), &mut report)
        };
        let url = Some("http://images.cocodataset.org/val2017/000000000139.jpg");
        assert_eq!(name(None, url).unwrap(), "val2017/000000000139.jpg");
        assert_eq!(name(Some("a/b.jpg"), url).unwrap(), "a/b.jpg");
        assert_eq!(name(Some("COCO_val2014_000000000139.jpg"), url).unwrap(), "val2017/000000000139.jpg");
        assert_eq!(name(Some("COCO_val2014_1.jpg"), None).unwrap(), "COCO_val2014_1.jpg");
        assert_eq!(name(None, Some("1.jpg")).unwrap(), "1.jpg");
        assert_eq!((name(None, None), name(None, Some("")), name(Some(""), url)), (None, None, None));
    }
}
