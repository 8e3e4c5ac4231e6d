//! Free runs: all processes or threads run at the same time, and the history must be linearizable.

use super::actor::{from_text, to_text};
use super::harness::Test;
use super::history::{Record, is_linearizable};
use super::object::{self, Open, Subject};
use super::process::{Actor, TIMEOUT};
use super::program::{Call, Kind, Object, Program, Wait, programs};
use super::property;
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch::{Region, Semaphore};
use interlatch_contract::specification::Outcome;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::time::Instant;

/// Returns a property test for each kind of object, with processes and with threads.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for kind in Kind::ALL {
        for (stage, run) in [("processes", in_processes as Run), ("threads", in_threads)] {
            let name = format!("{stage}::free_{kind:?}_is_linearizable");
            tests.push(Test::new(name.clone(), move || {
                property::check(&name, &programs(kind), |program| check(&program, run));
            }));
        }
    }
    for kind in [
        Kind::Bounded,
        Kind::Monitor,
        Kind::RobustBounded,
        Kind::RobustMonitor,
    ] {
        let name = format!("threads::{kind:?}_with_zero_timeout_takes_available_items");
        tests.push(Test::new(name, move || {
            zero_timeout_takes_available_items(kind)
        }));
    }
    tests
}

/// Sends and receives with expired deadlines while other threads use the buffer constantly.
fn zero_timeout_takes_available_items(kind: Kind) {
    let object = Object {
        kind,
        capacity: 1,
        large: false,
        batches: false,
        processes: 5,
    };
    let send_and_recv = |item| [Call::Send(item, Wait::Zero), Call::Recv(Wait::Zero)];
    let others = (0..4).map(|_| vec![Call::Len; 20_000]);
    let calls: Vec<_> = [(0..10_000).flat_map(send_and_recv).collect()]
        .into_iter()
        .chain(others)
        .collect();
    let histories = in_threads(&object, &calls).expect("all threads end");
    for (item, send_and_recv) in histories[0].chunks(2).enumerate() {
        let outcomes = send_and_recv.iter().map(|entry| from_text(&entry.outcome));
        let expected = [Some(Outcome::Done), Some(Outcome::Item(item as u64))];
        assert!(outcomes.eq(expected), "{send_and_recv:?}");
    }
}

type Run = fn(&Object, &[Vec<Call>]) -> Result<Vec<Vec<Entry>>, String>;

/// A completed call, as reported by an actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    call: Call,
    outcome: String,
    called: u64,
    returned: u64,
}

fn check(program: &Program, run: Run) -> Result<(), String> {
    let (object, calls) = prepare(program);
    let histories = run(&object, &calls)?;
    let mut records: Vec<Record> = Vec::new();
    for (process, entries) in histories.into_iter().enumerate() {
        for Entry {
            call,
            outcome: text,
            called,
            returned,
        } in entries
        {
            let outcome = from_text(&text).ok_or_else(|| format!("unknown outcome {text:?}"))?;
            let operation = call.operation();
            records.push(Record {
                process,
                operation,
                outcome,
                called,
                returned,
            });
        }
    }
    if is_linearizable(&object, &records) {
        return Ok(());
    }
    records.sort_by_key(|record| record.called);
    let lines: Vec<String> = records
        .iter()
        .map(|record| {
            let (called, returned) = (
                record.called - records[0].called,
                record.returned - records[0].called,
            );
            let Record {
                process,
                operation,
                outcome,
                ..
            } = record;
            format!(
                "  {called:>9} to {returned:>9} ns  process {process}: {operation:?} -> {outcome:?}"
            )
        })
        .collect();
    Err(format!(
        "no allowed order explains this history:\n{}",
        lines.join("\n")
    ))
}

/// Changes a program so that it terminates: the changed program releases all permits, and closes
/// and drains every stream.
fn prepare(program: &Program) -> (Object, Vec<Vec<Call>>) {
    let mut object = program.object;
    object.capacity = object.capacity.max(1);
    let calls = (0..object.processes)
        .map(|process| {
            let calls_of_process = program
                .steps
                .iter()
                .filter(|(caller, _)| *caller == process)
                .map(|(_, call)| *call);
            match object.kind {
                Kind::Lock | Kind::Semaphore => calls_of_process
                    .filter(|call| terminates(object.kind, *call))
                    .collect(),
                Kind::Pair | Kind::Queue => calls_of_process.map(with_bounded_wait).collect(),
                _ => one_sided(process, calls_of_process),
            }
        })
        .collect();
    (object, calls)
}

fn terminates(kind: Kind, call: Call) -> bool {
    kind != Kind::Lock || matches!(call, Call::Acquire(_))
}

fn with_bounded_wait(call: Call) -> Call {
    match call {
        Call::Write(Wait::Forever) => Call::Write(Wait::Briefly),
        Call::Read(Wait::Forever) => Call::Read(Wait::Briefly),
        Call::Post(kind, item, length, Wait::Forever) => {
            Call::Post(kind, item, length, Wait::Briefly)
        }
        Call::Fetch(select, Wait::Forever) => Call::Fetch(select, Wait::Briefly),
        other => other,
    }
}

