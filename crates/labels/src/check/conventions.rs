//! Signs that a source means something else by its labels than what was read: above all that "nobody
//! looked" became "not there".

use super::findings::counted;
use super::places::Places;
use super::{Code, Found};
use crate::annotations::Annotations;
use crate::labels::{Label, ones};

/// Findings about each split as a whole.
pub(super) fn find(places: &Places<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (split, (_, annotations)) in places.splits().iter().enumerate() {
        let kinds = Kinds::of(annotations);
        let said = [unlabeled(&kinds), nothing_known(&kinds), one_kind(&kinds), signs(annotations, &kinds)];
        found.extend(said.into_iter().flatten().map(|(code, message, rows)| {
            let group = rows.iter().map(|&row| places.place(split, row)).collect();
            Found { places: group, ..Found::in_split(code, message, split) }
        }));
    }
    found
}

/// A code, what is said, and the rows that it is said of, where it is some of them.
type Said<'a> = Option<(Code, String, &'a [usize])>;

/// How many labels of each kind a split has, and its images by what is known of them.
struct Kinds {
    images: usize,
    categories: usize,
    positive: usize,
    negative: usize,
    unknown: usize,
    /// Rows in which every category is a known negative.
    all_negative: Vec<usize>,
    /// Rows without any known label.
    nothing_known: Vec<usize>,
    /// Images with a known positive.
    with_positive: usize,
    /// Images with a known positive in which no category is unknown.
    with_positive_complete: usize,
}

impl Kinds {
    fn of(Annotations { labels, .. }: &Annotations) -> Self {
        let [positive, negative, unknown] =
            [Label::Positive, Label::Negative, Label::Unknown].map(|label| labels.count(label));
        let (mut all_negative, mut nothing_known) = (Vec::new(), Vec::new());
        let (mut with_positive, mut with_positive_complete) = (0, 0);
        for image in 0..labels.images() {
            let (known, positive) = labels.planes(image);
            let complete = ones(known) == labels.categories();
            match (ones(known), ones(positive)) {
                (0, _) => nothing_known.push(image),
                (_, 0) if complete => all_negative.push(image),
                (_, 0) => {}
                _ => {
                    with_positive += 1;
                    with_positive_complete += usize::from(complete);
                }
            }
        }
        let images = labels.images();
        Self {
            images,
            categories: labels.categories(),
            positive,
            negative,
            unknown,
            all_negative,
            nothing_known,
            with_positive,
            with_positive_complete,
        }
    }
}

/// Images that nobody looked at are all negative in many files: either nothing is unknown at all, or the
/// images without a positive are complete while those with one are not.
fn unlabeled(kinds: &Kinds) -> Said<'_> {
    let Kinds { images, positive, negative, all_negative, with_positive, .. } = kinds;
    let (count, known) = (all_negative.len(), positive + negative);
    if *positive == 0 {
        return None;
    }
    if kinds.unknown == 0 {
        let nothing =
            format!("nothing is unknown: all {known} labels of {} are known", counted(*images, "image"));
        return Some(match count {
            0 => (Code::NothingUnknown, nothing, &[]),
            // Of one category that is what labels look like.
            _ if kinds.categories == 1 => (Code::NothingUnknown, nothing, &[]),
            _ => {
                let what = format!("{nothing}, and {} without a positive", counted(count, "image"));
                (Code::UnlabeledNegative, what, all_negative)
            }
        });
    }
    let without_positive = images - with_positive - kinds.nothing_known.len();
    let suspicious = count > 0 && 10 * count >= 9 * without_positive;
    let partial = 2 * kinds.with_positive_complete <= *with_positive;
    (suspicious && partial).then(|| {
        let what = format!(
            "of {} without a positive, {count} are complete, all negative; of {} with a positive, {} are",
            counted(without_positive, "image"),
            counted(*with_positive, "image"),
            kinds.with_positive_complete
        );
        (Code::UnlabeledNegative, what, &all_negative[..])
    })
}

fn nothing_known(kinds: &Kinds) -> Said<'_> {
    let Kinds { images, nothing_known: rows, .. } = kinds;
    let what = || format!("no label is known of {} of {images}", counted(rows.len(), "image"));
    (!rows.is_empty()).then(|| (Code::ImageNothingKnown, what(), &rows[..]))
}

/// Only positives or only negatives.
fn one_kind(kinds: &Kinds) -> Said<'_> {
    let Kinds { positive, negative, .. } = kinds;
    match (positive, negative) {
        (0, 0) => None,
        (0, _) => Some((
            Code::NoPositives,
            format!("no known positive, {}", counted(*negative, "known negative")),
            &[],
        )),
        (_, 0) => Some((
            Code::NoNegatives,
            format!("no known negative, {}", counted(*positive, "known positive")),
            &[],
        )),
        _ => None,
    }
}

