use sarb::labels::Label;
fn main() {
    let out = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let data = out.join("data");
    sarb::synthetic::generate(&data, 48, 24, 32, 7).unwrap();
    for split in ["train", "test"] {
        let labels = sarb::labels::formats::csv::read(&data.join(format!("{split}.csv"))).unwrap().labels;
        let (f, positions) = (24, 9);
        let mut values = Vec::new();
        for row in 0..labels.images() {
            for channel in 0..f {
                for position in 0..positions {
                    let noise =
                        ((row * 7919 + channel * 104_729 + position * 1299) % 1000) as f32 / 1000.0 - 0.5;
                    let here = channel < labels.categories()
                        && labels.get(row, channel) == Label::Positive
                        && position == (row + channel) % positions;
                    values.push(noise + if here { 3.0 } else { 0.0 });
                }
            }
        }
        sarb::labels::arrays::npy::write(
            &out.join(format!("{split}.npy")),
            &values,
            &[labels.images(), f, 3, 3],
        )
        .unwrap();
    }
}
