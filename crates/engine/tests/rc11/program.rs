//! A small language of programs with atomic operations, and its text form.
//!
//! `x y: store x 1 rlx; load y sc | swap y last acqrel; cas x 0 2 acq rlx; fence sc` declares the
//! locations x and y and two threads. [`Program`]'s `Display` prints this form and `FromStr`
//! reads it, so a program in the message of a failed test can be pasted into a new test.

use core::fmt;
use core::str::FromStr;
use core::sync::atomic::Ordering;

/// Names of the locations in the text form, by index.
const NAMES: [&str; 6] = ["x", "y", "z", "w", "u", "v"];

/// An operand of a writing operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    Constant(u64),
    /// The value read by the thread's latest reading operation before this one, or 0.
    LastRead,
}

/// An operation of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Load {
        location: usize,
        ordering: Ordering,
    },
    Store {
        location: usize,
        ordering: Ordering,
        value: Value,
    },
    /// A read-modify-write that always writes: the old value plus `addend` (wrapping).
    FetchAdd {
        location: usize,
        ordering: Ordering,
        addend: u64,
    },
    Swap {
        location: usize,
        ordering: Ordering,
        value: Value,
    },
    /// A strong compare-exchange. If the value read differs from `expected`, it is a plain read
    /// with the ordering `failure`.
    CompareExchange {
        location: usize,
        success: Ordering,
        failure: Ordering,
        expected: u64,
        new: u64,
    },
    Fence {
        ordering: Ordering,
    },
}

/// Threads that run concurrently. All locations start with 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    pub locations: usize,
    pub threads: Vec<Vec<Op>>,
}

impl Op {
    /// The location that the operation accesses; a fence accesses none.
    pub fn location(&self) -> Option<usize> {
        match *self {
            Op::Load { location, .. }
            | Op::Store { location, .. }
            | Op::FetchAdd { location, .. }
            | Op::Swap { location, .. }
            | Op::CompareExchange { location, .. } => Some(location),
            Op::Fence { .. } => None,
        }
    }

    pub fn reads(&self) -> bool {
        !matches!(self, Op::Store { .. } | Op::Fence { .. })
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts = |ops: &Vec<Op>| ops.iter().map(Op::to_string).collect::<Vec<_>>().join("; ");
        let threads: Vec<String> = self.threads.iter().map(texts).collect();
        let names = NAMES[..self.locations].join(" ");
        write!(f, "{names}: {}", threads.join(" | "))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.location().map_or("", |location| NAMES[location]);
        match *self {
            Op::Load { ordering, .. } => write!(f, "load {name} {}", short(ordering)),
            Op::Store {
                ordering, value, ..
            } => write!(f, "store {name} {value} {}", short(ordering)),
            Op::FetchAdd {
                ordering, addend, ..
            } => write!(f, "add {name} {addend} {}", short(ordering)),
            Op::Swap {
                ordering, value, ..
            } => write!(f, "swap {name} {value} {}", short(ordering)),
            Op::CompareExchange {
                success,
                failure,
                expected,
                new,
                ..
            } => {
                let (success, failure) = (short(success), short(failure));
                write!(f, "cas {name} {expected} {new} {success} {failure}")
            }
            Op::Fence { ordering } => write!(f, "fence {}", short(ordering)),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Constant(value) => write!(f, "{value}"),
            Value::LastRead => write!(f, "last"),
        }
    }
}

fn short(ordering: Ordering) -> &'static str {
    match ordering {
        Ordering::Relaxed => "rlx",
        Ordering::Acquire => "acq",
        Ordering::Release => "rel",
        Ordering::AcqRel => "acqrel",
        Ordering::SeqCst => "sc",
        _ => unreachable!("core has five orderings"),
    }
}

impl FromStr for Program {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (names, threads) = text
            .split_once(':')
            .ok_or_else(|| format!("\"{text}\" has no \":\" after the locations"))?;
        let locations = names.split_whitespace().count();
        if !names
            .split_whitespace()
            .eq(NAMES[..locations].iter().copied())
        {
            return Err(format!(
                "the locations \"{names}\" are not the first of {NAMES:?}"
            ));
        }
        let threads = threads.split('|').map(|ops| parse_thread(ops, locations));
        Ok(Self {
            locations,
            threads: threads.collect::<Result<_, _>>()?,
        })
    }
}

fn parse_thread(text: &str, locations: usize) -> Result<Vec<Op>, String> {
    let texts = text.split(';').filter(|op| !op.trim().is_empty());
    texts
        .map(|op| parse_op(op, locations).ok_or_else(|| format!("\"{op}\" is no operation")))
        .collect()
}

fn parse_op(text: &str, locations: usize) -> Option<Op> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let location = |name: &str| NAMES[..locations].iter().position(|&known| known == name);
    Some(match words[..] {
        ["load", name, ordering] => Op::Load {
            location: location(name)?,
            ordering: parse_ordering(ordering)?,
        },
        ["store", name, value, ordering] => Op::Store {
            location: location(name)?,
            ordering: parse_ordering(ordering)?,
            value: parse_value(value)?,
        },
        ["add", name, addend, ordering] => Op::FetchAdd {
            location: location(name)?,
            ordering: parse_ordering(ordering)?,
            addend: addend.parse().ok()?,
        },
        ["swap", name, value, ordering] => Op::Swap {
            location: location(name)?,
            ordering: parse_ordering(ordering)?,
            value: parse_value(value)?,
        },
        ["cas", name, expected, new, success, failure] => Op::CompareExchange {
            location: location(name)?,
            success: parse_ordering(success)?,
            failure: parse_ordering(failure)?,
            expected: expected.parse().ok()?,
            new: new.parse().ok()?,
        },
        ["fence", ordering] => Op::Fence {
            ordering: parse_ordering(ordering)?,
        },
        _ => return None,
    })
}

fn parse_value(text: &str) -> Option<Value> {
    if text == "last" {
        return Some(Value::LastRead);
    }
    text.parse().ok().map(Value::Constant)
}

fn parse_ordering(text: &str) -> Option<Ordering> {
    use Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
    [Relaxed, Acquire, Release, AcqRel, SeqCst]
        .into_iter()
        .find(|&ordering| short(ordering) == text)
}

#[test]
fn text_form_survives_a_round_trip() {
    let text = "x y z: load x acq; store y last rel; fence acqrel; add z 3 rlx | \
                swap y 2 sc; cas x 0 1 acqrel rlx; swap x last rlx";
    let program: Program = text.parse().unwrap();
    assert_eq!(program.to_string(), text);
    assert_eq!(program.threads[1].len(), 3);
    assert!("x y: load z rlx".parse::<Program>().is_err());
    assert!("x: load x relaxed".parse::<Program>().is_err());
}
