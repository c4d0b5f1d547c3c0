//! The part of a batch that a rank computes in a step, and what everything below a step reads of it: layers and losses
//! know the batch of their own rank, and ask here for what is summed over all.
//!
//! It belongs to the thread that takes the step, as in PyTorch the default group belongs to a process, because what
//! needs it lies deep within networks. Outside a step, and in a training of one process, there is none.

use std::cell::RefCell;
use std::ops::Range;

use crate::Result;
use crate::ranks::Ranks;

/// Which images of a batch a rank has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Their places in the whole batch: one stretch, in the order of the ranks.
    pub places: Range<usize>,
    /// How many images the whole batch has.
    pub whole: usize,
    /// How many ranks have images of their own.
    pub counting: usize,
    /// Whether it counts: of a batch with fewer images than ranks, some ranks compute what another counts.
    pub counts: bool,
}

impl Share {
    /// The share of rank `rank` of `count` in a batch of so many images.
    pub fn of(rank: usize, count: usize, whole: usize) -> Self {
        let begin = |rank: usize| whole * rank / count;
        let (places, counting) = (begin(rank)..begin(rank + 1), count.min(whole));
        match places.is_empty() && whole > 0 {
            // Every rank takes part in every exchange, so each has an image.
            true => Self { places: 0..1, whole, counting, counts: false },
            false => Self { places, whole, counting, counts: true },
        }
    }
}

/// The step that a thread takes.
struct Step {
    ranks: Ranks,
    share: Share,
    /// Whether this rank, and since [`sum_at_the_end`] whether any, is asked to stop after it.
    stop: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Step>> = const { RefCell::new(None) };
}

/// Ends a step's share, also when it panics.
struct Within;

impl Drop for Within {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

impl Ranks {
    /// Takes a step with this rank's share of its batch, and says whether any rank is asked to `stop` after it.
    ///
    /// # Errors
    /// That a rank is no longer there; what the step computed is then of no meaning.
    pub fn within<T>(
        &self,
        share: Share,
        stop: impl Fn() -> bool,
        step: impl FnOnce() -> T,
    ) -> Result<(T, bool)> {
        if self.is_alone() {
            let taken = step();
            return Ok((taken, stop()));
        }
        CURRENT.set(Some(Step { ranks: self.clone(), share, stop: stop() }));
        let _within = Within;
        let taken = step();
        let stop = CURRENT.with_borrow(|current| current.as_ref().is_some_and(|step| step.stop));
        self.check().map(|()| (taken, stop))
    }
}

/// The share of the step that this thread takes; none where it has the whole batch.
pub fn share() -> Option<Share> {
    CURRENT.with_borrow(|current| current.as_ref().map(|step| step.share.clone()))
}

/// The number of images of the whole batch, where this rank has so many.
pub fn whole_of(images: usize) -> usize {
    share().map_or(images, |share| share.whole)
}

/// The places in the whole batch of the images that this rank has; all of so many without other ranks.
pub fn places_of(images: usize) -> Range<usize> {
    share().map_or(0..images, |share| share.places)
}

/// What belongs to this rank's images of `drawn`, equally many for each image of the whole batch.
pub fn own_of<T: Clone>(drawn: Vec<T>) -> Vec<T> {
    match share() {
        None => drawn,
        Some(share) => {
            let of_image = drawn.len() / share.whole;
            drawn[share.places.start * of_image..share.places.end * of_image].to_vec()
        }
    }
}

/// The sum over the ranks of a step, in place; nothing without other ranks.
pub fn sum(values: &mut [f32]) {
    CURRENT.with_borrow(|current| {
        if let Some(Step { ranks, share, .. }) = current {
            if !share.counts {
                values.fill(0.0);
            }
            ranks.sum(values);
        }
    });
}

/// [`sum`], with which all ranks agree whether to stop after the step.
pub fn sum_at_the_end(mut values: Vec<f32>) -> Vec<f32> {
    CURRENT.with_borrow_mut(|current| {
        if let Some(Step { ranks, share, stop }) = current {
            if !share.counts {
                values.fill(0.0);
            }
            values.push(f32::from(u8::from(*stop)));
            ranks.sum(&mut values);
            *stop = values.pop().is_some_and(|asked| asked > 0.0);
        }
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_each_other_and_every_rank_has_an_image() {
        let of = |count: usize, whole: usize| -> Vec<(Range<usize>, bool)> {
            (0..count).map(|rank| Share::of(rank, count, whole)).map(|it| (it.places, it.counts)).collect()
        };
        assert_eq!(of(2, 8), [(0..4, true), (4..8, true)]);
        assert_eq!(of(3, 5), [(0..1, true), (1..3, true), (3..5, true)]);
        assert_eq!(of(3, 1), [(0..1, false), (0..1, false), (0..1, true)]);
        assert_eq!(of(1, 7), [(0..7, true)]);
    }

    #[test]
    fn without_other_ranks_there_is_no_share() {
        let within =
            |stop: bool| Ranks::alone().within(Share::of(0, 1, 4), || stop, || (share(), whole_of(4)));
        assert_eq!([within(false).unwrap(), within(true).unwrap()], [((None, 4), false), ((None, 4), true)]);
        let mut values = [1.5, 2.0];
        sum(&mut values);
        assert_eq!(values, [1.5, 2.0]);
    }
}
