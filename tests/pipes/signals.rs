//! Signals with a handler that does not restart calls: nothing is lost, and nothing ends early.

use super::actor::wait_for_the_driver;
use super::ends::{said, until_it_waits};
use super::harness::Test;
use super::item::{Item, Large};
use super::process::{Actor, PATIENCE};
use super::shared::{self, Gets, Shared};
use interlatch::platform::{AtomicU32, Ordering::Relaxed};
use interlatch::sync::{Patience, Permits};
use interlatch::{Buffer, PipeBuffer};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

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
        "acquire" => {
            let semaphore = shared::take_over_turn(ends);
            println!("ready");
            semaphore.acquire_within(Patience::of(PATIENCE)).to_string()
        }
        call => {
            let buffer: PipeBuffer<T> = shared::take_over(ends);
            println!("ready");
            pass(&buffer, call)
        }
    };
    let interrupted = SEEN.load(Relaxed) > 0;
    println!("{outcome}, interrupted: {interrupted}");
    wait_for_the_driver();
}

/// Receives two items, or sends as many as are more than fit.
fn pass<T: Item>(buffer: &PipeBuffer<T>, call: &str) -> String {
    let patience = match call.ends_with("_in_time") {
        true => Patience::of(PATIENCE),
        false => Patience::Forever,
    };
    if call.starts_with("receive") {
        let receive = |()| buffer.recv_within(patience).map(T::number);
        return format!("{:?}", [(), ()].map(receive));
    }
    let is_refused = |item: &u64| buffer.send_within(T::of(*item), patience).is_err();
    format!("{:?}", (0..count_of::<T>()).find(is_refused))
}

/// A few times more than fit into the pipe.
fn count_of<T>() -> u64 {
    (300_000 / size_of::<T>()) as u64
}

/// Signals it whenever it waits, a few times.
fn interrupt(actor: &Actor) {
    for _ in 0..20 {
        until_it_waits(actor);
        actor.signal(Signal::SIGUSR1);
    }
    until_it_waits(actor);
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
        let sent = buffer.send_within(T::of(item), Patience::of(PATIENCE));
        assert!(sent.is_ok(), "there is room");
    }
    assert_eq!(said(&mut actor), "[Ok(7), Ok(8)], interrupted: true");
}

fn sends<T: Item>(call: &str) {
    let mut shared = Shared::new(4096);
    let mut actor = start(&shared, T::NAME, call);
    let buffer: PipeBuffer<T> = shared.keep();
    interrupt(&actor);
    for item in 0..count_of::<T>() {
        let received = buffer.recv_within(Patience::of(PATIENCE)).map(T::number);
        assert_eq!(received, Ok(item));
    }
    assert_eq!(said(&mut actor), "None, interrupted: true");
}

fn acquires() {
    let shared = Shared::new(4096);
    let turn = shared.turn();
    assert!(turn.acquire_within(Patience::Never), "it is nobody's");
    let mut actor = start(&shared, u64::NAME, "acquire");
    interrupt(&actor);
    turn.release(1).expect("there is room");
    assert_eq!(said(&mut actor), "true, interrupted: true");
}
