//! Unwinding in one pass, and without searching twice for the same place.
//!
//! loom ends each coroutine by a panic that its root catches: four or five times an execution. The
//! unwinder then walks the same few frames twice, first to see whether anyone catches, then to
//! clean up. In a model's process both are a waste. These functions stand in front of libgcc's, in
//! this program only, and hand everything on until [`hasten`] is called.
//!
//! - `_Unwind_Find_FDE` remembers where the description of a frame lies. That stays true, since
//!   nothing is loaded or unloaded after the start.
//! - `_Unwind_RaiseException` skips the first walk, as `_Unwind_ForcedUnwind` does. Rust's frames
//!   clean up and catch as ever; only a panic that nobody catches would clean up before it aborts.

use core::ffi::{CStr, c_int, c_void};
use std::cell::Cell;
use std::sync::OnceLock;

thread_local! {
    static HASTE: Cell<bool> = const { Cell::new(false) };
    static FOUND: [Cell<Option<Found>>; PLACES] = const { [const { Cell::new(None) }; PLACES] };
}

/// From here on this thread unwinds fast.
pub fn hasten() {
    HASTE.set(true);
}

/// What a search for a frame yields besides: `struct dwarf_eh_bases` of libgcc.
#[repr(C)]
#[derive(Clone, Copy)]
struct Bases([usize; 3]);

#[derive(Clone, Copy)]
struct Found {
    place: usize,
    description: usize,
    bases: Bases,
}

const PLACES: usize = 256;

/// Where the description of the frame lies to which this place in the code belongs.
///
/// # Safety
/// As libgcc's function of this name: `bases` is valid for a write.
#[unsafe(no_mangle)]
unsafe extern "C" fn _Unwind_Find_FDE(place: *const c_void, bases: *mut Bases) -> *const c_void {
    type Find = unsafe extern "C" fn(*const c_void, *mut Bases) -> *const c_void;
    static ORIGINAL: OnceLock<Find> = OnceLock::new();
    let slot = place as usize % PLACES;
    let known = FOUND.with(|found| found[slot].get());
    if let Some(found) = known.filter(|found| found.place == place as usize) {
        // SAFETY: the caller's promise.
        unsafe { bases.write(found.bases) };
        return found.description as *const c_void;
    }
    // SAFETY: libgcc has this function with this type; the caller's promise is handed on.
    let description = unsafe { ORIGINAL.get_or_init(|| next(c"_Unwind_Find_FDE"))(place, bases) };
    if HASTE.get() && !description.is_null() {
        let found = Found {
            place: place as usize,
            description: description as usize,
            // SAFETY: the unwinder has just written them.
            bases: unsafe { bases.read() },
        };
        FOUND.with(|all| all[slot].set(Some(found)));
    }
    description
}

/// Unwinds to the frame that catches the exception.
///
/// # Safety
/// As libgcc's function of this name: the exception is one that the caller has made.
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn _Unwind_RaiseException(exception: *mut c_void) -> c_int {
    type Raise = unsafe extern "C-unwind" fn(*mut c_void) -> c_int;
    type Force = unsafe extern "C-unwind" fn(*mut c_void, Stop, *mut c_void) -> c_int;
    static RAISE: OnceLock<Raise> = OnceLock::new();
    static FORCE: OnceLock<Force> = OnceLock::new();
    // SAFETY: libgcc has these functions with these types; the caller's promise is handed on.
    unsafe {
        if HASTE.get() {
            let force = FORCE.get_or_init(|| next(c"_Unwind_ForcedUnwind"));
            force(exception, at_each_frame, core::ptr::null_mut())
        } else {
            RAISE.get_or_init(|| next(c"_Unwind_RaiseException"))(exception)
        }
    }
}

type Stop = extern "C" fn(c_int, c_int, u64, *mut c_void, *mut c_void, *mut c_void) -> c_int;

/// `_URC_NO_REASON` to go on, `_URC_END_OF_STACK` where nothing is left to unwind.
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

/// The function of this name that ours stands in front of.
///
/// # Safety
/// It has the type `F`, which is that of a function.
unsafe fn next<F: Copy>(name: &CStr) -> F {
    assert_eq!(size_of::<F>(), size_of::<*mut c_void>());
    // SAFETY: the name ends with a zero; the caller vouches for the type.
    unsafe {
        let found = libc::dlsym(libc::RTLD_NEXT, name.as_ptr());
        assert!(!found.is_null(), "the unwinder has {name:?}");
        core::mem::transmute_copy(&found)
    }
}
