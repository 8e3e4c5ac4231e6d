//! The kernel's robust futex list, which holds this crate's words in addition to libc's.
//!
//! The kernel has one list per thread, and libc has registered it for its own robust mutexes. So
//! this crate inserts its words into libc's list. The words lie between two permanent nodes,
//! `first` and `last`, in the thread's private memory:
//!
//! ```text
//! libc's head -> ... -> first -> word -> word -> last -> ... -> libc's head
//! ```
//!
//! libc's list is doubly linked. When libc changes its own nodes, it writes only into `first` and
//! `last`, never into this crate's shared memory. Between these two nodes the list is singly
//! linked, because the kernel follows the links in one direction only. Private memory records which
//! words the list holds, so this code never reads a pointer from shared memory. The kernel does
//! read these pointers when the thread ends. A faulty process that overwrites a link can keep the
//! kernel from reporting the death. The faulty process can also lead the kernel to another aligned
//! word of this process. The kernel changes that word only if the word holds the id of the dead
//! thread.
//!
//! A held word neither moves nor is freed, because robust objects exist only in regions and behind
//! `'static` references ([`Static`](super::super::Static)).
//!
//! The kernel finds each word at one fixed offset from its link. So this crate uses the offset of
//! libc's mutexes.
//!
//! | file | contents |
//! | --- | --- |
//! | `word` | a word in the list |
//! | `list` | the two nodes of a thread, and the head of the list |
//! | `page`, `pages` | the words that each thread holds, in memory that a fork wipes |
//! | `process` | the records of the process, in memory that a fork wipes |
//! | `thread_end`, `keeper` | what happens to the words of a thread that ends |
//! | `range` | the words in memory that is about to be unmapped |
//! | `namespace` | the pid namespace of inherited regions |
//!
//! # Forks
//! After a fork, the child is another owner: it has other thread ids, and holds nothing. The kernel
//! wipes the memory with the records of the parent's threads, so they become those of threads that
//! are not registered. This works for `fork`, for `_Fork`, and for `clone(2)` without `CLONE_VM`.

mod keeper;
mod list;
mod namespace;
mod page;
mod pages;
mod process;
mod range;
mod thread_end;
mod word;

use super::UnsafeCell;
use crate::platform::robust::RobustListError;
use core::cell::Cell;
use core::ops::Range;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::compiler_fence;
use list::List;
pub use namespace::MappedRegion;
use page::{EMPTY, Page};
pub use range::release_range;
pub use word::RobustWord;

/// The maximum number of words that a thread can hold.
///
/// The kernel visits at most 2048 entries of a list, including libc's.
pub const MAX_HELD: usize = 128;

/// What a thread keeps in its own memory.
struct Thread {
    /// The records of this thread. A forked child finds the same page, wiped. Rust 1.89 allows no
    /// reference to atomic words here.
    page: Cell<*const Page>,
    /// Whether the last destructor of the thread has run.
    has_ended: Cell<bool>,
    list: List,
}

thread_local! {
    static THREAD: Thread = const {
        Thread {
            page: Cell::new(&raw const EMPTY),
            has_ended: Cell::new(false),
            list: List::new(),
        }
    };
}

/// The running thread as an owner of robust words.
#[derive(Clone, Copy)]
pub struct Owner {
    page: &'static Page,
}

/// Calls `act` with the `Owner` that stands for the running thread.
#[inline]
pub fn as_owner<R>(act: impl FnOnce(&Owner) -> R) -> R {
    let page = THREAD.with(Thread::page);
    act(&Owner { page })
}

impl Owner {
    /// Returns the id that the owner writes into its words: the kernel's id of the thread. Returns
    /// 0 if the thread is not registered.
    #[inline]
    pub fn id(&self) -> u32 {
        self.page.id()
    }

    /// Whether the thread can hold one more word without [`make_room`](Self::make_room).
    #[inline]
    pub fn has_room(&self) -> bool {
        self.page.room() > 0
    }

    /// Records that the thread is about to acquire or release this word.
    #[inline]
    pub fn set_pending(&self, word: &RobustWord) {
        THREAD.with(|thread| thread.list.set_pending(word.entry()));
    }

    /// Records that no acquisition or release is pending.
    #[inline]
    pub fn clear_pending(&self) {
        THREAD.with(|thread| thread.list.set_pending(0));
    }

    /// Adds a word to the list. From now on, the thread holds the word.
    ///
    /// # Panics
    /// Panics if the thread already holds 128 words.
    #[inline]
    pub fn link(&self, word: &RobustWord) {
        self.page.push(word.entry());
        THREAD.with(|thread| thread.list.push(word));
    }

    /// Whether this thread holds the word.
    #[inline]
    pub fn holds(&self, word: &RobustWord) -> bool {
        self.is_top(word) || self.page.position(word.entry()).is_some()
    }

