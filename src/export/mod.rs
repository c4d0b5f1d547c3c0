//! A run in the forms that other programs read.

mod card;
pub mod hub;
pub mod onnx;
pub mod verify;

#[cfg(test)]
mod tests;
