//! libc's own robust mutex, in shared memory.

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

// SAFETY: libc locks it.
unsafe impl Sync for Pthread {}

// SAFETY: all zeros until it is made; nobody here writes into it but libc.
unsafe impl ShmSafe for Pthread {
    fn initial() -> Self {
        Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER))
    }
}

impl ShmType for Pthread {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Pthread");
}

impl Pthread {
    /// Makes it, where it lies.
    pub fn make(&self) {
        // SAFETY: zeros are a value of this C structure, which the first call overwrites.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { core::mem::zeroed() };
        // SAFETY: the attributes live through the calls and are initialized by the first. The mutex
        // lies where it will stay, and nobody else knows of it yet.
        self.0.with_mut(|mutex| unsafe {
            must(libc::pthread_mutexattr_init(&mut attributes));
            let (shared, robust) = (libc::PTHREAD_PROCESS_SHARED, libc::PTHREAD_MUTEX_ROBUST);
            must(libc::pthread_mutexattr_setpshared(&mut attributes, shared));
            must(libc::pthread_mutexattr_setrobust(&mut attributes, robust));
            must(libc::pthread_mutex_init(mutex, &attributes));
        });
    }

    /// Locks, or fails after ten seconds; true with the news that the owner died, which is repaired then.
    pub fn lock(&self) -> bool {
        let now = clock_gettime(ClockId::CLOCK_REALTIME).expect("a clock");
        let deadline = now + TimeSpec::new(10, 0);
        // SAFETY: `make` has made it, and it stays where it is.
        self.0.with_mut(|mutex| unsafe {
            match Errno::from_raw(libc::pthread_mutex_timedlock(mutex, deadline.as_ref())) {
                Errno::EOWNERDEAD => {
                    must(libc::pthread_mutex_consistent(mutex));
                    true
                }
                code => {
                    must(code as i32);
                    false
                }
            }
        })
    }

    /// Unlocks what this thread has locked.
    pub fn unlock(&self) {
        // SAFETY: as above.
        must(
            self.0
                .with_mut(|mutex| unsafe { libc::pthread_mutex_unlock(mutex) }),
        );
    }
}

fn must(returned: libc::c_int) {
    assert_eq!(returned, 0, "{}", Errno::from_raw(returned));
}

/// A process-shared `pthread_cond_t`.
#[repr(C)]
#[derive(Debug)]
pub struct PthreadCond(UnsafeCell<libc::pthread_cond_t>);

// SAFETY: libc keeps its users apart.
unsafe impl Sync for PthreadCond {}

// SAFETY: as of the mutex.
unsafe impl ShmSafe for PthreadCond {
    fn initial() -> Self {
        Self(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER))
    }
}

impl ShmType for PthreadCond {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("PthreadCond");
}

impl PthreadCond {
    /// Makes it, where it lies.
    pub fn make(&self) {
        // SAFETY: zeros are a value of this C structure, which the first call overwrites.
        let mut attributes: libc::pthread_condattr_t = unsafe { core::mem::zeroed() };
        // SAFETY: as of the mutex.
        self.0.with_mut(|condition| unsafe {
            must(libc::pthread_condattr_init(&mut attributes));
            let shared = libc::PTHREAD_PROCESS_SHARED;
            must(libc::pthread_condattr_setpshared(&mut attributes, shared));
            must(libc::pthread_cond_init(condition, &attributes));
        });
    }

    /// Waits, with the mutex that this thread has locked.
    pub fn wait(&self, mutex: &Pthread) {
        let condition = self.0.with_mut(|condition| condition);
        // SAFETY: both are made, and stay where they are; the mutex is locked.
        let returned = mutex.0.with_mut(|mutex| unsafe {
            let returned = libc::pthread_cond_wait(condition, mutex);
            if returned == libc::EOWNERDEAD {
                must(libc::pthread_mutex_consistent(mutex));
            }
            returned
        });
        assert!(
            [0, libc::EOWNERDEAD].contains(&returned),
            "{}",
            Errno::from_raw(returned)
        );
    }

    /// Wakes one.
    pub fn signal(&self) {
        // SAFETY: it is made, and stays where it is.
        must(
            self.0
                .with_mut(|condition| unsafe { libc::pthread_cond_signal(condition) }),
        );
    }

    /// Wakes all.
    pub fn broadcast(&self) {
        // SAFETY: as above.
        must(
            self.0
                .with_mut(|condition| unsafe { libc::pthread_cond_broadcast(condition) }),
        );
    }
}
