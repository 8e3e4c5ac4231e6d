//! The ring buffer between processes: an endpoint is killed and replaced, no wake-up is lost, and
//! an operation that does not wait makes no system call.
//!
//! The variables described in the module `soak` also control this soak.

use super::actor::{await_command, find, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use super::soak::{WORKERS, random_timeout, run_and_kill, without_leaks, worker};
use super::tally::Tally;
use interlatch::channel::{
    AttachError, RecvError, RecvTimeoutError, SendTimeoutError, Slot, TryRecvError, TrySendError,
};
use interlatch::platform::Ordering::Acquire;
use interlatch::{Channel, Receiver, Region, RingBuffer, Sender, ShmSafe};
use nix::sys::signal::Signal::SIGKILL;
use std::thread::yield_now;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "ring_continues_after_death_of_sender",
            ring_continues_after_death_of_sender,
        ),
        Test::new(
            "ring_continues_after_death_of_receiver",
            ring_continues_after_death_of_receiver,
        ),
        Test::new("ring_loses_no_wake_up", ring_loses_no_wake_up),
        Test::new(
            "ring_without_waiting_makes_no_system_call",
            ring_without_waiting_makes_no_system_call,
        ),
        Test::alone(
            "ring_items_flow_while_endpoints_are_killed",
            ring_items_flow_while_endpoints_are_killed,
        ),
    ]
}

const SLOTS: usize = 3;
type Ring = RingBuffer<u64, [Slot<u64>; SLOTS]>;

/// An interval that does not expire during a test.
const NEVER: Duration = Duration::from_secs(3600);

/// Starts an actor and waits until it is ready.
fn actor(region: &Region, role: &str, deadline: Instant) -> Actor {
    let mut actor = Actor::start(region, &[format!("ring {role}")]);
    assert_eq!(actor.reply(deadline).as_deref(), Ok("ready"), "{role}");
    actor
}

fn kill(actor: Actor) {
    actor.signal(SIGKILL);
    // Dropping the handle reaps the process, so the process is dead after this line.
    drop(actor);
}

fn ring_continues_after_death_of_sender() {
    let region = Region::memfd("ring", 1 << 14).expect("a region");
    let deadline = Instant::now() + TIMEOUT;
    let ring: &Ring = find(&region, "ring");
    let receiver = ring.receiver().expect("the endpoint is free");
    // The actor sends 1 to 3, and sleeps while it sends 4.
    let sender = actor(&region, "send 1", deadline);
    sender.wait_until_asleep(deadline);
    assert!(
        matches!(ring.sender(), Err(AttachError::SlotsInUse { max: 1, .. })),
        "the owner lives"
    );
    kill(sender);
    let items: Result<Vec<u64>, _> = receiver.iter().collect();
    assert_eq!(items, Ok(vec![1, 2, 3]));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    let attach_successor = actor(&region, "send 5", deadline);
    assert_eq!(receiver.recv(), Ok(5), "connected again");
    kill(attach_successor);
    let rest: Result<Vec<u64>, _> = receiver.iter().collect();
    let rest = rest.expect("the stream ends");
    assert!([&[6, 7][..], &[6, 7, 8]].contains(&&rest[..]), "{rest:?}");
    // A receiver that is asleep also observes the sender's death.
    let idle = actor(&region, "hold sender", deadline);
    std::thread::scope(|scope| {
        scope.spawn(|| kill(idle));
        assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
    });
}

fn ring_continues_after_death_of_receiver() {
    let region = Region::memfd("ring", 1 << 14).expect("a region");
    let deadline = Instant::now() + TIMEOUT;
    let ring: &Ring = find(&region, "ring");
    let sender = ring.sender().expect("the endpoint is free");
    sender.send_slice(&[1, 2, 3]).expect("the buffer has room");
    // The actor has borrowed items 1 and 2, but has not yet received them.
    let reader = actor(&region, "borrow 2", deadline);
    assert!(
        matches!(ring.receiver(), Err(AttachError::SlotsInUse { max: 1, .. })),
        "the owner lives"
    );
    assert_eq!(sender.try_send(4), Err(TrySendError::Full(4)));
    std::thread::scope(|scope| {
        scope.spawn(|| kill(reader));
        let refused = sender.send(4).map_err(|error| error.into_inner());
        assert_eq!(refused, Err(4), "the sleeping sender observes the death");
    });
    assert_eq!(
        sender.try_send_slice(&[4]),
        Err(TrySendError::Disconnected(()))
    );
    let attach_successor = ring.receiver().expect("the endpoint is free");
    assert_eq!(
        attach_successor.recv(),
        Ok(1),
        "the borrowed item is available again"
    );
    assert_eq!(sender.try_send(4), Ok(()), "connected again");
    let items: Result<Vec<u64>, _> = attach_successor.try_iter().collect();
    assert_eq!(items, Ok(vec![2, 3, 4]));
}

