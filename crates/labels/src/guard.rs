//! Panics of other crates, which damaged files cause in places, as errors.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread will be an error and should print nothing.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns, or nothing if it panicked; what it leaves half done is not to be used again.
/// Panics of other threads, and of this one later on, are printed as ever.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    prepare_hook();
    let outer = QUIET.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(outer);
    done.ok()
}

/// Keeps this thread quiet for good: one of a pool that works for [`guarded`] callers alone, to whom its panics
/// go on.
pub fn hush_thread() {
    prepare_hook();
    QUIET.set(true);
}

/// Makes panics of quiet threads print nothing.
fn prepare_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !QUIET.get() {
                before(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_the_next_one_is_heard_again() {
        assert_eq!(guarded::<()>(|| panic!("not heard")), None);
        assert!(!QUIET.get());
        assert_eq!(guarded(|| 7), Some(7));
    }

    #[test]
    fn a_hushed_thread_stays_quiet_after_a_guard() {
        let quiet = std::thread::spawn(|| {
            hush_thread();
            guarded(|| ());
            QUIET.get()
        });
        assert!(quiet.join().unwrap() && !QUIET.get());
    }

    #[test]
    fn an_inner_guard_leaves_the_outer_one_quiet() {
        guarded(|| {
            guarded(|| ());
            assert!(QUIET.get());
        });
    }
}
