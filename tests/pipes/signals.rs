//! Signals whose handler does not restart system calls: no item is lost, and no wait ends early.
//!
//! The driver sends each signal to an actor that is blocked in a call, and waits until the signal
//! is delivered. The handler therefore runs once for each signal.

use super::actor::wait_for_driver;
use super::ends::{reply, wait_until_blocked};
use super::harness::Test;
use super::item::{Item, Large};
use super::process::{Actor, TIMEOUT};
use super::shared::{self, PassedEnds, Shared};
use interlatch::channel::Unregistered;
use interlatch::channel::{Duplex, PipeBuffer};
use interlatch::platform::pipe;
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch_ipc::Fifo;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("receiver_continues_after_signal", || {
            receiver_continues::<u64>("receive")
        }),
        Test::new("receiver_with_deadline_continues_after_signal", || {
            receiver_continues::<u64>("receive_in_time");
        }),
        Test::new("receiver_of_large_items_continues_after_signal", || {
            receiver_continues::<Large>("receive_in_time");
        }),
        Test::new("sender_continues_after_signal", || {
            sender_continues::<u64>("send")
        }),
        Test::new("sender_with_deadline_continues_after_signal", || {
            sender_continues::<u64>("send_in_time");
        }),
        Test::new("sender_of_large_items_continues_after_signal", || {
            sender_continues::<Large>("send_in_time");
        }),
        Test::new("acquire_continues_after_signal", acquire_continues),
        Test::new("opening_a_fifo_to_read_continues_after_signal", || {
            open_continues("fifo_reader")
        }),
        Test::new("opening_a_fifo_to_write_continues_after_signal", || {
            open_continues("fifo_writer")
        }),
        Test::new(
            "receiving_duplex_continues_after_signal",
            receiving_duplex_continues,
        ),
        Test::new(
            "sending_duplex_continues_after_signal",
            sending_duplex_continues,
        ),
    ]
}

/// The number of handled signals. Relaxed suffices, because the process has only one thread.
static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    HANDLED.fetch_add(1, Relaxed);
}

/// Performs one call in an actor while signals arrive.
pub fn run<T: Item>(call: &str, ends: &str) {
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler only changes an atomic word, which is async-signal-safe.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("the handler can be set");
    let outcome = match call {
        "fifo_reader" | "fifo_writer" => open(call),
        "duplex_send" | "duplex_receive" => exchange(call, ends),
        "acquire" => {
            let semaphore = shared::adopt_send_turn(ends);
            println!("ready");
            semaphore.acquire_with(Timeout::after(TIMEOUT)).to_string()
        }
        call => {
            let buffer: PipeBuffer<T> = shared::adopt_ends(ends);
            println!("ready");
            pass(&buffer, call)
        }
    };
    println!("{outcome}, {} signals", HANDLED.load(Relaxed));
    wait_for_driver();
}

/// Receives two items, or sends more items than the pipe holds.
fn pass<T: Item>(buffer: &PipeBuffer<T>, call: &str) -> String {
    let timeout = match call.ends_with("_in_time") {
        true => Timeout::after(TIMEOUT),
        false => Timeout::Infinite,
    };
    if call.starts_with("receive") {
        let receive = |()| buffer.recv_unregistered(timeout).map(T::number);
        return format!("{:?}", [(), ()].map(receive));
    }
    let is_refused = |item: &u64| {
        buffer
            .send_unregistered(T::from_number(*item), timeout)
            .is_err()
    };
    format!("{:?}", (0..item_count::<T>()).find(is_refused))
}

/// Returns the number of items in a few times the capacity of the pipe.
fn item_count<T>() -> u64 {
    (300_000 / size_of::<T>()) as u64
}

/// The number of signals that interrupt each call.
const SIGNALS: u32 = 20;

/// Sends a signal to the actor each time the actor blocks.
fn interrupt(actor: &Actor) {
    for _ in 0..SIGNALS {
        wait_until_blocked(actor);
        actor.signal(Signal::SIGUSR1);
        let deadline = Instant::now() + TIMEOUT;
        while has_pending(actor) {
            assert!(
                Instant::now() < deadline,
                "the signal is not delivered: {}",
                actor.kernel_state()
            );
            std::thread::yield_now();
        }
    }
    wait_until_blocked(actor);
}

/// Returns whether a signal to the actor is pending.
fn has_pending(actor: &Actor) -> bool {
    let path = format!("/proc/{}/status", actor.pid());
    let status = std::fs::read_to_string(path).expect("the actor is not reaped");
    let mut pending = status.lines().filter(|line| line.contains("Pnd:"));
    !pending.all(|line| line.trim_end().ends_with("0000000000000000"))
}

