//! Examples read by several workers and delivered batch by batch, in order.
//!
//! What a batch holds depends on its rows and the view only, never on the number of workers or on
//! their speed. Memory is bounded by bytes: a batch is begun when it fits beside those that are
//! begun or finished and not yet taken. (Burn's own loader delivers in order of arrival and queues
//! 100 batches, 7.7 GB at 32 × 448².)

mod batch_values;
pub mod examples;
pub mod features;
pub mod mixing;

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use rand::seq::SliceRandom;
use sarb_labels::random::{Stream, rng};

use crate::Result;
use crate::loader::batch_values::BatchValues;

pub use crate::loader::examples::{ExampleKind, Examples, ImageFiles, View};

/// The rows of one epoch in a random order of (seed, epoch), cut into batches.
///
/// The last batch may be smaller; `drop_last` leaves it out, unless it is the only one.
///
/// # Panics
/// If `batch_size` is 0.
pub fn epoch_batches(
    rows: &[usize],
    batch_size: usize,
    seed: u64,
    epoch: u64,
    drop_last: bool,
) -> Vec<Vec<usize>> {
    let mut rows = rows.to_vec();
    rows.shuffle(&mut rng(seed, Stream::Shuffle, epoch, 0));
    let mut batches: Vec<Vec<usize>> = rows.chunks(batch_size).map(<[usize]>::to_vec).collect();
    if drop_last && batches.len() > 1 && !rows.len().is_multiple_of(batch_size) {
        batches.pop();
    }
    batches
}

/// How many workers read, and how many bytes may wait.
#[derive(Debug, Clone, Copy)]
pub struct Loader {
    workers: usize,
    queue_bytes: usize,
}

/// The values of one batch, row after row.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedBatch {
    /// Rows of the examples, in the order asked for.
    pub rows: Vec<usize>,
    /// `[B, …]` values of the examples' shape.
    pub values: Vec<f32>,
    /// Shape of one example.
    pub shape: [usize; 3],
    /// What an example is.
    pub kind: ExampleKind,
}

/// Batches that a training reads ahead, in bytes.
pub const QUEUE_BYTES: usize = 512 << 20;

impl Default for Loader {
    /// A worker a thread that computes, and 512 MiB of batches ahead.
    fn default() -> Self {
        Self::new(rayon::current_num_threads(), QUEUE_BYTES)
    }
}

impl Loader {
    /// A loader of at least one worker that holds at most `queue_bytes` of batches nobody has taken
    /// yet, but always one batch, whatever its size.
    pub fn new(workers: usize, queue_bytes: usize) -> Self {
        Self { workers: workers.max(1), queue_bytes }
    }

    /// Reads `batches`, lists of rows, ahead of the caller and delivers them in their order; a batch
    /// with an example that cannot be read is delivered as the error of the first such row.
    ///
    /// Dropping the iterator stops the workers.
    pub fn batches(&self, examples: Arc<dyn Examples>, batches: Vec<Vec<usize>>, view: View) -> Batches {
        let (shape, kind) = (examples.shape(), examples.kind());
        let queue = Arc::new(Queue {
            example_len: shape.iter().product(),
            queue_bytes: self.queue_bytes,
            examples,
            batches,
            view,
            state: Mutex::new(State::default()),
            room: Condvar::new(),
            finished: Condvar::new(),
        });
        let workers = (0..self.workers)
            .map(|_| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || queue.work())
            })
            .collect();
        Batches { queue, shape, kind, workers }
    }
}

/// Batches in the order asked for, read ahead by workers. See [`Loader::batches`].
pub struct Batches {
    queue: Arc<Queue>,
    shape: [usize; 3],
    kind: ExampleKind,
    workers: Vec<JoinHandle<()>>,
}

impl Iterator for Batches {
    type Item = Result<LoadedBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let (rows, batch) = self.queue.take_next()?;
        Some(match batch.failure {
            None => {
                let values = Arc::into_inner(batch.values).expect("no worker holds a finished batch");
                Ok(LoadedBatch { rows, values: values.into_vec(), shape: self.shape, kind: self.kind })
            }
            Some((_, Failure::Error(error))) => Err(error),
            // A bug of ours: let it be seen where the batch was wanted.
            Some((_, Failure::Panic(payload))) => resume_unwind(payload),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.queue.batches.len() - self.queue.lock().delivered;
        (left, Some(left))
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.queue.lock().stopped = true;
        self.queue.room.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches the panics of what it reads; there is nothing left to report.
            let _ = worker.join();
        }
    }
}

/// What workers and the consumer share.
struct Queue {
    examples: Arc<dyn Examples>,
    batches: Vec<Vec<usize>>,
    view: View,
    example_len: usize,
    queue_bytes: usize,
    state: Mutex<State>,
    /// A batch was taken, or all shall stop.
    room: Condvar,
    /// A batch is complete.
    finished: Condvar,
}