    /// Whether this thread holds the word, perhaps through another mapping of the same memory.
    #[cold]
    pub fn holds_in_any_mapping(&self, word: &RobustWord) -> bool {
        let mut held = self.page.room()..self.page.room() + self.page.count();
        self.holds(word)
            || held.any(|position| {
                // SAFETY: the thread holds the word, so it stays mapped: see `range::release`.
                let held = unsafe { RobustWord::from_entry(self.page.entry(position)) };
                word.is_mapped_as(held)
            })
    }

    /// Removes a word that this thread holds from the list, before the thread releases it.
    #[inline]
    pub fn unlink(&self, word: &RobustWord) {
        if !self.is_top(word) {
            return unlink_below(self.page, word);
        }
        THREAD.with(|thread| thread.unlink_top(self.page));
    }

    /// Whether this word is the one that the thread linked most recently.
    #[inline]
    fn is_top(&self, word: &RobustWord) -> bool {
        self.page.entry(self.page.room()) == word.entry()
    }

    /// Releases all words of this thread whose entries are in this range, and reports an owner
    /// death to the next owner.
    fn release_range(&self, entries: &Range<usize>) {
        let is_released = |page: &Page| {
            let mut held = page.room()..page.room() + page.count();
            held.find(|position| entries.contains(&page.entry(*position)))
        };
        while let Some(position) = is_released(self.page) {
            // SAFETY: the caller of `range::release` keeps the range mapped.
            let word = unsafe { RobustWord::from_entry(self.page.entry(position)) };
            self.set_pending(word);
            self.unlink(word);
            word.report_death(self.id());
            self.clear_pending();
        }
    }

    /// Ensures that the thread can hold one more word, and registers the thread if necessary.
    ///
    /// After the registration, `self` still stands for a thread that is not registered. The caller
    /// calls [`as_owner`] again.
    ///
    /// # Errors
    /// Returns any [`RobustListError`].
    #[cold]
    pub fn make_room(&self) -> Result<(), RobustListError> {
        if self.has_room() {
            return Ok(());
        }
        if self.id() != 0 {
            return Err(RobustListError::TooManyLocks(MAX_HELD));
        }
        THREAD.with(Thread::register)
    }
}

/// Removes a word that is not the most recent one of this thread.
#[cold]
fn unlink_below(page: &Page, word: &RobustWord) {
    let Some(position) = page.position(word.entry()) else {
        return;
    };
    // SAFETY: this thread holds the word above, so it stays mapped: see `range::release`. The
    // address comes from private memory.
    let above = unsafe { RobustWord::from_entry(page.entry(position - 1)) };
    above.link.store(page.entry(position + 1), Relaxed);
    compiler_fence(SeqCst);
    page.remove(position);
}

/// Runs `body` on a new thread of this process, and waits until that thread has ended.
///
/// Scenarios use this function, because a process of the model has no threads of its own.
#[doc(hidden)]
pub fn run_thread(body: impl FnOnce() + Send) {
    let joined = std::thread::scope(|scope| scope.spawn(body).join());
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

impl Thread {
    #[inline]
    fn page(&self) -> &'static Page {
        // SAFETY: `page` points to `EMPTY` or to a page of `pages`, which stay mapped.
        unsafe { &*self.page.get() }
    }

    /// Removes the most recent word from the list.
    #[inline]
    fn unlink_top(&self, page: &Page) {
        self.list.set_first(page.entry(page.room() + 1));
        page.pop();
        compiler_fence(SeqCst);
    }

    /// Makes this thread an owner. In a forked child, the thread keeps its page.
    fn register(&self) -> Result<(), RobustListError> {
        if self.has_ended.get() {
            return Err(RobustListError::ThreadHasEnded);
        }
        let process = process::get().ok_or(RobustListError::NoResources)?;
        namespace::check(process)?;
        super::pin::pin();
        if !thread_end::arm() {
            return Err(RobustListError::NoResources);
        }
        if self.page().is_empty() {
            self.page
                .set(pages::take().ok_or(RobustListError::NoResources)?);
        }
        if !self.list.enter() {
            return Err(RobustListError::NoList);
        }
        let id = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        self.page().register(id, self.list.end());
        Ok(())
    }
}

/// Writes the number with one store instruction, after all earlier writes of this thread.
///
/// The thread may die at any instruction. A process that then finds the new number also finds all
/// earlier writes of the dead thread.
///
/// # Safety
/// No other access to the number happens during the call.
#[inline]
pub unsafe fn commit(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the caller excludes other accesses; the number is the whole content of the cell.
    unsafe { commit_in(number, |number| number, value) };
}

/// Does the same as [`commit`] for a number that is a field of the content of the cell.
///
/// # Safety
/// No other access to the content of the cell happens during the call, and `field` returns an
/// aligned pointer into that content.
#[inline]
pub unsafe fn commit_in<T>(
    cell: &UnsafeCell<T>,
    field: impl FnOnce(*mut T) -> *mut u64,
    value: u64,
) {
    compiler_fence(SeqCst);
    // SAFETY: the caller excludes other accesses and passes a `field` inside the content. The write
    // is volatile, so that the compiler emits a single store.
    cell.with_mut(|content| unsafe { field(content).write_volatile(value) });
    compiler_fence(SeqCst);
}
