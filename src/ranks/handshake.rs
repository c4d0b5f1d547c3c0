//! How two ranks prove to each other that they know the secret: each answers a number that the other has drawn, so
//! that nothing said before helps, and in another role, so that nothing can be sent back.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::ranks::secret::Secret;

const GREETING: &[u8; 16] = b"sarb ranks 1    ";
const NONCE: usize = 32;
/// Rank, number of ranks, and the hash of the program's version.
const CLAIM: usize = 8 + blake3::OUT_LEN;
const PROOF: usize = blake3::OUT_LEN;
/// Bytes of why a rank is refused.
const LONGEST: usize = 1024;

/// For the whole handshake, so that a stranger who says nothing is soon gone.
const TIME: Duration = Duration::from_secs(5);

/// Who somebody says they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) rank: u32,
    pub(super) count: u32,
    pub(super) version: blake3::Hash,
}

impl Claim {
    fn to_bytes(self) -> [u8; CLAIM] {
        let mut bytes = [0; CLAIM];
        bytes[..4].copy_from_slice(&self.rank.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..].copy_from_slice(self.version.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; CLAIM]) -> Self {
        let (numbers, version) = bytes.split_first_chunk::<8>().expect("longer");
        let number =
            |from: usize| u32::from_le_bytes(numbers[from..from + 4].try_into().expect("four bytes"));
        let version = blake3::Hash::from_slice(version).expect("the rest is a hash");
        Self { rank: number(0), count: number(4), version }
    }
}

/// Why a rank is not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// Who answers is no rank 0 of ours.
    Stranger,
    /// The secret is another.
    Secret,
    /// What rank 0 says.
    Because(String),
    /// The connection ends.
    Lost(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

/// What is proven: who proves it, both numbers, and the claim.
fn said(role: &[u8], [theirs, own]: [&[u8; NONCE]; 2], claim: &[u8; CLAIM]) -> Vec<u8> {
    [role, theirs, own, claim].concat()
}

/// As rank 0: who has come, if they know the secret, and `judge` says why not to take them.
///
/// # Errors
/// That they do not know it, or are gone.
pub(super) fn receive(
    stream: &TcpStream,
    secret: &Secret,
    judge: impl FnOnce(&Claim) -> std::result::Result<(), String>,
) -> std::result::Result<(Claim, Option<String>), Refused> {
    let mut wire = Wire { stream, until: Instant::now() + TIME };
    let (greeting, theirs) = (wire.take::<{ GREETING.len() }>()?, wire.take::<NONCE>()?);
    if greeting != *GREETING {
        return Err(Refused::Stranger);
    }
    let own: [u8; NONCE] = rand::random();
    wire.say(&[GREETING, &own])?;
    let (claim, proof) = (wire.take::<CLAIM>()?, wire.take::<PROOF>()?);
    // In constant time: hashes are compared so.
    if blake3::Hash::from_bytes(proof) != secret.proof(&said(b"a rank", [&own, &theirs], &claim)) {
        return Err(Refused::Secret);
    }
    let proof = secret.proof(&said(b"rank 0", [&theirs, &own], &claim));
    let claim = Claim::from_bytes(&claim);
    let why = judge(&claim).err();
    let mut answer = why.clone().unwrap_or_default();
    answer.truncate(answer.floor_char_boundary(LONGEST));
    wire.say(&[proof.as_bytes(), &(answer.len() as u16).to_le_bytes(), answer.as_bytes()])?;
    Ok((claim, why))
}

/// As another rank.
///
/// # Errors
/// Why rank 0 does not take it.
pub(super) fn send(stream: &TcpStream, secret: &Secret, claim: Claim) -> std::result::Result<(), Refused> {
    let mut wire = Wire { stream, until: Instant::now() + TIME };
    let own: [u8; NONCE] = rand::random();
    wire.say(&[GREETING, &own])?;
    // Rank 0 may have others to look at first.
    wire.until += TIME;
    if wire.take::<{ GREETING.len() }>()? != *GREETING {
        return Err(Refused::Stranger);
    }
    let theirs = wire.take::<NONCE>()?;
    let claim = claim.to_bytes();
    let proof = secret.proof(&said(b"a rank", [&theirs, &own], &claim));
    wire.say(&[&claim, proof.as_bytes()])?;
    let proof = match wire.take::<PROOF>() {
        Err(error) if is_end(&error) => return Err(Refused::Secret),
        proof => proof?,
    };
    if blake3::Hash::from_bytes(proof) != secret.proof(&said(b"rank 0", [&own, &theirs], &claim)) {
        return Err(Refused::Secret);
    }
    let length = usize::from(u16::from_le_bytes(wire.take::<2>()?));
    let mut answer = vec![0; length.min(LONGEST)];
    wire.fill(&mut answer)?;
    match answer.is_empty() {
        true => Ok(()),
        false => Err(Refused::Because(String::from_utf8_lossy(&answer).into_owned())),
    }
}

/// Whether the other end has closed the connection.
fn is_end(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// A connection until a moment.
struct Wire<'a> {
    stream: &'a TcpStream,
    until: Instant,
}

impl Wire<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes).map(|()| bytes)
    }

    fn fill(&mut self, mut bytes: &mut [u8]) -> Result<()> {
        while !bytes.is_empty() {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(bytes) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => bytes = &mut bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn say(&mut self, parts: &[&[u8]]) -> Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write_all(&parts.concat())
    }

    fn left(&self) -> Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}
