//! Threads that serve the whole process.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::ptr::null_mut;

/// The code of a thread: a function that gets the argument of [`start`].
pub(super) type Main = extern "C" fn(*mut c_void) -> *mut c_void;

/// Starts a detached thread that runs `main`, with all signals blocked, so that no signal handler
/// runs on it. Returns false if the thread cannot be created.
///
/// The thread inherits the scheduling policy and the affinity of the calling thread.
///
/// # Safety
/// `main` may be called with this argument on any thread, at any time from now on.
pub(super) unsafe fn start(main: Main, argument: *mut c_void) -> bool {
    let mut blocked = MaybeUninit::<libc::sigset_t>::zeroed();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the calls write only into the two sets.
    unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), before.as_mut_ptr());
    }
    // The stack of a program with large thread-locals must be larger than the small one.
    let is_started = [Some(SMALL_STACK), None]
        .into_iter()
        // SAFETY: the caller permits the call of `main`.
        .any(|stack| unsafe { spawn(main, argument, stack) });
    // SAFETY: the first call has initialized `before`.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut()) };
    is_started
}

const SMALL_STACK: usize = 128 << 10;

/// # Safety
/// See [`start`].
unsafe fn spawn(main: Main, argument: *mut c_void, stack: Option<usize>) -> bool {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::zeroed();
    let mut thread = MaybeUninit::<libc::pthread_t>::zeroed();
    // SAFETY: the first call initializes the attributes, which the others use. The caller permits
    // the call of `main`.
    unsafe {
        if libc::pthread_attr_init(attributes.as_mut_ptr()) != 0 {
            return false;
        }
        let mut is_possible = libc::pthread_attr_setdetachstate(
            attributes.as_mut_ptr(),
            libc::PTHREAD_CREATE_DETACHED,
        ) == 0;
        if let Some(stack) = stack {
            is_possible &= libc::pthread_attr_setstacksize(attributes.as_mut_ptr(), stack) == 0;
        }
        is_possible = is_possible
            && libc::pthread_create(thread.as_mut_ptr(), attributes.as_ptr(), main, argument) == 0;
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        is_possible
    }
}
