//! What is said of labels among which no negative is known.

use sarb_labels::Annotations;

/// Nothing teaches a model what is not there.
pub(super) fn warning(annotations: &Annotations) -> String {
    format!(
        "{} has no known negative label, so a model can only learn that everything is everywhere; if every \
         category was looked for, convert the source with --unlisted negative; else label some categories as \
         not there (0), or choose a method that learns from unknown labels, such as linear",
        annotations.source.display()
    )
}

/// Unknown labels teach it.
pub(super) fn note(annotations: &Annotations) -> String {
    format!(
        "{} has no known negative label: what is not there is learned from unknown labels, so the order of images is \
         more to be trusted than their probabilities",
        annotations.source.display()
    )
}
