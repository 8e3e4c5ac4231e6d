//! loom's atomics, with a record of each call: its process, operation, source line, and the values
//! that it reads and writes.

use super::backend::{self, Word32, Word64, WordUsize};
use super::event::{Action, Site};
use super::{choice, death, weakening, world};
use core::panic::Location;
use core::sync::atomic::Ordering;

/// Executes a memory fence.
///
/// loom's acquire and SeqCst fences are stronger than those of the memory model. So a model that
/// uses a fence is not reported as exhaustive.
#[track_caller]
pub fn fence(order: Ordering) {
    let site = Location::caller();
    if !death::survives(site) {
        return;
    }
    let order = weakening::ordering(site, order);
    world::record(site, Action::Fence { order });
    world::note_fence();
    match backend::is_graphs() {
        true => interlatch_engine::fence(order),
        false => loom::sync::atomic::fence(order),
    }
}

/// A value that no primitive of this crate stores, so a `compare_exchange` that expects it fails.
const NEVER: u32 = u32::MAX;

/// Defines one of the three atomics, which differ only in their number of bits.
macro_rules! atomic {
    ($name:ident, $inner:ident, $value:ty) => {
        /// A word of shared memory under loom.
        #[derive(Debug)]
        pub struct $name {
            number: u32,
            pub(super) inner: $inner,
            companion: Option<loom::sync::atomic::AtomicU32>,
        }

        impl $name {
            /// Creates a word with this value.
            #[track_caller]
            pub fn new(value: $value) -> Self {
                let number = world::new_number(Location::caller());
                world::note_initial_value(number, value as u64);
                Self {
                    number,
                    inner: $inner::new(value),
                    companion: None,
                }
            }

            /// Writes the companion word, if this word has one, before each access of this word.
            /// loom tries both orders of any two such writes, and therefore both orders of the two
            /// accesses.
            fn touch(&self) {
                if let Some(companion) = &self.companion {
                    let _ = world::step(|| {
                        companion.compare_exchange(
                            NEVER,
                            NEVER,
                            Ordering::Relaxed,
                            Ordering::Relaxed,
                        )
                    });
                }
            }

            /// Reads the word; loom tries every value that the memory model allows.
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                if world::current() == world::KERNEL {
                    // SAFETY: loom checks that no store happens at the same time. The kernel thread
                    // loads a word only before the processes start and after they have ended. At
                    // these times, only one value is possible.
                    return unsafe { self.inner.unsync_load() };
                }
                let site = Location::caller();
                if !death::survives(site) {
                    return 0;
                }
                let order = weakening::load_ordering(site, order);
                self.touch();
                let read = world::step(|| self.inner.load(order));
                world::note_load(self.number, site, order, self.companion.is_some());
                world::record(
                    site,
                    Action::Load {
                        word: self.number,
                        order,
                        read: read as u64,
                    },
                );
                read
            }

            /// Writes the word.
            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                let site = Location::caller();
                if !death::survives(site) {
                    return;
                }
                let order = weakening::store_ordering(site, order);
                self.touch();
                world::step(|| self.inner.store(value, order));
                world::note_write(self.number, site, order);
                world::note_change();
                let written = value as u64;
                world::note_value(self.number, written);
                world::record(
                    site,
                    Action::Store {
                        word: self.number,
                        order,
                        written,
                    },
                );
            }

            #[track_caller]
            fn update(
                &self,
                order: Ordering,
                operate: impl FnOnce(Ordering) -> $value,
                written: impl FnOnce($value) -> $value,
            ) -> $value {
                let site = Location::caller();
                if !death::survives(site) {
                    return 0;
                }
                let order = weakening::ordering(site, order);
                self.touch();
                let read = world::step(|| operate(order));
                let written = written(read);
                world::note_write(self.number, site, order);
                if written != read {
                    world::note_change();
                    world::note_value(self.number, written as u64);
                }
                world::record(
                    site,
                    Action::Update {
                        word: self.number,
                        order,
                        read: read as u64,
                        written: Some(written as u64),
                    },
                );
                read
            }

            /// Writes the word and returns the previous value.
            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.update(order, |order| self.inner.swap(value, order), |_| value)
            }

            /// Adds with wrap-around and returns the previous value.
            #[track_caller]
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.update(
                    order,
                    |order| self.inner.fetch_add(value, order),
                    |read| read.wrapping_add(value),
                )
            }

            /// Subtracts with wrap-around and returns the previous value.
            #[track_caller]
            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.update(
                    order,
                    |order| self.inner.fetch_sub(value, order),
                    |read| read.wrapping_sub(value),
                )
            }

            /// Sets bits and returns the previous value.
            #[track_caller]
            pub fn fetch_or(&self, bits: $value, order: Ordering) -> $value {
                self.update(
                    order,
                    |order| self.inner.fetch_or(bits, order),
                    |read| read | bits,
                )
            }

            /// Clears all bits that are not in `bits` and returns the previous value.
            #[track_caller]
            pub fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
                self.update(
                    order,
                    |order| self.inner.fetch_and(bits, order),
                    |read| read & bits,
                )
            }

            /// Writes `new` if the word holds `current`, and returns the previous value.
            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let site = Location::caller();
                if !death::survives(site) {
                    return Ok(current);
                }
                let success = weakening::ordering(site, success);
                let failure = weakening::failure_ordering(site, failure);
                self.touch();
                let result =
                    world::step(|| self.inner.compare_exchange(current, new, success, failure));
                let (Ok(read) | Err(read)) = result;
                if result.is_ok() {
                    world::note_write(self.number, site, success);
                    if new != read {
                        world::note_change();
                        world::note_value(self.number, new as u64);
                    }
                }
                world::record(
                    site,
                    Action::Update {
                        word: self.number,
                        order: if result.is_ok() { success } else { failure },
                        read: read as u64,
                        written: result.is_ok().then_some(new as u64),
                    },
                );
                result
            }

            /// Does the same as [`compare_exchange`](Self::compare_exchange), but may fail
            /// spuriously if the scenario allows that.
            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if world::may_fail_spuriously() && choice::choose_bool() {
                    const NEVER: $value = <$value>::MAX;
                    return match self.compare_exchange(NEVER, NEVER, failure, failure) {
                        Ok(read) | Err(read) => Err(read),
                    };
                }
                self.compare_exchange(current, new, success, failure)
            }

            /// Reads the newest value of the word, in a step that writes nothing but conflicts with
            /// every write of the word.
            #[track_caller]
            #[allow(dead_code, reason = "not every width needs it")]
            pub(super) fn load_latest(&self, order: Ordering) -> $value {
                const NEVER: $value = <$value>::MAX;
                let site = Location::caller();
                if !death::survives(site) {
                    return 0;
                }
                let order = weakening::failure_ordering(site, order);
                self.touch();
                let fail = || {
                    self.inner
                        .compare_exchange(NEVER, NEVER, Ordering::Relaxed, order)
                };
                let (Ok(read) | Err(read)) = world::step(fail);
                world::record(
                    site,
                    Action::Update {
                        word: self.number,
                        order,
                        read: read as u64,
                        written: None,
                    },
                );
                read
            }

            /// Reads the newest value of the word, or an older value that a light load may return:
            /// see [`asymmetric`](super::asymmetric).
            #[track_caller]
            #[allow(dead_code, reason = "not every width needs it")]
            pub(super) fn load_newest_or_older(&self) -> $value {
                let newest = self.load_latest(Ordering::Relaxed);
                if !world::is_alive() {
                    return newest;
                }
                world::step_of_light_barrier(self.number);
                // A process that ran at the last step may have written the word.
                let readable = world::readable_values(self.number);
                let value = readable[choice::choose(readable.len() as u32) as usize];
                world::note_read(self.number, value);
                value as $value
            }

            /// Returns the number of this word in the execution's record.
            pub fn number(&self) -> u32 {
                self.number
            }
        }
    };
}

