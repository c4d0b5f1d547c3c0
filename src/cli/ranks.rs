//! One training on several processes, as a command line asks for it.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use sarb::ranks::children::{Children, arguments};
use sarb::ranks::place::Place;
use sarb::ranks::secret::Secret;
use sarb::ranks::{Door, Patience, Ranks, enter};
use sarb::{Cancel, Result};

use super::console::warn;

/// More processes of one machine have no core each.
const MOST: usize = 1024;

/// Who trains together.
#[derive(Debug, Clone, Args)]
pub struct RanksArgs {
    /// Train one model on N processes of this machine, which share its threads; or `env`: this process is one of several,
    /// on this and other hosts, that torchrun or srun started and told who they are. The batch stays that of the recipe
    #[arg(long, value_name = "N|env", value_parser = which, conflicts_with_all = ["folds", "dry_run"])]
    ranks: Option<Which>,
    /// With --ranks env: a file with a secret that all ranks share [default: the variable SARB_RANKS_SECRET]
    #[arg(long, value_name = "FILE", requires = "ranks")]
    ranks_secret: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// So many, which this process starts.
    Count(usize),
    /// As the environment says.
    Environment,
}

fn which(text: &str) -> std::result::Result<Which, String> {
    match (text, text.parse()) {
        ("env", _) => Ok(Which::Environment),
        (_, Ok(count)) if (1..=MOST).contains(&count) => Ok(Which::Count(count)),
        _ => Err(format!("`{text}` is neither env nor a number from 1 to {MOST}")),
    }
}

/// The ranks, as this process sees them, and those that it started.
pub struct Joined {
    pub ranks: Ranks,
    /// Ends when these do.
    _children: Option<Children>,
}

impl RanksArgs {
    /// The threads of this process where so many are asked for: ranks of one machine share them.
    pub fn threads(&self, asked: Option<NonZeroUsize>) -> Option<NonZeroUsize> {
        let number =
            |name: &str| std::env::var(name).ok().and_then(|text| text.trim().parse::<NonZeroUsize>().ok());
        let given = asked.or_else(|| number("RAYON_NUM_THREADS"));
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        match self.ranks {
            None => asked,
            Some(Which::Count(count)) => share_of(given.unwrap_or_else(cores), count),
            // Of its own process somebody may have said it.
            Some(Which::Environment) => given.or_else(|| {
                let local = number("LOCAL_WORLD_SIZE").map_or(1, NonZeroUsize::get);
                share_of(cores(), local)
            }),
        }
    }

    /// Comes together with the other ranks.
    pub fn join(&self, cancel: &Cancel) -> Result<Joined> {
        let patience = Patience::default();
        let (ranks, children) = match self.ranks {
            None | Some(Which::Count(1)) => (Ranks::alone(), None),
            Some(Which::Count(count)) => {
                let (door, secret) = (Door::on_this_machine()?, Secret::random());
                let args = arguments(std::env::args_os().skip(1));
                let threads = rayon::current_num_threads();
                let mut children = Children::start(&args, count, door.port(), &secret, threads)?;
                let secret = Secret::of(&secret).expect("a random one is long");
                let mut go_on = || cancel.check().and_then(|()| children.check());
                let ranks = door.admit(count, &secret, patience, &warn, &mut go_on)?;
                (ranks, Some(children))
            }
            Some(Which::Environment) => {
                let (place, secret) = (Place::of_environment()?, Secret::find(self.ranks_secret.as_deref())?);
                let mut go_on = || cancel.check();
                let ranks = match (place.rank, place.count) {
                    (_, 1) => Ranks::alone(),
                    (0, count) => Door::of(&place)?.admit(count, &secret, patience, &warn, &mut go_on)?,
                    _ => enter(&place, &secret, patience, &mut go_on)?,
                };
                (ranks, None)
            }
        };
        Ok(Joined { ranks, _children: children })
    }
}

fn share_of(threads: NonZeroUsize, ranks: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new((threads.get() / ranks).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_a_number_or_those_of_the_environment() {
        assert_eq!((which("2"), which("env")), (Ok(Which::Count(2)), Ok(Which::Environment)));
        for bad in ["0", "-1", "two", "1025", ""] {
            assert!(which(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranks_of_a_machine_share_its_threads() {
        let args = |ranks| RanksArgs { ranks, ranks_secret: None };
        let threads = |ranks, asked| args(ranks).threads(NonZeroUsize::new(asked)).map(NonZeroUsize::get);
        assert_eq!(threads(Some(Which::Count(2)), 8), Some(4));
        assert_eq!(threads(Some(Which::Count(3)), 2), Some(1));
        assert_eq!(threads(Some(Which::Environment), 8), Some(8), "of a process of its own");
        assert_eq!(threads(None, 8), Some(8));
        assert_eq!(args(None).threads(None), None);
    }
}
