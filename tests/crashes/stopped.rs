//! Operations beside a process that is stopped while it holds the internal lock of an object.
//!
//! The test steps a child instruction by instruction into an operation until the child holds the
//! lock, and then stops it with `SIGSTOP`. Other processes perform the operations of the object.
//! Their recheck interval is infinite, so a wait that relied on a recheck would never end.

use super::actor::{await_command, find, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT, readable};
use super::sweep::{LongBounded, reason_to_skip};
use interlatch::ShmSafe;
use interlatch::channel::message_queue::{MessageCell, MessageQueueExt, MessageType, Select};
use interlatch::channel::{
    ChannelError, RecvTimeoutError, SendTimeoutError, Slot, TurnSlot, Unregistered,
};
use interlatch::inspect::{ObjectState, RegionView};
use interlatch::sync::{AcquireError, LockState, PairSlot, RobustSemaphorePair, Timeout};
use interlatch::{
    BoundedBuffer, BytePipe, MessageQueue, MonitorBuffer, Region, Rendezvous, RobustBoundedBuffer,
    RobustMonitorBuffer,
};
use nix::sys::ptrace;
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGTRAP};
use nix::sys::signal::raise;
use nix::sys::wait::{WaitStatus, waitpid};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

pub fn tests() -> Vec<Test> {
    let test = |object: &'static Object| {
        let name = format!("operations_end_beside_a_process_stopped_in_{}", object.name);
        Test::new(name, move || operations_end(object))
    };
    OBJECTS.iter().map(test).collect()
}

/// A type of object. The object is empty: it has free slots and no items.
struct Object {
    name: &'static str,
    create: fn(&Region),
    /// Returns the number of items.
    count: fn(&Region) -> usize,
    /// Performs an operation that finds no item and does not block.
    try_receive: fn(&Region) -> String,
    /// Performs an operation that waits for an item until the timeout.
    receive: fn(&Region, Timeout) -> String,
    /// Performs an operation that finds a free slot, or a receiver.
    send: fn(&Region, Timeout) -> String,
    /// The result of a send that does not block.
    try_send_result: &'static str,
    /// The result of a receive that does not block.
    try_receive_result: &'static str,
}

const BUSY: &str = "busy";
const TIMED_OUT: &str = "timed out";

const OBJECTS: &[Object] = &[
    buffer::<MonitorBuffer<u64, [Slot<u64>; 2]>>("monitor_buffer"),
    Object {
        // No permit of the readers is available, so the receiver does not need the lock.
        try_receive_result: TIMED_OUT,
        ..buffer::<BoundedBuffer<u64, [Slot<u64>; 2]>>("bounded_buffer")
    },
    buffer::<RobustMonitorBuffer<u64, [Slot<u64>; 2]>>("robust_monitor_buffer"),
    buffer::<RobustBoundedBuffer<u64, [TurnSlot<u64>; 2]>>("robust_bounded_buffer"),
    buffer::<LongBounded>("robust_bounded_buffer_of_long_items"),
    buffer::<Rendezvous<u64>>("rendezvous"),
    Object {
        // A sender waits with an offer while another process receives.
        receive: |region, timeout| sent(meeting(region).send_unregistered(7, timeout), &7),
        send: |region, timeout| received(meeting(region).recv_unregistered(timeout)),
        ..buffer::<Rendezvous<u64>>("rendezvous_with_an_offer")
    },
    Object {
        name: "robust_semaphore_pair",
        create: create::<Pair>,
        count: |region| pair(region).readable(),
        try_receive: |region| acquired(&pair(region).try_read()),
        receive: |region, timeout| acquired(&pair(region).read_with(timeout)),
        send: |region, timeout| acquired(&pair(region).write_with(timeout)),
        try_send_result: BUSY,
        try_receive_result: BUSY,
    },
    Object {
        name: "message_queue",
        create: create::<Queue>,
        count: |region| queue(region).len(),
        try_receive: |region| receive_message(region, Timeout::NonBlocking),
        receive: receive_message,
        send: |region, timeout| {
            let sent_message = queue(region).send_with(MessageType::LOWEST, b"1", timeout);
            sent(sent_message, &())
        },
        try_send_result: BUSY,
        try_receive_result: BUSY,
    },
    Object {
        name: "byte_pipe",
        create: create::<Pipe>,
        count: |region| pipe(region).len(),
        try_receive: |region| read_byte(region, Timeout::NonBlocking),
        receive: read_byte,
        send: |region, timeout| sent(pipe(region).write_unregistered(b"1", timeout), &()),
        try_send_result: BUSY,
        try_receive_result: BUSY,
    },
];

