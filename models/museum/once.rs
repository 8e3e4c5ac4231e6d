//! Published bugs in one-time initialization.

use super::{exhibit, load_latest};
use interlatch::ShmSafe;
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::{self, AtomicU32, futex};
use interlatch::sync::RawMutex;
use interlatch_check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};

pub fn models() -> Vec<Model> {
    [
        exhibit(
            "once_reverts_to_in_progress",
            Deadlock,
            once::<false>,
            once::<true>,
        ),
        exhibit(
            "double_checked_locking_relaxed",
            DataRace,
            checked::<false>,
            checked::<true>,
        ),
        exhibit(
            "channel_initialized_in_two_steps",
            WrongResult,
            channel::<false>,
            channel::<true>,
        ),
    ]
    .concat()
}

#[repr(C)]
#[derive(ShmSafe)]
struct Control {
    state: AtomicU32,
    number: RaceCell,
}

/// musl's `pthread_once` before 0d0c2f40 (2014): each caller swaps the state to "in progress". If
/// the state was "done", the caller restores it without a wake. Another caller that arrives between
/// these two steps sleeps forever.
///
/// Fix: the caller uses a compare-exchange, which does not change "done".
fn once<const FIXED: bool>() -> Scenario<Control> {
    const NEW: u32 = 0;
    const IN_PROGRESS: u32 = 1;
    const DONE: u32 = 2;
    fn begin<const FIXED: bool>(state: &AtomicU32) -> u32 {
        if !FIXED {
            return state.swap(IN_PROGRESS, AcqRel);
        }
        match state.compare_exchange(NEW, IN_PROGRESS, AcqRel, Acquire) {
            Ok(found) | Err(found) => found,
        }
    }
    fn call<const FIXED: bool>(control: &Control) {
        loop {
            match begin::<FIXED>(&control.state) {
                NEW => {
                    control.number.set(7);
                    control.state.swap(DONE, AcqRel);
                    futex::wake(&control.state, u32::MAX);
                    return;
                }
                IN_PROGRESS => {
                    futex::wait(&control.state, IN_PROGRESS, None);
                }
                _ => {
                    if !FIXED {
                        control.state.swap(DONE, AcqRel);
                    }
                    assert_eq!(control.number.get(), 7);
                    return;
                }
            }
        }
    }
    Scenario::new("once", vec![call::<FIXED>, call::<FIXED>, call::<FIXED>])
}

#[repr(C)]
#[derive(ShmSafe)]
struct Lazy {
    #[shm(initial = platform::new_tracked(0))]
    ready: AtomicU32,
    lock: RawMutex,
    number: RaceCell,
}

/// Double-checked locking ("The 'Double-Checked Locking is Broken' Declaration", Bacon and others,
/// about 2000): the check without the lock does not synchronize, so a process may read the set flag
/// and not see the value.
///
/// Fix: the store of the flag uses Release, and the load uses Acquire.
fn checked<const FIXED: bool>() -> Scenario<Lazy> {
    fn get<const FIXED: bool>(lazy: &Lazy) {
        let (load, store) = if FIXED {
            (Acquire, Release)
        } else {
            (Relaxed, Relaxed)
        };
        if lazy.ready.load(load) == 0 {
            let _guard = lazy.lock.lock();
            if lazy.ready.load(Relaxed) == 0 {
                lazy.number.set(7);
                lazy.ready.store(1, store);
            }
        }
        assert_eq!(lazy.number.get(), 7);
    }
    Scenario::new("checked", vec![get::<FIXED>, get::<FIXED>])
}

/// Head and tail of a list of blocks, and the number of sent items.
#[repr(C)]
#[derive(ShmSafe)]
struct Channel {
    head: AtomicU32,
    tail: AtomicU32,
    sent: AtomicU32,
}

/// The list channel of Rust's `std::sync::mpsc` (issue 110001, 2023): the first sender installs a
/// block in two steps, first as the tail, then as the head. Between these steps, a second sender
/// uses the tail to send an item. The receiver is then dropped, finds that an item was sent, and
/// follows a null head.
///
/// Fix: the drop of the receiver waits until the head is installed.
fn channel<const FIXED: bool>() -> Scenario<Channel> {
    const BLOCK: u32 = 7;
    let first = |channel: &Channel| {
        if channel
            .tail
            .compare_exchange(0, BLOCK, AcqRel, Acquire)
            .is_ok()
        {
            channel.head.swap(BLOCK, AcqRel);
            futex::wake(&channel.head, 1);
        }
        channel.sent.fetch_add(1, AcqRel);
    };
    let second = |channel: &Channel| {
        if load_latest(&channel.tail) != 0 {
            channel.sent.fetch_add(1, AcqRel);
        }
    };
    let dropped = |channel: &Channel| {
        if load_latest(&channel.sent) == 0 {
            return;
        }
        while FIXED && load_latest(&channel.head) == 0 {
            futex::wait(&channel.head, 0, None);
        }
        assert_eq!(load_latest(&channel.head), BLOCK, "items without a block");
    };
    Scenario::new("channel", vec![first, second, dropped])
}
