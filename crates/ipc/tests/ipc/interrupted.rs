//! Signals during blocking calls of the crate: a process that waits on a primitive in a region is sent one
//! signal after the other. Its handler is not one that restarts system calls.

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
            "interrupted::a_permit_is_taken_once",
            a_permit_is_taken_once,
        ),
        test(
            "interrupted::a_receiver_gets_each_item",
            a_receiver_gets_each_item,
        ),
        test(
            "interrupted::a_sender_sends_each_item",
            a_sender_sends_each_item,
        ),
    ]
}

static HANDLED: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: i32) {
    HANDLED.fetch_add(1, Ordering::Relaxed);
}

/// In the actor: an operation in each round, and a line after each.
pub fn play(part: &[String]) {
    let [descriptor, operation] = part else {
        panic!("a descriptor and an operation, not {part:?}");
    };
    let region = inherited(descriptor);
    let action = SigAction::new(
        SigHandler::Handler(count),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler counts.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("it can be handled");
    let semaphore: &Semaphore = region
        .create_or_attach("semaphore", ())
        .expect("it is there");
    let bounded: &Bounded = region.create_or_attach("bounded", 1).expect("it is there");
    let monitor: &Monitor = region.create_or_attach("monitor", 1).expect("it is there");
    let receiver = bounded.receiver().expect("its end is open");
    let sender = monitor.sender().expect("its end is open");
    println!("ready");
    for round in 0..ROUNDS {
        match operation.as_str() {
            "acquire" => {
                semaphore.acquire().forget();
                println!("{round}");
            }
            "recv" => println!("{}", receiver.recv().expect("there is a sender")),
            "send" => {
                sender.send(round).expect("there is a receiver");
                println!("{round}");
            }
            other => panic!("there is no operation {other:?}"),
        }
    }
    println!("{} signals", HANDLED.load(Ordering::Relaxed));
}

/// In each round the actor sleeps, is sent a signal, sleeps again, and is let go on.
fn interrupt(operation: &str, region: &Region, mut let_go_on: impl FnMut(u32)) {
    let mut actor = Actor::start(region, &[operation.to_owned()]);
    let deadline = Instant::now() + TIMEOUT;
    assert_eq!(actor.reply(deadline).as_deref(), Ok("ready"));
    for round in 0..ROUNDS {
        actor.until_asleep(deadline);
        actor.signal(Signal::SIGUSR1);
        let process = actor.pid().as_raw() as u32;
        until("the signal is delivered", || !has_pending(process));
        actor.until_asleep(deadline);
        let_go_on(round);
        assert_eq!(actor.reply(deadline), Ok(round.to_string()), "{operation}");
    }
    assert_eq!(actor.reply(deadline), Ok(format!("{ROUNDS} signals")));
    actor.end(deadline).expect("it ends well");
}

fn region() -> Region {
    Region::memfd("interrupted", 1 << 16).expect("there is memory")
}

fn a_permit_is_taken_once() {
    let region = region();
    let semaphore: &Semaphore = region.create("semaphore", ()).expect("it is new");
    interrupt("acquire", &region, |_| {
        semaphore.release(1).expect("there are none")
    });
    assert_eq!(semaphore.permits(), 0);
}

fn a_receiver_gets_each_item() {
    let region = region();
    let buffer: &Bounded = region.create("bounded", 1).expect("it is new");
    let sender = buffer.sender().expect("it is open");
    interrupt("recv", &region, |item| {
        sender.send(item).expect("there is a receiver")
    });
    assert!(buffer.is_empty());
}

fn a_sender_sends_each_item() {
    let region = region();
    let buffer: &Monitor = region.create("monitor", 1).expect("it is new");
    let sender = buffer.sender().expect("it is open");
    let receiver = buffer.receiver().expect("it is open");
    sender.send(1000).expect("there is room");
    let mut got = Vec::new();
    interrupt("send", &region, |_| {
        got.push(receiver.recv().expect("there is a sender"))
    });
    got.push(receiver.recv().expect("the last one"));
    let expected: Vec<u32> = [1000].into_iter().chain(0..ROUNDS).collect();
    assert_eq!(got, expected);
}
