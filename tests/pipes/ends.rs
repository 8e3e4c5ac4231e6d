//! Disconnection: which processes observe that the other side has ended.

use super::flow::numbers;
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::shared::{PassedEnds, Shared};
use nix::sys::signal::Signal;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "receivers_drain_items_of_killed_sender",
            receivers_drain_items_of_killed_sender,
        ),
        Test::new(
            "sleeping_receivers_observe_death_of_last_sender",
            sleeping_receivers_observe_death_of_last_sender,
        ),
        Test::new("senders_observe_death_of_last_receiver", || {
            senders_observe_death_of_last_receiver("ignored");
        }),
        Test::new(
            "sender_with_default_sigpipe_observes_death_of_last_receiver",
            || {
                senders_observe_death_of_last_receiver("default");
            },
        ),
        Test::new(
            "receiver_with_its_own_sending_end_hangs",
            receiver_with_its_own_sending_end_hangs,
        ),
    ]
}

/// Returns the next line from an actor. Panics after a timeout.
pub fn reply(actor: &mut Actor) -> String {
    let deadline = Instant::now() + TIMEOUT;
    actor
        .reply(deadline)
        .unwrap_or_else(|problem| panic!("{problem}"))
}

/// Waits until the actor blocks on a pipe: in a poll, or in a read or write without a deadline.
pub fn wait_until_blocked(actor: &Actor) {
    let deadline = Instant::now() + TIMEOUT;
    while !is_blocked_on_pipe(actor) {
        assert!(
            Instant::now() < deadline,
            "the actor does not block on a pipe: {}",
            actor.kernel_state()
        );
        std::thread::yield_now();
    }
}

/// Returns whether the actor is blocked on a pipe. Standard input and output are also pipes, but
/// are ignored.
fn is_blocked_on_pipe(actor: &Actor) -> bool {
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
    let mut sender = shared.start(PassedEnds::Writer, &["send", "small", "0", count]);
    assert_eq!(reply(&mut sender), "sent");
    sender
}

fn receivers_drain_items_of_killed_sender() {
    let mut shared = Shared::new(4096);
    let sender = start_sender(&shared, "400");
    sender.signal(Signal::SIGKILL);
    let mut receivers = [(); 2].map(|()| shared.start(PassedEnds::Reader, &["receive", "small"]));
    shared.close();
    let mut all: Vec<u64> = receivers
        .iter_mut()
        .flat_map(|receiver| numbers(&reply(receiver)))
        .collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..400), "each item arrives once");
}

fn sleeping_receivers_observe_death_of_last_sender() {
    let mut shared = Shared::new(4096);
    let mut receivers = [(); 2].map(|()| shared.start(PassedEnds::Reader, &["receive", "small"]));
    let sender = start_sender(&shared, "3");
    shared.close();
    receivers.iter().for_each(wait_until_blocked);
    sender.signal(Signal::SIGKILL);
    let mut all: Vec<u64> = receivers
        .iter_mut()
        .flat_map(|receiver| numbers(&reply(receiver)))
        .collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2]);
}

/// Two senders sleep because the pipe is full. Both observe the death of the last receiver.
fn senders_observe_death_of_last_receiver(action: &str) {
    let mut shared = Shared::new(4096);
    let mut reader = shared.start(PassedEnds::Reader, &["hold"]);
    assert_eq!(reply(&mut reader), "open");
    let senders = [(); 2].map(|()| shared.start(PassedEnds::Writer, &["fill", action]));
    shared.close();
    senders.iter().for_each(wait_until_blocked);
    reader.signal(Signal::SIGKILL);
    for mut sender in senders {
        assert_eq!(reply(&mut sender), "Some(Disconnected(..))");
        let ended = sender.end(Instant::now() + TIMEOUT);
        assert_eq!(ended, Ok(()), "no signal ended the sender");
    }
}

/// A classic mistake: the stream does not end while the receiver itself keeps a sending end open.
fn receiver_with_its_own_sending_end_hangs() {
    let mut shared = Shared::new(4096);
    let mut receiver = shared.start(PassedEnds::Both, &["forget"]);
    let sender = start_sender(&shared, "1");
    shared.close();
    sender.signal(Signal::SIGKILL);
    assert_eq!(reply(&mut receiver), "Ok(0)");
    assert_eq!(
        reply(&mut receiver),
        "hangs",
        "although no other process can send"
    );
    receiver.tell("close");
    assert_eq!(reply(&mut receiver), "Err(Disconnected)");
}
