//! A lock that survives the death of its holder, without the data that it protects.

use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::futex::WatchedWord;
use crate::platform::identity::Generation;
use crate::platform::robust::{
    OWNER, OWNER_DIED, Owner, RobustListError, RobustWord, WAITERS, as_owner,
};
use crate::platform::spin::{Spin, SpinPolicy};
use crate::platform::{
    AtomicU32, Deadline, MemoryReader, ShmSafe, ShmType, Static, TypeInfo, Wake, constructor,
    futex, load_latest, load_latest_acquire, specified,
};
use crate::sync::{LockState, Timeout};
use core::fmt;
use core::marker::PhantomData;

const FREE: u32 = 0;

/// The word of an unrecoverable lock. No thread has the id with all of these bits, so no lock that
/// a thread holds has this word.
const UNRECOVERABLE: u32 = OWNER;

const ALL: u32 = u32::MAX;

/// Mutual exclusion that survives the death of a holder.
///
/// The lock reports the death of its owner to the next holder: see [`Acquired`].
///
/// # Safety
/// After `lock_with` returns `Ok`, no other call of `lock_with` returns `Ok` before the matching
/// `unlock` or `mark_unrecoverable`, or before the death of the holder. Everything that happened
/// before that unlock, mark or death happens before the next call that returns `Ok`. No method
/// panics.
///
/// # Example
/// ```
/// use interlatch::sync::{Acquired, LockError, RawRobustMutex, RobustLock, Timeout};
///
/// fn run_locked(lock: &impl RobustLock, action: impl FnOnce()) -> Result<Acquired, LockError> {
///     let acquired = lock.lock_with(Timeout::Infinite)?;
///     action();
///     // SAFETY: this function locked `lock` above.
///     unsafe { lock.unlock() };
///     Ok(acquired)
/// }
///
/// assert_eq!(run_locked(RawRobustMutex::new().leak(), || {}), Ok(Acquired::Clean));
/// ```
pub unsafe trait RobustLock: Sync {
    /// Locks, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Returns any [`LockError`]. The lock is then unchanged.
    fn lock_with(&self, timeout: Timeout) -> Result<Acquired, LockError>;

    /// Unlocks. If the last holder died, unlocking also declares the protected data consistent.
    ///
    /// # Safety
    /// The caller holds the lock.
    unsafe fn unlock(&self);

    /// Makes the lock unrecoverable: every `lock_with` fails from now on, in every process.
    ///
    /// # Safety
    /// The caller holds the lock.
    unsafe fn mark_unrecoverable(&self);
}