/// Sends numbers to another process, which returns them. Neither process rechecks on its own, so a
/// lost wake-up makes the test fail.
fn ring_loses_no_wake_up() {
    let _restored = Restored(interlatch::sync::recheck_interval());
    interlatch::sync::set_recheck_interval(NEVER);
    for (variant, count) in [("membarrier", 20_000), ("exchanging", 20_000)] {
        exchange(variant, count);
    }
    // Spinning is disabled, so each wait sleeps.
    interlatch::sync::set_spinning(false);
    exchange("membarrier sleeping", 2000);
    exchange("exchanging sleeping", 2000);
}

/// Restores the recheck interval and spinning for the next tests, even after a failure.
struct Restored(Duration);

impl Drop for Restored {
    fn drop(&mut self) {
        interlatch::sync::set_spinning(true);
        interlatch::sync::set_recheck_interval(self.0);
    }
}

fn exchange(variant: &str, count: u64) {
    let region = Region::memfd("ring", 1 << 14).expect("a region");
    let deadline = Instant::now() + TIMEOUT;
    let (forth, back): (&Ring, &Ring) = (find(&region, "forth"), find(&region, "back"));
    let echo = actor(&region, &format!("echo {variant}"), deadline);
    let (sender, receiver) = (forth.sender(), back.receiver());
    let (sender, receiver) = (
        sender.expect("the endpoint is free"),
        receiver.expect("the endpoint is free"),
    );
    // If a wake-up is lost, this receive times out.
    let receive = || receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    for number in 0..count {
        sender.send(number).expect("the owner lives");
        assert_eq!(receive(), Ok(number), "a lost wake-up: {variant}");
    }
    drop(sender);
    let end = Err(RecvTimeoutError::Disconnected);
    assert_eq!(receive(), end, "a lost wake-up at disconnection: {variant}");
    echo.end(deadline).expect("the actor ends");
}

fn ring_without_waiting_makes_no_system_call() {
    let region = Region::memfd("ring", 1 << 14).expect("a region");
    let deadline = Instant::now() + TIMEOUT;
    let mut actor = actor(&region, "quiet", deadline);
    assert_eq!(
        actor.reply(deadline).as_deref(),
        Ok("quiet"),
        "the actor was killed by its system call filter"
    );
}

/// Uses the ring in strict seccomp mode: any system call except read, write and exit kills the
/// process.
fn run_without_system_calls(ring: &Ring) {
    let (sender, receiver) = (ring.sender(), ring.receiver());
    let (mut sender, mut receiver) = (
        sender.expect("a free endpoint"),
        receiver.expect("a free endpoint"),
    );
    report("ready");
    // SAFETY: both arguments are integers.
    let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
    let mut is_correct = strict == 0;
    for number in 0..1000 {
        is_correct &= sender.try_send(number) == Ok(()) && receiver.try_recv() == Ok(number);
        is_correct &= receiver.try_recv() == Err(TryRecvError::Empty);
        is_correct &= sender.try_send_slice(&[number; 9]) == Ok(SLOTS);
        is_correct &= sender.try_send(number) == Err(TrySendError::Full(number));
        is_correct &= receiver.try_recv_slice(&mut [0; 2]) == Ok(2);
        is_correct &= receiver.try_borrow(2).is_ok_and(|items| items[0] == number);
        drop(sender.try_loan(2));
    }
    let word: &[u8] = if is_correct { b"quiet\n" } else { b"wrong\n" };
    // SAFETY: `word` outlives the write; `exit` ends the only thread of the process.
    unsafe {
        libc::write(1, word.as_ptr().cast(), word.len());
        libc::syscall(libc::SYS_exit, 0);
    }
}

/// The objects that the workers share. Even workers send. Each odd worker receives from the
/// preceding even worker.
#[repr(C)]
#[derive(ShmSafe)]
struct Shared {
    rings: [Ring; WORKERS / 2],
    tallies: [Tally; WORKERS / 2],
}

/// Attaches to the endpoint as soon as the kernel has ended its killed owner.
fn attach_successor<T>(mut attach: impl FnMut() -> Result<T, AttachError>) -> T {
    loop {
        match attach() {
            Err(AttachError::SlotsInUse { .. }) => yield_now(),
            attached => return attached.expect("the ring is open"),
        }
    }
}

/// Sends or receives in an actor until it is killed.
fn work(region: &Region, role: &str) {
    let (worker, mut random) = worker(role);
    let shared: &Shared = region.attach("shared").expect("the shared objects");
    let (ring, tally) = (&shared.rings[worker / 2], &shared.tallies[worker / 2]);
    report("ready");
    if worker % 2 == 0 {
        let sender = attach_successor(|| ring.sender());
        loop {
            send(&sender, tally, &mut random);
        }
    }
    let receiver = attach_successor(|| ring.receiver());
    loop {
        receive(&receiver, tally, &mut random);
    }
}

