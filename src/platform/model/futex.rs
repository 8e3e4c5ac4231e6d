//! The futex of the model.
//!
//! Checking the word and joining its queue is one step, as in the kernel, where both happen under
//! the lock of the hash bucket. The queue is plain memory that loom does not see. The check of the
//! word is a read-modify-write that loom does see, so loom tries both orders of every wait and
//! wake.
//!
//! **A wake orders no memory.** loom's own `unpark` passes the waker's view of memory to the
//! waiter, which would hide every missing Acquire and Release. Here the kernel thread unparks the
//! waiter (see [`process`](super::process)). The kernel thread has acquired nothing from the waker.
//!
//! **A sleeper is disabled and does not poll.** So loom knows that a sleeper cannot run, and tries
//! the other processes wherever the order matters. A sleeper that polled with `yield_now` would
//! hide executions.

use super::event::{Action, Site};
use super::{AtomicU32, AtomicU64, Deadline, backend, choice, death, weakening, world};
use crate::platform::Wake;
use core::marker::PhantomData;
use core::panic::Location;

/// Returns the deadline unchanged, since a deadline of the model may pass at any step.
///
/// An operation that does not block gets no deadline for the lock. On Linux, the deadline of that
/// lock passes only if the holder is stopped. No process of the model is stopped, so each holder
/// unlocks.
pub fn internal_lock_deadline(deadline: Option<Deadline>) -> Option<Deadline> {
    deadline
}

/// Sleeps until another process wakes the word, if the word still holds `expected`. After a death,
/// the sleeper also wakes if the word has another value.
#[track_caller]
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Wake {
    wait_watching(word, expected, deadline, &[])
}

/// A word that [`wait_watching`] watches besides its own: its number and its value.
#[derive(Clone, Copy, Debug)]
pub struct WatchedWord<'a>(
    (u32, u32),
    Option<interlatch_engine::WatchedWord>,
    PhantomData<&'a AtomicU32>,
);

impl<'a> WatchedWord<'a> {
    /// Watches a word, which had this value.
    pub fn new(word: &'a AtomicU32, value: u32) -> Self {
        let watched = || interlatch_engine::WatchedWord::new(word.inner.as_graphs(), value);
        let watched = backend::is_graphs().then(watched);
        Self((word.number(), value), watched, PhantomData)
    }

    /// Watches the low half of a word with 64 bits, which had this value.
    pub fn low_half(word: &'a AtomicU64, value: u64) -> Self {
        let watched = || interlatch_engine::WatchedWord::low_half(word.inner.as_graphs(), value);
        let watched = backend::is_graphs().then(watched);
        Self((word.number(), value as u32), watched, PhantomData)
    }
}

