//! Unwinding in one pass, with a cache of the searched frame descriptions.
//!
//! loom ends each coroutine with a panic that the root of the coroutine catches. This happens four
//! or five times per execution. The unwinder walks the same few frames twice: first to find the
//! frame that catches, then to clean up. A model's process does not need the first walk, or a
//! second lookup of a frame. The functions in this file replace functions of libgcc, in this
//! program only, and forward every call until [`enable`] is called.
//!
//! - `_Unwind_Find_FDE` caches the address of each frame description. The address stays valid,
//!   because no library is loaded or unloaded after the start.
//! - `_Unwind_RaiseException` skips the first walk, as `_Unwind_ForcedUnwind` does. Rust's frames
//!   clean up and catch as usual. Only an uncaught panic differs: the frames clean up before the
//!   program aborts.

use core::ffi::{CStr, c_int, c_void};
use std::cell::Cell;
use std::sync::OnceLock;

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(false) };
    static CACHE: [Cell<Option<Frame>>; FRAMES] = const { [const { Cell::new(None) }; FRAMES] };
}

/// Enables fast unwinding for this thread, from now on.
pub fn enable() {
    ENABLED.set(true);
}

/// The base addresses that belong to a frame description: `struct dwarf_eh_bases` of libgcc.
#[repr(C)]
#[derive(Clone, Copy)]
struct Bases([usize; 3]);

#[derive(Clone, Copy)]
struct Frame {
    address: usize,
    description: usize,
    bases: Bases,
}

const FRAMES: usize = 256;

/// Returns the description of the frame that contains this code address.
///
/// # Safety
/// The caller keeps the contract of libgcc's function: `bases` is valid for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn _Unwind_Find_FDE(address: *const c_void, bases: *mut Bases) -> *const c_void {
    type Find = unsafe extern "C" fn(*const c_void, *mut Bases) -> *const c_void;
    static ORIGINAL: OnceLock<Find> = OnceLock::new();
    let slot = address as usize % FRAMES;
    let known = CACHE.with(|cache| cache[slot].get());
    if let Some(found) = known.filter(|found| found.address == address as usize) {
        // SAFETY: the caller passes `bases` that are valid for a write.
        unsafe { bases.write(found.bases) };
        return found.description as *const c_void;
    }
    // SAFETY: libgcc has a function of this name and type, and the caller keeps the function's
    // contract.
    let description = unsafe { ORIGINAL.get_or_init(|| next(c"_Unwind_Find_FDE"))(address, bases) };
    if ENABLED.get() && !description.is_null() {
        let found = Frame {
            address: address as usize,
            description: description as usize,
            // SAFETY: libgcc has just written the bases.
            bases: unsafe { bases.read() },
        };
        CACHE.with(|cache| cache[slot].set(Some(found)));
    }
    description
}

/// Unwinds to the frame that catches the exception.
///
/// # Safety
/// The caller keeps the contract of libgcc's function: it created the exception.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn _Unwind_RaiseException(exception: *mut c_void) -> c_int {
    type Raise = unsafe extern "C-unwind" fn(*mut c_void) -> c_int;
    type Force = unsafe extern "C-unwind" fn(*mut c_void, Stop, *mut c_void) -> c_int;
    static RAISE: OnceLock<Raise> = OnceLock::new();
    static FORCE: OnceLock<Force> = OnceLock::new();
    // SAFETY: libgcc has functions of these names and types, and the caller keeps their contract.
    unsafe {
        if ENABLED.get() {
            let force = FORCE.get_or_init(|| next(c"_Unwind_ForcedUnwind"));
            force(exception, at_each_frame, core::ptr::null_mut())
        } else {
            RAISE.get_or_init(|| next(c"_Unwind_RaiseException"))(exception)
        }
    }
}

type Stop = extern "C" fn(c_int, c_int, u64, *mut c_void, *mut c_void, *mut c_void) -> c_int;

/// Tells the unwinder to continue (`_URC_NO_REASON`), or that the stack ends (`_URC_END_OF_STACK`).
extern "C" fn at_each_frame(
    _version: c_int,
    actions: c_int,
    _class: u64,
    _exception: *mut c_void,
    _context: *mut c_void,
    _parameter: *mut c_void,
) -> c_int {
    const IS_END_OF_STACK: c_int = 16;
    if actions & IS_END_OF_STACK == 0 { 0 } else { 5 }
}

/// Returns the original function of this name, which this file replaces.
///
/// # Safety
/// `F` is the type of that function.
unsafe fn next<F: Copy>(name: &CStr) -> F {
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    // SAFETY: a `CStr` ends with a zero byte; the caller passes the type of the function.
    unsafe {
        let found = libc::dlsym(libc::RTLD_NEXT, name.as_ptr());
        assert!(!found.is_null(), "the unwinder has {name:?}");
        core::mem::transmute_copy(&found)
    }
}
