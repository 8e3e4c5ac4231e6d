//! A lock of the parent, while a forked child exits.
//!
//! The tests of `tests/identity` fork real processes. A stage of processes cannot fork, so these
//! models are compiled only with `--cfg loom`.

use interlatch::platform::Ordering::{Acquire, Relaxed, Release};
use interlatch::platform::robust::{OWNER_DIED, RobustWord, as_owner, fork_child_that_exits};
use interlatch::platform::{ShmSafe, ShmType, TypeInfo};
use interlatch::sync::{Acquired, LockError, RawRobustMutex, RobustLock, Timeout};
use interlatch_check::{FailureKind, Model, Scenario};

pub fn models() -> Vec<Model> {
    vec![
        Model::new("forks", child_does_not_release_the_lock::<RawRobustMutex>),
        Model::broken("lock_left_pending", FailureKind::WrongResult, || {
            child_does_not_release_the_lock::<LeftPending>()
        }),
    ]
}

/// The end of a forked child does not release the lock that its parent holds.
///
/// The child has the thread id of its parent, in another pid namespace.
fn child_does_not_release_the_lock<L: RobustLock + ShmSafe + 'static>() -> Scenario<L> {
    let fork_while_locked = |lock: &L| {
        let locked = lock.lock_with(Timeout::Infinite);
        assert_eq!(locked, Ok(Acquired::Clean));
        fork_child_that_exits();
        let again = lock.lock_with(Timeout::NonBlocking);
        assert_eq!(again, Err(LockError::TimedOut));
        // SAFETY: the first `lock_with` above has acquired the lock.
        unsafe { lock.unlock() };
    };
    Scenario::new("child_does_not_release_the_lock", vec![fork_while_locked])
}

/// A lock whose word stays pending while the lock is held. It is unrecoverable after a death.
struct LeftPending(RobustWord);

// SAFETY: the field is a word. Every bit pattern is valid, and no process uses it as a pointer.
unsafe impl ShmSafe for LeftPending {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes. The lock stays
        // there until all processes of the model have ended.
        unsafe { at.write(Self(RobustWord::new(0))) };
    }
}

impl ShmType for LeftPending {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("LeftPending");
}

// SAFETY: only one process at a time changes the word from 0 to its id, until `unlock`. The end of
// a child breaks this rule, which the model shows.
unsafe impl RobustLock for LeftPending {
    fn lock_with(&self, _: Timeout) -> Result<Acquired, LockError> {
        as_owner(|owner| {
            owner.set_pending(&self.0);
            let word = self.0.word();
            match word.compare_exchange(0, owner.id(), Acquire, Relaxed) {
                Ok(_) => owner.link(&self.0),
                Err(OWNER_DIED) => return Err(LockError::Unrecoverable),
                Err(_) => return Err(LockError::TimedOut),
            }
            Ok(Acquired::Clean)
        })
    }

    unsafe fn unlock(&self) {
        as_owner(|owner| {
            owner.unlink(&self.0);
            self.0.word().swap(0, Release);
            owner.clear_pending();
        });
    }

    unsafe fn mark_unrecoverable(&self) {
        unreachable!("no scenario of this file calls it");
    }
}
