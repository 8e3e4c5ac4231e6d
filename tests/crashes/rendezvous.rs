//! Items that pass from hand to hand, and places that are lent, while the process that has them in its hand
//! is killed.

use super::actor::{find, say};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::channel::SendTimeoutError;
use interlatch::channel::Unregistered;
use interlatch::channel::{RecvTimeoutError, TurnSlot};
use interlatch::sync::Timeout;
use interlatch::{Channel, Receiver, Region, Rendezvous, RobustBoundedBuffer};
use nix::sys::signal::Signal::SIGKILL;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "the_item_of_a_sender_that_is_killed_is_withdrawn",
            withdraws,
        ),
        Test::new(
            "what_a_killed_receiver_has_not_acknowledged_is_for_the_next_one",
            redelivers,
        ),
        Test::new("two_waiting_receivers_get_one_item_each", gives_to_both),
        Test::new("who_accepts_keeps_no_item_from_one_who_waits", asks_next),
        Test::new("a_killed_holder_of_a_loan_gives_it_back", gives_back),
        Test::new("a_killed_reader_leaves_what_it_has_borrowed", leaves),
    ]
}

/// So long that no test waits for it.
const NEVER: Duration = Duration::from_secs(3600);

type Meeting = Rendezvous<u64>;
type Places = RobustBoundedBuffer<u64, [TurnSlot<u64>; 1]>;

fn region() -> (Region, Instant) {
    let region = Region::memfd("rendezvous", 1 << 14).expect("a region");
    (region, Instant::now() + TIMEOUT)
}

/// An actor that has said where it is.
fn actor(region: &Region, part: &str, deadline: Instant) -> Actor {
    let mut actor = Actor::start(region, &[format!("rendezvous {part}")]);
    assert_eq!(actor.reply(deadline).as_deref(), Ok("there"), "{part}");
    actor
}

fn kill(actor: Actor) {
    actor.signal(SIGKILL);
    // Reaps it: from here on it is dead.
    drop(actor);
}

fn withdraws() {
    let (region, deadline) = region();
    let meeting: &Meeting = find(&region, "meeting");
    let receiver = meeting.receiver().expect("open");
    let open = meeting.sender().expect("open");
    let first = actor(&region, "offer 1", deadline);
    first.wait_until_asleep(deadline);
    kill(first);
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(receiver.recv_with(Timeout::NonBlocking), nothing);
    let second = actor(&region, "offer 2", deadline);
    assert_eq!(recv(&receiver), Ok(2), "the place is free for others");
    drop(open);
    second.end(deadline).expect("it was told");
}

/// Before the tests' timeout ends.
fn recv(receiver: &Receiver<'_, Meeting>) -> Result<u64, RecvTimeoutError> {
    receiver.recv_timeout(TIMEOUT)
}

fn redelivers() {
    let (region, deadline) = region();
    let meeting: &Meeting = find(&region, "meeting");
    let receiver = meeting.receiver().expect("open");
    let careless = Actor::start(&region, &["rendezvous accept".to_owned()]);
    let sender = actor(&region, "offer 7", deadline);
    let mut careless = careless;
    assert_eq!(careless.reply(deadline).as_deref(), Ok("there"));
    sender.wait_until_asleep(deadline);
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(
        receiver.recv_with(Timeout::NonBlocking),
        nothing,
        "one has it"
    );
    kill(careless);
    let delivery = receiver.accept_with(Timeout::after(TIMEOUT));
    let delivery = delivery.expect("it is there again");
    assert_eq!(delivery.acknowledge(), Ok(7));
    sender.end(deadline).expect("it was told");
}

fn gives_to_both() {
    let (region, deadline) = region();
    let meeting: &Meeting = find(&region, "meeting");
    let sender = meeting.sender().expect("open");
    let wait = || {
        let waiter = actor(&region, "wait", deadline);
        waiter.wait_until_asleep(deadline);
        waiter
    };
    let waiters = [wait(), wait()];
    sender.send_timeout(1, TIMEOUT).expect("one waits");
    // The other one waits still, and has no need to look again by itself.
    while sender.try_send(2).is_err() {
        assert!(Instant::now() < deadline, "nobody asks for an item");
        std::thread::yield_now();
    }
    for waiter in waiters {
        waiter.end(deadline).expect("it was given one");
    }
}

