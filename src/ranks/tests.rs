//! Ranks as threads of one process, and strangers at rank 0's door.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::link::Link;
use super::place::Place;
use super::secret::Secret;
use super::share::{Share, share, sum, sum_at_the_end};
use super::*;

const SECRET: &str = "a secret of these tests";

fn secret() -> Secret {
    Secret::of(SECRET).unwrap()
}

fn place(rank: usize, count: usize, port: u16) -> Place {
    Place { rank, count, host: "127.0.0.1".into(), port }
}

fn soon() -> Patience {
    Patience { join: Duration::from_secs(20), ..Patience::default() }
}

/// What each of so many ranks makes of its work, in their order.
pub(crate) fn together<T: Send>(count: usize, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    with_patience(count, soon(), work)
}

fn with_patience<T: Send>(count: usize, patience: Patience, work: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let door = Door::on_this_machine().unwrap();
    let port = door.port();
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..count)
            .map(|rank| {
                scope.spawn(move || {
                    work(enter(&place(rank, count, port), &secret(), patience, &mut || Ok(())).unwrap())
                })
            })
            .collect();
        let first = work(door.admit(count, &secret(), patience, &|_| (), &mut || Ok(())).unwrap());
        std::iter::once(first).chain(others.into_iter().map(|it| it.join().unwrap())).collect()
    })
}

/// What rank 0 says of what comes to its door, and its warnings.
fn at_the_door(come: impl FnOnce(u16)) -> (Result<Ranks>, Vec<String>) {
    let (door, warnings) = (Door::on_this_machine().unwrap(), Mutex::new(Vec::new()));
    let port = door.port();
    let admitted = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let warn = |text: &str| warnings.lock().unwrap().push(text.to_owned());
            door.admit(2, &secret(), soon(), &warn, &mut || Ok(()))
        });
        come(port);
        waiting.join().unwrap()
    });
    (admitted, warnings.into_inner().unwrap())
}

fn message<T>(result: Result<T>) -> (i32, String) {
    match result {
        Ok(_) => panic!("it went well"),
        Err(error) => (error.exit_code(), error.to_string()),
    }
}

#[test]
fn a_sum_is_taken_in_the_order_of_the_ranks_and_is_the_same_on_all() {
    // In f32 1e8 + 1 is 1e8, so that another order gives 1; more values than two frames hold.
    let sums = together(3, |ranks| {
        let mut values = vec![[1e8f32, 1.0, -1e8][ranks.rank()]; 600_001];
        values[7] = ranks.rank() as f32;
        ranks.sum(&mut values);
        ranks.check().unwrap();
        values
    });
    for values in &sums {
        assert_eq!((values[0], values[7], values[600_000]), (0.0, 3.0, 0.0));
        assert!(values == &sums[0]);
    }
}

#[test]
fn everyone_hears_what_everyone_says() {
    let heard = together(3, |ranks| {
        let own = vec![ranks.rank() as u8; ranks.rank() * 700_000];
        let all = ranks.gather(own).unwrap();
        let first = ranks.from_first(|| vec![ranks.rank() as u8; 3 << 20]).unwrap();
        let values = ranks.gather_values(vec![ranks.rank() as f32; 2]).unwrap();
        ranks.end(&Ok(()));
        (all, first.len(), values)
    });
    for (all, first, values) in heard {
        assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [0, 700_000, 1_400_000]);
        assert!(all[2].iter().all(|&byte| byte == 2));
        assert_eq!(first, 3 << 20);
        assert_eq!(values, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
    }
}

#[test]
fn stretches_of_the_ranks_are_the_whole_in_whole_pieces() {
    let items: Vec<usize> = (0..70).collect();
    let of = |rank| Ranks::new(rank, 3, Vec::new()).stretch_of(&items, 32).to_vec();
    assert_eq!([of(0).len(), of(1).len(), of(2).len()], [32, 32, 6]);
    assert_eq!([of(0), of(1), of(2)].concat(), items);
    assert_eq!(Ranks::alone().stretch_of(&items, 32), items);
}

#[test]
fn what_differs_between_ranks_is_named_and_ends_all() {
    let ends = together(3, |ranks| {
        let hash = |text: &str| blake3::hash(text.as_bytes());
        ranks.agree(&[("a recipe", hash("one"))]).unwrap();
        let own = if ranks.rank() == 2 { "other" } else { "same" };
        message(ranks.agree(&[("words", hash("w")), ("labels", hash(own))]))
    });
    for end in ends {
        assert_eq!(end, (2, "rank 2 has labels other than rank 0's; all ranks need the same".into()));
    }
}

#[test]
fn a_rank_that_fails_ends_all_with_its_message_and_exit_code() {
    let ends = together(3, |ranks| {
        if ranks.rank() == 1 {
            ranks.end(&Err::<(), _>(Error::Data("broken.jpg: no image".into())));
            return (3, String::new());
        }
        let end = message(ranks.gather(Vec::new()));
        assert_eq!(message(ranks.check()), end, "it stays ended");
        ranks.end(&Err::<(), _>(ranks.check().unwrap_err()));
        end
    });
    for end in [&ends[0], &ends[2]] {
        assert_eq!(*end, (3, "rank 1 ended: broken.jpg: no image".into()));
    }
}

