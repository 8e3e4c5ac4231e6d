//! The classic shapes: what the memory model allows, and what is reached.

use super::Litmus;
use super::reach::{Body, ORDER_ALONE, ours};
use interlatch::check::Verdict;
use interlatch::platform::AtomicU32;
use interlatch::platform::Ordering::{self, *};

pub fn all() -> Vec<Litmus> {
    vec![
        Litmus {
            name: "message_passing_relaxed",
            run: || message_passing(Relaxed, Relaxed, true),
        },
        Litmus {
            name: "message_passing_released",
            run: || message_passing(Release, Acquire, false),
        },
        Litmus {
            name: "store_buffering",
            run: store_buffering,
        },
        Litmus {
            name: "load_buffering",
            run: load_buffering,
        },
        Litmus {
            name: "coherence_of_two_reads",
            run: coherence,
        },
        Litmus {
            name: "independent_reads_of_independent_writes",
            run: iriw,
        },
        Litmus {
            name: "two_plus_two_writes",
            run: two_plus_two_writes,
        },
        Litmus {
            name: "a_release_sequence_goes_through_an_update",
            run: release_sequence,
        },
    ]
}

#[derive(Debug)]
struct Words {
    x: AtomicU32,
    y: AtomicU32,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            x: AtomicU32::new(0),
            y: AtomicU32::new(0),
        }
    }
}

impl Words {
    fn load_x(&self, order: Ordering) -> u64 {
        self.x.load(order).into()
    }

    fn load_y(&self, order: Ordering) -> u64 {
        self.y.load(order).into()
    }
}

/// Whether the weak outcome was reached, by an exploration that misses nothing.
fn weak(bodies: &[Body<Words>], is_weak: fn(&[Vec<u64>]) -> bool) -> Result<bool, String> {
    let (outcomes, exploration) = ours(bodies, ORDER_ALONE);
    match exploration.verdict {
        Verdict::Exhaustive => Ok(outcomes.iter().any(|outcome| is_weak(outcome))),
        other => Err(format!("the verdict is {other}")),
    }
}

fn expect(reached: bool, expected: bool, observation: &str) -> Result<String, String> {
    if reached == expected {
        return Ok(observation.to_owned());
    }
    Err(format!("not so: {observation}"))
}

fn message_passing(store: Ordering, load: Ordering, allowed: bool) -> Result<String, String> {
    let writer: Body<Words> = match store {
        Release => |words| {
            words.x.store(1, Relaxed);
            words.y.store(1, Release);
            vec![]
        },
        _ => |words| {
            words.x.store(1, Relaxed);
            words.y.store(1, Relaxed);
            vec![]
        },
    };
    let reader: Body<Words> = match load {
        Acquire => |words| vec![words.load_y(Acquire), words.load_x(Relaxed)],
        _ => |words| vec![words.load_y(Relaxed), words.load_x(Relaxed)],
    };
    let reached = weak(&[writer, reader], |outcome| outcome[1] == [1, 0])?;
    let text = if allowed {
        "the stale read is allowed and reached"
    } else {
        "the stale read is forbidden and not reached"
    };
    expect(reached, allowed, text)
}

fn store_buffering() -> Result<String, String> {
    let one: Body<Words> = |words| {
        words.x.store(1, Relaxed);
        vec![words.load_y(Relaxed)]
    };
    let other: Body<Words> = |words| {
        words.y.store(1, Relaxed);
        vec![words.load_x(Relaxed)]
    };
    let reached = weak(&[one, other], |outcome| outcome == [[0], [0]])?;
    expect(reached, true, "0, 0 is allowed and reached")
}

fn load_buffering() -> Result<String, String> {
    let one: Body<Words> = |words| {
        let seen = words.load_x(Relaxed);
        words.y.store(1, Relaxed);
        vec![seen]
    };
    let other: Body<Words> = |words| {
        let seen = words.load_y(Relaxed);
        words.x.store(1, Relaxed);
        vec![seen]
    };
    let reached = weak(&[one, other], |outcome| outcome == [[1], [1]])?;
    expect(
        reached,
        false,
        "1, 1 is allowed and NOT reached: loom executes in program order",
    )
}

fn coherence() -> Result<String, String> {
    let writer: Body<Words> = |words| {
        words.x.store(1, Relaxed);
        vec![]
    };
    let reader: Body<Words> = |words| vec![words.load_x(Relaxed), words.load_x(Relaxed)];
    let reached = weak(&[writer, reader], |outcome| outcome[1] == [1, 0])?;
    expect(
        reached,
        false,
        "a second read of an older value is forbidden and not reached",
    )
}

fn iriw() -> Result<String, String> {
    let write_x: Body<Words> = |words| {
        words.x.store(1, Release);
        vec![]
    };
    let write_y: Body<Words> = |words| {
        words.y.store(1, Release);
        vec![]
    };
    let read_x: Body<Words> = |words| vec![words.load_x(Acquire), words.load_y(Acquire)];
    let read_y: Body<Words> = |words| vec![words.load_y(Acquire), words.load_x(Acquire)];
    let (outcomes, exploration) = ours(&[write_x, write_y, read_x, read_y], ORDER_ALONE);
    let reached = outcomes
        .iter()
        .any(|outcome| outcome[2] == [1, 0] && outcome[3] == [1, 0]);
    // Two processes load each word, which might hide a load; here it does not.
    let blind = matches!(exploration.verdict, Verdict::Blind(_));
    expect(
        reached && blind,
        true,
        "two readers that disagree on the order are allowed and reached; called blind all the same",
    )
}

fn two_plus_two_writes() -> Result<String, String> {
    let one: Body<Words> = |words| {
        words.x.store(1, Relaxed);
        words.y.store(2, Relaxed);
        vec![words.load_y(Relaxed)]
    };
    let other: Body<Words> = |words| {
        words.y.store(1, Relaxed);
        words.x.store(2, Relaxed);
        vec![words.load_x(Relaxed)]
    };
    let reached = weak(&[one, other], |outcome| outcome == [[1], [1]])?;
    expect(
        reached,
        true,
        "each seeing the other's first write last is allowed and reached",
    )
}

fn release_sequence() -> Result<String, String> {
    let writer: Body<Words> = |words| {
        words.x.store(1, Relaxed);
        words.y.store(1, Release);
        vec![]
    };
    let updater: Body<Words> = |words| vec![words.y.fetch_add(1, Relaxed).into()];
    let reader: Body<Words> =
        |words| vec![words.y.fetch_add(0, Acquire).into(), words.load_x(Relaxed)];
    let stale = |outcome: &[Vec<u64>]| outcome[1] == [1] && outcome[2] == [2, 0];
    let reached = weak(&[writer, updater, reader], stale)?;
    expect(
        reached,
        false,
        "the stale read is forbidden and not reached",
    )
}