/// A 40-byte lock that survives the death of its holder and contains no data of its own.
///
/// Use [`RobustMutex`](super::RobustMutex) unless the data must be outside the lock. The lock works
/// for threads and for processes that share memory. Zeroed memory is a free lock.
///
/// # Errors
/// [`LockError`] lists the errors. A thread can hold at most 128 robust locks.
///
/// # Fairness
/// The lock is not fair: a running thread may acquire the lock before a thread that is being woken.
///
/// # Process death
/// If a process dies while one of its threads holds the lock, the kernel marks the lock and wakes
/// one waiter. The next holder gets [`Acquired::OwnerDied`]. An `exec` by the main thread of a
/// process has the same effect for the locks of all its threads. If another thread calls `exec`,
/// the locks that this thread holds stay locked forever, as with libc's robust mutexes: the kernel
/// gives the thread another id before it visits the locks. The locks of the other threads are
/// marked. A stopped or slow holder keeps the lock.
///
/// # Forks
/// The child of `fork(3)`, of `_Fork`, or of `clone(2)` without `CLONE_VM` holds no locks. It
/// cannot unlock the locks of its parent, and the death of either process is reported for its own
/// locks only. A child in another pid namespace than the one in which an inherited region was
/// mapped gets
/// [`RobustListError::OtherPidNamespace`]. A child that shares the memory of its parent, as that of
/// `vfork(2)`, must not use the lock before `exec`.
///
/// # Placement
/// While a thread holds the lock, the kernel's list contains the address of the lock. So the lock
/// lies in a region, or in a [`Static`], from which safe code cannot move or free it. This is why
/// [`lock_with`](Self::lock_with) is safe although it returns no guard: a lock that is never
/// unlocked stays where it is.
///
/// # Leaks
/// A guard that is leaked (`mem::forget`), and a raw lock that is not unlocked, stay locked.
///
/// - *The thread ends.* A reference to the protected data may still be in use, so the lock stays
///   locked while the process lives. A thread of this crate, the keeper, holds it from then on. If
///   the process dies, the next holder gets `OwnerDied`. The keeper can hold 2,000 locks of ended
///   threads. Further ones, and all of them if the process cannot start a thread, stay locked
///   forever.
/// - *The region is dropped.* If the thread that drops the [`Region`](crate::Region) leaked the
///   lock, or if the thread that leaked it has ended, the next holder gets `OwnerDied`. If another
///   living thread of the process leaked the lock, the memory stays mapped, and the next holder
///   gets `OwnerDied` when that thread or the process ends.
///
/// A thread unlocks the locks of its own thread-local values, because their destructors run before
/// the locks count as leaked.
///
/// # How it works
/// The lock is one 32-bit word, followed by the link of the kernel's robust list.
///
/// | word | meaning |
/// | --- | --- |
/// | 0 | free |
/// | thread id | held, no sleepers |
/// | thread id and `WAITERS` | held, there may be sleepers |
/// | `OWNER_DIED`, with or without `WAITERS` | free, the last holder died |
/// | `UNRECOVERABLE` | unusable: a holder died and the data was not repaired |
///
/// While no thread dies, the algorithm is that of [`RawMutex`](crate::sync::RawMutex): a thread
/// that has slept acquires the lock with `WAITERS` set, because it cannot know whether other
/// threads sleep.
///
/// Before a thread locks or unlocks, it tells the kernel the address of the word: the word is
/// announced. The thread also links the words that it holds into the kernel's list. A thread can
/// die after the exchange that acquires the word but before it links the word, or after it unlinks
/// the word but before the wake-up. In both cases the word is announced, so the kernel handles the
/// word as if it were in the list. If the announced word is free, the kernel wakes one waiter. So
/// if the dead thread was about to wake a waiter, or had just been woken itself, another waiter is
/// woken.
///
/// In two cases, sleepers continue only when they recheck after the
/// [`recheck_interval`](crate::sync::recheck_interval):
/// - A thread is about to wake a waiter, or has just been woken. Another thread then acquires the
///   free lock, and the first thread dies. The kernel sees that the lock has an owner and wakes no
///   waiter. The owner does not know of the sleepers.
/// - A thread dies after it has made the lock unrecoverable and before it has woken the sleepers.
///   The kernel then wakes no waiter, because the word of an unrecoverable lock looks like a word
///   with another owner.
///
/// # Ordering
/// An acquisition synchronizes with the unlock before it (Acquire and Release on the word). The
/// kernel's write after an owner death is ordered in the same way, so the next holder sees
/// everything that the dead thread wrote.
///
/// # Sources
/// - The three-state lock of Ulrich Drepper, *Futexes Are Tricky* (2011).
/// - The kernel's robust futex list, `Documentation/locking/robust-futex-ABI.rst`, which Ingo
///   Molnar designed for POSIX's robust mutexes (`pthread_mutexattr_setrobust(3)`).
///
/// # Example
/// ```
/// use interlatch::Region;
/// use interlatch::sync::{Acquired, LockError, RawRobustMutex, Timeout};
///
/// // One process creates the lock.
/// let region = Region::memfd("example", 4096)?;
/// let lock: &RawRobustMutex = region.create("lock", ())?;
///
/// // Another process receives the descriptor and attaches.
/// let other = Region::from_descriptor(region.descriptor().unwrap().try_clone_to_owned()?)?;
/// let attached: &RawRobustMutex = other.attach("lock")?;
///
/// assert_eq!(lock.lock_with(Timeout::Infinite), Ok(Acquired::Clean));
/// assert_eq!(attached.lock_with(Timeout::NonBlocking), Err(LockError::TimedOut));
/// assert_eq!(lock.lock_with(Timeout::Infinite), Err(LockError::AlreadyHeld));
/// // SAFETY: this thread locked `lock` above.
/// unsafe { lock.unlock() };
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[repr(C)]
#[derive(Debug)]
pub struct RawRobustMutex {
    word: RobustWord,
}

