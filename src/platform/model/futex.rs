//! The futex as a model sees it.
//!
//! Looking at the word and joining its queue is one step, as in the kernel, where both happen
//! under the lock of the hash bucket. The queue is plain memory that loom does not see; the look
//! is a read-modify-write that loom does see, so it tries both orders of every wait and wake.
//!
//! **Nothing is ordered by a wake.** loom's own `unpark` would hand the waker's view of memory
//! to the waiter, and hide every missing Acquire and Release behind it. Here the unparking is
//! done by the kernel thread (see [`process`](super::process)), which has seen nothing.
//!
//! **A sleeper is disabled, not polling.** loom may then run others in its place wherever the
//! order matters; a sleeper that polled with `yield_now` would hide executions.

use super::event::{Action, Site};
use super::world;
use super::{AtomicU32, Deadline, choice, weakening};
use crate::platform::Wake;
use core::panic::Location;

/// Any deadline: it may pass at any step.
pub fn no_sooner_than_recheck(deadline: Deadline) -> Deadline {
    deadline
}

/// Sleeps until another process wakes the word, if it still holds `expected`.
#[track_caller]
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Wake {
    let site = Location::caller();
    if !world::lives(site) {
        return Wake::Woken;
    }
    let number = word.number();
    let interrupted = world::may_be_interrupted() && choice::flip();
    let read = word.load_latest();
    if read != expected {
        world::record(
            site,
            Action::WaitChanged {
                word: number,
                expected,
                read,
            },
        );
        return Wake::Changed;
    }
    world::record(
        site,
        Action::Wait {
            word: number,
            expected,
            timed: deadline.is_some(),
        },
    );
    sleep_in(word, word, deadline, interrupted, site)
}

/// Joins the queue in the step that has looked, and sleeps. Whoever wakes this queue does so in a step on the
/// word `look`.
pub(super) fn sleep_in(
    queue: &AtomicU32,
    look: &AtomicU32,
    deadline: Option<Deadline>,
    interrupted: bool,
    site: Site,
) -> Wake {
    let word = queue.number();
    world::enqueue(word);
    let wake = match deadline {
        _ if interrupted => leave(queue, look, Wake::Interrupted),
        Some(_) => leave(queue, look, Wake::TimedOut),
        None => sleep(word, site),
    };
    world::record(site, Action::Awake { word, wake });
    wake
}

fn sleep(word: u32, site: &'static Location<'static>) -> Wake {
    world::block(word, site);
    while !world::is_awake() {
        world::step(loom::thread::park);
    }
    Wake::Woken
}

/// A deadline may pass, or a signal come, at any step: the waiter leaves the queue whenever the
/// scheduler runs it, unless a wake took it out first.
fn leave(queue: &AtomicU32, look: &AtomicU32, why: Wake) -> Wake {
    look.load_latest();
    if world::dequeue(queue.number()) {
        why
    } else {
        Wake::Woken
    }
}

/// Wakes at most `count` waiters of the word; which ones is a choice. Returns how many.
#[track_caller]
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    let site = Location::caller();
    if !world::lives(site) {
        return 0;
    }
    word.load_latest();
    let waiting = world::queue_length(word.number());
    let Some(count) = weakening::wakes(site, count) else {
        return count.min(waiting);
    };
    wake_up_to(word, count, waiting, site)
}

/// As the kernel does when a process has died: one, and nothing of it can be weakened.
pub(super) fn wake_by_kernel(word: &AtomicU32, site: Site) {
    word.load_latest();
    wake_up_to(word, 1, world::queue_length(word.number()), site);
}

#[track_caller]
fn wake_up_to(word: &AtomicU32, count: u32, waiting: u32, site: Site) -> u32 {
    let woken = if waiting > count {
        wake_some(word, count, waiting)
    } else {
        (0..waiting).for_each(|_| world::wake(word.number(), 0));
        waiting
    };
    let word = word.number();
    world::record(site, Action::Wake { word, count, woken });
    woken
}

/// Chooses who is woken before the step that wakes them, which is one step as in the kernel.
/// Whoever joined the queue in between is a waiter of the next look, in another execution.
#[track_caller]
fn wake_some(word: &AtomicU32, count: u32, waiting: u32) -> u32 {
    let mut chosen = Vec::new();
    for taken in 0..count {
        chosen.push(choice::choose(waiting - taken));
    }
    word.load_latest();
    let mut woken = 0;
    for position in chosen {
        let left = world::queue_length(word.number());
        if left > 0 {
            world::wake(word.number(), position.min(left - 1));
            woken += 1;
        }
    }
    woken
}
