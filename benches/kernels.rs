//! Times of the kernels, so that a later change that slows one is seen: `cargo bench -p sarb-benches`, or
//! `cargo bench -p sarb-benches -- NAME` for some of them.

use std::hint::black_box;

use burn::tensor::{Device, Tensor, TensorData};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sarb::batch::{self, Stream};
use sarb::cli::bench::photograph;
use sarb::data::image::decode_bytes;
use sarb::data::labels::LabelMatrix;
use sarb::data::transform::Transform;
use sarb::kmeans::kmeans;
use sarb::loss::contrastive::{NegativePairs, contrastive};
use sarb::loss::normalization::Normalization;
use sarb::loss::partial_bce::partial_bce;
use sarb::metrics::evaluate;
use sarb::nn::backbone::{Backbone, BackboneName};
use sarb::nn::gated_graph::GatedGraph;
use sarb::nn::vectorised::{joint_scores, sigmoid, tanh};

criterion_group!(
    kernels,
    activations,
    joint,
    gated_graph,
    losses,
    clustering,
    measuring,
    photographs,
    hiding,
    folded_backbone
);
criterion_main!(kernels);

fn rng() -> ChaCha8Rng {
    batch::rng(0, Stream::Synthetic, 0, 0)
}

/// Values in −1…1.
fn values(count: usize) -> Vec<f32> {
    let mut rng = rng();
    (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn tensor<const R: usize>(shape: [usize; R], device: &Device) -> Tensor<R> {
    Tensor::from_data(TensorData::new(values(shape.iter().product()), shape), device)
}

/// A third each of −1, 0 and +1.
fn labels(images: usize, categories: usize) -> LabelMatrix {
    let mut rng = rng();
    let values: Vec<i8> = (0..images * categories).map(|_| rng.random_range(-1..=1)).collect();
    LabelMatrix::from_values(categories, &values)
}

/// Forward without gradients, where the tensor's buffer is the function's own, and backward alone.
fn activations(criterion: &mut Criterion) {
    const SHAPE: [usize; 2] = [640, 1024];
    let functions: [(&str, fn(Tensor<2>) -> Tensor<2>); 2] = [("tanh", tanh), ("sigmoid", sigmoid)];
    for (name, function) in functions {
        let fresh = || tensor(SHAPE, &Device::flex());
        criterion.bench_function(&format!("{name}/forward"), |bencher| {
            bencher.iter_batched(fresh, function, BatchSize::LargeInput);
        });
        let x = tensor(SHAPE, &Device::flex().autodiff()).require_grad();
        criterion.bench_function(&format!("{name}/backward"), |bencher| {
            let sum = || function(x.clone()).sum();
            bencher.iter_batched(sum, |sum| sum.backward(), BatchSize::LargeInput);
        });
    }
}

/// Semantic decoupling's scores of two images of coco18's head.
fn joint(criterion: &mut Criterion) {
    let scores = |device: &Device| {
        let g = tensor([2, 49, 512], device);
        (g, tensor([18, 512], device), tensor([512], device))
    };
    let (g, q, u) = scores(&Device::flex());
    criterion.bench_function("joint_scores/forward", |bencher| {
        bencher.iter(|| joint_scores(g.clone(), q.clone(), u.clone()));
    });
    let (g, q, u) = scores(&Device::flex().autodiff());
    let (g, q, u) = (g.require_grad(), q.require_grad(), u.require_grad());
    criterion.bench_function("joint_scores/backward", |bencher| {
        let sum = || joint_scores(g.clone(), q.clone(), u.clone()).sum();
        bencher.iter_batched(sum, |sum| sum.backward(), BatchSize::LargeInput);
    });
}

fn gated_graph(criterion: &mut Criterion) {
    const SHAPE: [usize; 3] = [4, 18, 256];
    let graph = |device: &Device| GatedGraph::new(SHAPE[2], &values(18 * 18), 3, &mut rng(), device);
    let (still, states) = (graph(&Device::flex()), tensor(SHAPE, &Device::flex()));
    criterion.bench_function("gated_graph/forward", |bencher| {
        bencher.iter(|| still.forward(states.clone()));
    });
    let device = Device::flex().autodiff();
    let (trained, states) = (graph(&device), tensor(SHAPE, &device).require_grad());
    criterion.bench_function("gated_graph/forward and backward", |bencher| {
        bencher.iter(|| trained.forward(states.clone()).sum().backward());
    });
}

/// Both losses with their gradients, at the paper's batch of 8 and COCO's categories.
fn losses(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let labels = labels(8, 80);
    let targets = batch::targets(&labels, &device);
    let logits = tensor([8, 80], &device).require_grad();
    criterion.bench_function("partial_bce/forward and backward", |bencher| {
        bencher.iter(|| partial_bce(logits.clone(), targets.clone(), Normalization::Supervised).backward());
    });
    let representations = tensor([8, 80, 256], &device).require_grad();
    criterion.bench_function("contrastive/forward and backward", |bencher| {
        bencher.iter(|| {
            contrastive(representations.clone(), &labels, NegativePairs::Repel, &mut rng()).backward()
        });
    });
}

fn clustering(criterion: &mut Criterion) {
    let points = values(500 * 256);
    criterion.bench_function("kmeans/500 points of 256", |bencher| {
        bencher.iter(|| kmeans(&points, 256, 10, &mut rng()));
    });
}

fn measuring(criterion: &mut Criterion) {
    let (scores, labels) = (values(5000 * 80), labels(5000, 80));
    let names: Vec<String> = (0..80).map(|category| category.to_string()).collect();
    criterion.bench_function("metrics/5,000 × 80", |bencher| {
        bencher.iter(|| evaluate(&scores, &labels, &names, 0.0).expect("a number for every label"));
    });
}

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

fn hiding(criterion: &mut Criterion) {
    let labels = labels(100_000, 80);
    let mut group = criterion.benchmark_group("labels");
    group.sample_size(20);
    group.bench_function("hide/100,000 × 80", |bencher| bencher.iter(|| labels.hide(0.1, 0)));
    group.finish();
}

fn folded_backbone(criterion: &mut Criterion) {
    let device = Device::flex();
    let folded = Backbone::new(BackboneName::Resnet18, &device).folded();
    let image = tensor([1, 3, 224, 224], &device);
    let mut group = criterion.benchmark_group("folded");
    group.sample_size(20);
    group.bench_function("resnet18/224 px", |bencher| bencher.iter(|| folded.forward(image.clone())));
    group.finish();
}
