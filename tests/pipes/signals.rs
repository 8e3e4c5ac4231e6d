//! Signals with a handler that does not restart calls: nothing is lost, and nothing ends early.
//!
//! Each signal is sent to an actor that was seen to wait in its call, and is delivered before the next one: so the
//! handler has run as often as there were signals.

use super::actor::wait_for_the_driver;
use super::ends::{said, until_it_waits};
use super::harness::Test;
use super::item::{Item, Large};
use super::process::{Actor, TIMEOUT};
use super::shared::{self, Gets, Shared};
use interlatch::PipeBuffer;
use interlatch::channel::Duplex;
use interlatch::channel::Unregistered;
use interlatch::platform::pipe;
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch_ipc::Fifo;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new("a_receiver_goes_on_after_a_signal", || {
            receives::<u64>("receive")
        }),
        Test::new("a_receiver_with_a_deadline_goes_on_after_a_signal", || {
            receives::<u64>("receive_in_time");
        }),
        Test::new("a_receiver_of_large_items_goes_on_after_a_signal", || {
            receives::<Large>("receive_in_time");
        }),
        Test::new("a_sender_goes_on_after_a_signal", || sends::<u64>("send")),
        Test::new("a_sender_with_a_deadline_goes_on_after_a_signal", || {
            sends::<u64>("send_in_time");
        }),
        Test::new("a_sender_of_large_items_goes_on_after_a_signal", || {
            sends::<Large>("send_in_time");
        }),
        Test::new("who_waits_for_a_permit_goes_on_after_a_signal", acquires),
        Test::new("who_opens_a_fifo_to_read_goes_on_after_a_signal", || {
            opens("fifo_reader")
        }),
        Test::new("who_opens_a_fifo_to_write_goes_on_after_a_signal", || {
            opens("fifo_writer")
        }),
        Test::new(
            "a_side_of_a_duplex_that_receives_goes_on_after_a_signal",
            duplex_receives,
        ),
        Test::new(
            "a_side_of_a_duplex_that_sends_goes_on_after_a_signal",
            duplex_sends,
        ),
    ]
}

/// How many signals the handler has seen. (Relaxed: one thread.)
static SEEN: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_signal: libc::c_int) {
    SEEN.fetch_add(1, Relaxed);
}

/// In an actor: one call, during which signals come.
pub fn play<T: Item>(call: &str, ends: &str) {
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler changes an atomic word only.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("it can be handled");
    let outcome = match call {
        "fifo_reader" | "fifo_writer" => open(call),
        "duplex_send" | "duplex_receive" => exchange(call, ends),
        "acquire" => {
            let semaphore = shared::take_over_turn(ends);
            println!("ready");
            semaphore.acquire_with(Timeout::after(TIMEOUT)).to_string()
        }
        call => {
            let buffer: PipeBuffer<T> = shared::take_over(ends);
            println!("ready");
            pass(&buffer, call)
        }
    };
    println!("{outcome}, {} signals", SEEN.load(Relaxed));
    wait_for_the_driver();
}

/// Receives two items, or sends as many as are more than fit.
fn pass<T: Item>(buffer: &PipeBuffer<T>, call: &str) -> String {
    let timeout = match call.ends_with("_in_time") {
        true => Timeout::after(TIMEOUT),
        false => Timeout::Infinite,
    };
    if call.starts_with("receive") {
        let receive = |()| buffer.recv_unregistered(timeout).map(T::number);
        return format!("{:?}", [(), ()].map(receive));
    }
    let is_refused = |item: &u64| buffer.send_unregistered(T::of(*item), timeout).is_err();
    format!("{:?}", (0..count_of::<T>()).find(is_refused))
}

/// A few times more than fit into the pipe.
fn count_of<T>() -> u64 {
    (300_000 / size_of::<T>()) as u64
}

/// How often a call is interrupted.
const SIGNALS: u32 = 20;

/// Signals it whenever it waits, a few times.
fn interrupt(actor: &Actor) {
    for _ in 0..SIGNALS {
        until_it_waits(actor);
        actor.signal(Signal::SIGUSR1);
        let deadline = Instant::now() + TIMEOUT;
        while has_pending(actor) {
            assert!(
                Instant::now() < deadline,
                "not delivered: {}",
                actor.stands()
            );
            std::thread::yield_now();
        }
    }
    until_it_waits(actor);
}

/// Whether a signal waits to be delivered to it.
fn has_pending(actor: &Actor) -> bool {
    let path = format!("/proc/{}/status", actor.pid());
    let status = std::fs::read_to_string(path).expect("it is not reaped");
    let mut pending = status.lines().filter(|line| line.contains("Pnd:"));
    !pending.all(|line| line.trim_end().ends_with("0000000000000000"))
}

