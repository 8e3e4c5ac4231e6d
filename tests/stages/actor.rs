//! What the other processes do: play a participant, obey commands, or run a list of calls.

use super::object::{Find, Subject, find};
use super::process::inherited;
use super::program::{Call, Object};
use super::{free, pipes, stage};
use interlatch::Semaphore;
use interlatch::sync::{RawSemaphore, Timeout};
use interlatch_contract::specification::Outcome;
use std::process::ExitCode;

/// The arguments are the descriptor, the part to play, and what that needs.
pub fn main(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [descriptor, "stage", index, part] => {
            let (index, part) = (
                index.parse().expect("a number"),
                part.parse().expect("a number"),
            );
            if stage::play(descriptor, index, part) {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        [descriptor, "pipes", index, part, pipes] => {
            let numbers = [index, part].map(|word| word.parse().expect("a number"));
            match pipes::play(descriptor, numbers[0], numbers[1], pipes) {
                true => ExitCode::SUCCESS,
                false => ExitCode::FAILURE,
            }
        }
        [descriptor, "stepped", object] => {
            with_subject(descriptor, object, |_, subject| obey(subject));
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
        other => panic!("no actor plays {other:?}"),
    }
}

/// Attaches to the gate and the object, and says that it is ready.
fn with_subject(descriptor: &str, object: &str, play: impl FnOnce(&Semaphore, &mut dyn Subject)) {
    let region = inherited(descriptor);
    let gate: &Semaphore = region.attach("gate").expect("the gate comes first");
    let object: Object = serde_json::from_str(object).expect("an object");
    let mut subject = find(&region, &object, Find::Attach).expect("then the object");
    println!("ready");
    play(gate, subject.as_mut());
}

/// One command a line, one reply a line.
fn obey(subject: &mut dyn Subject) {
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { return };
        let call: Call = serde_json::from_str(&line).expect("a call");
        println!("{}", word(subject.perform(call)));
    }
}

/// An outcome as a word or two.
pub fn word(outcome: Outcome) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Item(item) => format!("item {item}"),
        Outcome::Count(count) => format!("count {count}"),
        Outcome::WouldBlock => "would-block".into(),
        Outcome::Disconnected => "disconnected".into(),
        Outcome::Overflow => "overflow".into(),
    }
}

/// The outcome that these words stand for.
pub fn outcome(word: &str) -> Option<Outcome> {
    Some(match word.split_once(' ') {
        Some(("item", item)) => Outcome::Item(item.parse().ok()?),
        Some(("count", count)) => Outcome::Count(count.parse().ok()?),
        None if word == "done" => Outcome::Done,
        None if word == "would-block" => Outcome::WouldBlock,
        None if word == "disconnected" => Outcome::Disconnected,
        None if word == "overflow" => Outcome::Overflow,
        _ => return None,
    })
}
