//! A connection between two ranks: whole messages, signs of life, and how it ended.
//!
//! A frame is a byte that says what it is, four that say how long it is, and so many bytes. A thread of its own reads
//! them, so that a rank that computes for long never lets another wait to send.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::Error;
use crate::ranks::Patience;

/// Bytes of a message that one frame carries: the sum of one is computed while the next is on its way.
const CHUNK: usize = 1 << 20;
/// The number of the exchange and the length of the whole message, before each part of it.
const HEAD: usize = 16;
/// Bytes of a frame; what is longer is none of ours.
const LARGEST: usize = CHUNK + HEAD;
/// Bytes of what a rank says when it ends.
const LAST_WORDS: usize = 4096;

const ALIVE: u8 = 0;
const DATA: u8 = 1;
const PARTING: u8 = 2;

/// How a rank ended, and so all do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parting {
    /// Its work is done.
    Done,
    /// It was asked to stop.
    Stopped,
    /// Something went wrong, with the exit code of that.
    Failed { code: i32, message: String },
}

/// The exit code where the same command may go on from the last checkpoint.
const AGAIN: i32 = 75;

impl Parting {
    /// Of the rank whose work ended with this error.
    pub(super) fn of(rank: usize, error: &Error) -> Self {
        match error {
            Error::Stopped | Error::Interrupted { .. } => Self::Stopped,
            error => Self::Failed { code: error.exit_code(), message: format!("rank {rank} ended: {error}") },
        }
    }

    /// Without a word, such as when it is killed.
    pub(super) fn lost(rank: usize, why: &str) -> Self {
        let message = format!(
            "rank {rank} is lost: {why}; the last checkpoint is whole: run the same command with --resume to continue"
        );
        Self::Failed { code: AGAIN, message }
    }

    /// It sends what is not expected now.
    pub(super) fn confused(rank: usize) -> Self {
        let message = format!("rank {rank} is at another place of the training than the others");
        Self::Failed { code: 1, message }
    }

    /// It has something else than rank 0.
    pub(super) fn differs(rank: usize, name: &str) -> Self {
        let message = format!("rank {rank} has {name} other than rank 0's; all ranks need the same");
        Self::Failed { code: 2, message }
    }

