//! What a label file holds, in numbers: read before training, and after labels were hidden.

pub mod page;

use std::fmt;

use serde::Serialize;

use crate::annotations::Annotations;
use crate::cooccurrence::PairCounts;
use crate::labels::{Label, LabelMatrix, ones};
use crate::text::{aligned, share};

/// Counts of one label file. Proportions are fractions in 0…1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inspection {
    /// The label file.
    pub file: String,
    /// Number of images N.
    pub images: usize,
    /// Number of categories C.
    pub categories: usize,
    /// Known labels.
    pub known: usize,
    /// Known positives.
    pub positive: usize,
    /// Known negatives.
    pub negative: usize,
    /// Unknown labels.
    pub unknown: usize,
    /// Known labels of an image, on average.
    pub known_per_image: f64,
    /// Known positives of an image, on average.
    pub positives_per_image: f64,
    /// How many images have 0, 1, 2 … known positives.
    pub images_by_positives: Vec<usize>,
    /// Images without any known label.
    pub images_without_known: usize,
    /// Categories without a known positive: nothing to learn or to measure.
    pub without_positive: Vec<String>,
    /// Categories without a known negative.
    pub without_negative: Vec<String>,
    /// Each category, in column order.
    pub per_category: Vec<CategoryCounts>,
    /// The pairs that stand together most often, at most [`Inspection::PAIRS`].
    pub pairs: Vec<Pair>,
}

/// Labels of one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CategoryCounts {
    /// Its name.
    pub name: String,
    /// Images in which it is known.
    pub known: usize,
    /// Images in which it is a known positive.
    pub positive: usize,
    /// Images in which it is a known negative.
    pub negative: usize,
    /// Images in which it is unknown.
    pub unknown: usize,
}

/// Two categories that stand together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// The one that comes first in column order.
    pub first: String,
    /// The other.
    pub second: String,
    /// Images in which both are known positives.
    pub images: usize,
    /// P(second | first), among images where the first is positive and the second known.
    pub second_given_first: f64,
    /// P(first | second), among images where the second is positive and the first known.
    pub first_given_second: f64,
}

impl Inspection {
    /// How many pairs are listed.
    pub const PAIRS: usize = 10;

    /// Most categories of which all pairs are counted, in tables of 2 × 4 bytes a pair.
    pub const PAIRED: usize = 2000;

    /// Counts the labels of one split.
    pub fn of(annotations: &Annotations) -> Self {
        let Annotations { labels, categories, source, .. } = annotations;
        let images = labels.images();
        let per_category = per_category(labels, categories);
        let without = |count: fn(&CategoryCounts) -> usize| {
            let empty = per_category.iter().filter(|category| count(category) == 0);
            empty.map(|category| category.name.clone()).collect()
        };
        let [positive, negative, unknown] =
            [Label::Positive, Label::Negative, Label::Unknown].map(|label| labels.count(label));
        let mut images_by_positives = vec![0; 1];
        let mut images_without_known = 0;
        for image in 0..images {
            let (known, positive) = labels.planes(image);
            let count = ones(positive);
            images_by_positives.resize(images_by_positives.len().max(count + 1), 0);
            images_by_positives[count] += 1;
            images_without_known += usize::from(ones(known) == 0);
        }
        let per_image = |count: usize| if images == 0 { 0.0 } else { count as f64 / images as f64 };
        Self {
            file: source.display().to_string(),
            images,
            categories: categories.len(),
            known: positive + negative,
            positive,
            negative,
            unknown,
            known_per_image: per_image(positive + negative),
            positives_per_image: per_image(positive),
            images_by_positives,
            images_without_known,
            without_positive: without(|category| category.positive),
            without_negative: without(|category| category.negative),
            pairs: pairs(labels, categories),
            per_category,
        }
    }
}

fn per_category(labels: &LabelMatrix, names: &[String]) -> Vec<CategoryCounts> {
    let counts = names.iter().zip(labels.counts());
    counts
        .map(|(name, (positive, known))| CategoryCounts {
            name: name.clone(),
            known,
            positive,
            negative: known - positive,
            unknown: labels.images() - known,
        })
        .collect()
}