fn start(shared: &Shared, name: &str, call: &str) -> Actor {
    let mut actor = shared.start(PassedEnds::Both, &["interrupted", name, call]);
    assert_eq!(reply(&mut actor), "ready");
    actor
}

fn receiver_continues<T: Item>(call: &str) {
    let mut shared = Shared::new(4096);
    let mut actor = start(&shared, T::NAME, call);
    let buffer: PipeBuffer<T> = shared.take_buffer();
    for item in [7, 8] {
        interrupt(&actor);
        let sent = buffer.send_unregistered(T::from_number(item), Timeout::after(TIMEOUT));
        assert!(sent.is_ok(), "the pipe has room");
    }
    assert_eq!(
        reply(&mut actor),
        format!("[Ok(7), Ok(8)], {} signals", 2 * SIGNALS)
    );
}

fn sender_continues<T: Item>(call: &str) {
    let mut shared = Shared::new(4096);
    let mut actor = start(&shared, T::NAME, call);
    let buffer: PipeBuffer<T> = shared.take_buffer();
    interrupt(&actor);
    for item in 0..item_count::<T>() {
        let received = buffer
            .recv_unregistered(Timeout::after(TIMEOUT))
            .map(T::number);
        assert_eq!(received, Ok(item));
    }
    assert_eq!(reply(&mut actor), format!("None, {SIGNALS} signals"));
}

fn acquire_continues() {
    let shared = Shared::new(4096);
    let turn = shared.turn();
    assert!(turn.acquire_with(Timeout::NonBlocking), "the turn is free");
    let mut actor = start(&shared, u64::NAME, "acquire");
    interrupt(&actor);
    turn.release(1).expect("the pipe has room");
    assert_eq!(reply(&mut actor), format!("true, {SIGNALS} signals"));
}

/// Opens a named pipe in an actor. The driver sends the path.
fn open(call: &str) -> String {
    let mut path = String::new();
    std::io::stdin().read_line(&mut path).expect("a path");
    let fifo = Fifo::from_path(path.trim_end()).expect("the fifo exists");
    println!("ready");
    let is_open = match call {
        "fifo_reader" => fifo.reader(Timeout::Infinite).is_ok(),
        _ => fifo.writer(Timeout::Infinite).is_ok(),
    };
    is_open.to_string()
}

fn open_continues(call: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = Fifo::create(folder.path().join("fifo"), 0o600).expect("the path is free");
    let shared = Shared::new(4096);
    let mut actor = shared.start(PassedEnds::Both, &["interrupted", u64::NAME, call]);
    actor.tell(fifo.path().to_str().expect("a readable path"));
    assert_eq!(reply(&mut actor), "ready");
    interrupt(&actor);
    let other = Timeout::after(TIMEOUT);
    let (reader, writer) = match call {
        "fifo_reader" => (None, Some(fifo.writer(other).expect("the actor reads"))),
        _ => (Some(fifo.reader(other).expect("the actor writes")), None),
    };
    assert_eq!(reply(&mut actor), format!("true, {SIGNALS} signals"));
    drop((reader, writer));
}

/// Uses one side of a duplex in an actor while the outgoing pipe is full.
fn exchange(call: &str, ends: &str) -> String {
    let (incoming, outgoing) = shared::adopt_duplex(ends);
    while outgoing.write(&[0; 8]).is_ok() {}
    let mut duplex = Duplex::<u64>::from_ends(incoming, outgoing);
    println!("ready");
    match call {
        "duplex_send" => format!("{:?}", duplex.send(7)),
        _ => format!("{:?}", duplex.recv()),
    }
}

fn receiving_duplex_continues() {
    let shared = Shared::new(4096);
    let mut actor = start(&shared, u64::NAME, "duplex_receive");
    interrupt(&actor);
    let sent = shared.writer().write(&7_u64.to_ne_bytes());
    assert_eq!(sent, Ok(8));
    assert_eq!(reply(&mut actor), format!("Ok(7), {SIGNALS} signals"));
}

/// The outgoing pipe is the pipe of the senders' semaphore, so the driver drains it by acquiring
/// permits.
fn sending_duplex_continues() {
    let shared = Shared::new(4096);
    let mut actor = start(&shared, u64::NAME, "duplex_send");
    interrupt(&actor);
    for _ in 0..pipe::PIPE_BUF {
        assert!(
            shared.turn().acquire_with(Timeout::NonBlocking),
            "the pipe has a full page"
        );
    }
    assert_eq!(reply(&mut actor), format!("Ok(()), {SIGNALS} signals"));
}
