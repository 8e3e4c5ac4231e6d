//! Signals during blocking calls on primitives: a process that waits on a primitive in a region
//! gets a series of signals. The process's signal handler does not restart system calls.

use super::actor::{Actor, inherited};
use super::harness::Test;
use super::process::{TIMEOUT, has_pending, test, until};
use interlatch::channel::Slot;
use interlatch::platform::{AtomicU32, Ordering};
use interlatch::{BoundedBuffer, Buffer, Channel, MonitorBuffer, Region, Semaphore};
use interlatch_ipc::Signal;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
use std::time::Instant;

const ROUNDS: u32 = 20;

type Bounded = BoundedBuffer<u32, [Slot<u32>]>;
type Monitor = MonitorBuffer<u32, [Slot<u32>]>;

pub fn tests() -> Vec<Test> {
    vec![
        test(
            "interrupted::interrupted_waiter_acquires_one_permit",
            interrupted_waiter_acquires_one_permit,
        ),
        test(
            "interrupted::interrupted_receiver_gets_every_item",
            interrupted_receiver_gets_every_item,
        ),
        test(
            "interrupted::interrupted_sender_sends_every_item",
            interrupted_sender_sends_every_item,
        ),
    ]
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// In the actor: performs an operation in each round and prints a line after each.
pub fn run_role(part: &[String]) {
    let [descriptor, operation] = part else {
        panic!("a descriptor and an operation, not {part:?}");
    };
    let region = inherited(descriptor);
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler only increments an atomic counter.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("the handler is installed");
    let semaphore: &Semaphore = region.create_or_attach("semaphore", ()).expect("it exists");
    let bounded: &Bounded = region.create_or_attach("bounded", 1).expect("it exists");
    let monitor: &Monitor = region.create_or_attach("monitor", 1).expect("it exists");
    let receiver = bounded.receiver().expect("its end is open");
    let sender = monitor.sender().expect("its end is open");
    println!("ready");
    for round in 0..ROUNDS {
        match operation.as_str() {
            "acquire" => {
                semaphore.acquire().forget();
                println!("{round}");
            }
            "recv" => println!("{}", receiver.recv().expect("a sender exists")),
            "send" => {
                sender.send(round).expect("a receiver exists");
                println!("{round}");
            }
            other => panic!("unknown operation {other:?}"),
        }
    }
    println!("{} signals", HANDLED.load(Ordering::Relaxed));
}

/// Interrupts a blocked actor with a signal in each round, and then wakes it with `let_go_on`.
fn interrupt(operation: &str, region: &Region, mut let_go_on: impl FnMut(u32)) {
    let mut actor = Actor::start(region, &[operation.to_owned()]);
    let deadline = Instant::now() + TIMEOUT;
    assert_eq!(actor.reply(deadline).as_deref(), Ok("ready"));
    for round in 0..ROUNDS {
        actor.wait_until_asleep(deadline);
        actor.signal(Signal::SIGUSR1);
        let process = actor.pid().as_raw() as u32;
        until("the signal is delivered", || !has_pending(process));
        actor.wait_until_asleep(deadline);
        let_go_on(round);
        assert_eq!(actor.reply(deadline), Ok(round.to_string()), "{operation}");
    }
    assert_eq!(actor.reply(deadline), Ok(format!("{ROUNDS} signals")));
    actor.end(deadline).expect("the process succeeds");
}

fn region() -> Region {
    Region::memfd("interrupted", 1 << 16).expect("the memory suffices")
}

fn interrupted_waiter_acquires_one_permit() {
    let region = region();
    let semaphore: &Semaphore = region.create("semaphore", ()).expect("the name is free");
    interrupt("acquire", &region, |_| {
        semaphore.release(1).expect("there are no permits")
    });
    assert_eq!(semaphore.permits(), 0);
}

fn interrupted_receiver_gets_every_item() {
    let region = region();
    let buffer: &Bounded = region.create("bounded", 1).expect("the name is free");
    let sender = buffer.sender().expect("the descriptor is open");
    interrupt("recv", &region, |item| {
        sender.send(item).expect("a receiver exists")
    });
    assert!(buffer.is_empty());
}

fn interrupted_sender_sends_every_item() {
    let region = region();
    let buffer: &Monitor = region.create("monitor", 1).expect("the name is free");
    let sender = buffer.sender().expect("the descriptor is open");
    let receiver = buffer.receiver().expect("the descriptor is open");
    sender.send(1000).expect("the buffer has room");
    let mut got = Vec::new();
    interrupt("send", &region, |_| {
        got.push(receiver.recv().expect("a sender exists"))
    });
    got.push(receiver.recv().expect("the last one"));
    let expected: Vec<u32> = [1000].into_iter().chain(0..ROUNDS).collect();
    assert_eq!(got, expected);
}