/// Sleeps like [`wait`]. After a death, the sleeper also wakes if one of the other words has
/// another value.
#[track_caller]
pub fn wait_watching(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    others: &[WatchedWord<'_>],
) -> Wake {
    if backend::is_graphs() {
        let others: Vec<_> = others.iter().filter_map(|other| other.1).collect();
        return wait_in_graphs(word, expected, deadline, Some(&others));
    }
    let watched = others.iter().map(|other| other.0);
    let watched = core::iter::once((word.number(), expected)).chain(watched);
    wait_with(word, expected, deadline, watched.collect())
}

/// Sleeps like [`wait`]. After a death, the sleeper also wakes if any word has changed.
#[track_caller]
pub fn wait_or_recheck(word: &AtomicU32, expected: u32, deadline: Option<Deadline>) -> Wake {
    if backend::is_graphs() {
        return wait_in_graphs(word, expected, deadline, None);
    }
    wait_with(word, expected, deadline, Vec::new())
}

/// Sleeps as [`wait_with`] does, in `interlatch-engine`. Without a list of words to watch, each
/// recheck ends the sleep.
#[track_caller]
fn wait_in_graphs(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    others: Option<&[interlatch_engine::WatchedWord]>,
) -> Wake {
    let site = Location::caller();
    if !death::survives(site) {
        return Wake::Woken;
    }
    let (number, timed) = (word.number(), deadline.is_some());
    assert!(
        world::current() != world::KERNEL,
        "deadlock: the verification waits for word {number} at {site}"
    );
    let interrupted = world::is_interrupted(choice::choose_bool);
    let action = Action::Wait {
        word: number,
        expected,
        timed,
    };
    world::record(site, action);
    world::set_asleep(Some((number, site)));
    let inner = word.inner.as_graphs();
    let wake = world::step(|| match others {
        _ if interrupted || timed => inner.wait_or_give_up(expected),
        Some(others) => inner.wait_watching(expected, others),
        None => inner.wait(expected),
    });
    world::set_asleep(None);
    let wake = match wake {
        interlatch_engine::Wake::Woken => Wake::Woken,
        interlatch_engine::Wake::Changed => Wake::Changed,
        interlatch_engine::Wake::GaveUp if interrupted => Wake::Interrupted,
        interlatch_engine::Wake::GaveUp => Wake::TimedOut,
        interlatch_engine::Wake::Rechecked if others.is_none() => Wake::Recheck,
        interlatch_engine::Wake::Rechecked => Wake::Woken,
    };
    world::record(site, Action::Awake { word: number, wake });
    wake
}

#[track_caller]
fn wait_with(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Deadline>,
    watched: Vec<(u32, u32)>,
) -> Wake {
    let site = Location::caller();
    if !death::survives(site) {
        return Wake::Woken;
    }
    let number = word.number();
    let interrupted = world::is_interrupted(choice::choose_bool);
    let read = word.load_by_kernel();
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
    world::watch(watched);
    sleep_in(word, word, deadline, interrupted, site)
}

/// Adds the running process to the queue and puts it to sleep. No other process runs between the
/// check of the word and this call.
///
/// Before a process wakes the queue, it accesses the word `checked`, so loom orders the wake with
/// this check.
pub(super) fn sleep_in(
    queue: &AtomicU32,
    checked: &AtomicU32,
    deadline: Option<Deadline>,
    interrupted: bool,
    site: Site,
) -> Wake {
    let word = queue.number();
    world::enqueue(word);
    let wake = match deadline {
        _ if interrupted => leave(queue, checked, Wake::Interrupted),
        Some(_) => leave(queue, checked, Wake::TimedOut),
        None => sleep(word, site),
    };
    world::record(site, Action::Awake { word, wake });
    wake
}

fn sleep(word: u32, site: Site) -> Wake {
    world::block(word, site);
    while !world::is_awake() {
        world::step(loom::thread::park);
    }
    world::take_reason()
}

/// Removes the running process from the queue and returns `reason`, unless a wake has already
/// removed it.
///
/// A deadline may pass or a signal arrive at any step, so the waiter leaves whenever the scheduler
/// runs it.
fn leave(queue: &AtomicU32, checked: &AtomicU32, reason: Wake) -> Wake {
    checked.load_by_kernel();
    if world::dequeue(queue.number()) {
        reason
    } else {
        Wake::Woken
    }
}

/// Wakes at most `count` waiters of the word and returns how many it woke. loom explores every
/// choice of waiters.
#[track_caller]
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    let site = Location::caller();
    if !death::survives(site) {
        return 0;
    }
    if backend::is_graphs() {
        return wake_in_graphs(word, count, site);
    }
    word.load_by_kernel();
    let waiting = world::queue_length(word.number());
    let Some(count) = weakening::wake_count(site, count) else {
        return count.min(waiting);
    };
    wake_up_to(word, count, waiting, site)
}

fn wake_in_graphs(word: &AtomicU32, count: u32, site: Site) -> u32 {
    let inner = word.inner.as_graphs();
    let Some(count) = weakening::wake_count(site, count) else {
        return world::step(|| inner.waiting()).min(count);
    };
    let woken = world::step(|| inner.wake(count));
    let word = word.number();
    world::record(site, Action::Wake { word, count, woken });
    woken
}

/// Wakes one waiter, as the kernel does when a process has died. This wake is never weakened.
pub(super) fn wake_by_kernel(word: &AtomicU32, site: Site) {
    if backend::is_graphs() {
        let (inner, count) = (word.inner.as_graphs(), 1);
        let woken = world::step(|| inner.wake(count));
        let word = word.number();
        return world::record(site, Action::Wake { word, count, woken });
    }
    word.load_by_kernel();
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

/// Chooses the waiters that the next step wakes. As in the kernel, that single step wakes all of
/// them.
///
/// A process that joins the queue between the choice and that step is not woken. In another
/// execution, the process joins before the choice.
#[track_caller]
fn wake_some(word: &AtomicU32, count: u32, waiting: u32) -> u32 {
    let mut chosen = Vec::new();
    for taken in 0..count {
        chosen.push(choice::choose(waiting - taken));
    }
    word.load_by_kernel();
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
