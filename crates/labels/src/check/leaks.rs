//! Images that stand in two splits, so that numbers measured on one promise more than they should.

use super::places::Places;
use super::repeats::{Kind, Repeat};
use super::{Code, Found};

/// A finding for every image that is in several splits.
pub(super) fn find(places: &Places<'_>, repeats: &[Repeat]) -> Vec<Found> {
    let mut found = Vec::new();
    for Repeat { kind, places: group } in repeats {
        let (here, elsewhere) = places.apart(group);
        if elsewhere.is_empty() {
            continue;
        }
        let code = match kind {
            Kind::File => Code::LeakPath,
            Kind::Bytes | Kind::Pixels => Code::LeakExact,
            Kind::Looks => Code::LeakNear,
        };
        let (first, others) = (places.name_and_split(here[0]), places.list(&elsewhere, true));
        let message = format!("{first} {} {others}", kind.verb());
        found.push(Found::at(code, message, [&here[..1], &elsewhere, &here[1..]].concat()));
    }
    found
}