type Pair = RobustSemaphorePair<[PairSlot; 1]>;
type Queue = MessageQueue<[MessageCell; 8]>;
type Pipe = BytePipe<[Slot<u8>; 8]>;

fn create<T: ShmSafe>(region: &Region) {
    let _: &T = find(region, "object");
}

fn meeting(region: &Region) -> &Rendezvous<u64> {
    find(region, "object")
}

fn pair(region: &Region) -> &Pair {
    find(region, "object")
}

fn queue(region: &Region) -> &Queue {
    find(region, "object")
}

fn pipe(region: &Region) -> &Pipe {
    find(region, "object")
}

/// Describes a buffer of any type by its operations without handles.
const fn buffer<B>(name: &'static str) -> Object
where
    B: Unregistered<Item: From<u64> + PartialEq> + ShmSafe,
{
    Object {
        name,
        create: create::<B>,
        count: |region| find::<B>(region, "object").len(),
        try_receive: |region| {
            received(find::<B>(region, "object").recv_unregistered(Timeout::NonBlocking))
        },
        receive: |region, timeout| received(find::<B>(region, "object").recv_unregistered(timeout)),
        send: |region, timeout| {
            let buffer = find::<B>(region, "object");
            sent(buffer.send_unregistered(7.into(), timeout), &7.into())
        },
        try_send_result: BUSY,
        try_receive_result: BUSY,
    }
}

fn receive_message(region: &Region, timeout: Timeout) -> String {
    received(queue(region).receive_with(Select::First, timeout))
}

fn read_byte(region: &Region, timeout: Timeout) -> String {
    received(pipe(region).read_unregistered(&mut [0], timeout))
}

/// Describes the result of a send, which returns its item after an error.
fn sent<R, T: PartialEq>(result: Result<R, SendTimeoutError<T>>, item: &T) -> String {
    match result {
        Ok(_) => "sent",
        Err(SendTimeoutError::Timeout(returned)) if returned == *item => TIMED_OUT,
        Err(SendTimeoutError::Failed(returned, ChannelError::Busy)) if returned == *item => BUSY,
        Err(_) => "another error",
    }
    .into()
}

fn received<R>(result: Result<R, RecvTimeoutError>) -> String {
    match result {
        Ok(_) => "received".into(),
        Err(RecvTimeoutError::Timeout) => TIMED_OUT.into(),
        Err(RecvTimeoutError::Failed(ChannelError::Busy)) => BUSY.into(),
        Err(error) => error.to_string(),
    }
}

fn acquired<T>(result: &Result<T, AcquireError>) -> String {
    match result {
        Ok(_) => "acquired".into(),
        Err(AcquireError::TimedOut) => TIMED_OUT.into(),
        Err(AcquireError::Busy) => BUSY.into(),
        Err(error) => error.to_string(),
    }
}

/// Runs in an actor: `try_receive` in the process that is stopped, a number of milliseconds in the
/// process that waits before that, and `all` in a process that starts afterwards.
pub fn run(region: &Region, role: &str) {
    let (name, operation) = role.split_once(' ').expect("an object and an operation");
    let object = OBJECTS.iter().find(|object| object.name == name);
    let object = object.expect("the name of an object");
    interlatch::sync::set_recheck_interval(Duration::MAX);
    interlatch::sync::set_spinning(false);
    let soon = || Timeout::after(Duration::from_millis(20));
    match operation {
        "try_receive" => {
            // One-time initialization runs before the operation that is stopped.
            (object.try_receive)(region);
            ptrace::traceme().expect("the parent may trace");
            report("ready");
            raise(SIGSTOP).expect("a signal to itself");
            report(&(object.try_receive)(region));
        }
        "all" => {
            report(&format!("{} items", (object.count)(region)));
            report(&(object.send)(region, soon()));
            report(&(object.receive)(region, soon()));
            report(&(object.send)(region, Timeout::NonBlocking));
            report(&(object.try_receive)(region));
        }
        milliseconds => {
            report("waiting");
            let wait = Duration::from_millis(milliseconds.parse().expect("a number"));
            report(&(object.receive)(region, Timeout::after(wait)));
        }
    }
    await_command();
}

fn operations_end(object: &Object) {
    if let Some(reason) = reason_to_skip() {
        println!("skipped: {reason}");
        return;
    }
    // On a slow machine, the timeout may expire before the other process is stopped.
    let mut waits = (9..15).map(|power| Duration::from_millis(1 << power));
    assert!(
        waits.any(|wait| is_tested_with(object, wait)),
        "the process is not stopped in time"
    );
}

/// Returns false if the waiting process did not wait until the other process was stopped.
fn is_tested_with(object: &Object, wait: Duration) -> bool {
    let region = Region::memfd("stopped", 1 << 16).expect("a region");
    (object.create)(&region);
    let start = |operation: &str| {
        let role = format!("stopped {} {operation}", object.name);
        Actor::start(&region, &[role])
    };
    let mut stopped = start("try_receive");
    expect(&mut stopped, "ready");
    let mut waiting = start(&wait.as_millis().to_string());
    expect(&mut waiting, "waiting");
    waiting.wait_until_asleep(Instant::now() + TIMEOUT);
    stop_inside_the_lock(&region, &stopped);
    if waiting.sleeps_on_futex() != Some(true) || readable(&[&waiting], Instant::now())[0] {
        return false;
    }
    let mut other = start("all");
    expect(&mut other, "0 items");
    expect(&mut other, TIMED_OUT);
    expect(&mut other, TIMED_OUT);
    expect(&mut other, object.try_send_result);
    expect(&mut other, object.try_receive_result);
    expect(&mut waiting, TIMED_OUT);
    stopped.signal(SIGCONT);
    // The operation of the stopped process finds no item: each failed send had no effect.
    expect(&mut stopped, TIMED_OUT);
    let soon = Timeout::after(Duration::from_millis(20));
    assert_eq!((object.send)(&region, soon), works(object));
    true
}

/// Returns the result of a send to the object after all other processes have left it.
fn works(object: &Object) -> &'static str {
    match object.name {
        "robust_semaphore_pair" => "acquired",
        // No process waits on the other side.
        "rendezvous" | "rendezvous_with_an_offer" => TIMED_OUT,
        _ => "sent",
    }
}

