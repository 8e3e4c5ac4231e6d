//! Who hears that the other side has gone, and who does not.

use super::flow::numbers;
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::shared::{Gets, Shared};
use nix::sys::signal::Signal;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "receivers_drain_what_a_killed_sender_has_sent",
            killed_sender_is_drained,
        ),
        Test::new(
            "sleeping_receivers_hear_that_the_last_sender_was_killed",
            killed_sender_is_heard,
        ),
        Test::new("senders_hear_that_the_last_receiver_was_killed", || {
            killed_receiver_is_heard("ignored");
        }),
        Test::new(
            "a_sender_whose_sigpipe_is_at_its_default_lives_and_hears_too",
            || {
                killed_receiver_is_heard("default");
            },
        ),
        Test::new(
            "a_receiver_that_keeps_its_own_sending_end_hangs",
            forgotten_end,
        ),
    ]
}

/// The next line of an actor.
pub fn said(actor: &mut Actor) -> String {
    let deadline = Instant::now() + TIMEOUT;
    actor
        .reply(deadline)
        .unwrap_or_else(|problem| panic!("{problem}"))
}

/// Waits until it waits for a pipe: in a poll, or where there is no deadline in the read or write itself.
pub fn until_it_waits(actor: &Actor) {
    let deadline = Instant::now() + TIMEOUT;
    while !waits_for_a_pipe(actor) {
        assert!(
            Instant::now() < deadline,
            "it does not wait for a pipe: {}",
            actor.stands()
        );
        std::thread::yield_now();
    }
}

/// Standard input and output are pipes too, but not those that are tested.
fn waits_for_a_pipe(actor: &Actor) -> bool {
    let call = format!("/proc/{}/syscall", actor.pid());
    let call = std::fs::read_to_string(call).unwrap_or_default();
    let mut words = call.split_whitespace();
    let number: Option<i64> = words.next().and_then(|word| word.parse().ok());
    match number {
        Some(libc::SYS_poll | libc::SYS_ppoll) => true,
        Some(libc::SYS_read | libc::SYS_write | libc::SYS_pwritev2) => {
            !["0x0", "0x1", "0x2"].map(Some).contains(&words.next())
        }
        _ => false,
    }
}

fn start_sender(shared: &Shared, count: &str) -> Actor {
    let mut sender = shared.start(Gets::Writer, &["send", "small", "0", count]);
    assert_eq!(said(&mut sender), "sent");
    sender
}

fn killed_sender_is_drained() {
    let mut shared = Shared::new(4096);
    let sender = start_sender(&shared, "400");
    sender.signal(Signal::SIGKILL);
    let mut receivers = [(); 2].map(|()| shared.start(Gets::Reader, &["receive", "small"]));
    shared.close();
    let mut all: Vec<u64> = receivers
        .iter_mut()
        .flat_map(|one| numbers(&said(one)))
        .collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..400), "each once");
}

fn killed_sender_is_heard() {
    let mut shared = Shared::new(4096);
    let mut receivers = [(); 2].map(|()| shared.start(Gets::Reader, &["receive", "small"]));
    let sender = start_sender(&shared, "3");
    shared.close();
    receivers.iter().for_each(until_it_waits);
    sender.signal(Signal::SIGKILL);
    let mut all: Vec<u64> = receivers
        .iter_mut()
        .flat_map(|one| numbers(&said(one)))
        .collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2]);
}

/// Two senders asleep before a full pipe.
fn killed_receiver_is_heard(action: &str) {
    let mut shared = Shared::new(4096);
    let mut holder = shared.start(Gets::Reader, &["hold"]);
    assert_eq!(said(&mut holder), "holds");
    let senders = [(); 2].map(|()| shared.start(Gets::Writer, &["fill", action]));
    shared.close();
    senders.iter().for_each(until_it_waits);
    holder.signal(Signal::SIGKILL);
    for mut sender in senders {
        assert_eq!(said(&mut sender), "Some(Disconnected(..))");
        let ended = sender.end(Instant::now() + TIMEOUT);
        assert_eq!(ended, Ok(()), "no signal has ended it");
    }
}

/// The classic trap: the stream has no end as long as the receiver itself could send.
fn forgotten_end() {
    let mut shared = Shared::new(4096);
    let mut receiver = shared.start(Gets::Both, &["forget"]);
    let sender = start_sender(&shared, "1");
    shared.close();
    sender.signal(Signal::SIGKILL);
    assert_eq!(said(&mut receiver), "Ok(0)");
    assert_eq!(
        said(&mut receiver),
        "hangs",
        "although nobody else can send"
    );
    receiver.tell("close");
    assert_eq!(said(&mut receiver), "Err(Disconnected)");
}
