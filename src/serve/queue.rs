//! Micro-batches: requests of many clients go through a network together, on one thread of its own.
//!
//! ```text
//! admit ──► places of a bounded queue ──► ask ──► the thread: up to `size` inputs within `wait` ──► answers
//! ```
//! A place is taken before anything is decoded, so that what is too much is refused at once and costs nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::{Error, Result};

/// How batches are made.
#[derive(Debug, Clone, Copy)]
pub struct Batching {
    /// Most inputs of a batch.
    pub size: usize,
    /// How long the first input of a batch waits for more.
    pub wait: Duration,
    /// How many inputs may be in the server at once, waiting or in work.
    pub places: usize,
}

/// Why an input has no answer.
#[derive(Debug)]
pub enum Failure {
    /// What the work says of it.
    Error(Error),
    /// The work panicked at it.
    Panicked,
    /// Nobody works any more.
    Ended,
}

/// A place in the queue for one input.
#[derive(Debug)]
pub struct Place(#[allow(dead_code, reason = "held until the answer is there")] OwnedSemaphorePermit);

/// The end of a queue where inputs come in; clones are the same queue, which ends with the last of them.
pub struct Queue<I, O> {
    sender: Sender<Waiting<I, O>>,
    places: Arc<Semaphore>,
    all: usize,
}

struct Waiting<I, O> {
    input: I,
    place: Place,
    answer: oneshot::Sender<Result<O, Failure>>,
}

/// What somebody wants to know of each batch: its size and how long it took.
pub type Watch = Box<dyn Fn(usize, Duration) + Send>;

impl<I: Send + 'static, O: Send + 'static> Queue<I, O> {
    /// Starts the thread; `work` answers each of its inputs.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        name: &str,
        batching: Batching,
        watch: Watch,
        work: impl Fn(&[I]) -> Vec<Result<O>> + Send + 'static,
    ) -> Result<(Self, std::thread::JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name(format!("serve {name}"))
            .spawn(move || work_off(&receiver, batching, &watch, &work))
            .map_err(|error| Error::io("a thread", error))?;
        let places = Arc::new(Semaphore::new(batching.places));
        Ok((Self { sender, places, all: batching.places }, thread))
    }

    /// Places for so many inputs, all of them or none.
    pub fn admit(&self, count: usize) -> Option<Vec<Place>> {
        let count = u32::try_from(count).ok()?;
        let mut all = self.places.clone().try_acquire_many_owned(count).ok()?;
        Some((0..count).map(|_| Place(all.split(1).expect("one of each place"))).collect())
    }

    /// How many inputs wait or are in work.
    pub fn taken(&self) -> usize {
        self.all - self.places.available_permits()
    }

    /// How many may be.
    pub fn all(&self) -> usize {
        self.all
    }

    /// The answer to an input. Who stops waiting for it takes it out of the queue.
    pub async fn ask(&self, place: Place, input: I) -> Result<O, Failure> {
        let (answer, answered) = oneshot::channel();
        self.sender.send(Waiting { input, place, answer }).map_err(|_| Failure::Ended)?;
        answered.await.unwrap_or(Err(Failure::Ended))
    }
}

/// Works until the last sender is gone and the queue is empty.
fn work_off<I, O>(
    receiver: &Receiver<Waiting<I, O>>,
    batching: Batching,
    watch: &Watch,
    work: &impl Fn(&[I]) -> Vec<Result<O>>,
) {
    while let Ok(first) = receiver.recv() {
        let batch = collect(first, receiver, batching);
        let (mut inputs, mut waiting) = (Vec::new(), Vec::new());
        // Whoever went away in the meantime needs no answer.
        for Waiting { input, place, answer } in batch.into_iter().filter(|it| !it.answer.is_closed()) {
            inputs.push(input);
            waiting.push((answer, place));
        }
        if inputs.is_empty() {
            continue;
        }
        let start = Instant::now();
        let answers = answers(&inputs, work);
        watch(inputs.len(), start.elapsed());
        for ((asking, place), answer) in waiting.into_iter().zip(answers) {
            // The place is free before the answer is heard, so that whoever heard it finds room.
            drop(place);
            let _ = asking.send(answer);
        }
    }
}