/// Steps the process until it holds the internal lock of the object, and stops it there.
fn stop_inside_the_lock(region: &Region, actor: &Actor) {
    let pid = actor.pid();
    assert_eq!(waitpid(pid, None), Ok(WaitStatus::Stopped(pid, SIGSTOP)));
    let descriptor = region.descriptor().expect("a memfd").as_raw_fd();
    let view = RegionView::attach_path(format!("/proc/self/fd/{descriptor}"));
    let view = view.expect("the region is readable");
    let object = view.objects().next().expect("one object");
    while !is_locked(&view.inspect(&object)) {
        // The lock is held for more instructions than these.
        for _ in 0..4 {
            ptrace::step(pid, None).expect("the child is stopped");
            let stepped = waitpid(pid, None).expect("this process has the child");
            assert_eq!(stepped, WaitStatus::Stopped(pid, SIGTRAP), "it never locks");
        }
    }
    ptrace::detach(pid, SIGSTOP).expect("the child is stopped");
    let deadline = Instant::now() + TIMEOUT;
    while !state_of(actor).contains("T (stopped)") {
        assert!(Instant::now() < deadline, "{}", state_of(actor));
        std::thread::yield_now();
    }
}

fn state_of(actor: &Actor) -> String {
    std::fs::read_to_string(format!("/proc/{}/status", actor.pid())).unwrap_or_default()
}

fn is_locked(state: &ObjectState) -> bool {
    let lock = match state {
        ObjectState::Buffer(buffer) | ObjectState::BytePipe(buffer) => buffer.lock,
        ObjectState::Rendezvous(rendezvous) => rendezvous.lock,
        ObjectState::RobustSemaphorePair(pair) => pair.lock,
        ObjectState::Queue(queue) => queue.lock,
        other => panic!("no internal lock: {other:?}"),
    };
    matches!(lock, LockState::Held { .. } | LockState::HeldBy { .. })
}

fn expect(actor: &mut Actor, line: &str) {
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok(line));
}
