//! Layers.
pub mod attention;
pub mod backbone;
pub mod batch_norm;
pub mod conv_norm;
pub mod decoupling;
mod depthwise;
pub mod efficientnet_lite;
mod folded;
pub mod gated_graph;
pub mod graph_convolution;
pub mod linear;
pub mod per_class_linear;
pub mod plain;
pub mod resnet;
pub mod simd;
pub mod vectorised;
pub mod weights;
