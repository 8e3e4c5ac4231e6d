//! What happens to the words of a thread that ends.
//!
//! A destructor of a pthread key runs at the end of a thread, after the destructors of Rust's
//! thread-locals. Such a destructor may still unlock words that a thread-local guard holds. Other
//! pthread keys may have guards as well, so this destructor acts in the last but one of the four
//! rounds in which libc calls destructors. The words that are still held then were leaked, and go
//! to the [`keeper`](super::keeper). In the last round, ThreadSanitizer destroys its state of the
//! thread, and instrumented code that runs after that crashes.
//!
//! The end of the main thread is the end of the process, which runs no destructor of a pthread key.

use super::page::Page;
use super::word::RobustWord;
use super::{THREAD, Thread, pages, process};
use crate::platform::linux::AtomicU32;
use core::ffi::c_void;
use core::sync::atomic::Ordering::{Acquire, Release};

/// The round in which the destructor acts: the last but one of `PTHREAD_DESTRUCTOR_ITERATIONS`.
const LAST_ROUND: usize = 3;

/// Ensures that the end of the running thread calls `end_thread`. Returns false if libc has no key
/// or no memory.
pub(super) fn arm() -> bool {
    key().is_some_and(|key| set_round(key, 1))
}

fn set_round(key: libc::pthread_key_t, round: usize) -> bool {
    // SAFETY: the value is a number, which no code uses as a pointer.
    unsafe { libc::pthread_setspecific(key, core::ptr::without_provenance(round)) == 0 }
}

/// Returns the key of this process and its ancestors.
fn key() -> Option<libc::pthread_key_t> {
    /// The key plus 1, or 0.
    static KEY: AtomicU32 = AtomicU32::new(0);
    // Acquire and Release order the creation of the key before its use.
    if let Some(key) = KEY.load(Acquire).checked_sub(1) {
        return Some(key);
    }
    let mut key = 0;
    // SAFETY: the call writes only into `key`. The destructor stays in memory: see `pin`.
    if unsafe { libc::pthread_key_create(&raw mut key, Some(end_round)) } != 0 {
        return None;
    }
    match KEY.compare_exchange(0, key + 1, Release, Acquire) {
        Ok(_) => Some(key),
        Err(other) => {
            // SAFETY: no thread has used this key.
            unsafe { libc::pthread_key_delete(key) };
            Some(other - 1)
        }
    }
}

/// Waits for the round [`LAST_ROUND`], and then ends the thread.
unsafe extern "C" fn end_round(round: *mut c_void) {
    let round = round.addr();
    let is_last = round >= LAST_ROUND || !key().is_some_and(|key| set_round(key, round + 1));
    if is_last {
        THREAD.with(end_thread);
    }
}

/// Hands over the words that the thread holds. From now on, the thread cannot hold words.
fn end_thread(thread: &Thread) {
    let page = thread.page();
    thread.has_ended.set(true);
    if page.is_empty() {
        return;
    }
    if page.count() > 0 {
        hand_over(thread, page);
    }
    thread.list.set_pending(0);
    thread.page.set(&super::page::EMPTY);
    page.clear();
    pages::give_back(page);
}

fn hand_over(thread: &Thread, page: &Page) {
    // A registered thread has created the records of the process.
    let Some(process) = process::existing() else {
        return;
    };
    let locked = process.lock();
    while page.count() > 0 {
        let entry = page.entry(page.room());
        // SAFETY: the thread holds the word, so it stays mapped: see `range::release`.
        let word = unsafe { RobustWord::from_entry(entry) };
        let unlink = || thread.unlink_top(page);
        if locked.is_dropped(entry) {
            thread.list.set_pending(entry);
            unlink();
            word.report_death(page.id());
            thread.list.set_pending(0);
        } else {
            // The word must not be pending, because the kernel would then read it at the end of
            // this thread.
            thread.list.set_pending(0);
            locked.keeper().take(word, page.id(), unlink);
        }
    }
}
