//! What the process records about robust words, beside the pages of its threads.

use super::keeper::Keeper;
use crate::platform::linux::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, futex, wiped};
use core::ops::Range;
use core::ptr::null_mut;
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// The records of one process, in memory that the kernel wipes in a forked child.
///
/// Zeroed memory is the state of a new process.
#[repr(C)]
pub(super) struct Process {
    lock: Lock,
    /// The device and the inode of the process's pid namespace, or 0.
    namespace: [AtomicU64; 2],
    /// The number of regions that this process has mapped itself.
    pub(super) own_regions: AtomicUsize,
    pub(super) keeper: Keeper,
    /// Addresses of regions that were dropped and stay mapped. The lock protects them.
    dropped: [[AtomicUsize; 2]; MAX_DROPPED],
}

/// The number of dropped regions that are recorded.
const MAX_DROPPED: usize = 64;

const _: () = assert!(size_of::<Process>() <= 4096);

/// The memory of the records. A forked child has the same pointer, and finds zeros there.
static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// Returns the records of this process, or `None` if this process and its ancestors have not
/// needed them yet.
pub(super) fn existing() -> Option<&'static Process> {
    // SAFETY: the pointer is null or that of memory that stays mapped. Acquire pairs with the
    // Release in `get`.
    unsafe { PROCESS.load(Acquire).as_ref() }
}

/// Returns the records of this process. Returns `None` if the kernel has no memory for them.
pub(super) fn get() -> Option<&'static Process> {
    if let Some(process) = existing() {
        return Some(process);
    }
    let new = wiped::map_wiped(size_of::<Process>())?.cast().as_ptr();
    // If another thread is faster, this thread's memory stays unused.
    let _ = PROCESS.compare_exchange(null_mut(), new, AcqRel, Acquire);
    existing()
}

impl Process {
    /// Locks the records. The lock is held while words change their thread, or while the words of
    /// all threads are searched.
    pub(super) fn lock(&'static self) -> Locked {
        self.lock.lock();
        Locked(self)
    }

    /// Returns the device and the inode of this process's pid namespace, which never changes.
    /// Returns `None` if `/proc` is not mounted.
    pub(super) fn namespace(&self) -> Option<[u64; 2]> {
        let known = [0, 1].map(|word: usize| self.namespace[word].load(Relaxed));
        if known[1] != 0 {
            return Some(known);
        }
        let found = rustix::fs::stat("/proc/self/ns/pid").ok()?;
        self.namespace[0].store(found.st_dev, Relaxed);
        self.namespace[1].store(found.st_ino, Relaxed);
        Some([found.st_dev, found.st_ino])
    }
}

/// The locked records of the process.
pub(super) struct Locked(&'static Process);

impl Locked {
    pub(super) fn keeper(&self) -> &'static Keeper {
        &self.0.keeper
    }

    /// Records that a region was dropped, and stays mapped because a thread holds words in it.
    pub(super) fn add_dropped(&self, addresses: &Range<usize>) {
        let mut free = self.0.dropped.iter();
        if let Some([start, end]) = free.find(|[_, end]| end.load(Relaxed) == 0) {
            start.store(addresses.start, Relaxed);
            end.store(addresses.end, Relaxed);
        }
    }

    /// Whether an entry is in a region that was dropped.
    pub(super) fn is_dropped(&self, entry: usize) -> bool {
        let mut dropped = self.0.dropped.iter();
        dropped.any(|[start, end]| (start.load(Relaxed)..end.load(Relaxed)).contains(&entry))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.lock.unlock();
    }
}

/// A lock between the threads of one process. A forked child finds it free.
#[repr(transparent)]
struct Lock(AtomicU32);

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;

impl Lock {
    fn lock(&self) {
        // Acquire pairs with the Release of `unlock`.
        if self
            .0
            .compare_exchange(FREE, HELD, Acquire, Relaxed)
            .is_ok()
        {
            return;
        }
        while self.0.swap(CONTENDED, Acquire) != FREE {
            futex::wait_in_process(&self.0, CONTENDED);
        }
    }

    fn unlock(&self) {
        if self.0.swap(FREE, Release) == CONTENDED {
            futex::wake_in_process(&self.0);
        }
    }
}
