//! The ring between processes: one of the two is killed, asleep or at work, and replaced; nobody's wake-up is lost;
//! and who does not have to wait calls no kernel.
//!
//! The soak is as long as `soak`, and by the same variables.

use super::actor::{find, hear, say};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::soak::{WORKERS, in_peace, kill_for, some_patience, worker};
use super::tally::Tally;
use interlatch::channel::{
    AttachError, RecvError, RecvTimeoutError, SendTimeoutError, Slot, TryRecvError, TrySendError,
};
use interlatch::platform::Ordering::Acquire;
use interlatch::{Channel, Receiver, Region, RingBuffer, Sender, ShmSafe};
use nix::sys::signal::Signal::SIGKILL;
use std::array::from_fn;
use std::thread::yield_now;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("a_ring_goes_on_when_its_sender_is_killed", sender_dies),
        Test::new("a_ring_goes_on_when_its_receiver_is_killed", receiver_dies),
        Test::new("no_wake_up_of_a_ring_is_lost", wakes),
        Test::new("a_ring_that_need_not_wait_calls_no_kernel", calls_nobody),
        Test::new("a_ring_flows_however_often_an_end_is_killed", soak),
    ]
}

const PLACES: usize = 3;
type Ring = RingBuffer<u64, [Slot<u64>; PLACES]>;

/// So long that no test waits for it.
const NEVER: Duration = Duration::from_secs(3600);

/// An actor that has said where it is.
fn actor(region: &Region, part: &str, deadline: Instant) -> Actor {
    let mut actor = Actor::start(region, &[format!("ring {part}")]);
    assert_eq!(actor.reply(deadline).as_deref(), Ok("there"), "{part}");
    actor
}

fn kill(actor: Actor) {
    actor.signal(SIGKILL);
    // Reaps it: from here on it is dead.
    drop(actor);
}

fn sender_dies() {
    let region = Region::memfd("ring", 1 << 14).expect("a region");
    let deadline = Instant::now() + TIMEOUT;
    let ring: &Ring = find(&region, "ring");
    let receiver = ring.receiver().expect("the first");
    // It sends 1 to 3, and sleeps with 4 in its hand.
    let sender = actor(&region, "send 1", deadline);
    sender.wait_until_asleep(deadline);
    assert!(
        matches!(ring.sender(), Err(AttachError::SlotsInUse { max: 1, .. })),
        "it lives"
    );
    kill(sender);
    let items: Result<Vec<u64>, _> = receiver.iter().collect();
    assert_eq!(items, Ok(vec![1, 2, 3]));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    let successor = actor(&region, "send 5", deadline);
    assert_eq!(receiver.recv(), Ok(5), "connected again");
    kill(successor);
    let rest: Result<Vec<u64>, _> = receiver.iter().collect();
    let rest = rest.expect("the stream ends");
    assert!([&[6, 7][..], &[6, 7, 8]].contains(&&rest[..]), "{rest:?}");
    // Asleep in the moment of the death, it hears of it as well.
    let idle = actor(&region, "hold sender", deadline);
    std::thread::scope(|scope| {
        scope.spawn(|| kill(idle));
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
    });
}

fn receiver_dies() {
    let region = Region::memfd("ring", 1 << 14).expect("a region");
    let deadline = Instant::now() + TIMEOUT;
    let ring: &Ring = find(&region, "ring");
    let sender = ring.sender().expect("the first");
    sender.send_slice(&[1, 2, 3]).expect("room");
    // It has 1 and 2 in its hand, and has not received them.
    let reader = actor(&region, "borrow 2", deadline);
    assert!(
        matches!(ring.receiver(), Err(AttachError::SlotsInUse { max: 1, .. })),
        "it lives"
    );
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)));
    std::thread::scope(|scope| {
        scope.spawn(|| kill(reader));
        let refused = sender.send(4).map_err(|error| error.into_inner());
        assert_eq!(refused, Err(4), "asleep, it hears of the death");
    });
    assert_eq!(
        sender.try_send_slice(&[4]),
        Err(TrySendError::Disconnected(()))
    );
    let successor = ring.receiver().expect("the place is free");
    assert_eq!(successor.recv(), Ok(1), "there again");
    assert_eq!(sender.try_send(4), Ok(()), "connected again");
    let items: Result<Vec<u64>, _> = successor.try_iter().collect();
    assert_eq!(items, Ok(vec![2, 3, 4]));
}

