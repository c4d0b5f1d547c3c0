//! Times of what is done with images, labels and scores: `cargo bench -p sarb-benches --bench data`, with
//! `-- NAME` for some of them.

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use sarb::internals::{SoftLabels, fit_ridge, kmeans};
use sarb::labels::hiding::{Scheme, hide};
use sarb::labels::images::decode_bytes;
use sarb::labels::images::transform::Transform;
use sarb::labels::inspect::Inspection;
use sarb::labels::metrics::evaluate;
use sarb::labels::{Annotations, stratified};
use sarb_benches::{labels, photograph, rng, values};

criterion_group!(data, photographs, labeling, clustering, regression, measuring);
criterion_main!(data);

fn photographs(criterion: &mut Criterion) {
    let bytes = photograph::jpeg(640, 480, 0, 0);
    let transform = Transform::for_size(448);
    let mut view = vec![0.0; transform.values()];
    criterion.bench_function("photograph/decode and augment", |bencher| {
        bencher.iter(|| {
            let image = decode_bytes(&bytes, "photograph").expect("a whole JPEG");
            transform.augmented(&image, &mut rng(), black_box(&mut view));
        });
    });
}

/// Hiding by every scheme, looking and splitting.
fn labeling(criterion: &mut Criterion) {
    let annotations = Annotations {
        images: (0..100_000).map(|image| PathBuf::from(format!("{image}.jpg"))).collect(),
        labels: labels(100_000, 80),
        categories: (0..80).map(|category| category.to_string()).collect(),
        source: PathBuf::from("made up"),
    };
    let labels = &annotations.labels;
    let reversed: Vec<usize> = (0..80).rev().collect();
    let mut group = criterion.benchmark_group("labels of 100,000 × 80");
    group.sample_size(20);
    for scheme in &Scheme::ALL {
        group.bench_function(format!("hide/{scheme:?}"), |bencher| {
            bencher.iter(|| hide(labels, *scheme, 0.1, 0));
        });
    }
    group.bench_function("inspect", |bencher| bencher.iter(|| Inspection::of(&annotations)));
    group.bench_function("select_categories", |bencher| bencher.iter(|| labels.select_categories(&reversed)));
    group.bench_function("split", |bencher| bencher.iter(|| stratified::split(labels, &[0.9, 0.1], 0)));
    group.finish();
}

fn clustering(criterion: &mut Criterion) {
    let points = values(500 * 256);
    criterion.bench_function("kmeans/500 points of 256", |bencher| {
        bencher.iter(|| kmeans(&points, 256, 10, &mut rng()));
    });
}

fn regression(criterion: &mut Criterion) {
    let (features, labels) = (values(500 * 128), labels(500, 4));
    let mut group = criterion.benchmark_group("ridge");
    group.sample_size(20);
    group.bench_function("500 images of 128 features, 4 categories", |bencher| {
        bencher.iter(|| fit_ridge(&features, &[128], &labels, SoftLabels::none(), true));
    });
    group.finish();
}

fn measuring(criterion: &mut Criterion) {
    let (scores, labels) = (values(5000 * 80), labels(5000, 80));
    let names: Vec<String> = (0..80).map(|category| category.to_string()).collect();
    criterion.bench_function("metrics/5,000 × 80", |bencher| {
        bencher.iter(|| evaluate(&scores, &labels, &names, 0.0).expect("a number for every label"));
    });
}
