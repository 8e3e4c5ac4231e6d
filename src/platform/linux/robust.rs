//! The kernel's robust futex list, with our words among those of libc.
//!
//! A thread has one list, and libc has registered it for its own robust mutexes. So ours are put into
//! it, between two nodes of the thread's private memory that stay there:
//!
//! ```text
//! libc's head -> ... -> first -> ours -> ours -> last -> ... -> libc's head
//! ```
//!
//! libc's list is linked both ways. Whatever it does to its own nodes, it writes into ours only the
//! neighbours of `first` and `last`, never into shared memory of ours. Between the two the list goes
//! one way, as far as the kernel needs it, and which words it holds is known from private memory: this
//! code never reads a pointer from shared memory. The kernel does, when the thread ends. A peer that
//! scribbles over a link can keep it from telling of the death, or lead it to another aligned word of
//! this process, which it changes if that happens to hold the id of the dead thread.
//!
//! A word that is held must stay where it is, and `dlclose` must not unload the library that this is
//! linked into: the list would lead to memory that is something else by then.
//!
//! A link has to lie where libc's own has its place relative to the word, since that is the same
//! for all of a list.

use super::{AtomicU32, AtomicUsize, UnsafeCell};
use crate::platform::robust::RobustListError;
use core::cell::Cell;
use core::mem::offset_of;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::compiler_fence;
use std::sync::OnceLock;

/// A word that the kernel looks after when its owner dies, and the link of a list in which it is
/// while it is held. The link is an address in the memory of the owner, for its kernel only.
#[repr(C)]
#[derive(Debug)]
pub struct RobustWord {
    word: AtomicU32,
    /// Where libc has other fields of its mutexes.
    gap: [u32; 7],
    link: AtomicUsize,
}

impl RobustWord {
    /// A word with this value.
    pub const fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            gap: [0; 7],
            link: AtomicUsize::new(0),
        }
    }

    /// The word itself.
    #[inline]
    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// How the kernel calls it in the list.
    #[inline]
    fn entry(&self) -> usize {
        self.link.as_ptr() as usize
    }
}

/// A guard may have been leaked, and the list must not lead here any more. What other threads have
/// leaked, and what is moved while it is held, this cannot know.
impl Drop for RobustWord {
    fn drop(&mut self) {
        let entry = self.entry();
        as_owner(|me| me.forget_range(&(entry..entry + 1)));
    }
}

/// The word as seen from the link, in glibc's `pthread_mutex_t` as here.
const WORD_FROM_LINK: isize =
    offset_of!(RobustWord, word) as isize - offset_of!(RobustWord, link) as isize;

/// `struct robust_list_head` of the kernel.
#[repr(C)]
struct Head {
    first: usize,
    word_from_link: isize,
    pending: usize,
}

/// A node of the thread's private memory, linked both ways, as libc's are: the link back lies before
/// the link on.
#[repr(C)]
struct Node {
    /// Never the id of a thread, so the kernel passes it by.
    word: Cell<u32>,
    gap: [u32; 5],
    back: Cell<usize>,
    on: Cell<usize>,
}

impl Node {
    const fn new() -> Self {
        Self {
            word: Cell::new(0),
            gap: [0; 5],
            back: Cell::new(0),
            on: Cell::new(0),
        }
    }

    fn entry(&self) -> usize {
        self.on.as_ptr() as usize
    }
}

const _: () = assert!(offset_of!(Node, on) == offset_of!(RobustWord, link));

/// How many words a thread can hold. (The kernel goes through 2048 entries of a list, libc's
/// included.)
pub const MAX_HELD: usize = 128;

/// The running thread, as an owner of robust words.
pub struct Owner {
    id: Cell<u32>,
    /// How many words it holds. As many as can be until the thread is registered, and in the child of a
    /// fork: so one look tells whether there is anything to do before it takes one more.
    count: Cell<usize>,
    /// The announcement in libc's head, which the kernel knows; until the thread is registered, one
    /// that nobody reads.
    pending: Cell<*const AtomicUsize>,
    first: Node,
    last: Node,
    held: [Cell<usize>; MAX_HELD],
}

static UNREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWNER: Owner = const {
        Owner {
            id: Cell::new(0),
            count: Cell::new(MAX_HELD),
            pending: Cell::new(&raw const UNREAD),
            first: Node::new(),
            last: Node::new(),
            held: [const { Cell::new(0) }; MAX_HELD],
        }
    };
}