/// Numbers go to another process and back: nobody looks again by itself, on either side.
fn wakes() {
    let _restored = Restored(interlatch::sync::recheck_interval());
    interlatch::sync::set_recheck_interval(NEVER);
    for (how, turns) in [("membarrier", 20_000), ("exchanging", 20_000)] {
        go_and_come(how, turns);
    }
    // Those that never spin sleep each time.
    interlatch::sync::set_spinning(false);
    go_and_come("membarrier sleeping", 2000);
    go_and_come("exchanging sleeping", 2000);
}

/// Restores what others here wait by, also if a test fails.
struct Restored(Duration);

impl Drop for Restored {
    fn drop(&mut self) {
        interlatch::sync::set_spinning(true);
        interlatch::sync::set_recheck_interval(self.0);
    }
}

fn go_and_come(how: &str, turns: u64) {
    let region = Region::memfd("ring", 1 << 14).expect("a region");
    let deadline = Instant::now() + TIMEOUT;
    let (there, back): (&Ring, &Ring) = (find(&region, "there"), find(&region, "back"));
    let echo = actor(&region, &format!("echo {how}"), deadline);
    let (sender, receiver) = (there.sender(), back.receiver());
    let (sender, receiver) = (sender.expect("the first"), receiver.expect("the first"));
    // Whoever's wake-up is lost sleeps on; then this one gives up.
    let receive = || receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    for turn in 0..turns {
        sender.send(turn).expect("it lives");
        assert_eq!(receive(), Ok(turn), "a wake-up is lost: {how}");
    }
    drop(sender);
    let end = Err(RecvTimeoutError::Disconnected);
    assert_eq!(receive(), end, "the wake-up at the end is lost: {how}");
    echo.end(deadline).expect("it ends");
}

fn calls_nobody() {
    let region = Region::memfd("ring", 1 << 14).expect("a region");
    let deadline = Instant::now() + TIMEOUT;
    let mut actor = actor(&region, "quiet", deadline);
    assert_eq!(
        actor.reply(deadline).as_deref(),
        Ok("quiet"),
        "it was killed"
    );
}

/// May read, write and end from here on, and is killed if it calls for anything else.
fn be_quiet(ring: &Ring) {
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (mut sender, mut receiver) = (sender.expect("one"), receiver.expect("one"));
    say("there");
    // SAFETY: it takes numbers only.
    let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
    let mut is_well = strict == 0;
    for turn in 0..1000 {
        is_well &= sender.try_send(turn) == Ok(()) && receiver.try_recv() == Ok(turn);
        is_well &= receiver.try_recv() == Err(TryRecvError::Empty);
        is_well &= sender.try_send_slice(&[turn; 9]) == Ok(PLACES);
        is_well &= sender.try_send(turn) == Err(TrySendError::Full(turn));
        is_well &= receiver.try_recv_slice(&mut [0; 2]) == Ok(2);
        is_well &= receiver.try_borrow(2).is_ok_and(|items| items[0] == turn);
        drop(sender.try_loan(2));
    }
    let word: &[u8] = if is_well { b"quiet\n" } else { b"wrong\n" };
    // SAFETY: of memory that is there; and the end of this thread, the only one.
    unsafe {
        libc::write(1, word.as_ptr().cast(), word.len());
        libc::syscall(libc::SYS_exit, 0);
    }
}

/// What the workers share: those of even numbers send, and each next one receives.
#[repr(C)]
#[derive(ShmSafe)]
struct Shared {
    #[shm(initial = from_fn(|_| ShmSafe::initial()))]
    rings: [Ring; WORKERS / 2],
    #[shm(initial = from_fn(|_| ShmSafe::initial()))]
    tallies: [Tally; WORKERS / 2],
}

/// The handle of one that was killed and may not be quite dead.
fn successor<T>(mut attach: impl FnMut() -> Result<T, AttachError>) -> T {
    loop {
        match attach() {
            Err(AttachError::SlotsInUse { .. }) => yield_now(),
            attached => return attached.expect("nobody closes it"),
        }
    }
}

/// In an actor: sends or receives until it is killed.
fn work(region: &Region, part: &str) {
    let (worker, mut random) = worker(part);
    let shared: &Shared = region.attach("shared").expect("what is shared");
    let (ring, tally) = (&shared.rings[worker / 2], &shared.tallies[worker / 2]);
    say("ready");
    if worker % 2 == 0 {
        let sender = successor(|| ring.sender());
        loop {
            send(&sender, tally, &mut random);
        }
    }
    let receiver = successor(|| ring.receiver());
    loop {
        receive(&receiver, tally, &mut random);
    }
}

