//! Keeping the code of this crate in memory.
//!
//! The list of each thread leads through the thread-local memory of the library that contains this
//! code, and each thread that ends calls this code. The keeper and the watcher run this code. So
//! `dlclose` must not unload the library.

use super::AtomicBool;
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering::Relaxed;

/// Keeps the library that contains this code in memory until the process ends.
///
/// Does nothing if the code is in the program itself, which is never unloaded. A forked child
/// inherits the effect.
pub(super) fn pin() {
    // Relaxed: pinning twice is harmless.
    static IS_PINNED: AtomicBool = AtomicBool::new(false);
    if !IS_PINNED.load(Relaxed) {
        pin_library();
        IS_PINNED.store(true, Relaxed);
    }
}

#[cfg(target_feature = "crt-static")]
fn pin_library() {
    // A static program loads no libraries that share its libc.
}

#[cfg(not(target_feature = "crt-static"))]
fn pin_library() {
    let mut found = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the call writes only into `found`.
    if unsafe { libc::dladdr(pin as *const _, found.as_mut_ptr()) } == 0 {
        return;
    }
    // SAFETY: `dladdr` has written the structure; otherwise it is zero, which is valid too.
    let file = unsafe { found.assume_init() }.dli_fname;
    if !file.is_null() {
        // The flag `RTLD_NOLOAD` makes the call fail for the program itself, which is not loaded as
        // a library.
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
        // SAFETY: the path is a C string of the dynamic linker. The library is already loaded, so
        // none of its constructors runs. The handle stays open.
        unsafe { libc::dlopen(file, flags) };
    }
}
