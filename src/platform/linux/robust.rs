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
//! A held word must not move, and `dlclose` must not unload the library that contains this code.
//! Otherwise the kernel would follow the list into memory that has another use.
//!
//! The kernel finds each word at one fixed offset from its link. So this crate uses the offset of
//! libc's mutexes.

use super::{AtomicU32, AtomicUsize, UnsafeCell};
use crate::platform::robust::RobustListError;
use core::cell::Cell;
use core::mem::offset_of;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::compiler_fence;
use std::sync::OnceLock;

/// A word that the kernel recovers when its owner dies, and the word's link in the owner's list.
///
/// The link is an address in the owner's memory, which only the kernel reads.
#[repr(C)]
#[derive(Debug)]
pub struct RobustWord {
    word: AtomicU32,
    /// Unused space, where libc's `pthread_mutex_t` has other fields.
    padding: [u32; 7],
    link: AtomicUsize,
}

impl RobustWord {
    /// Creates a word with this value.
    pub const fn new(value: u32) -> Self {
        Self {
            word: AtomicU32::new(value),
            padding: [0; 7],
            link: AtomicUsize::new(0),
        }
    }

    /// Returns the atomic word.
    #[inline]
    pub fn word(&self) -> &AtomicU32 {
        &self.word
    }

    /// The address of the link, which identifies the word in the kernel's list.
    #[inline]
    fn entry(&self) -> usize {
        self.link.as_ptr() as usize
    }
}

/// Removes the word from this thread's list, where a leaked guard may have left it.
///
/// The drop does not detect a guard that another thread leaked, or a word that moved while a thread
/// held the word.
impl Drop for RobustWord {
    fn drop(&mut self) {
        let entry = self.entry();
        as_owner(|owner| owner.forget_range(&(entry..entry + 1)));
    }
}

/// The offset from the link to the word, which is the same in glibc's `pthread_mutex_t` and in
/// [`RobustWord`].
const WORD_FROM_LINK: isize =
    offset_of!(RobustWord, word) as isize - offset_of!(RobustWord, link) as isize;

/// The kernel's `struct robust_list_head`.
#[repr(C)]
struct Head {
    first: usize,
    word_from_link: isize,
    pending: usize,
}

/// A doubly linked node in the thread's private memory, with libc's layout: `prev` before `next`.
#[repr(C)]
struct Node {
    /// Always 0. No thread has this id, so the kernel skips the node.
    word: Cell<u32>,
    padding: [u32; 5],
    prev: Cell<usize>,
    next: Cell<usize>,
}

impl Node {
    const fn new() -> Self {
        Self {
            word: Cell::new(0),
            padding: [0; 5],
            prev: Cell::new(0),
            next: Cell::new(0),
        }
    }

    fn entry(&self) -> usize {
        self.next.as_ptr() as usize
    }
}

const _: () = assert!(offset_of!(Node, next) == offset_of!(RobustWord, link));

/// The maximum number of words that a thread can hold.
///
/// The kernel visits at most 2048 entries of a list, including libc's.
pub const MAX_HELD: usize = 128;

/// The running thread as an owner of robust words.
pub struct Owner {
    id: Cell<u32>,
    /// The number of words that the thread holds. The value is [`MAX_HELD`] until the thread is
    /// registered, and in a forked child. So one comparison shows that
    /// [`make_room`](Self::make_room) must be called, either to register the thread or to report
    /// the limit.
    count: Cell<usize>,
    /// The pending operation in libc's head, which the kernel reads. Until the thread is
    /// registered, the pointer leads to a static word that no code reads.
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

/// Calls `act` with the `Owner` of the running thread.
#[inline]
pub fn as_owner<R>(act: impl FnOnce(&Owner) -> R) -> R {
    OWNER.with(act)
}

impl Owner {
    /// Returns the id that the owner writes into its words: the kernel's id of the thread.
    #[inline]
    pub fn id(&self) -> u32 {
        self.id.get()
    }

    /// Whether the thread can hold one more word without [`make_room`](Self::make_room).
    #[inline]
    pub fn has_room(&self) -> bool {
        self.count.get() < MAX_HELD
    }

    /// Records that the thread is about to acquire or release this word.
    #[inline]
    pub fn set_pending(&self, word: &RobustWord) {
        self.store_pending(word.entry());
    }

    /// Records that no acquisition or release is pending.
    #[inline]
    pub fn clear_pending(&self) {
        self.store_pending(0);
    }

    /// Adds a word to the list. From now on, the thread holds the word.
    ///
    /// # Panics
    /// Panics if the thread already holds 128 words.
    #[inline]
    pub fn link(&self, word: &RobustWord) {
        let count = self.count.get();
        self.held[count].set(word.entry());
        self.count.set(count + 1);
        word.link.store(self.first.next.get(), Relaxed);
        // The thread may die at any instruction, and the kernel then reads the list as the thread
        // left it. So the word's own link must be written before the list leads to the word. This
        // fence keeps the compiler from reordering the two stores.
        compiler_fence(SeqCst);
        self.first.next.set(word.entry());
        compiler_fence(SeqCst);
    }

    /// Whether this thread holds the word.
    #[inline]
    pub fn holds(&self, word: &RobustWord) -> bool {
        self.is_top(word) || self.position(word).is_some()
    }

    /// Removes a word that this thread holds from the list, before the thread releases it.
    #[inline]
    pub fn unlink(&self, word: &RobustWord) {
        if !self.is_top(word) {
            return self.unlink_below(word);
        }
        let top = self.count.get() - 1;
        self.first.next.set(self.entry_below(top));
        self.count.set(top);
        compiler_fence(SeqCst);
    }

    /// Whether this word is the one that the thread linked most recently.
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

