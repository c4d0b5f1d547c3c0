//! Categories that cannot be learned or measured, and names that probably mean the same.

use std::collections::{HashMap, HashSet};

use super::findings::{counted, shown};
use super::places::Places;
use super::{Code, Found};
use crate::annotations::Annotations;
use crate::text::spelling;

/// Findings about the categories of every split, then about their names.
pub(super) fn find(places: &Places<'_>) -> Vec<Found> {
    let splits = places.splits();
    // Known in at least one image of one split.
    let used: HashSet<&str> = splits.iter().flat_map(|(_, annotations)| used(annotations)).collect();
    let mut found = Vec::new();
    let mut unused = HashSet::new();
    for (split, (_, annotations)) in splits.iter().enumerate() {
        found.extend(of_split(split, annotations, &used, &mut unused));
    }
    found.extend(differing(splits));
    let mut seen = HashSet::new();
    let names = splits.iter().flat_map(|(_, annotations)| &annotations.categories).map(String::as_str);
    let names: Vec<&str> = names.filter(|name| seen.insert(*name)).collect();
    found.extend(alike(&names));
    found
}

fn used(annotations: &Annotations) -> impl Iterator<Item = &str> {
    let counts = annotations.categories.iter().zip(annotations.labels.counts());
    counts.filter(|(_, (_, known))| *known > 0).map(|(name, _)| name.as_str())
}

/// What a category lacks in one split. Where the whole split lacks it, that is a finding about the split.
fn of_split<'a>(
    split: usize,
    annotations: &'a Annotations,
    used: &HashSet<&str>,
    unused: &mut HashSet<&'a str>,
) -> Vec<Found> {
    let images = annotations.images.len();
    let counts = annotations.labels.counts();
    let positives = counts.iter().any(|&(positive, _)| positive > 0);
    let negatives = counts.iter().any(|&(positive, known)| known > positive);
    let mut found = Vec::new();
    for (name, (positive, known)) in annotations.categories.iter().zip(counts) {
        let (code, what) = match (positive, known - positive) {
            (0, 0) if !used.contains(name.as_str()) => {
                if unused.insert(name) {
                    found.push(Found::of(
                        Code::CategoryUnused,
                        format!("{}: unknown everywhere", shown(name)),
                    ));
                }
                continue;
            }
            (0, 0) if positives || negatives => (Code::CategoryAllUnknown, "unknown in every image".into()),
            (0, negative) if positives => (
                Code::CategoryNoPositive,
                format!("no known positive, {}", counted(negative, "known negative")),
            ),
            (positive, 0) if negatives && positive == images => {
                (Code::CategoryEverywhere, format!("positive in all of {}", counted(images, "image")))
            }
            (positive, 0) if negatives => (
                Code::CategoryNoNegative,
                format!("no known negative, {}", counted(positive, "known positive")),
            ),
            _ => continue,
        };
        found.push(Found::in_split(code, format!("{}: {what}", shown(name)), split));
    }
    found
}

/// Categories that one split has and another has not.
fn differing(splits: &[(String, &Annotations)]) -> Vec<Found> {
    let sets: Vec<HashSet<&str>> =
        splits.iter().map(|(_, a)| a.categories.iter().map(String::as_str).collect()).collect();
    let mut found = Vec::new();
    for (split, (_, annotations)) in splits.iter().enumerate() {
        for name in annotations.categories.iter().map(String::as_str) {
            // Said by the first split that has it.
            if sets[..split].iter().any(|set| set.contains(name)) {
                continue;
            }
            let missing = splits.iter().zip(&sets).filter(|(_, set)| !set.contains(name));
            let missing: Vec<String> = missing.map(|((other, _), _)| shown(other)).collect();
            if !missing.is_empty() {
                let message = format!("{} is not a category of {}", shown(name), missing.join(", "));
                found.push(Found::in_split(Code::CategoriesDiffer, message, split));
            }
        }
    }
    found
}

/// Names that differ only in case, spaces, `_` and `-`, and those that differ by one letter.
fn alike(names: &[&str]) -> Vec<Found> {
    let mut by_letters: HashMap<String, Vec<&str>> = HashMap::new();
    let mut order = Vec::new();
    for name in names {
        let key = spelling(name);
        let same = by_letters.entry(key.clone()).or_default();
        if same.is_empty() {
            order.push(key);
        }
        same.push(name);
    }
    let mut found = Vec::new();
    for key in &order {
        if let [first, others @ ..] = &by_letters[key][..]
            && !others.is_empty()
        {
            let others: Vec<String> = others.iter().map(|name| format!("{name:?}")).collect();
            let message = format!("{first:?} differs only in case or spaces from {}", others.join(", "));
            found.push(Found::of(Code::CategorySameName, message));
        }
    }
    for (a, b) in one_letter_apart(&order) {
        let message = format!("{:?} is nearly {:?}", by_letters[a][0], by_letters[b][0]);
        found.push(Found::of(Code::CategorySimilarName, message));
    }
    found
}

