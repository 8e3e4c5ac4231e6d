//! Coroutine stacks that are reused from one execution to the next.
//!
//! loom maps, protects and unmaps a stack for each thread of each execution, and spends most of its
//! time on these calls. The three functions in this file replace `mmap`, `munmap` and `mprotect` of
//! the C library, in this program only. An unmapped stack is kept, and the next stack of the same
//! length reuses it. Calls for other memory go to the kernel unchanged.
//!
//! The kept memory is small, because a model has at most five threads and therefore at most five
//! stacks.

use core::ffi::{c_int, c_void};
use std::sync::{Mutex, PoisonError};

/// A stack that this program has mapped.
#[derive(Clone, Copy)]
struct Stack {
    start: usize,
    length: usize,
    in_use: bool,
    /// Whether the lowest page of the stack is already a guard page.
    guarded: bool,
}

const MAX: usize = 16;

static STACKS: Mutex<[Option<Stack>; MAX]> = Mutex::new([None; MAX]);

/// Disables the reuse: from now on, each stack is mapped anew, as in unmodified loom. Call this
/// before the first execution.
pub fn disable_reuse() {
    let unusable = Stack {
        start: 0,
        length: 0,
        in_use: true,
        guarded: false,
    };
    with(|stacks| stacks.fill(Some(unusable)));
}

fn with<R>(access: impl FnOnce(&mut [Option<Stack>; MAX]) -> R) -> R {
    access(&mut STACKS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Applies `act` to the stack at this address; returns false if no stack is there.
fn with_stack_at(start: *mut c_void, act: impl FnOnce(&mut Stack) -> bool) -> bool {
    with(|stacks| {
        let known = stacks
            .iter_mut()
            .flatten()
            .find(|stack| stack.start == start as usize);
        known.is_some_and(act)
    })
}

/// Maps memory like `mmap(2)`, but reuses a kept stack of the same length for a new stack.
///
/// # Safety
/// The caller keeps the contract of `mmap(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    let is_stack = address.is_null() && flags & libc::MAP_STACK != 0;
    if is_stack && let Some(kept) = reuse(length) {
        return kept as *mut c_void;
    }
    // SAFETY: the caller keeps the contract of the system call.
    let mapped = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            address,
            length,
            protection,
            flags,
            descriptor,
            offset,
        )
    };
    if is_stack && mapped != -1 {
        remember(mapped as usize, length);
    }
    mapped as *mut c_void
}

fn reuse(length: usize) -> Option<usize> {
    with(|stacks| {
        let free = |stack: &&mut Stack| !stack.in_use && stack.length == length;
        let stack = stacks.iter_mut().flatten().find(free)?;
        stack.in_use = true;
        Some(stack.start)
    })
}

fn remember(start: usize, length: usize) {
    with(|stacks| {
        if let Some(slot) = stacks.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(Stack {
                start,
                length,
                in_use: true,
                guarded: false,
            });
        }
    });
}

/// Unmaps memory like `munmap(2)`, but keeps a stack for reuse.
///
/// # Safety
/// The caller keeps the contract of `munmap(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    let is_kept = with_stack_at(address, |stack| {
        stack.in_use = false;
        stack.length == length
    });
    if is_kept {
        return 0;
    }
    // SAFETY: the caller keeps the contract of the system call.
    unsafe { libc::syscall(libc::SYS_munmap, address, length) as c_int }
}

/// Protects memory like `mprotect(2)`, but does nothing for a stack that already has its guard
/// page.
///
/// # Safety
/// The caller keeps the contract of `mprotect(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn mprotect(address: *mut c_void, length: usize, protection: c_int) -> c_int {
    let is_guard = protection == libc::PROT_NONE;
    if is_guard
        && with_stack_at(address, |stack| {
            core::mem::replace(&mut stack.guarded, true)
        })
    {
        return 0;
    }
    // SAFETY: the caller keeps the contract of the system call.
    unsafe { libc::syscall(libc::SYS_mprotect, address, length, protection) as c_int }
}
