//! Threads that die like the threads of a killed process.

use core::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr::{null, null_mut};

/// Runs `operation` on a new thread, which then dies without running destructors, and returns after
/// the kernel has visited the thread's robust list.
///
/// A thread that ends normally hands the locks that it leaked to its process. This thread calls
/// `exit(2)`, so the kernel marks its locks, as those of the threads of a killed process.
pub fn in_dying_thread<F: FnOnce() + Send>(operation: F) {
    let operation = Box::into_raw(Box::new(operation));
    let mut thread = MaybeUninit::uninit();
    // SAFETY: `die` gets a box with an operation of its type. The operation lives until the thread
    // has ended, because this function joins the thread.
    unsafe {
        let started = libc::pthread_create(
            thread.as_mut_ptr(),
            null(),
            die::<F>,
            operation.cast::<c_void>(),
        );
        assert_eq!(started, 0, "a thread starts");
        let joined = libc::pthread_join(thread.assume_init(), null_mut());
        assert_eq!(joined, 0, "the thread dies");
    }
}

extern "C" fn die<F: FnOnce()>(operation: *mut c_void) -> *mut c_void {
    // SAFETY: `in_dying_thread` passes the box, and no other code uses it.
    let operation = unsafe { Box::from_raw(operation.cast::<F>()) };
    operation();
    // SAFETY: the call ends this thread. `pthread_join` waits for the kernel, which clears the id
    // of the thread after it has visited the robust list.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("the thread has ended")
}
