//! The thread that holds the words which ended threads of this process have leaked.
//!
//! A guard that is leaked (`mem::forget`) may leave a reference to the protected data behind, which
//! lives longer than the thread that locked. If the kernel found the word at the end of that
//! thread, it would give the data to another process. So the ending thread hands its words to the
//! keeper, which lives as long as the process. If the process dies, the kernel finds the words in
//! the list of the keeper.
//!
//! Each list is changed only by its own thread, because the kernel walks the list of a thread when
//! that thread is killed, while other threads of the process may still run. One word is handed over
//! at a time:
//!
//! | step | thread | the word names | found by the kernel in |
//! | --- | --- | --- | --- |
//! | set the word pending | keeper | the ending thread | the list of the ending thread |
//! | change the owner in the word | keeper | the keeper | the pending operation of the keeper |
//! | unlink the word | ending thread | the keeper | the pending operation of the keeper |
//! | link the word, clear pending | keeper | the keeper | the list of the keeper |
//!
//! The kernel changes a word only if it names the thread whose list the kernel walks. So at every
//! instruction, exactly one list reports the word.
//!
//! The keeper starts when the first word is handed over. A forked child has no keeper, and the
//! wiped memory says so. A process with a keeper does not end when its main thread calls
//! `pthread_exit`: it ends with `exit`, or when the main thread returns from `main`.

use super::word::RobustWord;
use super::{THREAD, list::List};
use crate::platform::linux::{AtomicU32, AtomicUsize, futex, thread};
use core::ffi::c_void;
use core::ops::Range;
use core::ptr::null;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// The maximum number of words that the keeper holds.
///
/// The kernel visits at most 2048 entries of a list.
const MAX_KEPT: usize = 2000;

/// The owner of words that cannot be handed over. No thread has this id, so such a word stays
/// locked, even after the death of the process.
const LOST: u32 = crate::platform::robust::OWNER - 1;

// The states of the keeper.
const NOT_STARTED: u32 = 0;
const STARTING: u32 = 1;
const FAILED: u32 = 2;
const IDLE: u32 = 3;
/// A thread asks the keeper to take a word.
const TAKE: u32 = 4;
/// The word names the keeper, and the thread must unlink it.
const TAKEN: u32 = 5;
/// The thread has unlinked the word.
const UNLINKED: u32 = 6;
/// The keeper cannot take the word.
const REFUSED: u32 = 7;
/// A thread asks the keeper to release all words in a range of addresses.
const RELEASE: u32 = 8;

/// The mailbox of the keeper, which threads use one at a time under the lock of the process.
#[repr(C)]
pub(super) struct Keeper {
    /// Acquire and Release on this word order all other accesses to the mailbox, and the accesses
    /// of both sides to the lists.
    state: AtomicU32,
    /// The thread that hands a word over.
    from: AtomicU32,
    /// The list entry of the word, or the range of addresses.
    entry: AtomicUsize,
    end: AtomicUsize,
}

impl Keeper {
    /// Hands a word of the running thread to the keeper. `unlink` removes the word from the list
    /// of the running thread.
    ///
    /// If the keeper cannot take the word, the word stays locked forever.
    pub(super) fn take(&'static self, word: &RobustWord, from: u32, unlink: impl FnOnce()) {
        let is_taken = self.is_started() && {
            self.from.store(from, Relaxed);
            self.entry.store(word.entry(), Relaxed);
            self.request(TAKE) == TAKEN
        };
        if is_taken {
            unlink();
            self.request(UNLINKED);
        } else {
            word.change_owner(from, LOST);
            unlink();
            self.conclude();
        }
    }

    /// Reports the words in this range of addresses as those of a dead owner.
    pub(super) fn release(&self, entries: &Range<usize>) {
        if self.state.load(Acquire) != IDLE {
            return;
        }
        self.entry.store(entries.start, Relaxed);
        self.end.store(entries.end, Relaxed);
        self.request(RELEASE);
    }

    /// Posts a request and returns the next state.
    fn request(&self, request: u32) -> u32 {
        self.post(request);
        self.wait_while(request)
    }

    /// Accepts that the keeper has refused.
    fn conclude(&self) {
        if self.state.load(Relaxed) == REFUSED {
            self.post(IDLE);
        }
    }

    fn post(&self, state: u32) {
        self.state.store(state, Release);
        futex::wake_in_process(&self.state);
    }