// SAFETY: the lock consists of atomic words, and this crate follows no pointer that it reads from
// them. If the word is not a valid state, a faulty process wrote the word, and the lock is treated
// as held.
unsafe impl ShmSafe for RawRobustMutex {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self::by_value()) }
    }
}

impl ShmType for RawRobustMutex {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("RawRobustMutex").of_this_crate();
}

/// The state in which a robust lock was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// The last holder unlocked the lock normally, or no thread has held the lock yet.
    Clean,
    /// The last holder died or panicked while it held the lock. The protected data may be
    /// inconsistent.
    OwnerDied,
}

impl Acquired {
    /// Returns the state of a lock whose word was `word` just before it was acquired.
    fn from_word(word: u32) -> Self {
        match word & OWNER_DIED {
            0 => Self::Clean,
            _ => Self::OwnerDied,
        }
    }
}

/// The error returned when an attempt to acquire a robust lock fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockError {
    /// A holder died, and the next holder did not repair the protected data.
    Unrecoverable,
    /// The lock was still held when the timeout expired.
    TimedOut,
    /// The calling thread already holds the lock, so waiting would never end.
    AlreadyHeld,
    /// The calling thread cannot hold one more robust lock.
    RobustList(RobustListError),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unrecoverable => f.write_str(
                "the lock is unrecoverable: a holder died and the protected data was not repaired",
            ),
            Self::TimedOut => f.write_str("the lock was still held when the timeout expired"),
            Self::AlreadyHeld => f.write_str("this thread already holds the lock; unlock it first"),
            Self::RobustList(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for LockError {}

impl From<RobustListError> for LockError {
    fn from(error: RobustListError) -> Self {
        Self::RobustList(error)
    }
}

/// The reason why the uncontended path did not lock.
enum Obstacle {
    /// The thread is not registered, or holds the maximum number of robust locks.
    NoRoom,
    /// The word had this value, so the lock was not acquired. The word is still announced to the
    /// kernel.
    Word(u32),
    /// In a model, the contract of the lock stands in for its code.
    Contract(specified::RobustLock),
}

/// The states of the lock's word that a waiting thread must distinguish.
enum WordState {
    Free,
    Held,
    Unrecoverable,
}

impl WordState {
    fn from_word(word: u32) -> Self {
        match word {
            UNRECOVERABLE => Self::Unrecoverable,
            _ if word & OWNER == 0 => Self::Free,
            _ => Self::Held,
        }
    }
}

impl RawRobustMutex {
    constructor! {
        /// Creates a free lock.
        pub fn new() -> Static<Self> {
            Static::new(Self::by_value())
        }
    }

    constructor! {
        /// Creates a free lock by value, for a [`Static`] or for memory that is being initialized.
        pub(crate) fn by_value() -> Self {
            // SAFETY: a user of this crate gets the lock only in a `Static` or in a region.
            Self { word: unsafe { RobustWord::new(FREE) } }
        }
    }

    /// Locks, blocking for at most `timeout`.
    ///
    /// # Errors
    /// Returns any [`LockError`]. The lock is then unchanged.
    #[inline]
    pub fn lock_with(&self, timeout: Timeout) -> Result<Acquired, LockError> {
        self.lock_with_policy(timeout, SpinPolicy::Lock)
    }

    /// Locks like [`lock_with`](Self::lock_with), with a spin policy for the contended path.
    #[inline]
    pub(crate) fn lock_with_policy(
        &self,
        timeout: Timeout,
        policy: SpinPolicy,
    ) -> Result<Acquired, LockError> {
        match self.lock_uncontended() {
            Ok(()) => Ok(Acquired::Clean),
            Err(obstacle) => self.lock_slowly(obstacle, timeout, policy),
        }
    }

    /// Locks like [`lock_with_policy`](Self::lock_with_policy), for a lock that is held only
    /// briefly. See [`Timeout::for_internal_lock`].
    #[inline]
    pub(crate) fn lock_internal(
        &self,
        timeout: Timeout,
        policy: SpinPolicy,
    ) -> Result<Acquired, LockError> {
        match self.lock_uncontended() {
            Ok(()) => Ok(Acquired::Clean),
            Err(obstacle) => self.lock_slowly(obstacle, timeout.for_internal_lock(), policy),
        }
    }

    /// Locks if the lock is free and clean and the thread can hold one more lock.
    #[inline]
    fn lock_uncontended(&self) -> Result<(), Obstacle> {
        if let Some(contract) = specified::RobustLock::selected() {
            return Err(Obstacle::Contract(contract));
        }
        as_owner(|owner| {
            if !owner.has_room() {
                return Err(Obstacle::NoRoom);
            }
            owner.set_pending(&self.word);
            self.acquire_free(owner.id()).map_err(Obstacle::Word)?;
            owner.link(&self.word);
            owner.clear_pending();
            Ok(())
        })
    }

    /// Unlocks.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[inline]
    pub unsafe fn unlock(&self) {
        self.release_as(FREE);
    }

    /// Unlocks and reports an owner death to the next holder.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[cold]
    pub unsafe fn mark_owner_died(&self) {
        self.release_as(OWNER_DIED);
    }

    /// Makes the lock unrecoverable: every attempt to lock fails from now on, in every process.
    ///
    /// # Safety
    /// The caller holds the lock.
    #[cold]
    pub unsafe fn mark_unrecoverable(&self) {
        self.release_as(UNRECOVERABLE);
    }

    /// Returns the word of the lock, for scenarios that imitate a faulty peer.
    #[doc(hidden)]
    pub fn word(&self) -> &AtomicU32 {
        self.word.word()
    }

    /// Returns whether a living thread held the lock a moment ago.
    ///
    /// If this method returns false, the caller sees all writes of the last holder, even if that
    /// holder died.
    pub fn is_locked(&self) -> bool {
        // Acquire pairs with the Release of `release_as`, and with the Release with which the
        // kernel marks the word of a dead owner.
        let word = load_latest_acquire(self.word.word());
        word != UNRECOVERABLE && word & OWNER != 0
    }

    /// Returns whether the last holder died and the lock has not been acquired since then.
    ///
    /// If this method returns true, the caller sees all writes of the dead holder.
    #[inline]
    pub(crate) fn is_owner_died(&self) -> bool {
        // Acquire pairs with the Release with which the kernel marks the word of a dead owner.
        is_owner_died(load_latest_acquire(self.word.word()))
    }

    /// Returns the word with its value, for a wait that ends when the holder dies. Returns `None`
    /// if [`is_owner_died`](Self::is_owner_died) returns true.
    pub(crate) fn watch_owner_death(&self) -> Option<WatchedWord<'_>> {
        // Relaxed: an older value only ends the sleep early, and the caller then calls
        // `is_owner_died`.
        let word = load_latest(self.word.word());
        (!is_owner_died(word)).then(|| WatchedWord::new(self.word.word(), word))
    }

    /// Reads the state of a lock in another process's memory. The lock's word is the first field.
    pub(crate) fn read_state(reader: &dyn MemoryReader) -> Option<LockState> {
        let word = reader.read_u32(0)?;
        let (thread, waiters) = (word & OWNER, word & WAITERS != 0);
        Some(match word & !WAITERS {
            UNRECOVERABLE => LockState::Unrecoverable,
            FREE => LockState::Free,
            OWNER_DIED => LockState::OwnerDied { waiters },
            _ if word & OWNER_DIED == 0 => LockState::HeldBy { thread, waiters },
            _ => LockState::Damaged(word),
        })
    }

    /// Returns whether the calling thread still holds the lock acquired with this token.
    pub(crate) fn is_held_by(&self, token: &OwnerToken) -> bool {
        !token.is_inherited() && as_owner(|owner| owner.holds(&self.word))
    }

    #[inline]
    fn acquire_free(&self, owned: u32) -> Result<u32, u32> {
        // Acquire pairs with the Release of `release_as`: the last holder's writes are visible.
        self.word
            .word()
            .compare_exchange(FREE, owned, Acquire, Relaxed)
    }

    #[cold]
    fn lock_slowly(
        &self,
        obstacle: Obstacle,
        timeout: Timeout,
        policy: SpinPolicy,
    ) -> Result<Acquired, LockError> {
        match obstacle {
            Obstacle::NoRoom => {
                as_owner(Owner::make_room)?;
                self.lock_with_policy(timeout, policy)
            }
            Obstacle::Word(found) => {
                as_owner(|owner| self.lock_contended(owner, found, timeout, policy))
            }
            Obstacle::Contract(contract) => {
                as_owner(|owner| self.lock_by_contract(contract, owner, timeout))
            }
        }
    }

    fn lock_contended(
        &self,
        owner: &Owner,
        found: u32,
        timeout: Timeout,
        policy: SpinPolicy,
    ) -> Result<Acquired, LockError> {
        // A word with this thread's id may also be that of a thread that no longer exists.
        let would_deadlock = timeout != Timeout::NonBlocking
            && found & OWNER == owner.id()
            && owner.holds_in_any_mapping(&self.word);
        let acquired = match would_deadlock {
            true => Err(LockError::AlreadyHeld),
            false => {
                let spin = Spin::new(self.word.word(), policy, timeout.deadline());
                self.acquire_contended(owner.id(), found, spin, timeout)
            }
        };
        if acquired.is_ok() {
            owner.link(&self.word);
        }
        owner.clear_pending();
        acquired
    }

    /// Locks as the contract says, in one step.
    fn lock_by_contract(
        &self,
        contract: specified::RobustLock,
        owner: &Owner,
        timeout: Timeout,
    ) -> Result<Acquired, LockError> {
        owner.make_room()?;
        if timeout != Timeout::NonBlocking && owner.holds_in_any_mapping(&self.word) {
            return Err(LockError::AlreadyHeld);
        }
        let waits = |word| {
            timeout == Timeout::Infinite && matches!(WordState::from_word(word), WordState::Held)
        };
        let found = contract.lock(&self.word, owner, waits);
        match WordState::from_word(found) {
            WordState::Free => Ok(Acquired::from_word(found)),
            WordState::Held => Err(LockError::TimedOut),
            WordState::Unrecoverable => Err(LockError::Unrecoverable),
        }
    }

    fn acquire_contended(
        &self,
        thread: u32,
        mut found: u32,
        mut spin: Spin<'_>,
        timeout: Timeout,
    ) -> Result<Acquired, LockError> {
        let (word, mut mark) = (self.word.word(), 0);
        loop {
            match WordState::from_word(found) {
                WordState::Unrecoverable => return Err(LockError::Unrecoverable),
                WordState::Free => {
                    let owned = thread | (found & WAITERS) | mark;
                    // Acquire pairs with the Release of `release_as`, and with the Release with
                    // which the kernel marks the word of a dead owner.
                    match word.compare_exchange(found, owned, Acquire, Relaxed) {
                        Ok(_) => {
                            spin.record_success();
                            return Ok(Acquired::from_word(found));
                        }
                        Err(newer) => found = newer,
                    }
                }
                WordState::Held if timeout == Timeout::NonBlocking => {
                    return Err(LockError::TimedOut);
                }
                WordState::Held if spin.wait_until(|word| word & OWNER == 0) => found = FREE,
                WordState::Held => match self.sleep(found, timeout.deadline()) {
                    Ok(Wake::TimedOut) => return Err(LockError::TimedOut),
                    Ok(_) => {
                        (found, mark) = (FREE, WAITERS);
                        spin.restart();
                    }
                    Err(newer) => found = newer,
                },
            }
        }
    }

    /// Sets `WAITERS` and sleeps. If the word is no longer `found`, returns the new word instead.
    fn sleep(&self, found: u32, deadline: Option<Deadline>) -> Result<Wake, u32> {
        let (word, marked) = (self.word.word(), found | WAITERS);
        if found != marked {
            word.compare_exchange(found, marked, Relaxed, Relaxed)?;
        }
        Ok(futex::wait(word, marked, deadline))
    }

    /// Replaces the owner's id in the word with `word`, and wakes the waiters that must see the new
    /// word.
    ///
    /// Does nothing if the calling thread does not hold the lock, for example in the child of a
    /// fork.
    #[inline]
    fn release_as(&self, word: u32) {
        as_owner(|owner| {
            if !owner.holds(&self.word) {
                return;
            }
            if let Some(contract) = specified::RobustLock::selected() {
                return contract.unlock(&self.word, word);
            }
            owner.set_pending(&self.word);
            owner.unlink(&self.word);
            // Release pairs with the Acquire of `acquire_free` and `acquire_contended`: the next
            // holder sees this holder's writes.
            let before = self.word.word().swap(word, Release);
            if word == UNRECOVERABLE {
                // All sleepers must be woken, even if `WAITERS` is clear. An earlier unlock may
                // have cleared the bit and woken one thread, and that thread may not have set the
                // bit again for the other sleepers.
                self.wake(ALL);
            } else if before & WAITERS != 0 {
                self.wake(1);
            }
            owner.clear_pending();
        });
    }

    #[cold]
    #[cfg_attr(loom, track_caller)]
    fn wake(&self, count: u32) {
        futex::wake(self.word.word(), count);
    }
}