/// Does something as an owner.
#[inline]
pub fn as_owner<R>(act: impl FnOnce(&Owner) -> R) -> R {
    OWNER.with(act)
}

impl Owner {
    /// What its words hold: the kernel's id of the thread.
    #[inline]
    pub fn id(&self) -> u32 {
        self.id.get()
    }

    /// Whether it can hold one more, as it is.
    #[inline]
    pub fn has_room(&self) -> bool {
        self.count.get() < MAX_HELD
    }

    /// An operation on the word begins.
    #[inline]
    pub fn set_pending(&self, word: &RobustWord) {
        self.store_pending(word.entry());
    }

    /// The operation that was announced is over.
    #[inline]
    pub fn clear_pending(&self) {
        self.store_pending(0);
    }

    /// The word is held from here on.
    ///
    /// # Panics
    /// If there is no room for it.
    #[inline]
    pub fn link(&self, word: &RobustWord) {
        let count = self.count.get();
        self.held[count].set(word.entry());
        self.count.set(count + 1);
        word.link.store(self.first.on.get(), Relaxed);
        // The kernel finds the list as it is between any two instructions of this thread, so the
        // node points on before anything points to it.
        compiler_fence(SeqCst);
        self.first.on.set(word.entry());
        compiler_fence(SeqCst);
    }

    /// Whether this thread holds the word.
    #[inline]
    pub fn holds(&self, word: &RobustWord) -> bool {
        self.is_top(word) || self.position(word).is_some()
    }

    /// The word is about to be given up; this thread holds it.
    #[inline]
    pub fn unlink(&self, word: &RobustWord) {
        if !self.is_top(word) {
            return self.unlink_below(word);
        }
        let top = self.count.get() - 1;
        self.first.on.set(self.below(top));
        self.count.set(top);
        compiler_fence(SeqCst);
    }

    /// Whether the word is the one that was linked last.
    #[inline]
    fn is_top(&self, word: &RobustWord) -> bool {
        let top = self.count.get().wrapping_sub(1);
        self.held
            .get(top)
            .is_some_and(|held| held.get() == word.entry())
    }

    #[cold]
    fn position(&self, word: &RobustWord) -> Option<usize> {
        let held = &self.held[..self.count.get()];
        held.iter().position(|held| held.get() == word.entry())
    }

    /// Takes the words between these addresses off the list, without touching them: their memory goes,
    /// while a guard of them was leaked.
    pub(crate) fn forget_range(&self, addresses: &Range<usize>) {
        let count = self.count.get();
        if self.id.get() == 0 || count == 0 {
            return;
        }
        let goes = |entry: usize| addresses.contains(&entry);
        let mut kept = 0;
        for position in 0..count {
            let entry = self.held[position].get();
            if goes(entry) {
                continue;
            }
            let below = self.below(kept);
            self.held[kept].set(entry);
            // SAFETY: the link of a word that this thread holds, and that stays.
            unsafe { AtomicUsize::from_ptr(entry as *mut usize) }.store(below, Relaxed);
            kept += 1;
        }
        compiler_fence(SeqCst);
        self.first.on.set(self.below(kept));
        self.count.set(kept);
        if goes(self.announced()) {
            self.clear_pending();
        }
        compiler_fence(SeqCst);
    }

    /// The entry whose operation is announced, or 0.
    fn announced(&self) -> usize {
        // SAFETY: as in `set_pending`.
        unsafe { &*self.pending.get() }.load(Relaxed)
    }

    /// The entry that follows that of this position in the list.
    #[inline]
    fn below(&self, position: usize) -> usize {
        match position.checked_sub(1) {
            Some(below) => self.held[below].get(),
            None => self.last.entry(),
        }
    }

    #[cold]
    fn unlink_below(&self, word: &RobustWord) {
        let Some(position) = self.position(word) else {
            return;
        };
        let top = self.count.get() - 1;
        let above = self.held[position + 1].get() as *mut usize;
        // SAFETY: the link of a word that this thread holds: it was linked by reference, and stays
        // where it is while it is held, or was let go. Its address comes from private memory.
        unsafe { AtomicUsize::from_ptr(above) }.store(self.below(position), Relaxed);
        compiler_fence(SeqCst);
        for later in position..top {
            self.held[later].set(self.held[later + 1].get());
        }
        self.count.set(top);
    }

