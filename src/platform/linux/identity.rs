//! The identity of a process, which no copy of the process shares.
//!
//! A forked child has a copy of its parent's memory, and so a copy of every guard and handle of the
//! parent. Process ids do not tell the copy from the original: a child in another pid namespace may
//! have the same id as its parent. A handler of `pthread_atfork` does not help either, because
//! `_Fork` and `clone(2)` do not call it.
//!
//! So each process has a *generation*, a number that differs from the number of each of its
//! ancestors. A guard stores the generation of its creator and compares it with the current
//! generation before it acts. The current generation is in a page that the kernel fills with zeros
//! in every new process that copies the memory, however the process is created. A process whose
//! generation is 0 draws a new one: one more than the last generation of its ancestors, which is in
//! ordinary memory.
//!
//! A child of `vfork(2)`, or of `clone(2)` with `CLONE_VM`, shares the memory of its parent. So it
//! also shares the generation, and all guards and handles, until it calls `exec` or `_exit`.
//!
//! Each copy of this library in a process has a page of its own, and its guards and handles are
//! used by this copy only.
//!
//! **Source.** `madvise(2)` with `MADV_WIPEONFORK` (since Linux 4.14), which exists so that a
//! random number generator notices a fork. On an older kernel, a handler of `pthread_atfork` clears
//! the generation, so that only a child of `fork(3)` is recognized.

use super::{AtomicU32, AtomicU64};
use core::sync::atomic::Ordering::Relaxed;

/// A generation: identifies this process among all processes that have a copy of its memory.
///
/// # Example
/// ```
/// use interlatch::platform::identity::Generation;
///
/// let creator = Generation::current();
/// // In a forked child, the copy of `creator` is inherited.
/// assert!(!creator.is_inherited());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u64);

impl Generation {
    /// Returns the generation of the calling process.
    #[inline]
    pub fn current() -> Self {
        // Relaxed: the word changes only once in each process, from 0 to the generation, and orders
        // no other memory.
        match PAGE.generation.load(Relaxed) {
            0 => draw(),
            generation => Self(generation),
        }
    }

    /// Returns whether another process called [`current`](Self::current) to get this value, so that
    /// the value is a copy in a child of that process.
    #[inline]
    pub fn is_inherited(self) -> bool {
        // Relaxed: this value comes from `current`, which happens before this call. So the load
        // returns the generation that `current` saw, or 0 in a new process.
        PAGE.generation.load(Relaxed) != self.0
    }

    /// Checks that this process may wait with a guard of this generation.
    ///
    /// # Panics
    /// Panics if the guard is inherited.
    #[inline]
    pub(crate) fn assert_current(self) {
        assert!(
            !self.is_inherited(),
            "the guard belongs to the parent process; lock in the forked child"
        );
    }
}

/// The largest size of a page. The kernel wipes whole pages, so the generation has all its pages to
/// itself.
const PAGE_SIZE: usize = if cfg!(target_arch = "x86_64") {
    4096
} else {
    65536
};

/// Memory that the kernel fills with zeros in a forked child.
#[cfg_attr(target_arch = "x86_64", repr(C, align(4096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C, align(65536)))]
struct Page {
    /// The generation of this process, or 0 if the process has not drawn one.
    generation: AtomicU64,
    unused: [u8; PAGE_SIZE - size_of::<AtomicU64>()],
}

const _: () = assert!(size_of::<Page>() == PAGE_SIZE && align_of::<Page>() == PAGE_SIZE);

/// A static that is zero lies in anonymous memory, as `MADV_WIPEONFORK` requires. A static needs
/// one load on the hot path. A mapping would need two, the first one for its address.
static PAGE: Page = Page {
    generation: AtomicU64::new(0),
    unused: [0; PAGE_SIZE - size_of::<AtomicU64>()],
};

/// The last generation that this process or an ancestor has drawn.
static LAST: AtomicU64 = AtomicU64::new(0);

/// Draws the generation of this process. Threads that do so at the same time get the same one.
#[cold]
#[inline(never)]
fn draw() -> Generation {
    wipe_on_fork();
    // Relaxed: an ancestor wrote its last value before this process existed.
    let new = LAST.fetch_add(1, Relaxed) + 1;
    // Relaxed: see `current`.
    let drawn = PAGE
        .generation
        .compare_exchange(0, new, Relaxed, Relaxed)
        .map_or_else(|drawn_by_other| drawn_by_other, |_| new);
    Generation(drawn)
}

/// Makes the kernel wipe the page in every child. Calling this function again has no effect.
fn wipe_on_fork() {
    let start = (&raw const PAGE).cast_mut().cast();
    // SAFETY: the call changes only what a child finds in the page, which this module owns.
    let status = unsafe { libc::madvise(start, PAGE_SIZE, libc::MADV_WIPEONFORK) };
    if status != 0 {
        clear_after_fork();
    }
}

/// Makes libc clear the generation in a child of `fork(3)`.
#[cold]
fn clear_after_fork() {
    /// Whether this process or an ancestor has registered the handler.
    static IS_REGISTERED: AtomicU32 = AtomicU32::new(0);
    extern "C" fn clear() {
        PAGE.generation.store(0, Relaxed);
    }
    // Relaxed: two threads that both register the handler do no harm.
    if IS_REGISTERED.load(Relaxed) == 0 {
        // SAFETY: the handler only stores to a static word.
        let status = unsafe { libc::pthread_atfork(None, None, Some(clear)) };
        IS_REGISTERED.store(u32::from(status == 0), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_a_process_draw_one_generation() {
        let generation = Generation::current();
        let drawn = std::thread::spawn(Generation::current).join().unwrap();
        assert_eq!(drawn, generation);
        assert!(!generation.is_inherited());
    }

    /// `VmFlags` lists `wf` for memory that is wiped on fork.
    #[test]
    fn kernel_wipes_the_page_and_no_other_memory() {
        Generation::current();
        let page = (&raw const PAGE).addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("/proc is mounted");
        let mut wiped = Vec::new();
        let mut range = 0..0;
        for line in maps.lines() {
            let mut words = line.split_ascii_whitespace();
            let first = words.next().unwrap_or_default();
            if let Some((start, end)) = first.split_once('-') {
                let number = |text| usize::from_str_radix(text, 16).expect("an address");
                range = number(start)..number(end);
            } else if first == "VmFlags:" && words.any(|flag| flag == "wf") {
                wiped.push(range.clone());
            }
        }
        let around = wiped.into_iter().find(|range| range.contains(&page));
        assert_eq!(around, Some(page..page + PAGE_SIZE));
    }
}
