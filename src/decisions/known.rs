//! What must be known before anything can be decided about what is not.

use sarb_labels::Label;

use crate::out_of_fold::OutOfFold;
use crate::{Error, Result};

/// Refuses labels none of which is unknown, with what there then is not to do, and those of which only one side is known.
pub(super) fn refuse_one_sided(scores: &OutOfFold, nothing: &str) -> Result<()> {
    let labels = scores.labels();
    let source = scores.annotations.source.display();
    let [positive, negative, unknown] =
        [Label::Positive, Label::Negative, Label::Unknown].map(|label| labels.count(label));
    if unknown == 0 {
        return Err(Error::Data(format!("{source}: no label is unknown; there is {nothing}")));
    }
    if positive == 0 || negative == 0 {
        let none = if positive == 0 { "positive" } else { "negative" };
        return Err(Error::Data(format!(
            "{source}: no {none} label is known, so nothing says how often a label that looks probable is wrong; label a \
             few images in full"
        )));
    }
    Ok(())
}