#[derive(Default)]
struct State {
    /// The batch and the place within it that is handed out next.
    next: (usize, usize),
    /// Begun and not yet delivered, the oldest first.
    open: VecDeque<OpenBatch>,
    delivered: usize,
    held_bytes: usize,
    stopped: bool,
}

struct OpenBatch {
    values: Arc<BatchValues>,
    unread: usize,
    /// The failure at the earliest place, so that it does not depend on who was faster.
    failure: Option<(usize, Failure)>,
}

enum Failure {
    Error(crate::Error),
    Panic(Box<dyn Any + Send>),
}

/// One example to read.
struct Job {
    batch: usize,
    place: usize,
    values: Arc<BatchValues>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding the state")
    }

    fn work(&self) {
        while let Some(Job { batch, place, values }) = self.claim() {
            let row = self.batches[batch][place];
            let read = || self.examples.read(row, self.view, values.take(place));
            let failure = match catch_unwind(AssertUnwindSafe(read)) {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(Failure::Error(error)),
                Err(payload) => Some(Failure::Panic(payload)),
            };
            drop(values);
            self.finish(batch, place, failure);
        }
    }

    /// The next example to read, as soon as there is room for its batch; `None` when all is done.
    fn claim(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            let (batch, place) = state.next;
            if state.stopped || batch == self.batches.len() {
                return None;
            }
            let rows = self.batches[batch].len();
            if place == 0 {
                let bytes = self.bytes(batch);
                if !state.open.is_empty() && state.held_bytes + bytes > self.queue_bytes {
                    state = self.room.wait(state).expect("nobody panics while holding the state");
                    continue;
                }
                state.held_bytes += bytes;
                let values = Arc::new(BatchValues::new(rows, self.example_len));
                state.open.push_back(OpenBatch { values, unread: rows, failure: None });
            }
            if place + 1 >= rows {
                state.next = (batch + 1, 0);
            } else {
                state.next = (batch, place + 1);
            }
            if rows == 0 {
                self.finished.notify_one();
                continue;
            }
            let values = Arc::clone(&state.open[batch - state.delivered].values);
            return Some(Job { batch, place, values });
        }
    }

    fn finish(&self, batch: usize, place: usize, failure: Option<Failure>) {
        let mut state = self.lock();
        let index = batch - state.delivered;
        let open = &mut state.open[index];
        open.unread -= 1;
        if let Some(failure) = failure
            && open.failure.as_ref().is_none_or(|(earlier, _)| place < *earlier)
        {
            open.failure = Some((place, failure));
        }
        if open.unread == 0 {
            self.finished.notify_one();
        }
    }

    /// Waits for the oldest batch and takes it out; `None` after the last.
    fn take_next(&self) -> Option<(Vec<usize>, OpenBatch)> {
        let mut state = self.lock();
        if state.delivered == self.batches.len() {
            return None;
        }
        while state.open.front().is_none_or(|batch| batch.unread > 0) {
            state = self.finished.wait(state).expect("nobody panics while holding the state");
        }
        let batch = state.open.pop_front().expect("it was there a line above");
        let rows = self.batches[state.delivered].clone();
        state.held_bytes -= self.bytes(state.delivered);
        state.delivered += 1;
        self.room.notify_all();
        Some((rows, batch))
    }

    fn bytes(&self, batch: usize) -> usize {
        self.batches[batch].len() * self.example_len * size_of::<f32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    /// Example `row` holds `row` and a number of its view; some rows fail, slow ones sleep.
    #[derive(Default)]
    struct Numbers {
        broken: Vec<usize>,
        slow: Option<usize>,
        reads: AtomicUsize,
    }

    impl Examples for Numbers {
        fn kind(&self) -> ExampleKind {
            ExampleKind::Map
        }

        fn shape(&self) -> [usize; 3] {
            [2, 1, 1]
        }

        fn read(&self, row: usize, view: View, into: &mut [f32]) -> Result<()> {
            if self.slow == Some(row) {
                std::thread::sleep(Duration::from_millis(30));
            }
            self.reads.fetch_add(1, Ordering::SeqCst);
            if self.broken.contains(&row) {
                return Err(Error::Data(format!("{row}.jpg: broken")));
            }
            assert!(row < 1000, "row {row} of 1000");
            let view = match view {
                View::Clean => 0.0,
                View::Augmented { seed, epoch } => (seed * 10 + epoch) as f32,
                View::Strong { .. } => unreachable!("nobody asks for it"),
            };
            into.copy_from_slice(&[row as f32, view]);
            Ok(())
        }
    }

    fn loaded(workers: usize, numbers: Numbers, batches: &[Vec<usize>]) -> Vec<Result<LoadedBatch>> {
        let view = View::Augmented { seed: 4, epoch: 2 };
        Loader::new(workers, 64).batches(Arc::new(numbers), batches.to_vec(), view).collect()
    }

    #[test]
    fn any_number_of_workers_delivers_the_same_batches_in_order() {
        let batches = epoch_batches(&(0..100).collect::<Vec<_>>(), 7, 1, 0, false);
        let slow = Some(batches[0][0]);
        let expected: Vec<LoadedBatch> = batches
            .iter()
            .map(|rows| LoadedBatch {
                rows: rows.clone(),
                values: rows.iter().flat_map(|&row| [row as f32, 42.0]).collect(),
                shape: [2, 1, 1],
                kind: ExampleKind::Map,
            })
            .collect();
        for workers in [0, 1, 4] {
            let numbers = Numbers { slow, ..Numbers::default() };
            let found: Vec<LoadedBatch> =
                loaded(workers, numbers, &batches).into_iter().map(Result::unwrap).collect();
            assert_eq!(found, expected, "{workers} workers");
        }
    }

    #[test]
    fn no_more_bytes_wait_than_allowed_but_always_one_batch() {
        // A batch of 4 examples of two f32 has 32 bytes.
        let batches: Vec<Vec<usize>> = (0..10).map(|batch| (batch * 4..batch * 4 + 4).collect()).collect();
        for (queue_bytes, ahead) in [(0, 1), (32, 1), (95, 2), (96, 3)] {
            let numbers = Arc::new(Numbers::default());
            let mut delivered =
                Loader::new(3, queue_bytes).batches(numbers.clone(), batches.clone(), View::Clean);
            let settle = || {
                let start = Instant::now();
                let mut last = (usize::MAX, Instant::now());
                while start.elapsed() < Duration::from_secs(5) && last.1.elapsed() < Duration::from_millis(40)
                {
                    let reads = numbers.reads.load(Ordering::SeqCst);
                    if reads != last.0 {
                        last = (reads, Instant::now());
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                last.0
            };
            assert_eq!(settle(), ahead * 4, "{queue_bytes} bytes before the first is taken");
            delivered.next().unwrap().unwrap();
            assert_eq!(settle(), (ahead + 1) * 4, "{queue_bytes} bytes after it");
            assert_eq!(delivered.size_hint(), (9, Some(9)));
            assert_eq!(delivered.count(), 9);
        }
    }

    #[test]
    fn a_batch_that_cannot_be_read_is_its_first_error_and_the_next_one_follows() {
        let batches = vec![vec![1, 2], vec![5, 3, 9], vec![], vec![7]];
        let numbers = Numbers { broken: vec![3, 9], slow: Some(3), ..Numbers::default() };
        let found = loaded(3, numbers, &batches);
        assert_eq!(found.len(), 4);
        assert_eq!(found[1].as_ref().unwrap_err().to_string(), "3.jpg: broken");
        assert!(found[2].as_ref().unwrap().values.is_empty());
        assert_eq!(found[3].as_ref().unwrap().values, [7.0, 42.0]);
    }

    #[test]
    #[should_panic(expected = "row 1000 of 1000")]
    fn a_panic_of_a_worker_reaches_the_one_who_wants_the_batch() {
        loaded(2, Numbers::default(), &[vec![1], vec![1000]]);
    }

    #[test]
    fn dropping_the_iterator_stops_the_workers() {
        let numbers = Arc::new(Numbers::default());
        let batches = (0..500).map(|row| vec![row]).collect();
        let mut delivered = Loader::new(4, 80).batches(numbers.clone(), batches, View::Clean);
        delivered.next().unwrap().unwrap();
        drop(delivered);
        assert!(numbers.reads.load(Ordering::SeqCst) < 50, "ten batches fit, 500 were asked for");
        assert_eq!(Arc::strong_count(&numbers), 1, "no worker is left");
    }

    #[test]
    fn an_epoch_has_every_row_once_in_an_order_of_its_own() {
        let rows: Vec<usize> = (0..50).map(|row| row * 2).collect();
        let flat = |seed, epoch| epoch_batches(&rows, 8, seed, epoch, false).concat();
        let mut sorted = flat(0, 0);
        assert_ne!(sorted, rows);
        sorted.sort_unstable();
        assert_eq!(sorted, rows);
        assert_eq!(flat(0, 3), flat(0, 3));
        assert_ne!(flat(0, 3), flat(0, 4));
        assert_ne!(flat(0, 3), flat(1, 3));
        let sizes = |drop_last| -> Vec<usize> {
            epoch_batches(&rows, 8, 0, 0, drop_last).iter().map(Vec::len).collect()
        };
        assert_eq!(sizes(false), [8, 8, 8, 8, 8, 8, 2]);
        assert_eq!(sizes(true), [8; 6]);
        assert_eq!(epoch_batches(&rows, 64, 0, 0, true).len(), 1, "fewer rows than a batch are one batch");
        assert!(epoch_batches(&[], 8, 0, 0, false).is_empty());
    }
}
