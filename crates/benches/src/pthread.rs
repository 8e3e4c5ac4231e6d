//! Process-shared mutexes, condition variables and semaphores of libc and the kernel.

use super::cleanup::CleanupProcess;
use super::shared;
use anyhow::Result;
use interlatch::platform::UnsafeCell;
use nix::errno::Errno;
use std::mem::zeroed;

/// Panics if a libc function returned an error. Ordinary programs that call libc make the same
/// check.
pub fn check(returned: libc::c_int) {
    assert_eq!(returned, 0, "{}", Errno::last());
}

/// A process-shared mutex of libc.
pub struct PthreadMutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: several threads may use a process-shared mutex concurrently.
unsafe impl Sync for PthreadMutex {}

impl PthreadMutex {
    pub fn plain() -> Result<&'static Self> {
        Self::create(libc::PTHREAD_MUTEX_STALLED)
    }

    pub fn robust() -> Result<&'static Self> {
        Self::create(libc::PTHREAD_MUTEX_ROBUST)
    }

    fn create(robustness: libc::c_int) -> Result<&'static Self> {
        let this = shared(Self(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER)))?;
        // SAFETY: zeros are a valid value of this C structure, and the first call overwrites the
        // structure.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { zeroed() };
        // SAFETY: the first call initializes the attributes, which live until all calls have
        // returned. The mutex has its final address, and no other thread can access it yet.
        this.0.with_mut(|mutex| unsafe {
            check(libc::pthread_mutexattr_init(&mut attributes));
            let shared = libc::PTHREAD_PROCESS_SHARED;
            check(libc::pthread_mutexattr_setpshared(&mut attributes, shared));
            check(libc::pthread_mutexattr_setrobust(
                &mut attributes,
                robustness,
            ));
            check(libc::pthread_mutex_init(mutex, &attributes));
        });
        Ok(this)
    }

    #[inline(always)]
    pub fn lock(&self) {
        // SAFETY: `create` has initialized the mutex, and this thread does not hold it.
        check(
            self.0
                .with_mut(|at| unsafe { libc::pthread_mutex_lock(at) }),
        );
    }

    /// Unlocks the mutex. The caller must hold the mutex.
    #[inline(always)]
    pub fn unlock(&self) {
        // SAFETY: `create` has initialized the mutex. All callers hold the mutex; unlocking a plain
        // mutex without holding it is undefined behavior.
        check(
            self.0
                .with_mut(|at| unsafe { libc::pthread_mutex_unlock(at) }),
        );
    }

    #[inline(always)]
    pub fn pair(&self) {
        self.lock();
        self.unlock();
    }
}

/// A process-shared condition variable of libc.
pub struct PthreadCondvar(UnsafeCell<libc::pthread_cond_t>);

// SAFETY: several threads may use a process-shared condition variable concurrently.
unsafe impl Sync for PthreadCondvar {}

impl PthreadCondvar {
    pub fn create() -> Result<&'static Self> {
        let this = shared(Self(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER)))?;
        // SAFETY: zeros are a valid value of this C structure, and the first call overwrites the
        // structure.
        let mut attributes: libc::pthread_condattr_t = unsafe { zeroed() };
        // SAFETY: the first call initializes the attributes, which live until all calls have
        // returned. The variable has its final address, and no other thread can access it yet.
        this.0.with_mut(|condvar| unsafe {
            check(libc::pthread_condattr_init(&mut attributes));
            let shared = libc::PTHREAD_PROCESS_SHARED;
            check(libc::pthread_condattr_setpshared(&mut attributes, shared));
            check(libc::pthread_cond_init(condvar, &attributes));
        });
        Ok(this)
    }

    /// Waits for a notification. The caller must hold `mutex`.
    pub fn wait(&self, mutex: &PthreadMutex) {
        let wait = |condvar| {
            // SAFETY: both objects are initialized, and the caller holds the mutex. libc locks the
            // mutex again before the call returns.
            mutex
                .0
                .with_mut(|mutex| unsafe { libc::pthread_cond_wait(condvar, mutex) })
        };
        check(self.0.with_mut(wait));
    }

    pub fn notify_one(&self) {
        // SAFETY: `create` has initialized the condition variable.
        check(
            self.0
                .with_mut(|condvar| unsafe { libc::pthread_cond_signal(condvar) }),
        );
    }
}

/// A process-shared semaphore of libc.
pub struct PosixSemaphore(UnsafeCell<libc::sem_t>);

// SAFETY: several threads may use a process-shared semaphore concurrently.
unsafe impl Sync for PosixSemaphore {}

impl PosixSemaphore {
    pub fn create(permits: u32) -> Result<&'static Self> {
        // SAFETY: zeros are a valid value of this C structure, and `sem_init` overwrites the
        // structure.
        let this = shared(Self(UnsafeCell::new(unsafe { zeroed() })))?;
        // SAFETY: the semaphore has its final address, and no other thread can access it yet.
        check(
            this.0
                .with_mut(|at| unsafe { libc::sem_init(at, 1, permits) }),
        );
        Ok(this)
    }

    #[inline(always)]
    pub fn acquire(&self) {
        // SAFETY: `create` has initialized the semaphore.
        check(self.0.with_mut(|at| unsafe { libc::sem_wait(at) }));
    }

    #[inline(always)]
    pub fn release(&self) {
        // SAFETY: `create` has initialized the semaphore.
        check(self.0.with_mut(|at| unsafe { libc::sem_post(at) }));
    }

    #[inline(always)]
    pub fn pair(&self) {
        self.acquire();
        self.release();
    }
}

/// A set of System V semaphores. The set is removed when this value is dropped.
pub struct SysVSemaphores {
    id: i32,
    _removed: CleanupProcess,
}

impl SysVSemaphores {
    /// Creates a set of two semaphores with these initial values.
    pub fn create(values: [u16; 2]) -> Result<Self> {
        // SAFETY: all arguments are integers, so the call accesses no memory of this process.
        let id = Errno::result(unsafe { libc::semget(libc::IPC_PRIVATE, 2, 0o600) })?;
        let _removed = CleanupProcess::start(move || {
            // SAFETY: the command `IPC_RMID` takes no further argument.
            unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
        })?;
        for (number, value) in values.into_iter().enumerate() {
            // SAFETY: the command `SETVAL` takes an integer.
            let set = unsafe { libc::semctl(id, number as i32, libc::SETVAL, i32::from(value)) };
            Errno::result(set)?;
        }
        Ok(Self { id, _removed })
    }

    /// Returns a handle to the set, for use by the workers.
    pub fn handle(&self) -> SysVHandle {
        SysVHandle(self.id)
    }
}

#[derive(Clone, Copy)]
pub struct SysVHandle(i32);

impl SysVHandle {
    /// Adds `by` to a semaphore. If `by` is negative, this method waits until the semaphore's value
    /// is large enough for the subtraction.
    pub fn change(self, number: u16, by: i16) {
        let mut operation = libc::sembuf {
            sem_num: number,
            sem_op: by,
            sem_flg: 0,
        };
        // SAFETY: the call accesses only one operation, which lives until the call returns.
        check(unsafe { libc::semop(self.0, &mut operation, 1) });
    }
}