// SAFETY: one step takes the word from a value without an owner to the caller's id. Only
// `release_as`, or the kernel after the owner's death, removes that id. Release and Acquire order
// each holder's accesses before those of the next holder. `models/raw_robust_mutex.rs` checks both.
unsafe impl RobustLock for RawRobustMutex {
    fn lock_with(&self, timeout: Timeout) -> Result<Acquired, LockError> {
        self.lock_with(timeout)
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock, by the contract of this method.
        unsafe { self.unlock() }
    }

    unsafe fn mark_unrecoverable(&self) {
        // SAFETY: the caller holds the lock, by the contract of this method.
        unsafe { self.mark_unrecoverable() }
    }
}

/// Returns whether the word is free because its last holder died.
const fn is_owner_died(word: u32) -> bool {
    word & OWNER == 0 && word & OWNER_DIED != 0
}

/// Proof that a thread acquired a robust lock.
///
/// A token cannot move to another thread. In a forked child, the token is recognized as a copy of
/// the parent's token.
#[derive(Debug)]
pub(crate) struct OwnerToken {
    generation: Generation,
    not_send: PhantomData<*const ()>,
}

impl OwnerToken {
    /// Creates a token of the calling thread.
    #[inline]
    pub(crate) fn new() -> Self {
        Self {
            generation: Generation::current(),
            not_send: PhantomData,
        }
    }

    /// Returns whether this token is a copy in a forked child.
    #[inline]
    pub(crate) fn is_inherited(&self) -> bool {
        self.generation.is_inherited()
    }

    /// Checks that this token is not a copy in a forked child.
    ///
    /// # Panics
    /// Panics if the token is inherited.
    pub(crate) fn assert_current(&self) {
        self.generation.assert_current();
    }
}
