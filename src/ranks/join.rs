//! How the ranks of a training come together: rank 0 waits at a door until all have come, and closes it.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use crate::ranks::handshake::{self, Claim, Refused};
use crate::ranks::link::{Link, Parting};
use crate::ranks::place::Place;
use crate::ranks::secret::Secret;
use crate::ranks::{Patience, Ranks};
use crate::{Error, Result, program};

/// Between two looks at whether somebody has come.
const POLL: Duration = Duration::from_millis(10);
/// Between two tries to reach rank 0, which may not have begun yet.
const RETRY: Duration = Duration::from_millis(200);
/// For one try, where nobody answers at all.
const REACH: Duration = Duration::from_secs(5);

/// Where rank 0 waits for the others.
#[derive(Debug)]
pub struct Door(TcpListener);

impl Door {
    /// On this machine alone, at a port that is free.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is none.
    pub fn on_this_machine() -> Result<Self> {
        Self::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Where the others expect it. Which of its addresses they reach this machine by, it cannot know.
    ///
    /// # Errors
    /// [`Error::Missing`] if the port is in use.
    pub fn of(place: &Place) -> Result<Self> {
        let local = ["localhost", "127.0.0.1", "::1"].contains(&place.host.as_str());
        let anywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, place.port));
        match local {
            true => Self::at(*addresses(place)?.first().expect("an address at least")),
            // A host without IPv6 has no such address.
            false => Self::at(anywhere)
                .or_else(|_| Self::at(SocketAddr::from((Ipv4Addr::UNSPECIFIED, place.port)))),
        }
    }

    fn at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).and_then(|door| door.set_nonblocking(true).map(|()| door));
        let failed = |error| {
            Error::Missing(format!(
                "rank 0 cannot wait for the others at {address}: {error}; set MASTER_PORT or {} to a port that is free",
                super::place::PORT
            ))
        };
        listener.map(Self).map_err(failed)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.local_addr().map_or(0, |address| address.port())
    }

    /// Waits for the ranks from 1 to `count` − 1, and looks at `go_on` meanwhile. Who does not know the secret is told of
    /// by `warn` and else ignored.
    ///
    /// # Errors
    /// [`Error::Rank`] if one has not come in time or is of another program; what `go_on` says.
    pub fn admit(
        self,
        count: usize,
        secret: &Secret,
        patience: Patience,
        warn: &dyn Fn(&str),
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<Ranks> {
        let mut links: Vec<Option<Link>> = (1..count).map(|_| None).collect();
        let admitted = self.admit_all(&mut links, secret, patience, warn, go_on);
        let links = links.into_iter().flatten();
        match admitted {
            Ok(()) => Ok(Ranks::new(0, count, links.collect())),
            Err(error) => {
                links.for_each(|link| link.part(&Parting::of(0, &error)));
                Err(error)
            }
        }
    }

    fn admit_all(
        &self,
        links: &mut [Option<Link>],
        secret: &Secret,
        patience: Patience,
        warn: &dyn Fn(&str),
        go_on: &mut dyn FnMut() -> Result<()>,
    ) -> Result<()> {
        let until = Instant::now() + patience.join;
        while links.iter().any(Option::is_none) {
            go_on()?;
            match self.0.accept() {
                Ok((stream, address)) => match admit_one(stream, links, secret, patience) {
                    Ok(()) => {}
                    Err(Refused::Because(why)) => return Err(refused(&why)),
                    Err(Refused::Secret) => {
                        warn(&format!("who came from {} as a rank does not know the secret", address.ip()));
                    }
                    // Whoever looks which ports are open.
                    Err(Refused::Stranger | Refused::Lost(_)) => {}
                },
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(POLL),
                Err(error) => return Err(Error::io("the port at which rank 0 waits", error)),
            }
            if Instant::now() > until {
                return Err(late(links, patience));
            }
        }
        Ok(())
    }
}