#[test]
fn a_rank_that_is_stopped_stops_all() {
    let ends = together(2, |ranks| {
        if ranks.rank() == 1 {
            ranks.end(&Err::<(), _>(Error::Stopped));
            return true;
        }
        matches!(ranks.gather(Vec::new()), Err(Error::Stopped))
    });
    assert_eq!(ends, [true, true]);
}

#[test]
fn a_rank_that_goes_without_a_word_is_lost_and_named() {
    let ends = together(3, |ranks| {
        if ranks.rank() == 2 {
            return (75, String::new());
        }
        let mut values = vec![1.0; 3_000_000];
        ranks.sum(&mut values);
        let end = message(ranks.check());
        ranks.end(&Err::<(), _>(ranks.check().unwrap_err()));
        end
    });
    for (code, said) in &ends[..2] {
        assert_eq!(*code, 75);
        assert!(said.starts_with("rank 2 is lost: its connection is closed; the last checkpoint"), "{said}");
    }
}

#[test]
fn a_rank_that_computes_for_long_is_not_lost_and_one_that_is_silent_is() {
    let beat = Duration::from_millis(50);
    let patience = Patience { beat, silence: 10 * beat, ..soon() };
    let counts = with_patience(2, patience, |ranks| {
        if ranks.rank() == 1 {
            std::thread::sleep(30 * beat);
        }
        ranks.gather(Vec::new()).unwrap().len()
    });
    assert_eq!(counts, [2, 2]);
    let silent = Patience { beat: Duration::from_secs(60), silence: 10 * beat, ..soon() };
    let begin = Instant::now();
    let ends = with_patience(2, silent, |ranks| match ranks.rank() {
        0 => message(ranks.gather(Vec::new())),
        _ => {
            std::thread::sleep(20 * beat);
            (75, String::new())
        }
    });
    assert!(ends[0].1.starts_with("rank 1 is lost: it has said nothing for 0.5 seconds"), "{ends:?}");
    // Dropping a rank ends its signs of life at once.
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
}

#[test]
fn ranks_that_take_other_ways_are_told_so() {
    let ends = together(2, |ranks| match ranks.rank() {
        0 => message(ranks.gather_values(vec![0.0; 3])),
        _ => {
            let mut values = [0.0; 2];
            ranks.sum(&mut values);
            ranks.sum(&mut values);
            (1, String::new())
        }
    });
    assert_eq!(ends[0], (1, "rank 1 is at another place of the training than the others".into()));
}

#[test]
fn who_does_not_know_the_secret_is_told_of_and_waited_on_for_nothing() {
    let (ranks, warnings) = at_the_door(|port| {
        let other = Secret::of("another secret of tests").unwrap();
        let refused = message(enter(&place(1, 2, port), &other, soon(), &mut || Ok(())));
        assert_eq!(refused, (2, format!("rank 0 at 127.0.0.1:{port} has another secret than rank 1")));
        drop(enter(&place(1, 2, port), &secret(), soon(), &mut || Ok(())).unwrap());
    });
    assert_eq!(ranks.unwrap().count(), 2);
    assert_eq!(warnings, ["who came from 127.0.0.1 as a rank does not know the secret"]);
}

#[test]
fn strangers_and_what_they_send_are_nothing_to_rank_0() {
    let (ranks, warnings) = at_the_door(|port| {
        for garbage in
            [&b"GET / HTTP/1.1\r\nHost: rank-0.example.org\r\nAccept: */*\r\n\r\n"[..], &[0; 200], b""]
        {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(garbage).unwrap();
            drop(stream.shutdown(std::net::Shutdown::Write));
            let mut answer = Vec::new();
            // It may be closed before all was read.
            let _ = stream.read_to_end(&mut answer);
            assert!(answer.is_empty(), "{answer:?}");
        }
        drop(enter(&place(1, 2, port), &secret(), soon(), &mut || Ok(())).unwrap());
    });
    assert!(ranks.is_ok() && warnings.is_empty(), "{warnings:?}");
}

