//! .
pub mod csv;
