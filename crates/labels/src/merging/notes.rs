//! What should probably have met: images of one name in several folders, categories of nearly one name.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;

use super::{Place, Union};
use crate::categories::closest;
use crate::formats::report::shown;
use crate::text::{listed, spelling};

/// So many pairs of categories are named; the rest are counted.
const SHOWN: usize = 20;
/// So many pairs of names are compared letter by letter, about a second; more only by their [`spelling`].
const MOST_COMPARED: usize = 1_000_000;

/// What the user should know of the sources together.
pub(super) fn notes(union: &Union<'_>) -> Vec<String> {
    if union.sources.len() < 2 {
        return Vec::new();
    }
    let mut notes = shared_images(union);
    notes.extend(same_names(union));
    notes.extend(lacking_categories(union));
    notes.extend(similar_categories(union));
    notes
}

/// Whether all of the rows are of one source.
fn alone(places: &[Place]) -> bool {
    places.iter().all(|place| place.source == places[0].source)
}

/// How many images each source shares with others, or that none does.
fn shared_images(union: &Union<'_>) -> Vec<String> {
    let mut counts = vec![(0, 0); union.sources.len()];
    for places in &union.places {
        let sources: BTreeSet<usize> = places.iter().map(|place| place.source).collect();
        for &source in &sources {
            counts[source].0 += 1;
            counts[source].1 += usize::from(sources.len() > 1);
        }
    }
    if counts.iter().all(|(_, shared)| *shared == 0) {
        let names: Vec<&str> = union.sources.iter().map(|(name, _)| name.as_str()).collect();
        return vec![format!("{} share no image", listed(&names))];
    }
    let note = |((name, _), (images, shared)): (&(String, _), &(usize, usize))| match shared {
        0 => format!("{name}: {images} images, none of them in another source"),
        _ => format!("{name}: {images} images, {shared} of them in another source too"),
    };
    union.sources.iter().zip(&counts).map(note).collect()
}

/// Images of which different sources have one each, of the same name but in another place.
fn same_names(union: &Union<'_>) -> Option<String> {
    let mut by_name: HashMap<&OsStr, Vec<&[Place]>> = HashMap::new();
    let mut order = Vec::new();
    for places in union.places.iter().filter(|places| alone(places)) {
        if let Some(name) = union.image(places).file_name() {
            let same = by_name.entry(name).or_default();
            if same.is_empty() {
                order.push(name);
            }
            same.push(places);
        }
    }
    let apart: Vec<[&[Place]; 2]> = order
        .iter()
        .filter_map(|name| {
            let same = &by_name[name];
            let other = same.iter().find(|places| places[0].source != same[0][0].source)?;
            Some([same[0], other])
        })
        .collect();
    let [first, second] = (*apart.first()?).map(|places| shown(&union.image(places).to_string_lossy()));
    let more = match apart.len() - 1 {
        0 => String::new(),
        more => format!(", as have {more} more such pairs"),
    };
    Some(format!(
        "{first} and {second} have one name in different folders{more}: they stay apart; if they are the same images, \
         pass --images DIR, the folder that the names in the sources start from"
    ))
}

/// Which sources say nothing of some categories.
fn lacking_categories(union: &Union<'_>) -> Vec<String> {
    let all = union.names.len();
    let lacking = |((name, _), columns): (&(String, _), &Vec<usize>)| {
        let own: HashSet<usize> = columns.iter().copied().collect();
        let first = (0..all).find(|category| !own.contains(category))?;
        Some(format!(
            "{name}: {} of the {all} categories, such as {}, are not in it: unknown where no other source knows",
            all - own.len(),
            shown(union.names[first])
        ))
    };
    union.sources.iter().zip(&union.columns).filter_map(lacking).collect()
}

/// Two categories that may mean the same, and a source of each.
struct Pair {
    categories: [usize; 2],
    sources: [usize; 2],
}

/// Categories of different sources, of which neither source has both, and whose names are nearly the same.
fn similar_categories(union: &Union<'_>) -> Vec<String> {
    let sets: Vec<BTreeSet<usize>> =
        union.columns.iter().map(|columns| columns.iter().copied().collect()).collect();
    let (mut pairs, mut seen, mut all_compared) = (Vec::new(), HashSet::new(), true);
    for (source, own) in sets.iter().enumerate() {
        for (earlier, theirs) in sets[..source].iter().enumerate() {
            let (ours, theirs): (Vec<usize>, Vec<usize>) =
                (own.difference(theirs).copied().collect(), theirs.difference(own).copied().collect());
            let compare = ours.len().saturating_mul(theirs.len()) <= MOST_COMPARED;
            all_compared &= compare;
            for categories in nearest(union, &theirs, &ours, compare) {
                if seen.insert(categories) {
                    pairs.push(Pair { categories, sources: [earlier, source] });
                }
            }
        }
    }
    let mut notes: Vec<String> = pairs.iter().take(SHOWN).map(|pair| stay_apart(union, pair)).collect();
    if pairs.len() > SHOWN {
        notes.push(format!("… and {} more pairs of categories with similar names", pairs.len() - SHOWN));
    }
    if !all_compared {
        notes.push("too many categories to look for names that differ by some letters".into());
    }
    notes
}

/// For each of the categories `ours` the one of `theirs` that differs only in writing or, if `compare`, has the
/// nearest name, where one is near.
fn nearest(union: &Union<'_>, theirs: &[usize], ours: &[usize], compare: bool) -> Vec<[usize; 2]> {
    let by_name: HashMap<&str, usize> = theirs.iter().map(|&at| (union.names[at], at)).collect();
    // The first of several.
    let by_spelling: HashMap<String, usize> =
        theirs.iter().rev().map(|&at| (spelling(union.names[at]), at)).collect();
    let near = |&category: &usize| {
        let name = union.names[category];
        let near = by_spelling.get(&spelling(name)).copied().or_else(|| {
            let candidates = theirs.iter().map(|&at| union.names[at]);
            compare.then(|| closest(name, candidates)).flatten().map(|near| by_name[near])
        });
        near.map(|near| [near, category])
    };
    ours.iter().filter_map(near).collect()
}

fn stay_apart(union: &Union<'_>, pair: &Pair) -> String {
    let [a, b] = pair.categories.map(|category| union.names[category]);
    let [in_a, in_b] = pair.sources.map(|source| &union.sources[source].0);
    let how = match spelling(a) == spelling(b) {
        true => "differ only in case, spaces, _ or -",
        false => "are nearly the same",
    };
    format!(
        "categories {} of {in_a} and {} of {in_b} {how}: they stay apart; give them one name in the sources if they \
         mean the same",
        shown(a),
        shown(b)
    )
}
