//! libc's robust mutex and condition variable in shared memory.

use interlatch::ShmSafe;
use interlatch::platform::UnsafeCell;
use interlatch::region::{ShmType, TypeInfo};
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};

/// A robust, process-shared `pthread_mutex_t`.
#[repr(C)]
#[derive(Debug)]
pub struct Pthread(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: libc synchronizes the users of the mutex.
unsafe impl Sync for Pthread {}

// SAFETY: the memory is all zeros until `init`. Afterwards only libc writes into it.
unsafe impl ShmSafe for Pthread {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))) }
    }
}

impl ShmType for Pthread {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Pthread");
}

impl Pthread {
    /// Initializes the object in place.
    pub fn init(&self) {
        // SAFETY: a C structure of zeros is valid, and the first libc call overwrites the zeros.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { core::mem::zeroed() };
        // SAFETY: `attributes` outlives the calls, and the first call initializes it. The mutex
        // does not move, and no other process uses the mutex yet.
        self.0.with_mut(|mutex| unsafe {
            check(libc::pthread_mutexattr_init(&mut attributes));
            let (shared, robust) = (libc::PTHREAD_PROCESS_SHARED, libc::PTHREAD_MUTEX_ROBUST);
            check(libc::pthread_mutexattr_setpshared(&mut attributes, shared));
            check(libc::pthread_mutexattr_setrobust(&mut attributes, robust));
            check(libc::pthread_mutex_init(mutex, &attributes));
        });
    }

    /// Locks the mutex, or panics after ten seconds. If the owner died, marks the mutex consistent
    /// and returns true.
    pub fn lock(&self) -> bool {
        let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("a clock");
        let deadline = now + TimeSpec::new(10, 0);
        // SAFETY: `init` has initialized the object, and the object does not move.
        self.0.with_mut(|mutex| unsafe {
            match Errno::from_raw(libc::pthread_mutex_timedlock(mutex, deadline.as_ref())) {
                Errno::EOWNERDEAD => {
                    check(libc::pthread_mutex_consistent(mutex));
                    true
                }
                code => {
                    check(code as i32);
                    false
                }
            }
        })
    }

    /// Unlocks the mutex. This thread holds the lock.
    pub fn unlock(&self) {
        // SAFETY: `init` has initialized the object, and the object does not move.
        check(
            self.0
                .with_mut(|mutex| unsafe { libc::pthread_mutex_unlock(mutex) }),
        );
    }
}

fn check(returned: libc::c_int) {
    assert_eq!(returned, 0, "{}", Errno::from_raw(returned));
}

/// A process-shared `pthread_cond_t`.
#[repr(C)]
#[derive(Debug)]
pub struct PthreadCond(UnsafeCell<libc::pthread_cond_t>);

// SAFETY: libc synchronizes the users of the condition variable.
unsafe impl Sync for PthreadCond {}

// SAFETY: the memory is all zeros until `init`. Afterwards only libc writes into it.
unsafe impl ShmSafe for PthreadCond {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write(Self(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER))) }
    }
}

impl ShmType for PthreadCond {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("PthreadCond");
}

impl PthreadCond {
    /// Initializes the object in place.
    pub fn init(&self) {
        // SAFETY: a C structure of zeros is valid, and the first libc call overwrites the zeros.
        let mut attributes: libc::pthread_condattr_t = unsafe { core::mem::zeroed() };
        // SAFETY: `attributes` outlives the calls, and the first call initializes it. The condition
        // variable does not move, and no other process uses it yet.
        self.0.with_mut(|condition| unsafe {
            check(libc::pthread_condattr_init(&mut attributes));
            let shared = libc::PTHREAD_PROCESS_SHARED;
            check(libc::pthread_condattr_setpshared(&mut attributes, shared));
            check(libc::pthread_cond_init(condition, &attributes));
        });
    }

    /// Waits on the condition variable with the mutex, which this thread has locked.
    pub fn wait(&self, mutex: &Pthread) {
        let condition = self.0.with_mut(|condition| condition);
        // SAFETY: both objects are initialized and do not move. The caller has locked the mutex.
        let returned = mutex.0.with_mut(|mutex| unsafe {
            let returned = libc::pthread_cond_wait(condition, mutex);
            if returned == libc::EOWNERDEAD {
                check(libc::pthread_mutex_consistent(mutex));
            }
            returned
        });
        assert!(
            [0, libc::EOWNERDEAD].contains(&returned),
            "{}",
            Errno::from_raw(returned)
        );
    }

    /// Wakes one waiter.
    pub fn signal(&self) {
        // SAFETY: `init` has initialized the object, and the object does not move.
        check(
            self.0
                .with_mut(|condition| unsafe { libc::pthread_cond_signal(condition) }),
        );
    }

    /// Wakes all waiters.
    pub fn broadcast(&self) {
        // SAFETY: `init` has initialized the object, and the object does not move.
        check(
            self.0
                .with_mut(|condition| unsafe { libc::pthread_cond_broadcast(condition) }),
        );
    }
}
