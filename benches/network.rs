//! Times of the layers and losses, so that a later change that slows one is seen:
//! `cargo bench -p sarb-benches --bench network`, with `-- NAME` for some of them.

use burn::tensor::{Device, Tensor};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use sarb::internals::{
    Accum, Backbone, BackboneName, ConvNorm, Cores, Freeze, Matrix, MatrixMut, NegativePairs, Normalization,
    Pooling, Precision, SemanticAttention, Window, contrastive, joint_scores, partial_bce, product, sigmoid,
    tanh, targets,
};
use sarb::layers::{GatedGraph, Linear, PerClassLinear, SharedStates, blend_instances, shared_by};
use sarb_benches::{labels, rng, tensor, values};

const PRECISIONS: [Precision; 2] = [Precision::F32, Precision::Bf16];

criterion_group!(
    network,
    products,
    activations,
    layers,
    joint,
    attention,
    gated_graph,
    convolutions,
    backbones,
    losses
);
criterion_main!(network);

/// Of many rows, and of the few rows of one image, in the numbers that a training may have.
fn products(criterion: &mut Criterion) {
    const K: usize = 1024;
    const N: usize = 3072;
    let right = values(K * N);
    for (rows, precision) in [640, 80].into_iter().flat_map(|rows| PRECISIONS.map(|p| (rows, p))) {
        let (left, mut out) = (values(rows * K), vec![0.0; rows * N]);
        criterion.bench_function(&format!("product/{rows} rows, {precision}"), |bencher| {
            let mut run = || {
                let out = MatrixMut::new(&mut out, N);
                product(out, Accum::Replace, Matrix::new(&left, K), Matrix::new(&right, N), Cores::All);
            };
            precision.during(|| bencher.iter(&mut run));
        });
        let name = format!("product/{rows} rows, a gradient of weights, {precision}");
        criterion.bench_function(&name, |bencher| {
            let mut gradient = vec![0.0; K * N];
            let gradients = values(rows * N);
            let mut run = || {
                let left = Matrix::new(&left, K).transposed();
                let out = MatrixMut::new(&mut gradient, N);
                product(out, Accum::Replace, left, Matrix::new(&gradients, N), Cores::All);
            };
            precision.during(|| bencher.iter(&mut run));
        });
    }
}

/// Forward without gradients, where the tensor's buffer is the function's own, and backward alone.
fn activations(criterion: &mut Criterion) {
    const SHAPE: [usize; 2] = [640, 1024];
    type Activation = fn(Tensor<2>) -> Tensor<2>;
    let functions: [(&str, Activation); 2] = [("tanh", tanh), ("sigmoid", sigmoid)];
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

/// Forward and backward of the layers that are learned for all images alike.
fn layers(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let states = tensor([640, 1024], &device).require_grad();
    let linear = Linear::new(1024, 1024, &mut rng(), &device);
    criterion.bench_function("linear/forward and backward", |bencher| {
        bencher.iter(|| linear.forward(states.clone()).sum().backward());
    });
    let representations = tensor([8, 80, 1024], &device).require_grad();
    let classifiers = PerClassLinear::new(80, 1024, &mut rng(), &device);
    criterion.bench_function("per_class_linear/forward and backward", |bencher| {
        bencher.iter(|| classifiers.forward(representations.clone()).sum().backward());
    });
    let labels = labels(8, 80);
    let alpha = Tensor::<1>::from_data([0.5], &device).require_grad();
    criterion.bench_function("blend_instances/forward and backward", |bencher| {
        bencher.iter(|| {
            let blended = blend_instances(&representations, &labels, alpha.clone());
            shared_by(&representations, [&blended]).to_tensor().sum().backward()
        });
    });
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

/// Semantic attention on coco18's maps.
fn attention(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let attention = SemanticAttention::new(1280, 18, Pooling::Mean, &mut rng(), &device);
    let maps = tensor([8, 49, 1280], &device);
    let reduced = tensor([8, 49, 512], &device).require_grad();
    criterion.bench_function("semantic_attention/forward and backward", |bencher| {
        bencher.iter(|| attention.forward(maps.clone(), reduced.clone()).sum().backward());
    });
}

fn gated_graph(criterion: &mut Criterion) {
    const SHAPE: [usize; 3] = [12, 18, 256];
    let graph = |device: &Device| GatedGraph::new(SHAPE[2], &values(18 * 18), 3, &mut rng(), device);
    let device = Device::flex();
    let (still, states) = (graph(&device), SharedStates::all(tensor(SHAPE, &device)));
    criterion.bench_function("gated_graph/forward", |bencher| {
        bencher.iter(|| still.forward(&states));
    });
    let device = Device::flex().autodiff();
    let (trained, states) = (graph(&device), tensor(SHAPE, &device).require_grad());
    criterion.bench_function("gated_graph/forward and backward", |bencher| {
        bencher.iter(|| trained.forward(&SharedStates::all(states.clone())).sum().backward());
    });
    // Three equal branches, as SARB's are but for a few cells.
    let distinct = tensor([72, 256], &device).require_grad();
    let origin: Vec<usize> = (0..216).map(|state| state % 72).collect();
    criterion.bench_function("gated_graph/shared, forward and backward", |bencher| {
        bencher.iter(|| {
            let states = SharedStates::new(distinct.clone(), origin.clone(), 18);
            trained.forward(&states).sum().backward()
        });
    });
}

/// A trained convolution with its batch normalization, pointwise and 3×3.
fn convolutions(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let maps = tensor([8, 256, 14, 14], &device).require_grad();
    for kernel in [1, 3] {
        let layer = ConvNorm::new([256, 256], Window::dense(kernel, 1), 1e-5, &device);
        criterion.bench_function(&format!("conv_norm/{kernel}×{kernel}, forward and backward"), |bencher| {
            bencher.iter(|| layer.forward(maps.clone()).sum().backward());
        });
    }
}

/// A frozen backbone with dense and with depthwise convolutions, and a trained last stage.
fn backbones(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("backbone");
    group.sample_size(20);
    let device = Device::flex();
    let image = tensor([1, 3, 224, 224], &device);
    for name in [BackboneName::Resnet18, BackboneName::EfficientnetLite0] {
        for precision in PRECISIONS {
            let backbone = Backbone::new(name, &device).with_precision(precision);
            let folded = backbone.freeze(Freeze::All).folded();
            group.bench_function(format!("{name}, folded, {precision}, 224 px"), |bencher| {
                bencher.iter(|| folded.forward(image.clone()));
            });
        }
    }
    let device = device.autodiff();
    let images = tensor([4, 3, 224, 224], &device);
    let of = |name| Backbone::new(name, &device).freeze(Freeze::Trunk);
    for (name, backbone) in [
        ("resnet18", of(BackboneName::Resnet18)),
        ("efficientnet-lite0, normalization fixed", of(BackboneName::EfficientnetLite0).freeze_batch_norm()),
    ] {
        let trunk = backbone.fixed_trunk().expect("frozen, on the CPU");
        group.bench_function(format!("last stage of {name}, forward and backward"), |bencher| {
            bencher.iter(|| backbone.forward_from(&trunk, images.clone()).sum().backward());
        });
    }
    group.finish();
}

/// Both losses with their gradients, at the paper's batch of 8 and COCO's categories.
fn losses(criterion: &mut Criterion) {
    let device = Device::flex().autodiff();
    let labels = labels(8, 80);
    let targets = targets(&labels, &device);
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
