//! One training on several processes, the ranks, of one machine or of many: each computes its part of every
//! batch, and what is summed over a batch is summed over the ranks.
//!
//! All ranks talk to rank 0 alone, over TCP, and in lockstep: every exchange has a number, and everyone takes part
//! in each. Sums are taken in the order of the ranks, so a number of ranks always gives the same numbers. A rank that
//! ends, is killed or falls silent ends all others, with a message that names it.
//!
//! Connections are authenticated by a shared secret ([`handshake`]) and are not encrypted: what they carry are
//! weights and gradients, and they belong into a network that is trusted with these.

pub mod across;
pub mod children;
mod handshake;
mod join;
mod link;
pub mod place;
pub mod secret;
pub mod share;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use burn::tensor::{Device, Tensor, TensorData};

use crate::ranks::link::{Link, Parting};
use crate::{Error, Result};

pub use crate::ranks::join::{Door, enter};

/// How long who waits for whom.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For all ranks to come.
    pub join: Duration,
    /// Between two signs of life of a rank.
    pub beat: Duration,
    /// For a sign of life, until a rank counts as lost.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { join: seconds(600), beat: seconds(2), silence: seconds(30) }
    }
}

/// The ranks of a training, as one of them sees them; clones are the same.
#[derive(Debug, Clone)]
pub struct Ranks {
    rank: usize,
    count: usize,
    group: Option<Arc<Group>>,
}

/// Connections: rank 0 has one to every other rank, in their order, and every other rank has one to rank 0.
#[derive(Debug)]
struct Group {
    links: Vec<Link>,
    state: Mutex<State>,
}

/// What is exchanged: part of an exchange's number, so that nobody takes one for another.
#[derive(Debug, Clone, Copy)]
enum Exchange {
    Sum,
    Gather,
    FromFirst,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the next exchange.
    next: u64,
    /// Why there is no further exchange.
    parting: Option<Parting>,
}

impl Ranks {
    /// A training of one process: nothing is exchanged.
    pub fn alone() -> Self {
        Self { rank: 0, count: 1, group: None }
    }

    fn new(rank: usize, count: usize, links: Vec<Link>) -> Self {
        let group = Group { links, state: Mutex::default() };
        Self { rank, count, group: Some(Arc::new(group)) }
    }

    /// Which rank this is, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether there is no other.
    pub fn is_alone(&self) -> bool {
        self.group.is_none()
    }

    /// Whether this is rank 0, which writes the run.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// The sum over all ranks, value by value, in place and in the order of the ranks. Of ranks that are no longer
    /// there it is of no meaning, and [`check`](Self::check) says so.
    pub fn sum(&self, values: &mut [f32]) {
        // What went wrong is kept for whoever looks.
        let _ = self.exchange(Exchange::Sum, |links, number| match self.is_first() {
            true => link::add_up(links, number, values),
            false => link::have_added_up(&links[0], number, values),
        });
    }

    /// What every rank says, in their order.
    ///
    /// # Errors
    /// That a rank is no longer there.
    pub fn gather(&self, said: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        if self.is_alone() {
            return Ok(vec![said]);
        }
        let all = match self.is_first() {
            true => {
                let others = self.exchange(Exchange::Gather, |links, number| {
                    links.iter().map(|link| link.receive(number)).collect::<Result<Vec<_>, _>>()
                })?;
                std::iter::once(said).chain(others).collect()
            }
            false => {
                self.exchange(Exchange::Gather, |links, number| links[0].send(number, &said))?;
                Vec::new()
            }
        };
        let whole = self.from_first(|| join_parts(&all))?;
        split_parts(&whole).ok_or_else(|| self.fail(Parting::confused(0)))
    }

