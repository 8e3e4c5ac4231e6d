//! loom's atomics, with each call recorded: who, what, at which line, value read and written.

use super::event::{Action, Site};
use super::world;
use super::{choice, weakening};
use core::panic::Location;
use core::sync::atomic::Ordering;

/// A fence. loom makes acquire and SeqCst fences stronger than they are, so a model that has one
/// is not called exhaustive.
#[track_caller]
pub fn fence(order: Ordering) {
    let site = Location::caller();
    if !world::lives(site) {
        return;
    }
    let order = weakening::ordering(site, order);
    world::record(site, Action::Fence { order });
    world::note_fence();
    loom::sync::atomic::fence(order);
}

/// A value that no primitive of this crate stores: a `compare_exchange` that expects it fails.
const NEVER: u32 = u32::MAX;

/// The three widths differ in nothing but the type.
macro_rules! atomic {
    ($name:ident, $loom:ident, $value:ty) => {
        /// A word of shared memory under loom.
        #[derive(Debug)]
        pub struct $name {
            number: u32,
            inner: loom::sync::atomic::$loom,
            companion: Option<loom::sync::atomic::AtomicU32>,
        }

        impl $name {
            /// A word with this value.
            #[track_caller]
            pub fn new(value: $value) -> Self {
                Self {
                    number: world::number(Location::caller()),
                    inner: loom::sync::atomic::$loom::new(value),
                    companion: None,
                }
            }

            /// Touches the companion, if there is one, before an access of the word. loom tries
            /// both orders of any two touches, and so of the accesses.
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
                    // SAFETY: loom checks that no store is concurrent. Before and after the
                    // processes run, there is only one value to read.
                    return unsafe { self.inner.unsync_load() };
                }
                let site = Location::caller();
                if !world::lives(site) {
                    return 0;
                }
                let order = weakening::of_load(site, order);
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
                if !world::lives(site) {
                    return;
                }
                let order = weakening::of_store(site, order);
                self.touch();
                world::step(|| self.inner.store(value, order));
                world::note_write(self.number, site, order);
                world::note_change();
                let written = value as u64;
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
                if !world::lives(site) {
                    return 0;
                }
                let order = weakening::ordering(site, order);
                self.touch();
                let read = world::step(|| operate(order));
                let written = written(read);
                world::note_write(self.number, site, order);
                if written != read {
                    world::note_change();
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

            /// Writes the word and returns what it held.
            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.update(order, |order| self.inner.swap(value, order), |_| value)
            }

            /// Adds, wrapping, and returns what the word held.
            #[track_caller]
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.update(
                    order,
                    |order| self.inner.fetch_add(value, order),
                    |read| read.wrapping_add(value),
                )
            }

            /// Subtracts, wrapping, and returns what the word held.
            #[track_caller]
            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.update(
                    order,
                    |order| self.inner.fetch_sub(value, order),
                    |read| read.wrapping_sub(value),
                )
            }

            /// Sets bits and returns what the word held.
            #[track_caller]
            pub fn fetch_or(&self, bits: $value, order: Ordering) -> $value {
                self.update(
                    order,
                    |order| self.inner.fetch_or(bits, order),
                    |read| read | bits,
                )
            }

            /// Keeps only these bits and returns what the word held.
            #[track_caller]
            pub fn fetch_and(&self, bits: $value, order: Ordering) -> $value {
                self.update(
                    order,
                    |order| self.inner.fetch_and(bits, order),
                    |read| read & bits,
                )
            }

            /// Writes `new` if the word holds `current`; returns what it held.
            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let site = Location::caller();
                if !world::lives(site) {
                    return Ok(current);
                }
                let success = weakening::ordering(site, success);
                let failure = weakening::of_failure(site, failure);
                self.touch();
                let result =
                    world::step(|| self.inner.compare_exchange(current, new, success, failure));
                let (Ok(read) | Err(read)) = result;
                if result.is_ok() {
                    world::note_write(self.number, site, success);
                    if new != read {
                        world::note_change();
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

            /// As [`compare_exchange`](Self::compare_exchange), but where the scenario allows
            /// spurious failures it may fail for no reason.
            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if world::may_fail_spuriously() && choice::flip() {
                    const NEVER: $value = <$value>::MAX;
                    return match self.compare_exchange(NEVER, NEVER, failure, failure) {
                        Ok(read) | Err(read) => Err(read),
                    };
                }
                self.compare_exchange(current, new, success, failure)
            }

            /// The newest value of the word, read in a step that conflicts with every write of it, and
            /// that writes nothing.
            #[track_caller]
            #[allow(dead_code, reason = "not needed of every width")]
            pub(super) fn look(&self, order: Ordering) -> $value {
                const NEVER: $value = <$value>::MAX;
                let site = Location::caller();
                if !world::lives(site) {
                    return 0;
                }
                let order = weakening::of_failure(site, order);
                self.touch();
                let look = || {
                    self.inner
                        .compare_exchange(NEVER, NEVER, Ordering::Relaxed, order)
                };
                let (Ok(read) | Err(read)) = world::step(look);
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

            /// The number of this word in the execution's record.
            pub fn number(&self) -> u32 {
                self.number
            }
        }
    };
}

atomic!(AtomicU32, AtomicU32, u32);
atomic!(AtomicU64, AtomicU64, u64);
atomic!(AtomicUsize, AtomicUsize, usize);

/// A word with this value that a process loads and then writes.
///
/// loom misses executions of such a word, and the verdict would be *blind*. This one has a
/// companion that every access touches first, so that nothing is missed; it takes more executions.
/// Words that are only read in the step that writes them need none.
#[track_caller]
pub fn new_tracked(value: u32) -> AtomicU32 {
    AtomicU32 {
        companion: Some(loom::sync::atomic::AtomicU32::new(0)),
        ..AtomicU32::new(value)
    }
}

/// The same of 64 bits.
#[track_caller]
pub fn new_tracked_u64(value: u64) -> AtomicU64 {
    AtomicU64 {
        companion: Some(loom::sync::atomic::AtomicU32::new(0)),
        ..AtomicU64::new(value)
    }
}

impl AtomicU32 {
    /// The newest value of the word, read as the kernel reads it: in one step that conflicts
    /// with every write and every other look, and that orders no memory.
    pub(super) fn load_latest(&self) -> u32 {
        self.touch();
        let (Ok(read) | Err(read)) = world::step(|| {
            self.inner
                .compare_exchange(NEVER, NEVER, Ordering::Relaxed, Ordering::Relaxed)
        });
        read
    }

    /// One more, and what it was: a step of the kernel, of which nothing can be weakened.
    pub(super) fn next_by_kernel(&self, order: Ordering) -> u32 {
        world::step(|| self.inner.fetch_add(1, order))
    }

    /// As the kernel writes the word of a dead owner: what that one wrote before is seen by whoever
    /// acquires it from here.
    pub(super) fn exchange_by_kernel(
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
