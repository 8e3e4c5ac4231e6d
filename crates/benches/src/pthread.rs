//! What libc and the kernel have: process-shared mutexes, condition variables, semaphores.

use super::afterwards::Afterwards;
use super::shared;
use anyhow::Result;
use interlatch::platform::UnsafeCell;
use nix::errno::Errno;
use std::mem::zeroed;

/// Looks at what a libc function returned, as users do.
pub fn must(returned: libc::c_int) {
    assert_eq!(returned, 0, "{}", Errno::last());
}

/// A process-shared mutex of libc.
pub struct PthreadMutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: this is what it is for.
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
        // SAFETY: zeros are a value of this C structure, which the first call overwrites.
        let mut attributes: libc::pthread_mutexattr_t = unsafe { zeroed() };
        // SAFETY: the attributes live through the calls and are initialized by the first. The mutex
        // lies where it will stay, and nobody else knows of it yet.
        this.0.with_mut(|mutex| unsafe {
            must(libc::pthread_mutexattr_init(&mut attributes));
            let shared = libc::PTHREAD_PROCESS_SHARED;
            must(libc::pthread_mutexattr_setpshared(&mut attributes, shared));
            must(libc::pthread_mutexattr_setrobust(
                &mut attributes,
                robustness,
            ));
            must(libc::pthread_mutex_init(mutex, &attributes));
        });
        Ok(this)
    }

    #[inline(always)]
    pub fn lock(&self) {
        // SAFETY: `create` has initialized the mutex, and this thread does not hold it.
        must(
            self.0
                .with_mut(|at| unsafe { libc::pthread_mutex_lock(at) }),
        );
    }

    /// For the holder.
    #[inline(always)]
    pub fn unlock(&self) {
        // SAFETY: `create` has initialized the mutex; it is an error, and undefined for a plain one,
        // only if the caller does not hold it, and all callers here do.
        must(
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

// SAFETY: this is what it is for.
unsafe impl Sync for PthreadCondvar {}

impl PthreadCondvar {
    pub fn create() -> Result<&'static Self> {
        let this = shared(Self(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER)))?;
        // SAFETY: zeros are a value of this C structure, which the first call overwrites.
        let mut attributes: libc::pthread_condattr_t = unsafe { zeroed() };
        // SAFETY: the attributes live through the calls and are initialized by the first. The
        // variable lies where it will stay, and nobody else knows of it yet.
        this.0.with_mut(|condvar| unsafe {
            must(libc::pthread_condattr_init(&mut attributes));
            let shared = libc::PTHREAD_PROCESS_SHARED;
            must(libc::pthread_condattr_setpshared(&mut attributes, shared));
            must(libc::pthread_cond_init(condvar, &attributes));
        });
        Ok(this)
    }

    /// For the holder of the mutex.
    pub fn wait(&self, mutex: &PthreadMutex) {
        let wait = |condvar| {
            // SAFETY: both are initialized, and the caller holds the mutex, which libc gives back to it.
            mutex
                .0
                .with_mut(|mutex| unsafe { libc::pthread_cond_wait(condvar, mutex) })
        };
        must(self.0.with_mut(wait));
    }

    pub fn notify_one(&self) {
        // SAFETY: `create` has initialized it.
        must(
            self.0
                .with_mut(|condvar| unsafe { libc::pthread_cond_signal(condvar) }),
        );
    }
}

/// A process-shared semaphore of libc.
pub struct PosixSemaphore(UnsafeCell<libc::sem_t>);

// SAFETY: this is what it is for.
unsafe impl Sync for PosixSemaphore {}

impl PosixSemaphore {
    pub fn create(permits: u32) -> Result<&'static Self> {
        // SAFETY: zeros are a value of this C structure; `sem_init` makes it a semaphore.
        let this = shared(Self(UnsafeCell::new(unsafe { zeroed() })))?;
        // SAFETY: the semaphore lies where it will stay, and nobody else knows of it yet.
        must(
            this.0
                .with_mut(|at| unsafe { libc::sem_init(at, 1, permits) }),
        );
        Ok(this)
    }

    #[inline(always)]
    pub fn acquire(&self) {
        // SAFETY: `create` has initialized the semaphore.
        must(self.0.with_mut(|at| unsafe { libc::sem_wait(at) }));
    }

    #[inline(always)]
    pub fn release(&self) {
        // SAFETY: as above.
        must(self.0.with_mut(|at| unsafe { libc::sem_post(at) }));
    }

    #[inline(always)]
    pub fn pair(&self) {
        self.acquire();
        self.release();
    }
}

/// A set of System V semaphores, which the kernel keeps until this is dropped.
pub struct SysVSemaphores {
    id: i32,
    _removed: Afterwards,
}

impl SysVSemaphores {
    /// Two semaphores, with these values.
    pub fn create(values: [u16; 2]) -> Result<Self> {
        // SAFETY: it takes numbers only.
        let id = Errno::result(unsafe { libc::semget(libc::IPC_PRIVATE, 2, 0o600) })?;
        let _removed = Afterwards::run(move || {
            // SAFETY: this command takes nothing more.
            unsafe { libc::semctl(id, 0, libc::IPC_RMID) };
        })?;
        for (number, value) in values.into_iter().enumerate() {
            // SAFETY: this command takes a number.
            let set = unsafe { libc::semctl(id, number as i32, libc::SETVAL, i32::from(value)) };
            Errno::result(set)?;
        }
        Ok(Self { id, _removed })
    }

    /// For who changes them.
    pub fn handle(&self) -> SysVHandle {
        SysVHandle(self.id)
    }
}

#[derive(Clone, Copy)]
pub struct SysVHandle(i32);

impl SysVHandle {
    /// Adds to one of them, or waits until that can be taken.
    pub fn change(self, number: u16, by: i16) {
        let mut operation = libc::sembuf {
            sem_num: number,
            sem_op: by,
            sem_flg: 0,
        };
        // SAFETY: one operation, which lives through the call.
        must(unsafe { libc::semop(self.0, &mut operation, 1) });
    }
}