/// Makes a process one-sided. An even process sends and then closes its side. An odd process
/// receives, and either closes its side early or drains the buffer.
fn one_sided(process: usize, calls: impl Iterator<Item = Call>) -> Vec<Call> {
    let is_sender = process.is_multiple_of(2);
    let close_other_side = if is_sender {
        Call::CloseReceiving
    } else {
        Call::CloseSending
    };
    let mut list = vec![close_other_side];
    for call in calls {
        match call {
            Call::Send(..) if is_sender => list.push(call),
            Call::Recv(_) if !is_sender => list.push(call),
            Call::Len => list.push(call),
            Call::CloseSending if is_sender => break,
            Call::CloseReceiving if !is_sender => {
                list.push(call);
                return list;
            }
            _ => {}
        }
    }
    if is_sender {
        list.push(Call::CloseSending);
    }
    list
}

/// Runs the calls in sequence in an actor or a thread, and records the history.
pub fn perform(subject: &mut dyn Subject, calls: &[Call]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for call in calls {
        let outcome = record_call(subject, *call, &mut entries);
        if matches!(call, Call::Acquire(_)) && outcome == Outcome::Done {
            record_call(subject, Call::Release(1), &mut entries);
        }
    }
    // A receiver that is still attached drains the buffer, so that no sender waits forever.
    if calls.first() == Some(&Call::CloseSending) && calls.last() != Some(&Call::CloseReceiving) {
        while record_call(subject, Call::Recv(Wait::Forever), &mut entries) != Outcome::Disconnected
        {
        }
        record_call(subject, Call::CloseReceiving, &mut entries);
    }
    entries
}

fn record_call(subject: &mut dyn Subject, call: Call, entries: &mut Vec<Entry>) -> Outcome {
    let called = now();
    let outcome = subject.perform(call);
    entries.push(Entry {
        call,
        outcome: to_text(outcome),
        called,
        returned: now(),
    });
    outcome
}

/// Reads a clock that is the same for all processes.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("the clock is readable");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn in_processes(object: &Object, calls: &[Vec<Call>]) -> Result<Vec<Vec<Entry>>, String> {
    let region = Region::memfd("free", object::size(object)).map_err(|e| e.to_string())?;
    let gate: &Semaphore = region.create("gate", ()).map_err(|e| e.to_string())?;
    object::open(&region, object, Open::Create).map_err(|e| e.to_string())?;
    let text = serde_json::to_string(object).map_err(|e| e.to_string())?;
    let mut actors = Vec::new();
    for list in calls {
        let list = serde_json::to_string(list).map_err(|e| e.to_string())?;
        actors.push(Actor::start(&region, &["free".into(), text.clone(), list]));
    }
    let deadline = Instant::now() + TIMEOUT;
    actors
        .iter_mut()
        .try_for_each(|actor| actor.reply(deadline).map(|_| ()))?;
    gate.release(calls.len() as u32)
        .map_err(|e| e.to_string())?;
    let mut histories = Vec::new();
    for (process, actor) in actors.iter_mut().enumerate() {
        let reply = actor
            .reply(deadline)
            .map_err(|problem| format!("process {process}: {problem}"))?;
        histories.push(serde_json::from_str(&reply).map_err(|e| format!("{e}: {reply}"))?);
    }
    actors
        .into_iter()
        .try_for_each(|actor| actor.end(deadline))?;
    Ok(histories)
}

fn in_threads(object: &Object, calls: &[Vec<Call>]) -> Result<Vec<Vec<Entry>>, String> {
    let region = Region::memfd("free", object::size(object)).map_err(|e| e.to_string())?;
    let gate: &Semaphore = region.create("gate", ()).map_err(|e| e.to_string())?;
    object::open(&region, object, Open::Create).map_err(|e| e.to_string())?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = calls
            .iter()
            .map(|list| {
                // Each thread maps the region again, as a separate process would.
                let descriptor = region
                    .descriptor()
                    .expect("a memfd")
                    .as_fd()
                    .try_clone_to_owned();
                let (ready, is_ready) = std::sync::mpsc::channel();
                let thread = scope.spawn(move || {
                    let region = Region::from_descriptor(descriptor.expect("a descriptor"))
                        .expect("the same region");
                    let gate: &Semaphore = region.attach("gate").expect("the gate");
                    let mut subject =
                        object::open(&region, object, Open::Attach).expect("the object");
                    ready.send(()).expect("the driver receives");
                    while !gate.acquire_with(Timeout::Infinite) {}
                    perform(subject.as_mut(), list)
                });
                is_ready.recv_timeout(TIMEOUT).expect("the thread is ready");
                thread
            })
            .collect();
        gate.release(calls.len() as u32)
            .map_err(|e| e.to_string())?;
        threads
            .into_iter()
            .map(|record| record.join().map_err(|_| "a thread panicked".into()))
            .collect()
    })
}
