//! The values of a batch while several workers write them.

use std::sync::atomic::{AtomicBool, Ordering};

/// The values of the examples of a batch, one after the other, each to be written by whoever takes it first. Workers write
/// where the values stay, at the same time: under one lock for the batch two of them were 1.4 times as fast as one.
pub struct BatchValues {
    values: Vec<f32>,
    /// Of `values`, which nobody touches otherwise until they are whole.
    start: *mut f32,
    example_len: usize,
    taken: Box<[AtomicBool]>,
}

// SAFETY: all that threads can do through a shared reference is to take examples, each of which one of them gets.
unsafe impl Sync for BatchValues {}
// SAFETY: `start` leads into memory of `values`, which goes along.
unsafe impl Send for BatchValues {}

impl BatchValues {
    /// Of so many examples, all zeros.
    pub fn new(examples: usize, example_len: usize) -> Self {
        let mut values = vec![0.0; examples * example_len];
        ask_for_huge_pages(&mut values);
        let start = values.as_mut_ptr();
        Self { values, start, example_len, taken: (0..examples).map(|_| AtomicBool::new(false)).collect() }
    }

    /// The values of one example.
    ///
    /// # Panics
    /// If they were taken before, or there is no such example.
    #[allow(clippy::mut_from_ref, reason = "each is given away once")]
    pub fn take(&self, place: usize) -> &mut [f32] {
        assert!(!self.taken[place].swap(true, Ordering::Relaxed), "example {place} was taken before");
        // SAFETY: within `values`, because there is such a place, and exclusive, because nobody took it before.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(place * self.example_len), self.example_len) }
    }

    /// All of them.
    pub fn into_vec(self) -> Vec<f32> {
        self.values
    }
}

/// Asks the kernel for pages of 2 MiB where whole ones fit in. A batch of images has thousands of pages of 4 KiB, and workers
/// that touch them for the first time wait for the kernel, and for each other there.
#[cfg_attr(not(target_os = "linux"), allow(unused_variables, reason = "other kernels choose by themselves"))]
fn ask_for_huge_pages(values: &mut [f32]) {
    #[cfg(target_os = "linux")]
    {
        const HUGE_PAGE: usize = 2 << 20;
        let range = values.as_mut_ptr_range();
        let before = (range.start as usize).next_multiple_of(HUGE_PAGE) - range.start as usize;
        let whole = (size_of_val(values).saturating_sub(before)) / HUGE_PAGE * HUGE_PAGE;
        if whole > 0 {
            // SAFETY: a hint that changes no value, for memory of `values` alone. A kernel that does not take it says so, and
            // nothing else is different.
            unsafe { libc::madvise(range.start.byte_add(before).cast(), whole, libc::MADV_HUGEPAGE) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_lie_in_their_order_whoever_writes_them() {
        let batch = BatchValues::new(40, 3);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let batch = &batch;
                scope.spawn(move || {
                    for place in (thread..40).step_by(4) {
                        batch.take(place).copy_from_slice(&[place as f32; 3]);
                    }
                });
            }
        });
        let expected: Vec<f32> = (0..120).map(|value| (value / 3) as f32).collect();
        assert_eq!(batch.into_vec(), expected);
        assert!(BatchValues::new(0, 3).into_vec().is_empty());
    }

    #[test]
    #[should_panic(expected = "example 1 was taken before")]
    fn nobody_gets_an_example_twice() {
        let batch = BatchValues::new(2, 3);
        [0, 1, 1].into_iter().for_each(|place| batch.take(place).fill(1.0));
    }
}