/// The pairs that stand together most often, most often first; ties keep column order. Of more categories than
/// [`PAIRED`](Inspection::PAIRED), those with the most positives are paired.
fn pairs(labels: &LabelMatrix, names: &[String]) -> Vec<Pair> {
    let positives = labels.counts();
    let mut paired: Vec<usize> = (0..names.len()).collect();
    if paired.len() > Inspection::PAIRED {
        paired.sort_by_key(|&category| std::cmp::Reverse(positives[category].0));
        paired.truncate(Inspection::PAIRED);
        paired.sort_unstable();
        let names: Vec<String> = paired.iter().map(|&category| names[category].clone()).collect();
        return pairs(&labels.select_categories(&paired), &names);
    }
    let counts = PairCounts::of(labels);
    let all = (0..names.len()).flat_map(|i| (i + 1..names.len()).map(move |j| (i, j)));
    // So many are never more than asked for by much: a list of all would be larger than the counts.
    let mut together: Vec<(usize, usize)> = Vec::new();
    let by_count = |&(i, j): &(usize, usize)| std::cmp::Reverse(counts.both(i, j));
    for pair in all.filter(|&(i, j)| counts.both(i, j) > 0) {
        together.push(pair);
        if together.len() >= 100 * Inspection::PAIRS {
            together.sort_by_key(by_count);
            together.truncate(Inspection::PAIRS);
        }
    }
    together.sort_by_key(by_count);
    together.truncate(Inspection::PAIRS);
    let given = |i, j| f64::from(counts.both(i, j)) / f64::from(counts.positive_and_known(i, j));
    together
        .into_iter()
        .map(|(i, j)| Pair {
            first: names[i].clone(),
            second: names[j].clone(),
            images: counts.both(i, j) as usize,
            second_given_first: given(i, j),
            first_given_second: given(j, i),
        })
        .collect()
}

impl fmt::Display for Inspection {
    /// Tables for a terminal, percent with one decimal, without a final line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.images * self.categories;
        writeln!(f, "{}: {} images, {} categories\n", self.file, self.images, self.categories)?;
        let row = |name: &str, count: usize| vec![name.into(), count.to_string(), share(count, cells)];
        let counts = [("known", self.known), ("positive", self.positive), ("negative", self.negative)];
        let mut rows = vec![vec!["labels".into(), cells.to_string(), "%".into()]];
        rows.extend(counts.map(|(name, count)| row(name, count)));
        rows.push(row("unknown", self.unknown));
        writeln!(f, "{}", aligned(&rows))?;

        writeln!(
            f,
            "labels per image: {:.2} known, {:.2} positive",
            self.known_per_image, self.positives_per_image
        )?;
        writeln!(f, "images without a known label: {}\n", self.images_without_known)?;
        writeln!(f, "{}", aligned(&self.images_by_positives()))?;

        let heading = ["category", "known", "known %", "positive", "negative", "unknown", "positive %"];
        let mut rows = vec![heading.map(str::to_owned).to_vec()];
        rows.extend(self.per_category.iter().map(|category| {
            let CategoryCounts { name, known, positive, negative, unknown } = category;
            let mut row = vec![name.clone(), known.to_string(), share(*known, self.images)];
            row.extend([positive, negative, unknown].map(|count| count.to_string()));
            row.push(share(*positive, *known));
            row
        }));
        write!(f, "{}", aligned(&rows))?;

