//! What may lie in shared memory, and how it is built there.

use core::alloc::Layout;
use zerocopy::{FromBytes, Immutable};

/// A sized value that may lie in memory that other processes map and write.
///
/// # Safety
/// The implementor promises that the type
/// - is `#[repr(C)]` (or has another guaranteed layout) and holds no pointer, reference, or
///   descriptor: every process maps the memory at an address of its own;
/// - is valid, if not meaningful, for every bit pattern: a peer may have written any;
/// - is changed through shared references only by atomics or under a lock of its own.
pub unsafe trait InPlace: Sized + Sync {
    /// The value as a creator writes it.
    fn initial() -> Self;
}

/// An item that may pass through shared memory: valid for every bit pattern and without a pointer,
/// as `zerocopy`'s derives check.
///
/// ```compile_fail
/// fn passes<T: interlatch::Plain>() {}
/// passes::<&'static str>();
/// ```
pub trait Plain: FromBytes + Immutable + Copy + Send + 'static {}

impl<T: FromBytes + Immutable + Copy + Send + 'static> Plain for T {}

/// Something that can be built in, and viewed at, a place in shared memory; possibly unsized.
///
/// # Safety
/// The promises of [`InPlace`], and: `view` reads and writes only inside `layout(plan)`.
pub unsafe trait Place: Sync {
    /// What has to be known besides the address, for example a capacity. It is kept in private
    /// memory by each side, never read back from the shared one.
    type Plan: Copy;

    /// Size and alignment of the value.
    fn layout(plan: Self::Plan) -> Result<Layout, PlanError>;

    /// Writes the initial value.
    ///
    /// # Safety
    /// `at` is valid for writes of, and aligned to, `layout(plan)`, and no one else accesses it.
    unsafe fn build(at: *mut u8, plan: Self::Plan);

    /// The value at `at`.
    ///
    /// # Safety
    /// `at` is valid for reads and writes of, and aligned to, `layout(plan)` during `'a`, and
    /// is only accessed as this type meanwhile.
    unsafe fn view<'a>(at: *mut u8, plan: Self::Plan) -> &'a Self;
}

/// A plan that no memory can satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A capacity of zero: nothing could ever pass.
    #[error("capacity 0: expected at least 1")]
    ZeroCapacity,
    /// More than the type can count.
    #[error("capacity {found}: expected at most {most}")]
    TooLarge {
        /// The capacity that was asked for.
        found: usize,
        /// The largest that the type can manage.
        most: usize,
    },
    /// The number of bytes does not fit in the address space, or could not be allocated.
    #[error("capacity {capacity} times {item} bytes: expected a size that memory can hold")]
    SizeOverflow {
        /// The capacity that was asked for.
        capacity: usize,
        /// Bytes of one item.
        item: usize,
    },
}

// SAFETY: the promises of `InPlace` are those of `Place`; `view` covers exactly one `T`.
unsafe impl<T: InPlace> Place for T {
    type Plan = ();

    fn layout((): ()) -> Result<Layout, PlanError> {
        Ok(Layout::new::<T>())
    }

    unsafe fn build(at: *mut u8, (): ()) {
        // SAFETY: `at` is valid for writes of and aligned to `T`, by the caller's promise.
        unsafe { at.cast::<T>().write(T::initial()) }
    }

    unsafe fn view<'a>(at: *mut u8, (): ()) -> &'a T {
        // SAFETY: valid and aligned by the caller's promise; every bit pattern is a `T`.
        unsafe { &*at.cast::<T>() }
    }
}