/// One asks, one accepts, and one would ask; once the first has its item, the last one asks, though the one that
/// accepts was there before.
fn asks_next() {
    let (region, deadline) = region();
    let meeting: &Meeting = find(&region, "meeting");
    let sender = meeting.sender().expect("open");
    let first = actor(&region, "wait", deadline);
    first.wait_until_asleep(deadline);
    let accepting = Actor::start(&region, &["rendezvous accept".to_owned()]);
    accepting.wait_until_asleep(deadline);
    let last = actor(&region, "wait", deadline);
    last.wait_until_asleep(deadline);
    sender.send_timeout(1, TIMEOUT).expect("one waits");
    first.end(deadline).expect("it was given one");
    while sender.try_send(2).is_err() {
        assert!(Instant::now() < deadline, "nobody asks for an item");
        std::thread::yield_now();
    }
    last.end(deadline).expect("it was given one");
    kill(accepting);
}

fn gives_back() {
    let (region, deadline) = region();
    let places: &Places = find(&region, "places");
    let holder = actor(&region, "hold", deadline);
    let refused = places.loan_with(Timeout::NonBlocking).map(drop);
    assert_eq!(refused, Err(SendTimeoutError::Timeout(())));
    kill(holder);
    let mut loan = places.loan_with(Timeout::after(TIMEOUT)).expect("free");
    assert!(loan.is_owner_died());
    *loan = 3;
    loan.send().expect("sent");
    assert_eq!(places.recv_unregistered(Timeout::NonBlocking), Ok(3));
}

fn leaves() {
    let (region, deadline) = region();
    let places: &Places = find(&region, "places");
    places
        .send_unregistered(5, Timeout::NonBlocking)
        .expect("room");
    let reader = actor(&region, "borrow", deadline);
    let refused = places.borrow_with(Timeout::NonBlocking).map(|item| *item);
    assert_eq!(refused, Err(RecvTimeoutError::Timeout), "one has it");
    kill(reader);
    let item = places.borrow_with(Timeout::after(TIMEOUT));
    assert_eq!(item.map(|item| *item), Ok(5));
    let refused = places.borrow_with(Timeout::NonBlocking).map(|item| *item);
    assert_eq!(refused, Err(RecvTimeoutError::Timeout), "received");
}

/// In an actor.
pub fn play(region: &Region, part: &str) {
    match part.split_once(' ') {
        Some(("offer", item)) => {
            let meeting: &Meeting = find(region, "meeting");
            let sender = meeting.sender().expect("open");
            say("there");
            sender.send(item.parse().expect("a number")).expect("taken");
        }
        None if part == "accept" => {
            interlatch::sync::set_recheck_interval(NEVER);
            let meeting: &Meeting = find(region, "meeting");
            let receiver = meeting.receiver().expect("open");
            let _delivery = receiver.accept().expect("a sender comes");
            wait_for_the_end();
        }
        None if part == "wait" => {
            interlatch::sync::set_recheck_interval(NEVER);
            let meeting: &Meeting = find(region, "meeting");
            let receiver = meeting.receiver().expect("open");
            say("there");
            receiver.recv().expect("an item");
        }
        None if part == "hold" => {
            let places: &Places = find(region, "places");
            let mut loan = places.loan_with(Timeout::NonBlocking).expect("free");
            *loan = 99;
            wait_for_the_end();
        }
        None if part == "borrow" => {
            let places: &Places = find(region, "places");
            let _item = places.borrow_with(Timeout::NonBlocking).expect("an item");
            wait_for_the_end();
        }
        _ => panic!("nobody does {part:?}"),
    }
}

/// Until it is killed, or its parent has gone.
fn wait_for_the_end() {
    say("there");
    super::actor::hear();
}