/// Pairs that differ by one letter (added, missing, another, or two that changed places) or by a plural.
/// Short names and those with digits, such as `cat` and `car` or `class 1` and `class 2`, differ on purpose.
fn one_letter_apart(names: &[String]) -> Vec<(&str, &str)> {
    const SHORTEST: usize = 5;
    // Bounds for names that are none: the letters left out of a name of a megabyte would fill the memory.
    const NAME: std::ops::RangeInclusive<usize> = 3..=100;
    const MOST_ALIKE: usize = 100;
    // Two such names become equal when at most one letter is left out of each.
    let mut by_rest: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        if name.chars().any(char::is_numeric) || !NAME.contains(&name.len()) {
            continue;
        }
        by_rest.entry(name.clone()).or_default().push(at);
        for (place, letter) in name.char_indices() {
            let rest = format!("{}{}", &name[..place], &name[place + letter.len_utf8()..]);
            let places = by_rest.entry(rest).or_default();
            if places.last() != Some(&at) {
                places.push(at);
            }
        }
    }
    let mut pairs = HashSet::new();
    for places in by_rest.values().filter(|places| places.len() <= MOST_ALIKE) {
        for (at, &second) in places.iter().enumerate() {
            pairs.extend(places[..at].iter().map(|&first| (first.min(second), first.max(second))));
        }
    }
    let near = |&(a, b): &(usize, usize)| {
        let (a, b) = (&names[a], &names[b]);
        let plural = a.strip_suffix('s') == Some(b) || b.strip_suffix('s') == Some(a);
        let long = a.chars().count().min(b.chars().count()) >= SHORTEST;
        a != b && (plural || long && strsim::osa_distance(a, b) == 1)
    };
    let mut pairs: Vec<(usize, usize)> = pairs.into_iter().filter(near).collect();
    pairs.sort_unstable();
    pairs.into_iter().map(|(a, b)| (names[a].as_str(), names[b].as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{annotations, codes};

    #[test]
    fn what_a_category_lacks_is_said_once() {
        let names = ["fine", "no-positive", "no-negative", "everywhere", "unused", "only-in-test"];
        let train = annotations(&["a", "b"], &names, &[1, -1, 1, 1, 0, 0, -1, -1, 0, 1, 0, 0]);
        let test = annotations(&["c", "d"], &names, &[1, 1, 1, 1, 0, 1, -1, -1, -1, -1, 0, -1]);
        let splits = [("train".into(), &train), ("test".into(), &test)];
        let found = find(&Places::of(&splits));
        let expected = [
            (Code::CategoryNoPositive, "no-positive: no known positive, 2 known negatives"),
            (Code::CategoryNoNegative, "no-negative: no known negative, 1 known positive"),
            (Code::CategoryEverywhere, "everywhere: positive in all of 2 images"),
            (Code::CategoryUnused, "unused: unknown everywhere"),
            (Code::CategoryAllUnknown, "only-in-test: unknown in every image"),
        ];
        let said: Vec<(Code, &str)> =
            found.iter().map(|found| (found.code, found.message.as_str())).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn a_split_without_negatives_does_not_say_so_for_every_category() {
        let tags = annotations(&["a", "b"], &["cat", "dog"], &[1, 0, 0, 1]);
        let nothing = annotations(&["c"], &["cat", "dog"], &[0, 0]);
        let splits = [("tags".into(), &tags), ("nothing".into(), &nothing)];
        assert_eq!(codes(&find(&Places::of(&splits))), []);
    }

    #[test]
    fn a_category_that_is_unknown_in_a_split_of_positives_alone_is_said_to_be_so() {
        let tags = annotations(&["a", "b"], &["cat", "dog"], &[1, 0, 1, 0]);
        let whole = annotations(&["c", "d"], &["cat", "dog"], &[1, -1, -1, 1]);
        let splits = [("tags".into(), &tags), ("whole".into(), &whole)];
        assert_eq!(codes(&find(&Places::of(&splits))), [Code::CategoryAllUnknown]);
    }

    #[test]
    fn categories_of_one_split_only_are_named_once() {
        let [a, b, c] = [&["cat", "dog"][..], &["dog", "owl"], &["cat", "dog"]]
            .map(|names| annotations(&["a"], names, &[1, -1]));
        let splits = [("a".into(), &a), ("b".into(), &b), ("c".into(), &c)];
        let messages: Vec<String> = differing(&splits).into_iter().map(|found| found.message).collect();
        assert_eq!(messages, ["cat is not a category of b", "owl is not a category of a, c"]);
    }

    #[test]
    fn names_that_probably_mean_the_same_are_found_and_others_are_not() {
        let names = ["Dining Table", "dining_table", "diningtables", "dinnigtable", "cat", "car", "cats"];
        let more =
            ["class 1", "class 2", "n01440764", "n01440765", "aeroplane", "airplane", "Küche", "Kuche"];
        let found = alike(&[&names[..], &more].concat());
        let messages: Vec<&str> = found.iter().map(|found| found.message.as_str()).collect();
        let expected = [
            r#""Dining Table" differs only in case or spaces from "dining_table""#,
            r#""Dining Table" is nearly "diningtables""#,
            r#""Dining Table" is nearly "dinnigtable""#,
            r#""cat" is nearly "cats""#,
            r#""Küche" is nearly "Kuche""#,
        ];
        assert_eq!(messages, expected);
    }
}
