//! Products and loops of the CPU, written for speed: convolutions of frozen and of trained stages, propagation
//! over a graph with its gradient, and activations. `docs/performance.md` says what each is worth.

pub mod activation;
pub mod bf16;
pub mod conv_rows;
pub mod depthwise;
pub mod depthwise_rows;
pub mod fixed_weights;
pub mod flex;
pub mod folded;
pub mod folded_conv;
pub mod gated_kernels;
pub mod gated_propagation;
pub mod gated_sharing;
pub mod matrix;
pub mod normalize_rows;
pub mod patches;
pub mod plain;
pub mod precision;
pub mod product;
pub mod shared_states;
pub mod sharing;
pub mod simd;
pub mod square_sum;
pub mod tiles;
pub mod vectorized;
pub mod window;
pub mod winograd;
