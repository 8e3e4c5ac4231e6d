//! The promises of each primitive, as scenarios that run on every stage.
//!
//! A scenario consists of a name, a shared state, and participants. The name states one promise.
//! The participants are plain functions of the state, and panic if the promise is broken. A
//! [`Stage`] runs the participants as simulated processes under loom, as threads, or as real
//! processes over shared memory.
//!
//! A scenario is generic over the implementation. If a scenario runs with an implementation that
//! has a known bug, the scenario must fail.
//!
//! Each module covers one primitive, and its `all` function runs all of its scenarios. Models and
//! tests are both made from these functions, so a new scenario reaches every stage.

pub mod addressed;
pub mod buffer;
pub mod byte_pipe;
pub mod condvar;
pub mod directory;
pub mod large_items;
pub mod loan;
pub mod message_queue;
pub mod mutex;
pub mod process_local;
pub mod raw_robust_mutex;
pub mod refused;
pub mod rendezvous;
pub mod ring;
pub mod ring_successor;
pub mod robust_buffer;
pub mod robust_condvar;
pub mod robust_mutex;
pub mod robust_semaphore;
pub mod robust_semaphore_pair;
pub mod segment_list;
pub mod semaphore;
pub mod semaphore_pair;
pub mod specification;
#[cfg(loom)]
pub mod specified;

use interlatch::platform::{Pod, ShmSafe, ShmType, TypeInfo, UnsafeCell};
use interlatch::sync::{Deadline, Timeout};
pub(crate) use interlatch_check::{RaceCell, Scenario, Stage};
use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

/// Returns the initial value of a type by value.
///
/// # Safety
/// The object is not moved, freed or overwritten while a process holds a robust lock in it.
pub(crate) unsafe fn initial<T: ShmSafe>() -> T {
    let mut value = MaybeUninit::uninit();
    // SAFETY: `value` is aligned and valid for writes of a `T`.
    unsafe {
        T::init_in_place(value.as_mut_ptr());
        value.assume_init()
    }
}

/// Shared memory into which one participant receives.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Destination<T>(UnsafeCell<T>);

// SAFETY: one participant calls `fill`, and `get` is called after that participant has ended.
unsafe impl<T: Pod> Sync for Destination<T> {}

// SAFETY: every bit pattern is a valid `Pod`.
unsafe impl<T: Pod> ShmSafe for Destination<T> {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self(UnsafeCell::new(T::new_zeroed()))) }
    }
}

impl<T: Pod> ShmType for Destination<T> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Destination");
}

impl<T: Pod> Destination<T> {
    /// Calls `receive` with the memory. Only one participant may call this.
    #[track_caller]
    pub(crate) fn fill<R>(&self, receive: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: no other participant accesses the memory before this one has ended.
        receive(self.0.with_mut(|item| unsafe { &mut *item }))
    }

    /// Returns the contents, after the participant has ended.
    #[track_caller]
    pub(crate) fn get(&self) -> T {
        // SAFETY: no participant accesses the memory any more.
        self.0.with(|item| unsafe { item.read() })
    }
}

/// Runs every scenario of every primitive that lives in shared memory.
///
/// The scenarios of process-local primitives are in [`process_local::all`].
pub fn all(stage: &mut impl Stage) {
    mutex::all::<interlatch::sync::RawMutex>(stage);
    mutex::all_of_raw_mutex(stage);
    mutex::all_of_mutex(stage);
    condvar::all::<interlatch::Condvar, interlatch::sync::RawMutex>(stage);
    condvar::all_of_default_methods(stage);
    condvar::all_of_mutex_guards(stage);
    semaphore::all::<interlatch::Semaphore>(stage);
    semaphore::all_of_semaphore(stage);
    semaphore_pair::all(stage);
    raw_robust_mutex::all::<interlatch::sync::RawRobustMutex>(stage);
    raw_robust_mutex::all_of_raw_robust_mutex(stage);
    robust_mutex::all(stage);
    robust_condvar::all(stage);
    robust_semaphore::all(stage);
    robust_semaphore_pair::all(stage);
    buffer::all(stage);
    robust_buffer::all(stage);
    large_items::all(stage);
    loan::all(stage);
    refused::all(stage);
    ring::all(stage);
    ring_successor::all::<ring::SmallRing<1>>(stage);
    rendezvous::all(stage);
    segment_list::all(stage);
    message_queue::all(stage);
    byte_pipe::all(stage);
    addressed::all(stage);
    directory::all(stage);
}

/// Returns timeouts that have expired before a call: a zero timeout and a deadline in the past.
pub(crate) fn expired_timeouts() -> [Timeout; 2] {
    let past = Instant::now().checked_sub(Duration::from_secs(1));
    let past = past.unwrap_or_else(Instant::now);
    [
        Timeout::after(Duration::ZERO),
        Timeout::At(Deadline::at(past)),
    ]
}

/// Returns a timeout that expires during the scenario in some executions but not in others.
pub(crate) fn short_timeout() -> Timeout {
    Timeout::after(Duration::from_micros(200))
}

/// Returns the longest timeout, which expires in centuries.
pub(crate) fn distant_timeout() -> Timeout {
    Timeout::after(Duration::MAX)
}
