//! The actors: child processes that run a participant, execute commands, or run a list of calls.

use super::object::{Open, Subject, open};
use super::process::inherited;
use super::program::{Call, Object};
use super::{free, pipes, stage};
use interlatch::Semaphore;
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch_contract::specification::Outcome;
use std::process::ExitCode;

/// Runs the role of this process. The arguments are the descriptor, the role and the role's
/// parameters.
pub fn main(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [descriptor, "stage", index, participant] => {
            let (index, participant) = (
                index.parse().expect("a number"),
                participant.parse().expect("a number"),
            );
            if stage::run_actor(descriptor, index, participant) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        [descriptor, "pipes", index, participant, pipes] => {
            let numbers = [index, participant].map(|word| word.parse().expect("a number"));
            match pipes::run_actor(descriptor, numbers[0], numbers[1], pipes) {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        [descriptor, "stepped", object] => {
            with_subject(descriptor, object, |_, subject| execute_commands(subject));
            ExitCode::SUCCESS
        }
        [descriptor, "free", object, calls] => {
            let calls: Vec<Call> = serde_json::from_str(calls).expect("calls");
            with_subject(descriptor, object, |gate, subject| {
                while !gate.acquire_with(Timeout::Infinite) {}
                let history = free::perform(subject, &calls);
                println!("{}", serde_json::to_string(&history).expect("a history"));
            });
            ExitCode::SUCCESS
        }
        other => panic!("unknown role {other:?}"),
    }
}

/// Attaches to the gate and the object, and reports that the process is ready.
fn with_subject(descriptor: &str, object: &str, run: impl FnOnce(&Semaphore, &mut dyn Subject)) {
    let region = inherited(descriptor);
    let gate: &Semaphore = region.attach("gate").expect("the gate exists");
    let object: Object = serde_json::from_str(object).expect("an object");
    let mut subject = open(&region, &object, Open::Attach).expect("the object exists");
    println!("ready");
    run(gate, subject.as_mut());
}

/// Executes one command per line, and replies with one line to each.
fn execute_commands(subject: &mut dyn Subject) {
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        let call: Call = serde_json::from_str(&line).expect("a call");
        println!("{}", to_text(subject.perform(call)));
    }
}

/// Formats an outcome as one or two words.
pub fn to_text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Item(item) => format!("item {item}"),
        Outcome::Count(count) => format!("count {count}"),
        Outcome::WouldBlock => "would-block".into(),
        Outcome::Disconnected => "disconnected".into(),
        Outcome::Overflow => "overflow".into(),
    }
}

/// Parses the text of an outcome.
pub fn from_text(text: &str) -> Option<Outcome> {
    Some(match text.split_once(' ') {
        Some(("item", item)) => Outcome::Item(item.parse().ok()?),
        Some(("count", count)) => Outcome::Count(count.parse().ok()?),
        None if text == "done" => Outcome::Done,
        None if text == "would-block" => Outcome::WouldBlock,
        None if text == "disconnected" => Outcome::Disconnected,
        None if text == "overflow" => Outcome::Overflow,
        _ => return None,
    })
}
