//! Rendezvous and loans while the process that offers, accepts, fills or reads an item is killed.

use super::actor::{find, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::channel::SendTimeoutError;
use interlatch::channel::Unregistered;
use interlatch::channel::{RecvTimeoutError, TurnSlot};
use interlatch::sync::Timeout;
use interlatch::{Channel, Receiver, Region, Rendezvous, RobustBoundedBuffer};
use nix::sys::signal::Signal::{SIGKILL, SIGSTOP};
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "death_of_sender_withdraws_its_item",
            death_of_sender_withdraws_its_item,
        ),
        Test::new(
            "sender_is_disconnected_beside_a_stopped_sender",
            sender_is_disconnected_beside_a_stopped_sender,
        ),
        Test::new(
            "unacknowledged_item_goes_to_next_receiver",
            unacknowledged_item_goes_to_next_receiver,
        ),
        Test::new(
            "each_of_two_waiting_receivers_gets_an_item",
            each_of_two_waiting_receivers_gets_an_item,
        ),
        Test::new(
            "accepting_receiver_does_not_block_waiting_receiver",
            accepting_receiver_does_not_block_waiting_receiver,
        ),
        Test::new(
            "death_of_loan_owner_returns_the_slot",
            death_of_loan_owner_returns_the_slot,
        ),
        Test::new(
            "death_of_borrower_keeps_the_item",
            death_of_borrower_keeps_the_item,
        ),
    ]
}

/// An interval that does not expire during a test.
const NEVER: Duration = Duration::from_secs(3600);

type U64Rendezvous = Rendezvous<u64>;
type LoanBuffer = RobustBoundedBuffer<u64, [TurnSlot<u64>; 1]>;

fn region() -> (Region, Instant) {
    let region = Region::memfd("rendezvous", 1 << 14).expect("a region");
    (region, Instant::now() + TIMEOUT)
}

/// Starts an actor and waits until it is ready.
fn actor(region: &Region, role: &str, deadline: Instant) -> Actor {
    let mut actor = Actor::start(region, &[format!("rendezvous {role}")]);
    assert_eq!(actor.reply(deadline).as_deref(), Ok("ready"), "{role}");
    actor
}

fn kill(actor: Actor) {
    actor.signal(SIGKILL);
    // Dropping the handle reaps the process, so the process is dead after this line.
    drop(actor);
}

fn death_of_sender_withdraws_its_item() {
    let (region, deadline) = region();
    let rendezvous: &U64Rendezvous = find(&region, "rendezvous");
    let receiver = rendezvous.receiver().expect("the channel is open");
    let open_sender = rendezvous.sender().expect("the channel is open");
    let first = actor(&region, "offer 1", deadline);
    first.wait_until_asleep(deadline);
    kill(first);
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(receiver.recv_with(Timeout::NonBlocking), nothing);
    let second = actor(&region, "offer 2", deadline);
    assert_eq!(
        recv(&receiver),
        Ok(2),
        "the rendezvous is free for other senders"
    );
    drop(open_sender);
    second.end(deadline).expect("the sender was acknowledged");
}

/// A stopped sender does not withdraw its offer when the last receiver is dropped.
fn sender_is_disconnected_beside_a_stopped_sender() {
    let (region, deadline) = region();
    let rendezvous: &U64Rendezvous = find(&region, "rendezvous");
    let receiver = rendezvous.receiver().expect("the channel is open");
    let stopped = actor(&region, "offer 1", deadline);
    stopped.wait_until_asleep(deadline);
    stopped.signal(SIGSTOP);
    drop(receiver);
    let sent = rendezvous.send_unregistered(2, Timeout::after(TIMEOUT));
    assert_eq!(sent, Err(SendTimeoutError::Disconnected(2)));
    kill(stopped);
}

/// Receives with the timeout of the tests.
fn recv(receiver: &Receiver<'_, U64Rendezvous>) -> Result<u64, RecvTimeoutError> {
    receiver.recv_timeout(TIMEOUT)
}

fn unacknowledged_item_goes_to_next_receiver() {
    let (region, deadline) = region();
    let rendezvous: &U64Rendezvous = find(&region, "rendezvous");
    let receiver = rendezvous.receiver().expect("the channel is open");
    let killed = Actor::start(&region, &["rendezvous accept".to_owned()]);
    let sender = actor(&region, "offer 7", deadline);
    let mut killed = killed;
    assert_eq!(killed.reply(deadline).as_deref(), Ok("ready"));
    sender.wait_until_asleep(deadline);
    let nothing = Err(RecvTimeoutError::Timeout);
    assert_eq!(
        receiver.recv_with(Timeout::NonBlocking),
        nothing,
        "another receiver has the item"
    );
    kill(killed);
    let delivery = receiver.accept_with(Timeout::after(TIMEOUT));
    let delivery = delivery.expect("the item is offered again");
    assert_eq!(delivery.acknowledge(), Ok(7));
    sender.end(deadline).expect("the sender was acknowledged");
}

