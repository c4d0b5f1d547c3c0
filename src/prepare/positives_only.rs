//! What is said of labels among which no negative is known.

use sarb_labels::Annotations;

/// Nothing teaches a model what is not there.
pub(super) fn warning(annotations: &Annotations) -> String {
    format!(
        "{} has no known negative label, so a model can only learn that everything is everywhere; if every \
         category was looked for, convert the source with --unlisted negative; else label some categories as \
         not there (0)",
        annotations.source.display()
    )
}

/// Unknown labels teach it, but the share of positives among the known labels, where scores start, is 1.
pub(super) fn note(annotations: &Annotations) -> String {
    format!(
        "{} has no known negative label: what is not there is learned from unknown labels; start from even odds \
         with --set method.head.output_bias=zero, since by default scores start where the known labels are",
        annotations.source.display()
    )
}