/// The most that goes at once.
const BATCH: u64 = 2 * PLACES as u64;

fn send(sender: &Sender<'_, Ring>, tally: &Tally, random: &mut fastrand::Rng) {
    let (count, timeout) = (random.u64(1..=BATCH), some_patience(random));
    let first = tally.give_out(count);
    let items: Vec<u64> = (first..first + count).collect();
    match sender.send_slice_with(&items, timeout) {
        Ok(sent) => tally.has_sent(sent as u64),
        Err(SendTimeoutError::Timeout(())) => {}
        // Until the dead receiver has a successor.
        Err(SendTimeoutError::Disconnected(())) => yield_now(),
        Err(error) => panic!("{error}"),
    }
}

fn receive(receiver: &Receiver<'_, Ring>, tally: &Tally, random: &mut fastrand::Rng) {
    let (count, timeout) = (random.usize(1..=PLACES), some_patience(random));
    let mut items = [0; PLACES];
    match receiver.recv_slice_with(&mut items[..count], timeout) {
        Ok(count) => items[..count].iter().for_each(|item| tally.note(*item)),
        Err(_) => yield_now(),
    }
}

fn soak() {
    in_peace(|| {
        let region = Region::memfd("ring", 1 << 13).expect("a region");
        let shared: &Shared = region.create("shared", ()).expect("room");
        let deaths = kill_for("ring work", &region);
        for (number, (ring, tally)) in shared.rings.iter().zip(&shared.tallies).enumerate() {
            let receiver = ring.receiver().expect("all have died");
            let left: Result<Vec<u64>, _> = receiver.try_iter().collect();
            let left = left.expect("the ring is intact");
            left.iter().for_each(|item| tally.note(*item));
            let (sent, arrived) = (tally.sent.load(Acquire), tally.received.load(Acquire));
            // Each death may come between a step and the knowledge of it.
            let lost = deaths[2 * number + 1] * PLACES as u64;
            let unknown = deaths[2 * number] * BATCH;
            assert!(
                sent <= arrived + lost && arrived <= sent + unknown,
                "{sent} known to be sent, {arrived} arrived, at most {lost} lost, {unknown} unknown"
            );
            let sender = ring.sender().expect("all have died");
            assert_eq!(
                sender.try_send_slice(&[0; 9]),
                Ok(PLACES),
                "no place is lost"
            );
            assert!(arrived > 0, "something happened");
            println!("{sent} items known to be sent, {arrived} arrived, in order");
        }
    });
}

/// In an actor.
pub fn play(region: &Region, part: &str) {
    match part.split_once(' ') {
        Some(("work", part)) => work(region, part),
        Some(("send", first)) => {
            let ring: &Ring = find(region, "ring");
            let sender = ring.sender().expect("the place is free");
            let first: u64 = first.parse().expect("a number");
            let items: Vec<u64> = (first..first + PLACES as u64).collect();
            sender.send_slice(&items).expect("room");
            say("there");
            sender.send(first + PLACES as u64).expect("a receiver");
            wait_for_the_end();
        }
        Some(("borrow", count)) => {
            let ring: &Ring = find(region, "ring");
            let mut receiver = ring.receiver().expect("the place is free");
            let count = count.parse().expect("a number");
            let items = receiver.borrow(count).expect("items");
            assert_eq!(items.len(), count);
            say("there");
            wait_for_the_end();
        }
        Some(("hold", _)) => {
            let ring: &Ring = find(region, "ring");
            let _sender = ring.sender().expect("the place is free");
            say("there");
            wait_for_the_end();
        }
        Some(("echo", how)) => echo(region, how),
        _ if part == "quiet" => be_quiet(find(region, "ring")),
        _ => panic!("nobody does {part:?}"),
    }
}

/// Sends back whatever comes.
fn echo(region: &Region, how: &str) {
    interlatch::sync::set_recheck_interval(NEVER);
    let (there, back): (&Ring, &Ring) = (find(region, "there"), find(region, "back"));
    interlatch::sync::set_spinning(!how.ends_with("sleeping"));
    if how.starts_with("exchanging") {
        there.avoid_membarrier();
        back.avoid_membarrier();
    }
    let (receiver, sender) = (there.receiver(), back.sender());
    let (receiver, sender) = (receiver.expect("the first"), sender.expect("the first"));
    say("there");
    while let Ok(item) = receiver.recv() {
        if sender.send(item).is_err() {
            break;
        }
    }
}

/// Until it is killed, or its parent has gone.
fn wait_for_the_end() {
    hear();
}