/// Arrays mean two things by their numbers: +1, −1, 0 for unknown, as read here; or +1, 0, −1 for unknown.
/// Nearly always more categories are absent than present, so few negatives among many unknowns are a sign.
fn signs<'a>(annotations: &Annotations, kinds: &'a Kinds) -> Said<'a> {
    const ARRAYS: [&str; 3] = ["npy", "npz", "safetensors"];
    let extension = annotations.source.extension()?;
    let is_array = ARRAYS.iter().any(|array| extension.eq_ignore_ascii_case(array));
    let Kinds { positive, negative, unknown, .. } = kinds;
    (is_array && *negative > 0 && negative < positive && positive < unknown).then(|| {
        let what = "-1 was read as negative and 0 as unknown, but -1 is rare";
        (
            Code::MinusOneUnknown,
            format!("{what}: {positive} times +1, {negative} times -1, {unknown} times 0"),
            &[][..],
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::{annotations, codes};

    fn found(rows: &[[i8; 3]], source: &str) -> Vec<Found> {
        let images: Vec<String> = (0..rows.len()).map(|row| format!("{row}.jpg")).collect();
        let images: Vec<&str> = images.iter().map(String::as_str).collect();
        let split = annotations(&images, &["a", "b", "c"], rows.as_flattened());
        let split = Annotations { source: source.into(), ..split };
        find(&Places::of(&[("train".into(), &split)]))
    }

    #[test]
    fn complete_labels_are_worth_knowing_and_suspicious_with_images_of_nothing() {
        let complete = found(&[[1, -1, -1], [-1, 1, 1]], "a.csv");
        assert_eq!(codes(&complete), [Code::NothingUnknown]);
        assert_eq!(complete[0].message, "nothing is unknown: all 6 labels of 2 images are known");
        let suspicious = found(&[[1, -1, -1], [-1, -1, -1], [-1, 1, 1]], "a.csv");
        assert_eq!(codes(&suspicious), [Code::UnlabeledNegative]);
        assert_eq!(suspicious[0].places, [1]);
        assert!(
            suspicious[0].message.ends_with("and 1 image without a positive"),
            "{}",
            suspicious[0].message
        );
    }

    #[test]
    fn negatives_of_the_only_category_are_what_one_expects() {
        let split = annotations(&["a.jpg", "b.jpg"], &["cat"], &[1, -1]);
        let found = find(&Places::of(&[("train".into(), &split)]));
        assert_eq!(codes(&found), [Code::NothingUnknown]);
    }

    #[test]
    fn images_without_a_positive_that_are_complete_beside_partial_ones_are_suspicious() {
        let partial = [[1, 0, 0], [0, 1, 0], [-1, -1, -1], [1, 0, -1]];
        let suspicious = found(&partial, "a.csv");
        assert_eq!(codes(&suspicious), [Code::UnlabeledNegative]);
        let told =
            "of 1 image without a positive, 1 are complete, all negative; of 3 images with a positive, 0 are";
        assert_eq!(suspicious[0].message, told);
        // As when labels are hidden at random: images without a positive are as incomplete as others.
        let hidden = [[1, 0, 0], [0, -1, 0], [-1, -1, -1], [1, 0, -1], [-1, 0, -1]];
        assert_eq!(codes(&found(&hidden, "a.csv")), []);
    }

    #[test]
    fn nine_in_ten_without_a_positive_and_half_of_those_with_one_make_it_suspicious() {
        let alarm = |complete: usize, partial: usize, with_positive: &[[i8; 3]]| {
            let without = [vec![[-1; 3]; complete], vec![[0, -1, 0]; partial], vec![[0; 3]; 5]].concat();
            codes(&found(&[&without, with_positive].concat(), "a.csv")).contains(&Code::UnlabeledNegative)
        };
        let (open, closed) = ([1, 0, 0], [1, -1, -1]);
        assert!(alarm(9, 1, &[open]) && !alarm(8, 1, &[open]));
        assert!(alarm(9, 0, &[open, closed]) && !alarm(9, 0, &[open, closed, closed]));
        assert!(!alarm(0, 0, &[open]), "no image without a positive");
    }

    #[test]
    fn hiding_at_random_gives_no_alarm() {
        let labels =
            annotations(&["0.jpg"; 400], &["a", "b", "c"], &[[1, -1, -1], [-1, -1, -1]].concat().repeat(200));
        for known in [0.1, 0.5, 0.9] {
            let hidden = Annotations { labels: labels.labels.hide(known, 0), ..labels.clone() };
            let found = codes(&find(&Places::of(&[("train".into(), &hidden)])));
            assert!(!found.contains(&Code::UnlabeledNegative), "{known}: {found:?}");
        }
    }

    #[test]
    fn one_kind_of_label_alone_is_said() {
        assert_eq!(codes(&found(&[[1, 0, 0], [0, 1, 0]], "a.csv")), [Code::NoNegatives]);
        assert_eq!(codes(&found(&[[-1, 0, 0], [0, -1, 0]], "a.csv")), [Code::NoPositives]);
        assert_eq!(codes(&found(&[[-1; 3]; 2], "a.csv")), [Code::NoPositives]);
        let nothing = found(&[[0; 3], [0; 3]], "a.csv");
        assert_eq!((codes(&nothing), &nothing[0].places[..]), (vec![Code::ImageNothingKnown], &[0, 1][..]));
    }

    #[test]
    fn rare_negatives_of_an_array_are_probably_unknown() {
        let rows = [[1, 0, 0], [0, 1, 0], [1, -1, 0], [0, 0, 1]];
        assert_eq!(codes(&found(&rows, "labels.npy")), [Code::MinusOneUnknown]);
        assert_eq!(codes(&found(&rows, "labels.csv")), []);
        // As many negatives as positives; as many positives as unknown; no negative.
        let no_signs =
            [&[[1, -1, 0], [0, 0, 0]][..], &[[1, 1, 1], [1, -1, 0], [0, 0, 0]], &[[1, 0, 0], [0, 0, 1]]];
        for rows in no_signs {
            assert!(!codes(&found(rows, "labels.npy")).contains(&Code::MinusOneUnknown), "{rows:?}");
        }
        // As arrays of this program's convention look.
        assert_eq!(codes(&found(&[[1, -1, 0], [0, -1, -1]], "labels.npy")), []);
    }
}