    /// What the ranks that are left end with.
    pub(super) fn error(&self) -> Error {
        match self {
            Self::Done => Self::confused(0).error(),
            Self::Stopped => Error::Stopped,
            Self::Failed { code, message } => Error::Rank { code: *code, message: message.clone() },
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Done => vec![0],
            Self::Stopped => vec![1],
            Self::Failed { code, message } => {
                let end = message.floor_char_boundary(LAST_WORDS);
                [&[2], &code.to_le_bytes()[..], &message.as_bytes()[..end]].concat()
            }
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        match (kind, rest.split_first_chunk::<4>()) {
            (0, None) => Some(Self::Done),
            (1, None) => Some(Self::Stopped),
            (2, Some((code, message))) => {
                let message = String::from_utf8_lossy(message).into_owned();
                Some(Self::Failed { code: i32::from_le_bytes(*code), message })
            }
            _ => None,
        }
    }
}

/// What comes from the other end.
enum Incoming {
    Data(Vec<u8>),
    Parting(Parting),
}

/// A connection to the rank `rank`. Dropping it closes it.
#[derive(Debug)]
pub(super) struct Link {
    rank: usize,
    stream: Arc<Mutex<TcpStream>>,
    incoming: Mutex<Receiver<Incoming>>,
    /// Ends the signs of life.
    quiet: Option<Sender<()>>,
    beating: Option<JoinHandle<()>>,
}

impl Link {
    /// From here on both ends send frames alone.
    pub(super) fn new(rank: usize, stream: TcpStream, patience: Patience) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience.silence))?;
        stream.set_write_timeout(Some(patience.silence))?;
        let (reading, (say, incoming)) = (stream.try_clone()?, channel());
        // Ends when the connection does.
        std::thread::spawn(move || read_all(rank, reading, patience, &say));
        let stream = Arc::new(Mutex::new(stream));
        let (quiet, asked) = channel();
        let writing = stream.clone();
        let beating = std::thread::spawn(move || {
            while asked.recv_timeout(patience.beat) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // Whoever waits for this rank notices a connection that is closed.
                let _ = write_frame(&writing, frame(ALIVE, &[]));
            }
        });
        Ok(Self { rank, stream, incoming: Mutex::new(incoming), quiet: Some(quiet), beating: Some(beating) })
    }

    /// Sends a message as part of the exchange `number`.
    pub(super) fn send(&self, number: u64, message: &[u8]) -> Result<(), Parting> {
        let mut chunks = message.chunks(CHUNK);
        // An empty message is one frame too.
        let first = chunks.next().unwrap_or_default();
        let total = message.len() as u64;
        std::iter::once(first).chain(chunks).try_for_each(|chunk| self.send_part(number, total, chunk))
    }

    /// The message of the exchange `number`.
    pub(super) fn receive(&self, number: u64) -> Result<Vec<u8>, Parting> {
        let (total, mut message) = self.receive_part(number)?;
        while (message.len() as u64) < total {
            let (again, part) = self.receive_part(number)?;
            if again != total || part.is_empty() {
                return Err(Parting::confused(self.rank));
            }
            message.extend(part);
        }
        if message.len() as u64 == total { Ok(message) } else { Err(Parting::confused(self.rank)) }
    }

    fn send_part(&self, number: u64, total: u64, part: &[u8]) -> Result<(), Parting> {
        let frame = frame(DATA, &[&number.to_le_bytes(), &total.to_le_bytes(), part]);
        // Why it ended may be on its way; else the reader says that it is lost.
        if write_frame(&self.stream, frame).is_err() {
            let _ = lock(&self.stream).shutdown(Shutdown::Write);
            return Err(self.parting());
        }
        Ok(())
    }

    fn receive_part(&self, number: u64) -> Result<(u64, Vec<u8>), Parting> {
        let frame = match lock(&self.incoming).recv() {
            Ok(Incoming::Data(frame)) => frame,
            Ok(Incoming::Parting(parting)) => return Err(self.ended(parting)),
            Err(_) => return Err(Parting::lost(self.rank, "its connection is closed")),
        };
        let head = frame.first_chunk::<HEAD>().ok_or(Parting::confused(self.rank))?;
        let (of, total) = head.split_at(8);
        let whole = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        if whole(of) != number {
            return Err(Parting::confused(self.rank));
        }
        Ok((whole(total), frame[HEAD..].to_vec()))
    }

    /// How the other end ended, past what it sent before.
    fn parting(&self) -> Parting {
        let incoming = lock(&self.incoming);
        loop {
            match incoming.recv() {
                Ok(Incoming::Data(_)) => {}
                Ok(Incoming::Parting(parting)) => return self.ended(parting),
                Err(_) => return Parting::lost(self.rank, "its connection is closed"),
            }
        }
    }

    /// Nobody is done while another has something to exchange.
    fn ended(&self, parting: Parting) -> Parting {
        if parting == Parting::Done { Parting::confused(self.rank) } else { parting }
    }

    /// Tells the other end that nothing more comes.
    pub(super) fn part(&self, parting: &Parting) {
        // Who is gone need not know.
        let _ = write_frame(&self.stream, frame(PARTING, &[&parting.to_bytes()]));
        let _ = lock(&self.stream).shutdown(Shutdown::Write);
    }

    /// Waits until the other end has said that nothing more comes, or is gone.
    pub(super) fn wait_for_parting(&self) {
        let incoming = lock(&self.incoming);
        while let Ok(Incoming::Data(_)) = incoming.recv() {}
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.quiet.take();
        if let Some(beating) = self.beating.take() {
            let _ = beating.join();
        }
        let _ = lock(&self.stream).shutdown(Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sums the values of all ranks in their order, as rank 0, and tells each of the others, part by part.
pub(super) fn add_up(links: &[Link], number: u64, values: &mut [f32]) -> Result<(), Parting> {
    let total = size_of_val(values) as u64;
    for part in values.chunks_mut(CHUNK / size_of::<f32>()) {
        for link in links {
            let (said, bytes) = link.receive_part(number)?;
            let (theirs, rest) = bytes.as_chunks::<4>();
            if said != total || theirs.len() != part.len() || !rest.is_empty() {
                return Err(Parting::confused(link.rank));
            }
            part.iter_mut().zip(theirs).for_each(|(value, other)| *value += f32::from_le_bytes(*other));
        }
        let bytes = to_bytes(part);
        links.iter().try_for_each(|link| link.send_part(number, total, &bytes))?;
    }
    Ok(())
}

/// The same, as another rank: the values go to rank 0, and the sums come back in their place.
pub(super) fn have_added_up(first: &Link, number: u64, values: &mut [f32]) -> Result<(), Parting> {
    let total = size_of_val(values) as u64;
    for part in values.chunks(CHUNK / size_of::<f32>()) {
        first.send_part(number, total, &to_bytes(part))?;
    }
    for part in values.chunks_mut(CHUNK / size_of::<f32>()) {
        let (said, bytes) = first.receive_part(number)?;
        let (sums, rest) = bytes.as_chunks::<4>();
        if said != total || sums.len() != part.len() || !rest.is_empty() {
            return Err(Parting::confused(first.rank));
        }
        part.iter_mut().zip(sums).for_each(|(value, sum)| *value = f32::from_le_bytes(*sum));
    }
    Ok(())
}

fn to_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(5 + length);
    frame.push(kind);
    frame.extend((length as u32).to_le_bytes());
    parts.iter().for_each(|part| frame.extend(*part));
    frame
}

fn write_frame(stream: &Mutex<TcpStream>, frame: Vec<u8>) -> std::io::Result<()> {
    lock(stream).write_all(&frame)
}

/// Reads frames until the other end says that it ends, or nothing any more.
fn read_all(rank: usize, mut stream: TcpStream, patience: Patience, say: &Sender<Incoming>) {
    loop {
        let (incoming, goes_on) = match read_frame(&mut stream) {
            Ok((ALIVE, _)) => continue,
            Ok((DATA, bytes)) => (Incoming::Data(bytes), true),
            Ok((PARTING, bytes)) => {
                let parting = Parting::from_bytes(&bytes).unwrap_or(Parting::confused(rank));
                (Incoming::Parting(parting), false)
            }
            Ok(_) => (Incoming::Parting(Parting::confused(rank)), false),
            Err(error) => (Incoming::Parting(Parting::lost(rank, &why(&error, patience))), false),
        };
        // Nobody listens any more, or nothing comes any more.
        if say.send(incoming).is_err() || !goes_on {
            return;
        }
    }
}

fn why(error: &std::io::Error, patience: Patience) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("it has said nothing for {} seconds", patience.silence.as_secs_f64())
        }
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "its connection is closed".into()
        }
        _ => error.to_string(),
    }
}

/// What a frame is, and what is in it.
fn read_frame(stream: &mut impl Read) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head)?;
    let [kind, length @ ..] = head;
    let length = u32::from_le_bytes(length) as usize;
    if length > LARGEST {
        return Err(std::io::Error::other(format!(
            "it sent a frame of {length} bytes, which is none of ours"
        )));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok((kind, bytes))
}
