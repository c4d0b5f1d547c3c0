//! Panics of the `parquet` crate, which damaged files cause in places, as errors.
//!
//! This stands here because of arrow-rs issue 10734, whose fix is arrow-rs pull request 10821: once a release with
//! it is used, this can go, and of the check of page headers (`headers.rs`) what does not bound a codec or nesting.

use ::parquet::errors::{ParquetError, Result};

use crate::guard;

/// Does what may panic; what it leaves half done is not to be used again.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    guard::guarded(work).unwrap_or_else(|| Err(ParquetError::General("its bytes are damaged".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        let error = guarded::<()>(|| panic!("not heard")).unwrap_err();
        assert!(error.to_string().contains("its bytes are damaged"));
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
    }
}