fn each_of_two_waiting_receivers_gets_an_item() {
    let (region, deadline) = region();
    let rendezvous: &U64Rendezvous = find(&region, "rendezvous");
    let sender = rendezvous.sender().expect("the channel is open");
    let wait = || {
        let waiter = actor(&region, "wait", deadline);
        waiter.wait_until_asleep(deadline);
        waiter
    };
    let waiters = [wait(), wait()];
    sender.send_timeout(1, TIMEOUT).expect("a receiver waits");
    // The send needs a receiver that is still waiting. The other receiver waits without rechecking.
    while sender.try_send(2).is_err() {
        assert!(Instant::now() < deadline, "no receiver waits for an item");
        std::thread::yield_now();
    }
    for waiter in waiters {
        waiter.end(deadline).expect("the receiver got an item");
    }
}

/// One receiver waits in `recv`, a second waits in `accept`, and a third waits in `recv`. After the
/// first receiver got an item, the third receiver must get one, even though the second receiver
/// arrived earlier.
fn accepting_receiver_does_not_block_waiting_receiver() {
    let (region, deadline) = region();
    let rendezvous: &U64Rendezvous = find(&region, "rendezvous");
    let sender = rendezvous.sender().expect("the channel is open");
    let first = actor(&region, "wait", deadline);
    first.wait_until_asleep(deadline);
    let accepting = Actor::start(&region, &["rendezvous accept".to_owned()]);
    accepting.wait_until_asleep(deadline);
    let last = actor(&region, "wait", deadline);
    last.wait_until_asleep(deadline);
    sender.send_timeout(1, TIMEOUT).expect("a receiver waits");
    first.end(deadline).expect("the receiver got an item");
    while sender.try_send(2).is_err() {
        assert!(Instant::now() < deadline, "no receiver waits for an item");
        std::thread::yield_now();
    }
    last.end(deadline).expect("the receiver got an item");
    kill(accepting);
}

fn death_of_loan_owner_returns_the_slot() {
    let (region, deadline) = region();
    let buffer: &LoanBuffer = find(&region, "buffer");
    let holder = actor(&region, "hold", deadline);
    let failed = buffer.loan_with(Timeout::NonBlocking).map(drop);
    assert_eq!(failed, Err(SendTimeoutError::Timeout(())));
    kill(holder);
    let mut loan = buffer.loan_with(Timeout::after(TIMEOUT)).expect("free");
    assert!(loan.is_owner_died());
    *loan = 3;
    loan.send().expect("sent");
    assert_eq!(buffer.recv_unregistered(Timeout::NonBlocking), Ok(3));
}

fn death_of_borrower_keeps_the_item() {
    let (region, deadline) = region();
    let buffer: &LoanBuffer = find(&region, "buffer");
    buffer
        .send_unregistered(5, Timeout::NonBlocking)
        .expect("the buffer has room");
    let reader = actor(&region, "borrow", deadline);
    let failed = buffer.borrow_with(Timeout::NonBlocking).map(|item| *item);
    assert_eq!(
        failed,
        Err(RecvTimeoutError::Timeout),
        "another receiver has the item"
    );
    kill(reader);
    let item = buffer.borrow_with(Timeout::after(TIMEOUT));
    assert_eq!(item.map(|item| *item), Ok(5));
    let failed = buffer.borrow_with(Timeout::NonBlocking).map(|item| *item);
    assert_eq!(
        failed,
        Err(RecvTimeoutError::Timeout),
        "the item was received"
    );
}

/// Runs a role in an actor.
pub fn run(region: &Region, role: &str) {
    match role.split_once(' ') {
        Some(("offer", item)) => {
            let rendezvous: &U64Rendezvous = find(region, "rendezvous");
            let sender = rendezvous.sender().expect("the channel is open");
            report("ready");
            sender
                .send(item.parse().expect("a number"))
                .expect("a receiver takes the item");
        }
        None if role == "accept" => {
            interlatch::sync::set_recheck_interval(NEVER);
            let rendezvous: &U64Rendezvous = find(region, "rendezvous");
            let receiver = rendezvous.receiver().expect("the channel is open");
            let _delivery = receiver.accept().expect("a sender arrives");
            wait_until_killed();
        }
        None if role == "wait" => {
            interlatch::sync::set_recheck_interval(NEVER);
            let rendezvous: &U64Rendezvous = find(region, "rendezvous");
            let receiver = rendezvous.receiver().expect("the channel is open");
            report("ready");
            receiver.recv().expect("an item");
        }
        None if role == "hold" => {
            let buffer: &LoanBuffer = find(region, "buffer");
            let mut loan = buffer.loan_with(Timeout::NonBlocking).expect("free");
            *loan = 99;
            wait_until_killed();
        }
        None if role == "borrow" => {
            let buffer: &LoanBuffer = find(region, "buffer");
            let _item = buffer.borrow_with(Timeout::NonBlocking).expect("an item");
            wait_until_killed();
        }
        _ => panic!("unknown role {role:?}"),
    }
}

/// Reports that this process is ready, and waits until it is killed or its parent ends.
fn wait_until_killed() {
    report("ready");
    super::actor::await_command();
}
