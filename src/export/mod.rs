//! A run in the forms that other programs read.

pub mod onnx;
pub mod verify;

#[cfg(test)]
mod tests;