fn collect<T>(first: T, receiver: &Receiver<T>, batching: Batching) -> Vec<T> {
    let mut batch = vec![first];
    let end = Instant::now() + batching.wait;
    while batch.len() < batching.size {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(next) => batch.push(next),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    batch
}

/// Where the work panics at several inputs, each is tried alone: one bad input is not the others' loss.
fn answers<I, O>(inputs: &[I], work: &impl Fn(&[I]) -> Vec<Result<O>>) -> Vec<Result<O, Failure>> {
    match catch_unwind(AssertUnwindSafe(|| work(inputs))) {
        Ok(answers) => answers.into_iter().map(|answer| answer.map_err(Failure::Error)).collect(),
        Err(_) if inputs.len() == 1 => vec![Err(Failure::Panicked)],
        Err(_) => inputs.chunks(1).flat_map(|alone| answers(alone, work)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A queue that doubles numbers and fails at 0 and, by a panic, at 13; the sizes of its batches.
    fn doubling(size: usize, wait_ms: u64, places: usize) -> (Queue<u32, u32>, Arc<Mutex<Vec<usize>>>) {
        let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
        let seen = sizes.clone();
        let watch: Watch = Box::new(move |size, _| seen.lock().unwrap().push(size));
        let batching = Batching { size, wait: Duration::from_millis(wait_ms), places };
        let work = |inputs: &[u32]| {
            assert!(!inputs.contains(&13), "a wanted panic of a test");
            let double = |&it: &u32| if it == 0 { Err(Error::Data("zero".into())) } else { Ok(2 * it) };
            inputs.iter().map(double).collect()
        };
        (Queue::start("test", batching, watch, work).unwrap().0, sizes)
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    async fn ask_all(queue: &Queue<u32, u32>, inputs: &[u32]) -> Vec<Result<u32, Failure>> {
        let places = queue.admit(inputs.len()).unwrap();
        let asked = places.into_iter().zip(inputs).map(|(place, &input)| queue.ask(place, input));
        futures_util::future::join_all(asked).await
    }

    #[test]
    fn what_comes_within_the_wait_goes_together_and_answers_keep_their_order() {
        let (queue, sizes) = doubling(4, 10_000, 16);
        let answers = run(ask_all(&queue, &[1, 2, 3, 4, 5, 6, 7, 8]));
        let answers: Vec<u32> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, [2, 4, 6, 8, 10, 12, 14, 16]);
        assert_eq!(*sizes.lock().unwrap(), [4, 4]);
    }

    #[test]
    fn a_panic_and_an_error_stay_with_their_input() {
        let (queue, _) = doubling(3, 10_000, 3);
        let answers = run(ask_all(&queue, &[1, 13, 0]));
        assert!(matches!(answers[0], Ok(2)) && matches!(answers[1], Err(Failure::Panicked)));
        assert!(matches!(&answers[2], Err(Failure::Error(error)) if error.to_string() == "zero"));
        let (queue, _) = doubling(1, 0, 1);
        assert!(matches!(run(ask_all(&queue, &[13]))[..], [Err(Failure::Panicked)]));
        assert!(matches!(run(ask_all(&queue, &[21]))[..], [Ok(42)]), "the thread works on");
    }

    #[test]
    fn places_are_all_or_none_and_come_back_with_the_answer() {
        let (queue, _) = doubling(1, 0, 3);
        let two = queue.admit(2).unwrap();
        assert!(queue.admit(2).is_none(), "only one is left");
        assert_eq!((queue.taken(), queue.all()), (2, 3));
        assert!(queue.admit(1).is_some(), "and can be had");
        drop(two);
        assert!(queue.admit(4).is_none() && queue.admit(3).is_some());
        run(ask_all(&queue, &[1, 2, 3]));
        assert_eq!(queue.taken(), 0);
    }

    #[test]
    fn nobody_works_for_who_went_away() {
        let (queue, sizes) = doubling(8, 200, 8);
        run(async {
            let mut places = queue.admit(2).unwrap();
            let gone = queue.ask(places.pop().unwrap(), 5);
            let waiting = tokio::time::timeout(Duration::from_millis(20), gone);
            assert!(waiting.await.is_err());
            assert!(matches!(queue.ask(places.pop().unwrap(), 4).await, Ok(8)));
        });
        assert_eq!(*sizes.lock().unwrap(), [1]);
    }
}
