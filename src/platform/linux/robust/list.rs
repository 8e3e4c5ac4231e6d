//! The part of the kernel's list that lies in the memory of a thread.

use super::word::{RobustWord, WORD_FROM_LINK};
use crate::platform::linux::{AtomicUsize, UnsafeCell};
use core::cell::Cell;
use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::compiler_fence;

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

/// The two nodes of a thread in the kernel's list, and the field for its pending operation.
///
/// The kernel reads this memory after the last instruction of the thread, so it is the thread's own
/// memory. A forked child has a copy, which no list leads to.
pub(super) struct List {
    first: Node,
    last: Node,
    /// The pending operation in the head of the list, which the kernel reads. Until the thread
    /// enters a list, the pointer leads to a static word that no code reads.
    pending: Cell<*const AtomicUsize>,
    /// The head of a thread for which libc has registered none: the child of a bare `clone(2)`.
    own_head: UnsafeCell<Head>,
}

static UNREAD: AtomicUsize = AtomicUsize::new(0);

impl List {
    pub(super) const fn new() -> Self {
        Self {
            first: Node::new(),
            last: Node::new(),
            pending: Cell::new(&raw const UNREAD),
            own_head: UnsafeCell::new(Head {
                first: 0,
                word_from_link: WORD_FROM_LINK,
                pending: 0,
            }),
        }
    }

    /// Inserts the nodes into the list that the kernel has for the running thread. Returns false if
    /// this crate cannot use that list.
    pub(super) fn enter(&self) -> bool {
        let Some(head) = self.kernel_list_head() else {
            return false;
        };
        self.insert_nodes(head.as_ptr());
        // SAFETY: the head is that of the running thread, and lives as long as the thread.
        self.pending
            .set(unsafe { AtomicUsize::from_ptr(&raw mut (*head.as_ptr()).pending) });
        self.set_pending(0);
        true
    }

    /// Returns the entry of the node that ends this crate's part of the list.
    pub(super) fn end(&self) -> usize {
        self.last.entry()
    }

    /// Lets the list lead from the word to the words that the list already contains, and then from
    /// the first node to the word.
    #[inline]
    pub(super) fn push(&self, word: &RobustWord) {
        word.link.store(self.first.next.get(), Relaxed);
        // The thread may die at any instruction, and the kernel then reads the list as the thread
        // left it. So the word's own link must be written before the list leads to the word. This
        // fence keeps the compiler from reordering the two stores.
        compiler_fence(SeqCst);
        self.set_first(word.entry());
    }

    /// Lets the list begin with this entry.
    #[inline]
    pub(super) fn set_first(&self, entry: usize) {
        self.first.next.set(entry);
        compiler_fence(SeqCst);
    }

    #[inline]
    pub(super) fn set_pending(&self, entry: usize) {
        compiler_fence(SeqCst);
        // SAFETY: `pending` points to a static word or into the head of the list, which lives as
        // long as the thread.
        unsafe { &*self.pending.get() }.store(entry, Relaxed);
        compiler_fence(SeqCst);
    }

    /// Inserts both nodes at the beginning of the list.
    fn insert_nodes(&self, head: *mut Head) {
        /// libc sets this bit in the pointer to a priority-inheriting lock.
        const INHERITS_PRIORITY: usize = 1;
        // SAFETY: the head belongs to this thread, and no other thread accesses it.
        let mut old_first = unsafe { (*head).first };
        if old_first & !INHERITS_PRIORITY == self.first.entry() {
            // A library that was unloaded in spite of its pin had these nodes at the same address.
            // What followed them is lost.
            old_first = head as usize;
        }
        let neighbour = old_first & !INHERITS_PRIORITY;
        self.last.next.set(old_first);
        self.last.prev.set(self.first.entry());
        self.first.next.set(self.last.entry());
        self.first.prev.set(head as usize);
        if neighbour != head as usize {
            // SAFETY: the neighbour is libc's node of a mutex that this thread holds, or the first
            // node of another copy of this crate. In that node, `prev` lies directly before `next`.
            // libc also writes this `prev` when libc inserts a node before the neighbour.
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

    /// Returns the head of the running thread's list, if the list has the expected layout.
    ///
    /// libc registers a list for each of its threads, and again in the child of `fork` and `_Fork`.
    /// The child of a bare `clone(2)` has no list, so this function registers one.
    fn kernel_list_head(&self) -> Option<NonNull<Head>> {
        let mut head: *mut Head = core::ptr::null_mut();
        let mut size: usize = 0;
        // SAFETY: the call writes a pointer and a size into these two variables; the argument 0
        // means the running thread.
        let status =
            unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut size) };
        if status != 0 {
            return None;
        }
        let Some(head) = NonNull::new(head) else {
            return self.register_own_head();
        };
        if size != size_of::<Head>() {
            return None;
        }
        // SAFETY: libc registered this head for the running thread and keeps it valid.
        (unsafe { head.as_ref() }.word_from_link == WORD_FROM_LINK).then_some(head)
    }

    fn register_own_head(&self) -> Option<NonNull<Head>> {
        let head = self.own_head.with_mut(|head| head);
        // SAFETY: only this thread accesses the head, and no list of the kernel contains it.
        unsafe { (&raw mut (*head).first).write_volatile(head as usize) };
        // SAFETY: the head is valid, and lies in memory that lives as long as the thread.
        let status = unsafe { libc::syscall(libc::SYS_set_robust_list, head, size_of::<Head>()) };
        NonNull::new(head).filter(|_| status == 0)
    }
}