atomic!(AtomicU32, Word32, u32);
atomic!(AtomicU64, Word64, u64);
atomic!(AtomicUsize, WordUsize, usize);

/// Creates a tracked word with this value. Use a tracked word if a process loads the word and later
/// writes it.
///
/// With an ordinary word, loom would miss executions, and the verdict of the model would be
/// *blind*. Every access of the tracked word first writes a companion word. loom then misses no
/// execution, but explores more executions. A word that is only accessed by read-modify-writes and
/// stores needs no companion.
#[track_caller]
pub fn new_tracked(value: u32) -> AtomicU32 {
    AtomicU32 {
        companion: new_companion(),
        ..AtomicU32::new(value)
    }
}

/// Returns a companion word, which only loom needs.
fn new_companion() -> Option<loom::sync::atomic::AtomicU32> {
    (!backend::is_graphs()).then(|| loom::sync::atomic::AtomicU32::new(0))
}

/// Creates a word like [`new_tracked`], but with 64 bits.
#[track_caller]
pub fn new_tracked_u64(value: u64) -> AtomicU64 {
    AtomicU64 {
        companion: new_companion(),
        ..AtomicU64::new(value)
    }
}

impl AtomicU32 {
    /// Reads the newest value of the word as the kernel does: in one step that conflicts with every
    /// write and every other such read, and that orders no memory.
    pub(super) fn load_by_kernel(&self) -> u32 {
        if backend::is_graphs() {
            // An exchange that fails could read an older value. A process runs, or dies, after the
            // scheduler has ordered everything before it.
            return world::step(|| self.inner.fetch_or(0, Ordering::Relaxed));
        }
        self.touch();
        let (Ok(read) | Err(read)) = world::step(|| {
            self.inner
                .compare_exchange(NEVER, NEVER, Ordering::Relaxed, Ordering::Relaxed)
        });
        read
    }

    /// Increments the word and returns the previous value. This is a step of the kernel, which is
    /// never weakened.
    pub(super) fn increment_by_kernel(&self, order: Ordering) -> u32 {
        world::step(|| self.inner.fetch_add(1, order))
    }

    /// Exchanges the word of a dead owner, like the kernel.
    ///
    /// The exchange is a Release and pairs with the Acquire of the next owner. So the next owner
    /// sees everything that the dead owner wrote.
    pub(super) fn compare_exchange_by_kernel(
        &self,
        current: u32,
        new: u32,
        site: Site,
    ) -> Result<u32, u32> {
        use Ordering::{Relaxed, Release};
        let (word, order) = (self.number, Release);
        self.touch();
        let exchange = || self.inner.compare_exchange(current, new, Release, Relaxed);
        let read = world::step(exchange)?;
        world::note_write(word, site, order);
        world::note_change();
        world::note_value(word, new.into());
        let (read, written) = (read.into(), Some(new.into()));
        world::record(
            site,
            Action::Update {
                word,
                order,
                read,
                written,
            },
        );
        Ok(current)
    }
}
