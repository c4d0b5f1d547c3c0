//! SARB's forward pass, as its figure draws it: represent, blend, propagate, classify.
//!
//! ```text
//! cargo run --release --example forward
//! ```

use sarb::Device;
use sarb::labels::LabelMatrix;
use sarb::labels::random::{Stream, rng};
use sarb::layers::{
    BatchNorm, Blended, GatedGraph, Linear, PerClassLinear, SemanticDecoupling, Tensor, blend_instances,
    blend_prototypes, every_unknown_mask, shared_by,
};

fn main() {
    // B images, F channels on H × W positions, C categories, width D, joint width M, word vectors of width E.
    let (b, f, h, w, c, d, m, e) = (4, 32, 7, 7, 5, 16, 8, 12);
    let (device, mut random) = (Device::flex(), rng(0, Stream::Init, 0, 0));
    let maps = Tensor::<4>::ones([b, f, h, w], &device); // of a backbone
    let words = Tensor::<2>::ones([c, e], &device); // x_c, such as GloVe's
    let labels =
        LabelMatrix::from_values(c, &[1, 0, -1, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1, 0, 1, 0, 0, 0, 1, -1]);
    let (alpha, beta) = (Tensor::<1>::from_data([0.5], &device), Tensor::<1>::from_data([0.5], &device));

    // Represent: one vector per category, pooled where its word looks (SARB Eq. 1–4).
    let reduce = Linear::without_bias(f, d, &mut random, &device);
    let norm = BatchNorm::new(d, &device);
    let decoupling = SemanticDecoupling::new(d, e, m, &mut random, &device);
    let positions = maps.flatten::<3>(2, 3).swap_dims(1, 2).reshape([b * h * w, f]); // [B·P, F]
    let positions = norm.forward(reduce.forward(positions)).reshape([b, h * w, d]); // [B, P, D]
    let representations = decoupling.forward(positions, words); // [B, C, D]

    // Blend: unknown labels borrow a representation that is known to be positive, and a soft target with it.
    let clean = Blended::none(&labels, &device);
    let instance = blend_instances(&representations, &labels, alpha); // another image's (Eq. 6–8)
    let prototypes = Tensor::<2>::ones([c, d], &device); // centers of known positives, by k-means
    let unknown = every_unknown_mask(&labels, &vec![true; c]);
    let prototype = blend_prototypes(&representations, &labels, &unknown, prototypes, beta); // (Eq. 9–11)

    // Classify: messages over the co-occurrence graph, then a classifier per category.
    let states = shared_by(&representations, [&clean, &instance, &prototype]); // three branches of [B, C, D]
    let graph = GatedGraph::new(d, &vec![0.3; c * c], 3, &mut random, &device);
    let fuse = Linear::new(2 * d, d, &mut random, &device);
    let classifiers = PerClassLinear::new(c, d, &mut random, &device);
    let start = states.spread(states.distinct.clone()); // [3·B·C, D]
    let fused = fuse.forward(Tensor::cat(vec![graph.forward(&states), start], 1)).tanh();
    let logits = classifiers.forward(fused.reshape([3 * b, c, d])); // [3·B, C]

    for (name, targets) in [("clean", clean), ("instance", instance), ("prototype", prototype)] {
        println!("{name} targets {}", targets.targets.into_data());
    }
    println!("logits of the three branches {:?}", logits.dims());
}