    /// Waits until the state is another one, and returns it.
    fn wait_while(&self, state: u32) -> u32 {
        loop {
            match self.state.load(Acquire) {
                found if found != state => return found,
                _ => futex::wait_in_process(&self.state, state),
            }
        }
    }

    /// Starts the keeper unless it runs. Returns false if it cannot run.
    fn is_started(&'static self) -> bool {
        if [NOT_STARTED, FAILED].contains(&self.state.load(Relaxed)) {
            self.state.store(STARTING, Relaxed);
            match start(self) {
                true => self.wait_while(STARTING),
                false => self.state.swap(FAILED, Relaxed),
            };
        }
        self.state.load(Relaxed) == IDLE
    }
}

/// Starts the keeper's thread.
fn start(keeper: &'static Keeper) -> bool {
    let argument = core::ptr::from_ref(keeper).cast_mut().cast::<c_void>();
    // SAFETY: `keep` needs the mailbox, which stays mapped until the process ends.
    unsafe { thread::start(keep, argument) }
}

/// The keeper's thread, which never ends.
extern "C" fn keep(argument: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passes the mailbox, which stays mapped until the process ends.
    let keeper = unsafe { &*argument.cast::<Keeper>() };
    // SAFETY: the argument is a C string of less than 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"interlatch-keep".as_ptr()) };
    THREAD.with(|thread| {
        if !thread.list.enter() {
            keeper.post(FAILED);
            return;
        }
        let id = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let mut words = Words {
            list: &thread.list,
            id,
            kept: [0; MAX_KEPT],
            count: 0,
        };
        words.list.set_first(words.list.end());
        keeper.post(IDLE);
        loop {
            words.serve(keeper);
        }
    });
    null::<c_void>().cast_mut()
}

/// The words of the keeper.
struct Words<'a> {
    list: &'a List,
    id: u32,
    /// The list entries of the words, the oldest first.
    kept: [usize; MAX_KEPT],
    count: usize,
}

impl Words<'_> {
    /// Waits for a request and serves it.
    fn serve(&mut self, keeper: &Keeper) {
        let entry = || keeper.entry.load(Relaxed);
        match keeper.wait_while(IDLE) {
            TAKE if self.take(entry(), keeper.from.load(Relaxed)) => {
                keeper.request(TAKEN);
                self.link(entry());
                keeper.post(IDLE);
            }
            TAKE => {
                keeper.request(REFUSED);
            }
            RELEASE => {
                self.release(&(entry()..keeper.end.load(Relaxed)));
                keeper.post(IDLE);
            }
            other => {
                // The other side has not seen an answer yet.
                keeper.wait_while(other);
            }
        }
    }

    /// Changes the owner of a word from a thread to the keeper. On success, the word is pending.
    fn take(&mut self, entry: usize, from: u32) -> bool {
        if self.count == MAX_KEPT {
            return false;
        }
        self.list.set_pending(entry);
        // SAFETY: the thread that hands the word over holds it, and waits meanwhile.
        let word = unsafe { RobustWord::from_entry(entry) };
        let is_changed = word.change_owner(from, self.id);
        if !is_changed {
            self.list.set_pending(0);
        }
        is_changed
    }

    /// Links the pending word.
    fn link(&mut self, entry: usize) {
        self.kept[self.count] = entry;
        self.count += 1;
        // SAFETY: the word stays mapped while it is kept: see `range::release`.
        self.list.push(unsafe { RobustWord::from_entry(entry) });
        self.list.set_pending(0);
    }

    /// Reports the words with entries in this range as those of a dead owner.
    fn release(&mut self, entries: &Range<usize>) {
        for position in (0..self.count).rev() {
            let entry = self.kept[position];
            if entries.contains(&entry) {
                self.list.set_pending(entry);
                self.unlink(position);
                // SAFETY: the caller of `Keeper::release` keeps the range mapped.
                unsafe { RobustWord::from_entry(entry) }.report_death(self.id);
                self.list.set_pending(0);
            }
        }
    }

    /// Removes a word from the list.
    fn unlink(&mut self, position: usize) {
        let below = match position {
            0 => self.list.end(),
            _ => self.kept[position - 1],
        };
        if position + 1 == self.count {
            self.list.set_first(below);
        } else {
            // SAFETY: the word above stays mapped while it is kept.
            let above = unsafe { RobustWord::from_entry(self.kept[position + 1]) };
            above.link.store(below, Relaxed);
        }
        self.kept.copy_within(position + 1..self.count, position);
        self.count -= 1;
    }
}
