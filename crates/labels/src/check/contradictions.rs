//! The same image with other labels in another place.

use std::collections::{HashMap, HashSet};

use super::findings::shown;
use super::places::Places;
use super::repeats::{Kind, Repeat};
use super::{Code, Found};
use crate::labels::Label;

/// A finding for every image that has a positive label in one place and a negative one of the same category
/// in another. Unknown contradicts nothing, and pictures that merely look alike may differ.
pub(super) fn find(places: &Places<'_>, repeats: &[Repeat]) -> Vec<Found> {
    let columns = Columns::of(places);
    let by_content = |repeat: &&Repeat| matches!(repeat.kind, Kind::Bytes | Kind::Pixels);
    // The places of one file are among those of its content.
    let compared: HashSet<u32> =
        repeats.iter().filter(by_content).flat_map(|repeat| &repeat.places).copied().collect();
    let by_path = repeats.iter().filter(|repeat| repeat.kind == Kind::File);
    let groups =
        repeats.iter().filter(by_content).chain(by_path.filter(|r| !compared.contains(&r.places[0])));
    groups.filter_map(|repeat| contradiction(places, &columns, &repeat.places)).collect()
}

fn contradiction(places: &Places<'_>, columns: &Columns<'_>, group: &[u32]) -> Option<Found> {
    let mut conflicts = (0..columns.names.len()).filter_map(|category| {
        let with =
            |label| group.iter().copied().find(|&place| columns.label(places, place, category) == label);
        Some((category, with(Label::Positive)?, with(Label::Negative)?))
    });
    let (first, positive, negative) = conflicts.next()?;
    let others: Vec<String> = conflicts.map(|(category, ..)| shown(columns.names[category])).collect();
    let and_others = match others.len() {
        0 => String::new(),
        1..=5 => format!("; so with {}", others.join(", ")),
        count => format!("; so with {count} others, such as {}", others[0]),
    };
    let message = format!(
        "{} is positive for {} and negative for the same image {}{and_others}",
        shown(columns.names[first]),
        places.name_and_split(positive),
        places.name_and_split(negative),
    );
    let rest = group.iter().copied().filter(|&place| place != positive && place != negative);
    Some(Found::at(Code::Contradiction, message, [positive, negative].into_iter().chain(rest).collect()))
}

/// The categories of all splits by name, and the column of each in every split.
struct Columns<'a> {
    names: Vec<&'a str>,
    of_split: Vec<Vec<Option<usize>>>,
}

impl<'a> Columns<'a> {
    fn of(places: &Places<'a>) -> Self {
        let mut names: Vec<&str> = Vec::new();
        let mut numbers = HashMap::new();
        for name in places.splits().iter().flat_map(|(_, annotations)| &annotations.categories) {
            numbers.entry(name.as_str()).or_insert_with(|| {
                names.push(name);
                names.len() - 1
            });
        }
        let of_split = places.splits().iter().map(|(_, annotations)| {
            let mut columns = vec![None; names.len()];
            let own = annotations.categories.iter().enumerate();
            own.for_each(|(column, name)| columns[numbers[name.as_str()]] = Some(column));
            columns
        });
        Self { of_split: of_split.collect(), names }
    }

    fn label(&self, places: &Places<'_>, place: u32, category: usize) -> Label {
        let split = places.split(place);
        let (_, annotations) = &places.splits()[split];
        let column = self.of_split[split][category];
        column.map_or(Label::Unknown, |column| annotations.labels.get(places.row(place), column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::repeats;
    use crate::check::tests::annotations;

    #[test]
    fn other_labels_for_the_same_image_are_a_contradiction_whatever_the_column_order() {
        let train = annotations(&["a.jpg", "b.jpg"], &["cat", "dog", "owl"], &[1, -1, 1, 1, 1, 0]);
        let test = annotations(&["b.jpg", "a.jpg"], &["dog", "cat"], &[0, 1, 1, -1]);
        let splits = [("train".into(), &train), ("test".into(), &test)];
        let places = Places::of(&splits);
        let found = find(&places, &repeats::find(&places, &[], 0));
        let expected =
            "cat is positive for a.jpg of train and negative for the same image a.jpg of test; so with dog";
        assert_eq!(found, [Found::at(Code::Contradiction, expected.into(), vec![0, 3])]);
    }

    #[test]
    fn unknown_contradicts_nothing_and_neither_does_a_picture_that_looks_alike() {
        let train = annotations(&["a.jpg", "./a.jpg"], &["cat", "dog"], &[1, 0, 0, -1]);
        let splits = [("train".into(), &train)];
        let places = Places::of(&splits);
        let repeat = |kind| [Repeat { kind, places: vec![0, 1] }];
        assert!(find(&places, &repeat(Kind::File)).is_empty());
        let train = annotations(&["a.jpg", "b.jpg"], &["cat"], &[1, -1]);
        let splits = [("train".into(), &train)];
        let places = Places::of(&splits);
        assert!(find(&places, &repeat(Kind::Looks)).is_empty());
        assert_eq!(find(&places, &repeat(Kind::Pixels)).len(), 1);
        // Said once where both the path and the content are the same.
        assert_eq!(find(&places, &[repeat(Kind::File), repeat(Kind::Bytes)].concat()).len(), 1);
    }
}
