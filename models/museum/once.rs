//! What is to happen once, and to be seen whole.

use super::{exhibit, look};
use interlatch::ShmSafe;
use interlatch::platform::Ordering::{AcqRel, Acquire, Relaxed, Release};
use interlatch::platform::{self, AtomicU32, futex};
use interlatch::sync::RawMutex;
use interlatch_check::FailureKind::{DataRace, Deadlock, WrongResult};
use interlatch_check::Model;
use interlatch_check::{RaceCell, Scenario};

pub fn models() -> Vec<Model> {
    [
        exhibit("once_that_goes_back", Deadlock, once::<false>, once::<true>),
        exhibit(
            "double_checked_relaxed",
            DataRace,
            checked::<false>,
            checked::<true>,
        ),
        exhibit(
            "channel_made_in_two_steps",
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

/// musl's `pthread_once` before 0d0c2f40 (2014): whoever comes swaps "in progress" in, and puts
/// "done" back if it was done already, without a wake. Who came in between sleeps for ever. Mended
/// by a compare-exchange, which does not touch what is done.
fn once<const MENDED: bool>() -> Scenario<Control> {
    const NEW: u32 = 0;
    const IN_PROGRESS: u32 = 1;
    const DONE: u32 = 2;
    fn begin<const MENDED: bool>(state: &AtomicU32) -> u32 {
        if !MENDED {
            return state.swap(IN_PROGRESS, AcqRel);
        }
        match state.compare_exchange(NEW, IN_PROGRESS, AcqRel, Acquire) {
            Ok(found) | Err(found) => found,
        }
    }
    fn call<const MENDED: bool>(control: &Control) {
        loop {
            match begin::<MENDED>(&control.state) {
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
                    if !MENDED {
                        control.state.swap(DONE, AcqRel);
                    }
                    assert_eq!(control.number.get(), 7);
                    return;
                }
            }
        }
    }
    Scenario::new("once", vec![call::<MENDED>, call::<MENDED>, call::<MENDED>])
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
/// about 2000): the look without the lock orders nothing, so the flag may be seen before what it
/// stands for. Mended by Release and Acquire.
fn checked<const MENDED: bool>() -> Scenario<Lazy> {
    fn get<const MENDED: bool>(lazy: &Lazy) {
        let (load, store) = if MENDED {
            (Acquire, Release)
        } else {
            (Relaxed, Relaxed)
        };
        if lazy.ready.load(load) == 0 {
            let _held = lazy.lock.lock();
            if lazy.ready.load(Relaxed) == 0 {
                lazy.number.set(7);
                lazy.ready.store(1, store);
            }
        }
        assert_eq!(lazy.number.get(), 7);
    }
    Scenario::new("checked", vec![get::<MENDED>, get::<MENDED>])
}

/// The places where a list of blocks begins and ends, and how many items were sent.
#[repr(C)]
#[derive(ShmSafe)]
struct Channel {
    head: AtomicU32,
    tail: AtomicU32,
    sent: AtomicU32,
}

/// The list channel of Rust's `std::sync::mpsc` (issue 110001, 2023): the first sender makes a
/// block in two steps, the tail and then the head. In between, a second sender finds a tail and sends, and
/// a receiver that is dropped finds items and follows a head that is null. Mended: it waits for the
/// head.
fn channel<const MENDED: bool>() -> Scenario<Channel> {
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
        if look(&channel.tail) != 0 {
            channel.sent.fetch_add(1, AcqRel);
        }
    };
    let dropped = |channel: &Channel| {
        if look(&channel.sent) == 0 {
            return;
        }
        while MENDED && look(&channel.head) == 0 {
            futex::wait(&channel.head, 0, None);
        }
        assert_eq!(
            look(&channel.head),
            BLOCK,
            "items, but no block that they lie in"
        );
    };
    Scenario::new("channel", vec![first, second, dropped])
}