        if !self.pairs.is_empty() {
            let heading = ["most often together", "images", "second if first %", "first if second %"];
            let mut rows = vec![heading.map(str::to_owned).to_vec()];
            rows.extend(self.pairs.iter().map(|pair| {
                let given = [pair.second_given_first, pair.first_given_second];
                let [second, first] = given.map(|share| format!("{:.1}", 100.0 * share));
                vec![format!("{} + {}", pair.first, pair.second), pair.images.to_string(), second, first]
            }));
            write!(f, "\n{}", aligned(&rows))?;
        }
        for (what, names) in [("positive", &self.without_positive), ("negative", &self.without_negative)] {
            if !names.is_empty() {
                write!(f, "\nno known {what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

impl Inspection {
    /// The histogram as two rows; ten and more positives share a column.
    fn images_by_positives(&self) -> [Vec<String>; 2] {
        const LAST: usize = 10;
        let single = self.images_by_positives.iter().take(LAST).enumerate();
        let (mut heads, mut counts): (Vec<String>, Vec<String>) =
            single.map(|(positives, images)| (positives.to_string(), images.to_string())).unzip();
        if let Some(many @ [_, ..]) = self.images_by_positives.get(LAST..) {
            heads.push(format!("{LAST}+"));
            counts.push(many.iter().sum::<usize>().to_string());
        }
        heads.insert(0, "known positives".into());
        counts.insert(0, "images".into());
        [heads, counts]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotations(categories: &[&str], values: &[i8]) -> Annotations {
        let labels = LabelMatrix::from_values(categories.len(), values);
        Annotations {
            images: (0..labels.images()).map(|image| format!("{image}.jpg").into()).collect(),
            labels,
            categories: categories.iter().map(|name| name.to_string()).collect(),
            source: "train.csv".into(),
        }
    }

    /// Four images: the last without a known label, the second column without a positive.
    fn small() -> Inspection {
        let rows = [[1, -1, 1], [1, 0, -1], [1, -1, 0], [0, 0, 0]];
        Inspection::of(&annotations(&["cat", "dog", "Küche"], rows.as_flattened()))
    }

    #[test]
    fn counts_equal_those_by_hand() {
        let inspection = small();
        assert_eq!((inspection.images, inspection.categories), (4, 3));
        let sums = (inspection.known, inspection.positive, inspection.negative, inspection.unknown);
        assert_eq!(sums, (7, 4, 3, 5));
        assert_eq!((inspection.known_per_image, inspection.positives_per_image), (1.75, 1.0));
        assert_eq!(inspection.images_by_positives, [1, 2, 1]);
        assert_eq!(inspection.images_without_known, 1);
        assert_eq!(
            (inspection.without_positive, inspection.without_negative),
            (vec!["dog".into()], vec!["cat".into()])
        );
        let kitchen =
            CategoryCounts { name: "Küche".into(), known: 2, positive: 1, negative: 1, unknown: 2 };
        assert_eq!(inspection.per_category[2], kitchen);
        let pair = Pair {
            first: "cat".into(),
            second: "Küche".into(),
            images: 1,
            second_given_first: 0.5,
            first_given_second: 1.0,
        };
        assert_eq!(inspection.pairs, [pair]);
    }

    #[test]
    fn numbers_stand_under_each_other() {
        let text = small().to_string();
        let labels = [
            "labels    12     %",
            "known      7  58.3",
            "positive   4  33.3",
            "negative   3  25.0",
            "unknown    5  41.7",
        ];
        let found: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("labels")).take(5).collect();
        assert_eq!(found, labels, "{text}");
        assert!(text.contains("\ncat + Küche"), "{text}");
        let table: Vec<&str> =
            text.lines().skip_while(|line| !line.starts_with("category")).take(4).collect();
        let expected = [
            "category  known  known %  positive  negative  unknown  positive %",
            "cat           3     75.0         3         0        1       100.0",
            "dog           2     50.0         0         2        2         0.0",
            "Küche         2     50.0         1         1        2        50.0",
        ];
        assert_eq!(table, expected, "{text}");
        assert!(text.contains("\nno known positive: dog\nno known negative: cat"), "{text}");
    }

    #[test]
    fn many_positives_share_a_column_of_the_table_but_not_of_the_json() {
        let inspection = Inspection::of(&annotations(&["a"; 12], &[1; 24]));
        assert_eq!(inspection.images_by_positives[12], 2);
        assert!(inspection.to_string().contains("8  9  10+\n"), "{inspection}");
        assert_eq!(inspection.pairs.len(), Inspection::PAIRS);
        let json = serde_json::to_value(&inspection).unwrap();
        assert_eq!(json["images_by_positives"].as_array().unwrap().len(), 13);
    }

    #[test]
    fn of_too_many_categories_those_with_the_most_positives_are_paired() {
        // The first two are in one image together; all but the first are in two others, alone.
        let of = |categories: usize| {
            let names: Vec<String> = (0..categories).map(|category| category.to_string()).collect();
            let mut labels = LabelMatrix::unknown(2 * categories, categories);
            let mut put = |image: usize, category: usize| labels.set(image, category, Label::Positive);
            (1..categories).for_each(|category| {
                [0, categories].iter().for_each(|first| put(first + category, category))
            });
            [0, 1].iter().for_each(|&category| put(0, category));
            pairs(&labels, &names).len()
        };
        assert_eq!((of(Inspection::PAIRED), of(Inspection::PAIRED + 1)), (1, 0));
    }

    #[test]
    fn a_split_without_images_has_no_nan() {
        let empty =
            Annotations { labels: LabelMatrix::unknown(0, 1), images: vec![], ..annotations(&["a"], &[0]) };
        let inspection = Inspection::of(&empty);
        assert_eq!(inspection.known_per_image, 0.0);
        assert!(!inspection.to_string().contains("NaN"), "{inspection}");
    }
}
