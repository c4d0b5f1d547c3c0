//! Panics of the `parquet` crate, which damaged files cause in places, as errors.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use ::parquet::errors::{ParquetError, Result};

thread_local! {
    /// Whether a panic of this thread will be an error and should print nothing.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does what may panic; what it leaves half done is not to be used again. Panics of other threads, and of
/// this one later on, are said as ever.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
    QUIET.set(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(false);
    done.unwrap_or_else(|_| Err(ParquetError::General("its bytes are damaged".into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_and_the_next_one_is_heard_again() {
        let error = guarded::<()>(|| panic!("not heard")).unwrap_err();
        assert!(error.to_string().contains("its bytes are damaged"));
        assert!(!QUIET.get());
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
    }
}
