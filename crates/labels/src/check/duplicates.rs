//! Images that stand in one split more than once.

use super::places::Places;
use super::repeats::{Kind, Repeat};
use super::{Code, Found};

/// A finding for every image that is repeated within a split; one that reaches across splits is a leak.
pub(super) fn find(places: &Places<'_>, repeats: &[Repeat]) -> Vec<Found> {
    let within = repeats.iter().filter(|repeat| places.apart(&repeat.places).1.is_empty());
    within
        .map(|Repeat { kind, places: group }| {
            let code = match kind {
                Kind::File => Code::DuplicatePath,
                Kind::Bytes | Kind::Pixels => Code::DuplicateExact,
                Kind::Looks => Code::DuplicateNear,
            };
            let (first, others) = (places.name(group[0]), places.list(&group[1..], false));
            Found::at(code, format!("{first} {} {others}", kind.verb()), group.clone())
        })
        .collect()
}
