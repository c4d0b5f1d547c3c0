//! Ends the process where more memory is asked for than a small file may take.
//!
//! libFuzzer's `-rss_limit_mb` does not see memory that is reserved and not yet touched, as that of a vector
//! with the capacity that a file claims.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most bytes that are in use at a time.
const MOST_BYTES: usize = 1 << 30;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Limited = Limited;

struct Limited;

fn take(bytes: usize) {
    if IN_USE.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > MOST_BYTES {
        // What follows needs memory too.
        IN_USE.store(0, Ordering::Relaxed);
        eprintln!("{bytes} bytes asked for; more than {MOST_BYTES} in all\n{}", Backtrace::force_capture());
        std::process::abort();
    }
}

fn give(bytes: usize) {
    IN_USE.fetch_sub(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        give(layout.size());
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        give(layout.size());
        unsafe { System.dealloc(at, layout) }
    }
}