    /// Removes all words whose links are in this address range, without accessing the words.
    ///
    /// Call it before memory with locks is unmapped or freed. A leaked guard leaves its lock in the
    /// list.
    pub(crate) fn forget_range(&self, addresses: &Range<usize>) {
        let count = self.count.get();
        if self.id.get() == 0 || count == 0 {
            return;
        }
        let is_removed = |entry: usize| addresses.contains(&entry);
        let mut kept = 0;
        for position in 0..count {
            let entry = self.held[position].get();
            if is_removed(entry) {
                continue;
            }
            let below = self.entry_below(kept);
            self.held[kept].set(entry);
            // SAFETY: `entry` is the link of a word that this thread holds. The link is outside the
            // removed address range, so the memory of the link stays mapped.
            unsafe { AtomicUsize::from_ptr(entry as *mut usize) }.store(below, Relaxed);
            kept += 1;
        }
        compiler_fence(SeqCst);
        self.first.next.set(self.entry_below(kept));
        self.count.set(kept);
        if is_removed(self.pending_entry()) {
            self.clear_pending();
        }
        compiler_fence(SeqCst);
    }

    /// Returns the list entry of the word with a pending operation, or 0 if no operation is
    /// pending.
    fn pending_entry(&self) -> usize {
        // SAFETY: `pending` points to a static word or into libc's head, which lives as long as the
        // thread.
        unsafe { &*self.pending.get() }.load(Relaxed)
    }

    /// Returns the list entry that follows the word at this position of `held`.
    #[inline]
    fn entry_below(&self, position: usize) -> usize {
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
        // SAFETY: `above` is the link of a word that this thread holds, and a held word neither
        // moves nor is freed without `forget_range`. The address comes from private memory.
        unsafe { AtomicUsize::from_ptr(above) }.store(self.entry_below(position), Relaxed);
        compiler_fence(SeqCst);
        for later in position..top {
            self.held[later].set(self.held[later + 1].get());
        }
        self.count.set(top);
    }

    #[inline]
    fn store_pending(&self, entry: usize) {
        compiler_fence(SeqCst);
        // SAFETY: `pending` points to a static word or into libc's head, which lives as long as the
        // thread.
        unsafe { &*self.pending.get() }.store(entry, Relaxed);
        compiler_fence(SeqCst);
    }

    /// Ensures that the thread can hold one more word, and registers the thread if necessary.
    ///
    /// # Errors
    /// Fails if the thread holds 128 words, or has no list that this crate can use.
    #[cold]
    pub fn make_room(&self) -> Result<(), RobustListError> {
        if self.has_room() {
            return Ok(());
        }
        if self.id.get() != 0 {
            return Err(RobustListError::TooManyLocks(MAX_HELD));
        }
        if !register_fork_handler() {
            return Err(RobustListError::NoList);
        }
        let head = libc_list_head().ok_or(RobustListError::NoList)?;
        self.insert_nodes(head.as_ptr());
        // SAFETY: the head of libc's list for this thread, including its fields, lives as long as
        // the thread.
        self.pending
            .set(unsafe { AtomicUsize::from_ptr(&raw mut (*head.as_ptr()).pending) });
        self.id
            .set(rustix::thread::gettid().as_raw_nonzero().get() as u32);
        self.count.set(0);
        Ok(())
    }

    /// Inserts both nodes at the beginning of libc's list.
    fn insert_nodes(&self, head: *mut Head) {
        /// libc sets this bit in the pointer to a priority-inheriting lock.
        const INHERITS_PRIORITY: usize = 1;
        // SAFETY: the head belongs to this thread, and no other thread accesses it.
        let old_first = unsafe { (*head).first };
        let neighbour = old_first & !INHERITS_PRIORITY;
        self.last.next.set(old_first);
        self.last.prev.set(self.first.entry());
        self.first.next.set(self.last.entry());
        self.first.prev.set(head as usize);
        if neighbour != head as usize {
            // SAFETY: the neighbour is libc's node of a mutex that this thread holds. In that node,
            // `prev` lies directly before `next`. libc also writes this `prev` when libc inserts a
            // node before the neighbour.
            unsafe {
                (neighbour as *mut usize)
                    .sub(1)
                    .write_volatile(self.last.entry())
            };
        }
        compiler_fence(SeqCst);
        // SAFETY: the head belongs to this thread, and no other thread accesses it.
        unsafe { (&raw mut (*head).first).write_volatile(self.first.entry()) };
        compiler_fence(SeqCst);
    }
}

/// Registers [`reset_in_child`] once per process; returns false if libc has no memory for it.
fn register_fork_handler() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| {
        // SAFETY: the handler runs in the child's only thread and writes only that thread's memory.
        let returned = unsafe { libc::pthread_atfork(None, None, Some(reset_in_child)) };
        returned == 0
    })
}

/// Resets the owner in a forked child. The child holds no words and has a new id, and its libc list
/// is empty.
extern "C" fn reset_in_child() {
    OWNER.with(|owner| {
        owner.clear_pending();
        owner.held.iter().for_each(|held| held.set(0));
        owner.count.set(MAX_HELD);
        owner.id.set(0);
    });
}

/// Returns the head of this thread's list, if libc has registered one with the expected layout.
fn libc_list_head() -> Option<NonNull<Head>> {
    let mut head: *mut Head = core::ptr::null_mut();
    let mut size: usize = 0;
    // SAFETY: the call writes a pointer and a size into these two variables; the argument 0 means
    // the running thread.
    let status =
        unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut size) };
    let head = NonNull::new(head).filter(|_| status == 0 && size == size_of::<Head>())?;
    // SAFETY: libc registered this head for the running thread and keeps it valid.
    (unsafe { head.as_ref() }.word_from_link == WORD_FROM_LINK).then_some(head)
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
