//! Layers.

pub mod attention;
pub mod batch_norm;
pub mod batch_norm_of_ranks;
pub mod decoupling;
pub mod dropout;
pub mod gated_graph;
pub mod graph_convolution;
pub mod linear;
pub mod pair_head;
pub mod per_class_linear;
pub mod share;
