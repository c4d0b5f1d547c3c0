//! Benchmarks of the kernels of `sarb`; see `kernels.rs`.
