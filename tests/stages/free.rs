//! Free runs: all at once, and the history has to be linearizable. As threads and as processes.

use super::actor::{outcome, word};
use super::harness::Test;
use super::history::{Record, is_linearizable};
use super::object::{self, Find, Subject};
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

/// A property for each kind of object in each of the two worlds.
pub fn tests() -> Vec<Test> {
    let mut tests = Vec::new();
    for kind in Kind::ALL {
        for (world, run) in [("processes", in_processes as Run), ("threads", in_threads)] {
            let name = format!("{world}::free_{kind:?}_is_linearizable");
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
        let name = format!("threads::{kind:?}_gives_what_is_there_also_to_who_has_no_time");
        tests.push(Test::new(name, move || no_time_is_enough(kind)));
    }
    tests
}

/// While somebody else is inside again and again.
fn no_time_is_enough(kind: Kind) {
    let object = Object {
        kind,
        capacity: 1,
        large: false,
        batches: false,
        processes: 5,
    };
    let both = |item| [Call::Send(item, Wait::Zero), Call::Recv(Wait::Zero)];
    let others = (0..4).map(|_| vec![Call::Len; 20_000]);
    let calls: Vec<_> = [(0..10_000).flat_map(both).collect()]
        .into_iter()
        .chain(others)
        .collect();
    let histories = in_threads(&object, &calls).expect("all end");
    for (item, both) in histories[0].chunks(2).enumerate() {
        let outcomes = both.iter().map(|entry| outcome(&entry.outcome));
        let expected = [Some(Outcome::Done), Some(Outcome::Item(item as u64))];
        assert!(outcomes.eq(expected), "{both:?}");
    }
}

type Run = fn(&Object, &[Vec<Call>]) -> Result<Vec<Vec<Entry>>, String>;

/// A call that has ended, as an actor reports it.
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
    let mut records = Vec::new();
    for (process, entries) in histories.into_iter().enumerate() {
        for Entry {
            call,
            outcome: text,
            called,
            returned,
        } in entries
        {
            let outcome = outcome(&text).ok_or_else(|| format!("an outcome of {text:?}"))?;
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
        .map(|one| {
            let (called, returned) = (
                one.called - records[0].called,
                one.returned - records[0].called,
            );
            let Record {
                process,
                operation,
                outcome,
                ..
            } = one;
            format!(
                "  {called:>9} to {returned:>9} ns  process {process}: {operation:?} -> {outcome:?}"
            )
        })
        .collect();
    Err(format!(
        "no order explains this history:\n{}",
        lines.join("\n")
    ))
}

/// Makes a program one that ends: permits are given back, every stream is closed and drained.
fn prepare(program: &Program) -> (Object, Vec<Vec<Call>>) {
    let mut object = program.object;
    object.capacity = object.capacity.max(1);
    let calls = (0..object.processes)
        .map(|process| {
            let mine = program
                .steps
                .iter()
                .filter(|(who, _)| *who == process)
                .map(|(_, call)| *call);
            match object.kind {
                Kind::Lock | Kind::Semaphore => mine
                    .filter(|call| is_harmless(object.kind, *call))
                    .collect(),
                Kind::Pair | Kind::Queue => mine.map(without_forever).collect(),
                _ => one_sided(process, mine),
            }
        })
        .collect();
    (object, calls)
}

fn is_harmless(kind: Kind, call: Call) -> bool {
    kind != Kind::Lock || matches!(call, Call::Acquire(_))
}

fn without_forever(call: Call) -> Call {
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

/// Even processes send and then close; odd ones receive, and either close early or drain.
fn one_sided(process: usize, calls: impl Iterator<Item = Call>) -> Vec<Call> {
    let is_sender = process.is_multiple_of(2);
    let not_mine = if is_sender {
        Call::CloseReceiving
    } else {
        Call::CloseSending
    };
    let mut list = vec![not_mine];
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

/// In an actor or a thread: runs the calls, one after the other, and writes down what happened.
pub fn perform(subject: &mut dyn Subject, calls: &[Call]) -> Vec<Entry> {
    let mut entries = Vec::new();
    for call in calls {
        let outcome = log(subject, *call, &mut entries);
        if matches!(call, Call::Acquire(_)) && outcome == Outcome::Done {
            log(subject, Call::Release(1), &mut entries);
        }
    }
    // A receiver that has not closed drains the buffer, so that no sender waits for ever.
    if calls.first() == Some(&Call::CloseSending) && calls.last() != Some(&Call::CloseReceiving) {
        while log(subject, Call::Recv(Wait::Forever), &mut entries) != Outcome::Disconnected {}
        log(subject, Call::CloseReceiving, &mut entries);
    }
    entries
}

fn log(subject: &mut dyn Subject, call: Call, entries: &mut Vec<Entry>) -> Outcome {
    let called = now();
    let outcome = subject.perform(call);
    entries.push(Entry {
        call,
        outcome: word(outcome),
        called,
        returned: now(),
    });
    outcome
}

/// One clock for all processes.
fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("it is there");
    time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64
}

fn in_processes(object: &Object, calls: &[Vec<Call>]) -> Result<Vec<Vec<Entry>>, String> {
    let region = Region::memfd("free", object::size(object)).map_err(|e| e.to_string())?;
    let gate: &Semaphore = region.create("gate", ()).map_err(|e| e.to_string())?;
    object::find(&region, object, Find::Create).map_err(|e| e.to_string())?;
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
    object::find(&region, object, Find::Create).map_err(|e| e.to_string())?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = calls
            .iter()
            .map(|list| {
                // Each thread maps the region once more, as a process would.
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
                        object::find(&region, object, Find::Attach).expect("the object");
                    ready.send(()).expect("the driver listens");
                    while !gate.acquire_with(Timeout::Infinite) {}
                    perform(subject.as_mut(), list)
                });
                is_ready
                    .recv_timeout(TIMEOUT)
                    .expect("the thread gets ready");
                thread
            })
            .collect();
        gate.release(calls.len() as u32)
            .map_err(|e| e.to_string())?;
        threads
            .into_iter()
            .map(|one| one.join().map_err(|_| "a thread panicked".into()))
            .collect()
    })
}
