//! Trains two systems on generated pictures of which 20 % of the labels are known, and compares them.
//!
//! ```text
//! cargo run --release --example train
//! ```

use sarb::{Cache, Cancel, Evaluation, Event, Existing, Inputs, Recipe};

fn main() -> sarb::Result<()> {
    let dir = std::env::temp_dir().join(format!("sarb-example-{}", std::process::id()));
    let data = dir.join("data");
    sarb::synthetic::generate(&data, 160, 80, 32, 0)?;
    let cache = Cache::in_folder(dir.join("cache"));
    let inputs = Inputs { cache: cache.clone(), ..Inputs::new(data)? };
    let device = sarb::device::open("cpu")?;
    // Set it from another thread or a signal handler: the training stops with a checkpoint.
    let cancel = Cancel::new();
    let events = |event: Event<'_>| match event {
        Event::Note(note) => println!("  {note}"),
        Event::Epoch(row) => println!("  epoch {}: {:?}", row.epoch, row.losses),
        _ => {}
    };
    for method in ["bce", "partial-bce"] {
        println!("{method}");
        let settings = [
            "data.known=0.2",
            "data.size_px=32",
            "train.epochs=3",
            "train.learning_rate=0.002",
            "backbone.name=resnet-small",
            "backbone.freeze=none",
            "backbone.pool=false",
        ];
        let recipe = Recipe::read(None, Some(method), &settings.map(String::from))?;
        let out = dir.join(method);
        let run = sarb::train(&recipe, &inputs, (&out, Existing::Refuse), &device, &events, &cancel)?;
        let evaluation = Evaluation { cache: cache.clone(), ..Evaluation::of_test_images()? };
        let scores = sarb::evaluate(&run, &evaluation, &device, &events, &cancel)?;
        println!("  test mAP {:.1} %", 100.0 * scores.map);
    }
    std::fs::remove_dir_all(&dir).map_err(|error| sarb::Error::io(&dir, error))
}
