//! Labels of one tool for another: which format a file is, what is unknown in it, and what is lost.
//!
//! ```text
//! cargo run --release --example convert -- instances.json labels.csv
//! ```

use std::path::PathBuf;

use sarb::labels::formats::options::{Options, Unlisted};
use sarb::labels::{Label, formats};

fn main() -> sarb::Result<()> {
    let mut paths = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(source), Some(out)) = (paths.next(), paths.next()) else {
        eprintln!("usage: convert SOURCE OUT; the name of OUT says its format");
        return Ok(());
    };
    let (format, why) = formats::detect(&source)?;
    println!("{}: {format}: {why}", source.display());
    // Where a format leaves open what an unlisted category is, somebody has to say it.
    let open = format.takes.contains(&formats::options::Choice::Unlisted) && format.name != "coco";
    let options = Options { unlisted: open.then_some(Unlisted::Unknown), ..Options::default() };
    let reading = format.read(&source, &options)?;
    reading.notes.iter().for_each(|note| println!("note: {note}"));

    let labels = &reading.annotations.labels;
    let [positive, negative, unknown] =
        [Label::Positive, Label::Negative, Label::Unknown].map(|label| labels.count(label));
    println!("{} images: {positive} positive, {negative} negative, {unknown} unknown", labels.images());
    let to = formats::of_extension(&out).unwrap_or(formats::csv::FORMAT);
    to.write(&out, &reading.annotations)?.iter().for_each(|loss| println!("lost: {loss}"));
    Ok(())
}
