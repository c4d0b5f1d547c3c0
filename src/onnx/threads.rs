//! Threads that run networks, and what keeps a network from ending the program.

use std::sync::{Arc, OnceLock};
use std::thread;

use rten::ThreadPool;
use sarb_labels::guard::{self, hush_thread};

/// Stack of a thread that loads or runs a network. The runtime follows layers from the last to the first by
/// recursion, at almost 1 kB for each ([`super::layers::MOST_LAYERS`]); memory that is not touched is not taken.
const STACK_BYTES: usize = 512 << 20;

/// As many threads as the rest of the program computes on.
pub(super) fn pool() -> &'static Arc<ThreadPool> {
    static POOL: OnceLock<Arc<ThreadPool>> = OnceLock::new();
    POOL.get_or_init(|| {
        let pool = ThreadPool::with_num_threads(rayon::current_num_threads());
        // Loading a network computes its constants on the runtime's own threads.
        for pool in [&pool, rten::thread_pool()] {
            pool.run(|| rayon::broadcast(|_| hush_thread()));
        }
        Arc::new(pool)
    })
}

/// What `work` with a network returns, or nothing if the runtime panicked, on whichever thread.
pub(super) fn guarded<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    pool();
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn_scoped(scope, || guard::guarded(work)).ok()?.join().ok()?
    })
}