#[test]
fn who_heard_another_handshake_cannot_say_it_again() {
    let (_, warnings) = at_the_door(|port| {
        // Between rank 1 and rank 0, hearing all.
        let between = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let own = between.local_addr().unwrap().port();
        let heard = std::thread::spawn(move || {
            let (mut rank, _) = between.accept().unwrap();
            let mut first = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut heard = Vec::new();
            for (of_rank, of_first) in [(48, 48), (72, 34)] {
                let (mut said, mut answer) = (vec![0; of_rank], vec![0; of_first]);
                rank.read_exact(&mut said).unwrap();
                first.write_all(&said).unwrap();
                first.read_exact(&mut answer).unwrap();
                rank.write_all(&answer).unwrap();
                heard.extend(said);
            }
            heard
        });
        drop(enter(&place(1, 2, own), &secret(), soon(), &mut || Ok(())));
        let heard = heard.join().unwrap();
        let (_, warnings) = at_the_door(|port| {
            let mut again = TcpStream::connect(("127.0.0.1", port)).unwrap();
            again.write_all(&heard).unwrap();
            let mut answer = Vec::new();
            let _ = again.read_to_end(&mut answer);
            assert_eq!(answer.len(), 48, "a greeting and no proof");
            drop(enter(&place(1, 2, port), &secret(), soon(), &mut || Ok(())).unwrap());
        });
        assert_eq!(warnings.len(), 1);
    });
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn ranks_of_another_training_are_refused_on_both_sides() {
    for (rank, count, why) in [
        (1, 3, "rank 1 says that there are 3 ranks, and rank 0 that there are 2"),
        (0, 2, "there is no rank 0 of 2 to come"),
        (2, 2, "there is no rank 2 of 2 to come"),
    ] {
        let (ranks, _) = at_the_door(|port| {
            let refused = message(enter(&place(rank, count, port), &secret(), soon(), &mut || Ok(())));
            assert_eq!(refused, (2, why.to_owned()));
        });
        assert_eq!(message(ranks), (2, why.to_owned()));
    }
}

#[test]
fn waiting_ends_in_time_or_when_it_is_asked_to() {
    let short = Patience { join: Duration::from_millis(50), ..Patience::default() };
    let door = Door::on_this_machine().unwrap();
    let port = door.port();
    let late = message(door.admit(3, &secret(), short, &|_| (), &mut || Ok(())));
    assert_eq!(late, (4, "rank 1, rank 2 did not come within 0.05 seconds".into()));
    // The door is closed now.
    let (code, said) = message(enter(&place(1, 3, port), &secret(), short, &mut || Ok(())));
    assert_eq!(code, 4);
    assert!(said.contains("cannot reach rank 0 within 0.05 seconds: nobody answers"), "{said}");
    let asked = message(
        Door::on_this_machine().unwrap().admit(2, &secret(), soon(), &|_| (), &mut || Err(Error::Stopped)),
    );
    assert_eq!(asked.0, 75);
}

/// A connection to rank 5, and its other end, which sends as it likes.
fn link() -> (Link, TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Link::new(5, listener.accept().unwrap().0, soon()).unwrap(), other)
}

#[test]
fn frames_that_are_none_of_ours_end_a_connection_and_take_no_memory() {
    for (frame, why) in [
        (
            &[1, 255, 255, 255, 255][..],
            "rank 5 is lost: it sent a frame of 4294967295 bytes, which is none of ours",
        ),
        (&[9, 0, 0, 0, 0], "rank 5 is at another place"),
        (&[1, 3, 0, 0, 0, 1, 2, 3], "rank 5 is at another place"),
        (&[2, 0, 0, 0, 0], "rank 5 is at another place"),
        (&[2, 1, 0, 0, 0, 0], "rank 5 is at another place"),
        (&[2, 2, 0, 0, 0, 2, 7], "rank 5 is at another place"),
        (&[1, 200, 0, 0, 0, 1], "rank 5 is lost: its connection is closed"),
    ] {
        let (link, mut other) = link();
        other.write_all(frame).unwrap();
        drop(other);
        let said = link.receive(1).unwrap_err().error().to_string();
        assert!(said.starts_with(why), "{frame:?}: {said}");
    }
}

#[test]
fn a_message_that_says_it_is_longer_than_it_is_is_refused() {
    let (link, mut other) = link();
    // Exchange 1, of 2^60 bytes, of which none come.
    let frame = [&[1, 16, 0, 0, 0][..], &1u64.to_le_bytes(), &(1u64 << 60).to_le_bytes()].concat();
    other.write_all(&[&frame[..], &frame].concat()).unwrap();
    assert!(link.receive(1).unwrap_err().error().to_string().contains("another place"));
}

#[test]
fn a_step_knows_its_share_and_what_does_not_count_adds_nothing() {
    let seen = together(3, |ranks| {
        let of = Share::of(ranks.rank(), 3, 2);
        let step = || {
            let mut values = [1.0, 10.0];
            sum(&mut values);
            (share().unwrap().places, values, sum_at_the_end(vec![1.0]))
        };
        let asked = |rank| ranks.within(of.clone(), || ranks.rank() == rank, step).unwrap();
        (asked(0), asked(7).1)
    });
    for (((places, values, last), stop), none_asked) in &seen {
        assert_eq!((values, &last[..], *stop, *none_asked), (&[2.0, 20.0], &[2.0][..], true, false));
        assert!(places.len() == 1);
    }
    assert_eq!(seen[2].0.0.0, 1..2);
    assert!(share().is_none());
}
