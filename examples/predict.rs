//! Names what a trained run sees in images: from files, or from bytes as a server gets them.
//!
//! ```text
//! cargo run --release --example predict -- RUN photo.jpg another.jpg
//! ```

use std::path::PathBuf;

use sarb::{Picture, Recognizer, Which};

fn main() -> sarb::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(run) = arguments.next() else {
        eprintln!("usage: predict RUN IMAGE…");
        return Ok(());
    };
    let files: Vec<PathBuf> = arguments.collect();
    let recognizer = Recognizer::open(&run, Which::Best, &sarb::device::open("cpu")?)?;

    // Many at once; one that cannot be read does not keep the others from it.
    let pictures: Vec<Picture<'_>> = files.iter().map(Picture::from).collect();
    for (file, recognition) in files.iter().zip(recognizer.recognize_all(&pictures)) {
        match recognition {
            Ok(recognition) => println!("{}: {:?}", file.display(), recognition.top(3)),
            Err(error) => eprintln!("{error}"),
        }
    }

    // One from memory, and where its first category is seen.
    if let Some(file) = files.first() {
        let bytes = std::fs::read(file).map_err(|error| sarb::Error::io(file, error))?;
        let recognition = recognizer.recognize(&*bytes)?;
        let attention = recognizer.attention(&recognition);
        let first = recognition.ranking()[0];
        let cells = attention.height * attention.width;
        let map = &attention.values[first * cells..(first + 1) * cells];
        let place = (0..cells).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap_or(0);
        let (row, column) = (place / attention.width, place % attention.width);
        println!(
            "{} is seen most at row {row}, column {column} of {} × {}",
            recognition.names[first], attention.height, attention.width
        );
    }
    Ok(())
}