fn admit_one(
    stream: TcpStream,
    links: &mut [Option<Link>],
    secret: &Secret,
    patience: Patience,
) -> Result<(), Refused> {
    stream.set_nonblocking(false)?;
    let count = links.len() + 1;
    let judge = |claim: &Claim| {
        let (rank, of) = (claim.rank as usize, claim.count as usize);
        if of != count {
            return Err(format!(
                "rank {rank} says that there are {of} ranks, and rank 0 that there are {count}"
            ));
        }
        if claim.version != version() {
            return Err(format!("rank {rank} is another version of sarb than rank 0"));
        }
        match rank.checked_sub(1).and_then(|place| links.get(place)) {
            Some(None) => Ok(()),
            Some(Some(_)) => Err(format!("two processes say that they are rank {rank}")),
            None => Err(format!("there is no rank {rank} of {count} to come")),
        }
    };
    let (claim, why) = handshake::receive(&stream, secret, judge)?;
    if let Some(why) = why {
        return Err(Refused::Because(why));
    }
    let rank = claim.rank as usize;
    links[rank - 1] = Some(Link::new(rank, stream, patience)?);
    Ok(())
}

fn late(links: &[Option<Link>], patience: Patience) -> Error {
    let missing = links.iter().enumerate().filter(|(_, link)| link.is_none());
    let missing: Vec<String> = missing.map(|(place, _)| format!("rank {}", place + 1)).collect();
    let message =
        format!("{} did not come within {} seconds", missing.join(", "), patience.join.as_secs_f64());
    Error::Rank { code: 4, message }
}

fn refused(why: &str) -> Error {
    Error::Rank { code: 2, message: why.to_owned() }
}

/// Comes to rank 0 as another rank; waits until it is there.
///
/// # Errors
/// [`Error::Missing`] if it cannot be reached in time; [`Error::Rank`] if it does not take this rank; what `go_on` says.
pub fn enter(
    place: &Place,
    secret: &Secret,
    patience: Patience,
    go_on: &mut dyn FnMut() -> Result<()>,
) -> Result<Ranks> {
    let at = format!("{}:{}", place.host, place.port);
    let stream = reach(place, &at, patience, go_on)?;
    let claim = Claim { rank: place.rank as u32, count: place.count as u32, version: version() };
    let link = handshake::send(&stream, secret, claim)
        .and_then(|()| Link::new(0, stream, patience).map_err(Refused::from));
    match link {
        Ok(link) => Ok(Ranks::new(place.rank, place.count, vec![link])),
        Err(Refused::Because(why)) => Err(refused(&why)),
        Err(Refused::Secret) => {
            Err(refused(&format!("rank 0 at {at} has another secret than rank {}", place.rank)))
        }
        Err(Refused::Stranger) => {
            Err(Error::Missing(format!("what answers at {at} is not rank 0 of a training")))
        }
        Err(Refused::Lost(error)) => Err(Error::Missing(format!("rank 0 at {at} does not answer: {error}"))),
    }
}

fn reach(
    place: &Place,
    at: &str,
    patience: Patience,
    go_on: &mut dyn FnMut() -> Result<()>,
) -> Result<TcpStream> {
    let until = Instant::now() + patience.join;
    loop {
        go_on()?;
        // A name may be known only when rank 0's host is there, as in Kubernetes.
        let error = match addresses(place) {
            Ok(addresses) => {
                let mut tries = addresses.iter().map(|address| TcpStream::connect_timeout(address, REACH));
                match tries.find_map(Result::ok) {
                    Some(stream) => return Ok(stream),
                    None => format!("nobody answers at {at}"),
                }
            }
            Err(error) => error.to_string(),
        };
        if Instant::now() > until {
            return Err(Error::Missing(format!(
                "rank {} cannot reach rank 0 within {} seconds: {error}",
                place.rank,
                patience.join.as_secs_f64()
            )));
        }
        std::thread::sleep(RETRY);
    }
}

fn addresses(place: &Place) -> Result<Vec<SocketAddr>> {
    let unknown = |why: String| Error::Missing(format!("the host of rank 0, `{}`: {why}", place.host));
    let found =
        (place.host.as_str(), place.port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    let found: Vec<SocketAddr> = found.collect();
    if found.is_empty() { Err(unknown("it has no address".into())) } else { Ok(found) }
}

/// Of the program: ranks of two versions might compute different things.
fn version() -> blake3::Hash {
    blake3::hash(program::build().as_bytes())
}