fn start(shared: &Shared, name: &str, call: &str) -> Actor {
    let mut actor = shared.start(Gets::Both, &["interrupted", name, call]);
    assert_eq!(said(&mut actor), "ready");
    actor
}

fn receives<T: Item>(call: &str) {
    let mut shared = Shared::new(4096);
    let mut actor = start(&shared, T::NAME, call);
    let buffer: PipeBuffer<T> = shared.keep();
    for item in [7, 8] {
        interrupt(&actor);
        let sent = buffer.send_unregistered(T::of(item), Timeout::after(TIMEOUT));
        assert!(sent.is_ok(), "there is room");
    }
    assert_eq!(
        said(&mut actor),
        format!("[Ok(7), Ok(8)], {} signals", 2 * SIGNALS)
    );
}

fn sends<T: Item>(call: &str) {
    let mut shared = Shared::new(4096);
    let mut actor = start(&shared, T::NAME, call);
    let buffer: PipeBuffer<T> = shared.keep();
    interrupt(&actor);
    for item in 0..count_of::<T>() {
        let received = buffer
            .recv_unregistered(Timeout::after(TIMEOUT))
            .map(T::number);
        assert_eq!(received, Ok(item));
    }
    assert_eq!(said(&mut actor), format!("None, {SIGNALS} signals"));
}

fn acquires() {
    let shared = Shared::new(4096);
    let turn = shared.turn();
    assert!(turn.acquire_with(Timeout::NonBlocking), "it is nobody's");
    let mut actor = start(&shared, u64::NAME, "acquire");
    interrupt(&actor);
    turn.release(1).expect("there is room");
    assert_eq!(said(&mut actor), format!("true, {SIGNALS} signals"));
}

/// In an actor: opens the named pipe whose path the driver says.
fn open(call: &str) -> String {
    let mut path = String::new();
    std::io::stdin().read_line(&mut path).expect("a path");
    let fifo = Fifo::at(path.trim_end()).expect("it is there");
    println!("ready");
    let is_open = match call {
        "fifo_reader" => fifo.reader(Timeout::Infinite).is_ok(),
        _ => fifo.writer(Timeout::Infinite).is_ok(),
    };
    is_open.to_string()
}

fn opens(call: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = Fifo::create(folder.path().join("fifo"), 0o600).expect("it is new");
    let shared = Shared::new(4096);
    let mut actor = shared.start(Gets::Both, &["interrupted", u64::NAME, call]);
    actor.tell(fifo.path().to_str().expect("a readable path"));
    assert_eq!(said(&mut actor), "ready");
    interrupt(&actor);
    let other = Timeout::after(TIMEOUT);
    let (reader, writer) = match call {
        "fifo_reader" => (None, Some(fifo.writer(other).expect("the actor reads"))),
        _ => (Some(fifo.reader(other).expect("the actor writes")), None),
    };
    assert_eq!(said(&mut actor), format!("true, {SIGNALS} signals"));
    drop((reader, writer));
}

/// In an actor: one side of a two-way link, whose outgoing pipe is full.
fn exchange(call: &str, ends: &str) -> String {
    let (incoming, outgoing) = shared::take_over_duplex(ends);
    while outgoing.write(&[0; 8]).is_ok() {}
    let mut duplex = Duplex::<u64>::from_ends(incoming, outgoing);
    println!("ready");
    match call {
        "duplex_send" => format!("{:?}", duplex.send(7)),
        _ => format!("{:?}", duplex.recv()),
    }
}

fn duplex_receives() {
    let shared = Shared::new(4096);
    let mut actor = start(&shared, u64::NAME, "duplex_receive");
    interrupt(&actor);
    let sent = shared.writer().write(&7_u64.to_ne_bytes());
    assert_eq!(sent, Ok(8));
    assert_eq!(said(&mut actor), format!("Ok(7), {SIGNALS} signals"));
}

/// Its outgoing pipe is that of the turns: a process takes what is in it as permits.
fn duplex_sends() {
    let shared = Shared::new(4096);
    let mut actor = start(&shared, u64::NAME, "duplex_send");
    interrupt(&actor);
    for _ in 0..pipe::PIPE_BUF {
        assert!(
            shared.turn().acquire_with(Timeout::NonBlocking),
            "a page is full"
        );
    }
    assert_eq!(said(&mut actor), format!("Ok(()), {SIGNALS} signals"));
}