    /// What rank 0 says, which it makes by `say`.
    ///
    /// # Errors
    /// That a rank is no longer there.
    pub fn from_first(&self, say: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>> {
        match self.is_first() {
            true => {
                let said = say();
                self.exchange(Exchange::FromFirst, |links, number| {
                    links.iter().try_for_each(|link| link.send(number, &said))
                })?;
                Ok(said)
            }
            false => self.exchange(Exchange::FromFirst, |links, number| links[0].receive(number)),
        }
    }

    /// What this rank computes of `items`, which are computed `together` at a time: one stretch, in the order of the
    /// ranks.
    pub fn stretch_of<'a, T>(&self, items: &'a [T], together: usize) -> &'a [T] {
        let pieces = items.len().div_ceil(together);
        let begin = |rank: usize| (pieces * rank / self.count * together).min(items.len());
        &items[begin(self.rank)..begin(self.rank + 1)]
    }

    /// The numbers of all ranks, one rank's after the other's.
    ///
    /// # Errors
    /// That a rank is no longer there.
    pub fn gather_values(&self, values: Vec<f32>) -> Result<Vec<f32>> {
        if self.is_alone() {
            return Ok(values);
        }
        let all = self.gather(values.iter().flat_map(|value| value.to_le_bytes()).collect())?;
        Ok(all
            .iter()
            .flat_map(|bytes| bytes.as_chunks::<4>().0)
            .map(|value| f32::from_le_bytes(*value))
            .collect())
    }

    /// The maps of those ranks that have any, `[b, F, H, W]` each.
    ///
    /// # Errors
    /// That a rank is no longer there.
    pub fn gather_maps(&self, maps: Option<Tensor<4>>, device: &Device) -> Result<Vec<Tensor<4>>> {
        let mut said = Vec::new();
        if let Some(maps) = maps {
            said.extend(maps.dims().iter().flat_map(|size| (*size as u64).to_le_bytes()));
            let data = maps.into_data();
            let values = data.as_slice::<f32>().expect("maps are f32");
            said.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        let all = self.gather(said)?;
        let maps = all
            .iter()
            .enumerate()
            .filter(|(_, said)| !said.is_empty())
            .map(|(rank, said)| maps_of(said, device).ok_or_else(|| self.fail(Parting::confused(rank))));
        maps.collect()
    }

    /// Ends all ranks unless what each has under a name is the same: hashes of recipes, data or weights.
    ///
    /// # Errors
    /// [`Error::Rank`] with the first rank and the first name that differ.
    pub fn agree(&self, on: &[(&str, blake3::Hash)]) -> Result<()> {
        let own = on.iter().flat_map(|(_, hash)| *hash.as_bytes()).collect();
        let all = self.gather(own)?;
        for (rank, hashes) in all.iter().enumerate().skip(1) {
            let same = |place: usize| {
                let part = place * blake3::OUT_LEN..(place + 1) * blake3::OUT_LEN;
                hashes.get(part.clone()) == all[0].get(part)
            };
            if let Some((_, (name, _))) = on.iter().enumerate().find(|(place, _)| !same(*place)) {
                return Err(self.fail(Parting::differs(rank, name)));
            }
        }
        Ok(())
    }

    /// Whether every rank is still there.
    ///
    /// # Errors
    /// That one is not, and what it said.
    pub fn check(&self) -> Result<()> {
        match &self.group {
            Some(group) => group.lock().parting.as_ref().map_or(Ok(()), |parting| Err(parting.error())),
            None => Ok(()),
        }
    }

    /// Tells the others how the work of this one ended. At its good end rank 0 waits for theirs, so that nothing it
    /// said is lost.
    pub fn end<T>(&self, result: &Result<T>) {
        let Some(group) = &self.group else { return };
        let parting = match result {
            Ok(_) => Parting::Done,
            Err(error) => group.lock().parting.clone().unwrap_or_else(|| Parting::of(self.rank, error)),
        };
        group.links.iter().for_each(|link| link.part(&parting));
        if self.is_first() && parting == Parting::Done {
            group.links.iter().for_each(Link::wait_for_parting);
        }
    }

    fn exchange<T>(&self, kind: Exchange, work: impl FnOnce(&[Link], u64) -> Result<T, Parting>) -> Result<T>
    where
        T: Default,
    {
        let Some(group) = &self.group else { return Ok(T::default()) };
        self.check()?;
        let number = {
            let mut state = group.lock();
            state.next += 1;
            state.next << 2 | kind as u64
        };
        work(&group.links, number).map_err(|parting| self.fail(parting))
    }

    /// Notes why it ends, unless that is known already.
    fn fail(&self, parting: Parting) -> Error {
        match &self.group {
            Some(group) => group.lock().parting.get_or_insert(parting).error(),
            None => parting.error(),
        }
    }
}

impl Group {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn maps_of(said: &[u8], device: &Device) -> Option<Tensor<4>> {
    let (sizes, values) = said.split_first_chunk::<32>()?;
    let mut shape = [0; 4];
    for (size, said) in shape.iter_mut().zip(sizes.as_chunks::<8>().0) {
        *size = usize::try_from(u64::from_le_bytes(*said)).ok()?;
    }
    let values: Vec<f32> = values.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
    let count = shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))?;
    (count == values.len()).then(|| Tensor::from_data(TensorData::new(values, shape), device))
}

/// Parts with their lengths before them.
pub(crate) fn join_parts(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(parts.iter().map(|part| 8 + part.len()).sum());
    for part in parts {
        whole.extend((part.len() as u64).to_le_bytes());
        whole.extend(part);
    }
    whole
}

pub(crate) fn split_parts(mut whole: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut parts = Vec::new();
    while !whole.is_empty() {
        let (length, rest) = whole.split_first_chunk::<8>()?;
        let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        parts.push(part.to_vec());
        whole = rest;
    }
    Some(parts)
}

#[cfg(test)]
pub(crate) mod tests;