    #[inline]
    fn store_pending(&self, entry: usize) {
        compiler_fence(SeqCst);
        // SAFETY: a static word, or that in the head, which libc keeps for as long as the thread runs.
        unsafe { &*self.pending.get() }.store(entry, Relaxed);
        compiler_fence(SeqCst);
    }

    /// Makes sure that it can hold one more: registers the thread, if it is not.
    ///
    /// # Errors
    /// If the kernel would not find that one when the thread dies.
    #[cold]
    pub fn make_room(&self) -> Result<(), RobustListError> {
        if self.has_room() {
            return Ok(());
        }
        if self.id.get() != 0 {
            return Err(RobustListError::TooManyLocks(MAX_HELD));
        }
        if !forgets_at_fork() {
            return Err(RobustListError::NoList);
        }
        let head = libcs_head().ok_or(RobustListError::NoList)?;
        self.join(head.as_ptr());
        // SAFETY: the head is this thread's, and valid for as long as it runs; so is its part.
        self.pending
            .set(unsafe { AtomicUsize::from_ptr(&raw mut (*head.as_ptr()).pending) });
        self.id
            .set(rustix::thread::gettid().as_raw_nonzero().get() as u32);
        self.count.set(0);
        Ok(())
    }

    /// Puts both nodes at the beginning of libc's list.
    fn join(&self, head: *mut Head) {
        /// libc marks the locks that inherit priority by this bit of the pointer to them.
        const INHERITS_PRIORITY: usize = 1;
        // SAFETY: the head of this thread, which only this thread accesses.
        let old_first = unsafe { (*head).first };
        let neighbour = old_first & !INHERITS_PRIORITY;
        self.last.on.set(old_first);
        self.last.back.set(self.first.entry());
        self.first.on.set(self.last.entry());
        self.first.back.set(head as usize);
        if neighbour != head as usize {
            // SAFETY: libc's own node of a mutex that this thread holds: the link back lies before
            // the link on, and libc itself writes it so when a node is put before it.
            unsafe {
                (neighbour as *mut usize)
                    .sub(1)
                    .write_volatile(self.last.entry())
            };
        }
        compiler_fence(SeqCst);
        // SAFETY: as above.
        unsafe { (&raw mut (*head).first).write_volatile(self.first.entry()) };
        compiler_fence(SeqCst);
    }
}

/// Whether the child of a fork will forget what its parent holds.
fn forgets_at_fork() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| {
        // SAFETY: the handler runs in the child's only thread and writes that thread's own memory.
        let returned = unsafe { libc::pthread_atfork(None, None, Some(forget)) };
        returned == 0
    })
}

/// In the child of a fork: it holds nothing, its id is another one, and libc has emptied its list.
extern "C" fn forget() {
    OWNER.with(|owner| {
        owner.clear_pending();
        owner.held.iter().for_each(|held| held.set(0));
        owner.count.set(MAX_HELD);
        owner.id.set(0);
    });
}

/// The head of this thread's list, if libc has registered one of the layout that is known here.
fn libcs_head() -> Option<NonNull<Head>> {
    let mut head: *mut Head = core::ptr::null_mut();
    let mut size: usize = 0;
    // SAFETY: it writes the two, of which this is the type; 0 is the running thread.
    let refused =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut size) };
    let head = NonNull::new(head).filter(|_| refused == 0 && size == size_of::<Head>())?;
    // SAFETY: the kernel has the head of this very thread from libc, which keeps it valid.
    (unsafe { head.as_ref() }.word_from_link == WORD_FROM_LINK).then_some(head)
}

/// Writes the number, in one step, after everything that this thread has written before: whoever finds
/// it after a death at any instruction finds that too.
///
/// # Safety
/// Nobody else accesses the number meanwhile.
#[inline]
pub unsafe fn commit(number: &UnsafeCell<u64>, value: u64) {
    // SAFETY: the caller's promise; the number is all of the cell.
    unsafe { commit_in(number, |number| number, value) };
}

/// As [`commit`], for a number that is a part of what is in the cell.
///
/// # Safety
/// Nobody else accesses what is in the cell meanwhile, and the part is in it, and aligned.
#[inline]
pub unsafe fn commit_in<T>(
    cell: &UnsafeCell<T>,
    part: impl FnOnce(*mut T) -> *mut u64,
    value: u64,
) {
    compiler_fence(SeqCst);
    // SAFETY: nobody else is here, by the caller's promise; volatile, so that it stays one store.
    cell.with_mut(|whole| unsafe { part(whole).write_volatile(value) });
    compiler_fence(SeqCst);
}