/// The maximum number of items per send.
const BATCH: u64 = 2 * SLOTS as u64;

fn send(sender: &Sender<'_, Ring>, tally: &Tally, random: &mut fastrand::Rng) {
    let (count, timeout) = (random.u64(1..=BATCH), random_timeout(random));
    let first = tally.reserve(count);
    let items: Vec<u64> = (first..first + count).collect();
    match sender.send_slice_with(&items, timeout) {
        Ok(sent) => tally.add_sent(sent as u64),
        Err(SendTimeoutError::Timeout(())) => {}
        // The receiver has been killed, and its successor is not attached yet.
        Err(SendTimeoutError::Disconnected(())) => yield_now(),
        Err(error) => panic!("{error}"),
    }
}

fn receive(receiver: &Receiver<'_, Ring>, tally: &Tally, random: &mut fastrand::Rng) {
    let (count, timeout) = (random.usize(1..=SLOTS), random_timeout(random));
    let mut items = [0; SLOTS];
    match receiver.recv_slice_with(&mut items[..count], timeout) {
        Ok(count) => items[..count]
            .iter()
            .for_each(|item| tally.add_received(*item)),
        Err(_) => yield_now(),
    }
}

fn ring_items_flow_while_endpoints_are_killed() {
    without_leaks(|| {
        let region = Region::memfd("ring", 1 << 13).expect("a region");
        let shared: &Shared = region.create("shared", ()).expect("the region has room");
        let deaths = run_and_kill("ring work", &region);
        for (number, (ring, tally)) in shared.rings.iter().zip(&shared.tallies).enumerate() {
            let receiver = ring.receiver().expect("all workers are dead");
            let left: Result<Vec<u64>, _> = receiver.try_iter().collect();
            let left = left.expect("the ring is intact");
            left.iter().for_each(|item| tally.add_received(*item));
            let (sent, arrived) = (tally.sent.load(Acquire), tally.received.load(Acquire));
            // Each worker may die between an operation and the increment of its count.
            let lost = deaths[2 * number + 1] * SLOTS as u64;
            let unknown = deaths[2 * number] * BATCH;
            assert!(
                sent <= arrived + lost && arrived <= sent + unknown,
                "{sent} known to be sent, {arrived} arrived, at most {lost} lost, {unknown} unknown"
            );
            let sender = ring.sender().expect("all workers are dead");
            assert_eq!(sender.try_send_slice(&[0; 9]), Ok(SLOTS), "no slot is lost");
            assert!(arrived > 0, "items arrived");
            println!("{sent} items known to be sent, {arrived} arrived, in order");
        }
    });
}

/// Runs a role in an actor.
pub fn run(region: &Region, role: &str) {
    match role.split_once(' ') {
        Some(("work", role)) => work(region, role),
        Some(("send", first)) => {
            let ring: &Ring = find(region, "ring");
            let sender = ring.sender().expect("the endpoint is free");
            let first: u64 = first.parse().expect("a number");
            let items: Vec<u64> = (first..first + SLOTS as u64).collect();
            sender.send_slice(&items).expect("the buffer has room");
            report("ready");
            sender.send(first + SLOTS as u64).expect("a receiver");
            wait_until_killed();
        }
        Some(("borrow", count)) => {
            let ring: &Ring = find(region, "ring");
            let mut receiver = ring.receiver().expect("the endpoint is free");
            let count = count.parse().expect("a number");
            let items = receiver.borrow(count).expect("items");
            assert_eq!(items.len(), count);
            report("ready");
            wait_until_killed();
        }
        Some(("hold", _)) => {
            let ring: &Ring = find(region, "ring");
            let _sender = ring.sender().expect("the endpoint is free");
            report("ready");
            wait_until_killed();
        }
        Some(("echo", variant)) => echo(region, variant),
        _ if role == "quiet" => run_without_system_calls(find(region, "ring")),
        _ => panic!("unknown role {role:?}"),
    }
}

/// Sends each received item back.
fn echo(region: &Region, variant: &str) {
    interlatch::sync::set_recheck_interval(NEVER);
    let (forth, back): (&Ring, &Ring) = (find(region, "forth"), find(region, "back"));
    interlatch::sync::set_spinning(!variant.ends_with("sleeping"));
    if variant.starts_with("exchanging") {
        forth.avoid_membarrier();
        back.avoid_membarrier();
    }
    let (receiver, sender) = (forth.receiver(), back.sender());
    let (receiver, sender) = (
        receiver.expect("the endpoint is free"),
        sender.expect("the endpoint is free"),
    );
    report("ready");
    while let Ok(item) = receiver.recv() {
        if sender.send(item).is_err() {
            break;
        }
    }
}

/// Waits until this process is killed or its parent ends.
fn wait_until_killed() {
    await_command();
}
