//! Coroutine stacks that are kept from one execution to the next.
//!
//! loom maps, protects and unmaps a stack for each thread of each execution, and spends most of
//! its time there. These three functions stand in front of the C library's in this program only:
//! a stack that is unmapped is set aside, and the next one of its length is that one again. All
//! other mappings go to the kernel as ever.
//!
//! The sum of what is kept is small: a model has at most five threads, so five stacks.

use core::ffi::{c_int, c_void};
use std::sync::{Mutex, PoisonError};

/// One stack that this program has mapped.
#[derive(Clone, Copy)]
struct Stack {
    at: usize,
    length: usize,
    in_use: bool,
    /// Its lowest page is a guard already.
    guarded: bool,
}

const MAX: usize = 16;

static STACKS: Mutex<[Option<Stack>; MAX]> = Mutex::new([None; MAX]);

/// From here on each stack is mapped anew, as loom does by itself. Before any stack was kept.
pub fn keep_none() {
    let unusable = Stack {
        at: 0,
        length: 0,
        in_use: true,
        guarded: false,
    };
    with(|stacks| stacks.fill(Some(unusable)));
}

fn with<R>(access: impl FnOnce(&mut [Option<Stack>; MAX]) -> R) -> R {
    access(&mut STACKS.lock().unwrap_or_else(PoisonError::into_inner))
}

fn find(at: *mut c_void, then: impl FnOnce(&mut Stack) -> bool) -> bool {
    with(|stacks| {
        let known = stacks
            .iter_mut()
            .flatten()
            .find(|stack| stack.at == at as usize);
        known.is_some_and(then)
    })
}

/// `mmap(2)`, but a stack is one that was set aside, if there is one.
///
/// # Safety
/// As `mmap(2)`.
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
    // SAFETY: the caller's promise, handed on.
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
        Some(stack.at)
    })
}

fn remember(at: usize, length: usize) {
    with(|stacks| {
        if let Some(place) = stacks.iter_mut().find(|place| place.is_none()) {
            *place = Some(Stack {
                at,
                length,
                in_use: true,
                guarded: false,
            });
        }
    });
}

/// `munmap(2)`, but a stack is set aside.
///
/// # Safety
/// As `munmap(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    let set_aside = find(address, |stack| {
        stack.in_use = false;
        stack.length == length
    });
    if set_aside {
        return 0;
    }
    // SAFETY: the caller's promise, handed on.
    unsafe { libc::syscall(libc::SYS_munmap, address, length) as c_int }
}

/// `mprotect(2)`, but a stack that has its guard keeps it.
///
/// # Safety
/// As `mprotect(2)`.
#[unsafe(no_mangle)]
unsafe extern "C" fn mprotect(address: *mut c_void, length: usize, protection: c_int) -> c_int {
    let is_guard = protection == libc::PROT_NONE;
    if is_guard
        && find(address, |stack| {
            core::mem::replace(&mut stack.guarded, true)
        })
    {
        return 0;
    }
    // SAFETY: the caller's promise, handed on.
    unsafe { libc::syscall(libc::SYS_mprotect, address, length, protection) as c_int }
}
