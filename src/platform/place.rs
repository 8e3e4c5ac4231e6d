//! What may lie in shared memory, and how it is built there.

use core::alloc::Layout;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A sized value that may lie in memory that other processes map and write.
///
/// # Safety
/// The implementor promises that the type
/// - is `#[repr(C)]` (or has another guaranteed layout) and holds no pointer, reference, or
///   descriptor: every process maps the memory at an address of its own;
/// - is valid, if not meaningful, for every bit pattern: a peer may have written any;
/// - is changed through shared references only by atomics or under a lock of its own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot lie in shared memory by itself",
    note = "expected a primitive of this crate, an array of them, or a structure that promises what `InPlace` asks for",
    note = "plain data lies behind a lock, `RobustMutex<{Self}>`, or in the slots of a buffer"
)]
pub unsafe trait InPlace: Sized + Sync {
    /// The value as a creator writes it.
    fn initial() -> Self;
}

/// An item that may pass through shared memory: valid for every bit pattern, without padding, and without
/// a pointer, as `zerocopy`'s derives check.
///
/// ```
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[repr(C)]
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
/// struct Measurement {
///     at: u64,
///     value: f64,
/// }
/// fn passes<T: interlatch::Plain>() {}
/// passes::<Measurement>();
/// ```
///
/// What is refused when it is compiled: references, what points to the heap of one process (`String`,
/// `Box`), what is not valid for every bit pattern (`bool`), and what may be anything (`MaybeUninit`); see
/// `tests/refused`.
pub trait Plain: FromBytes + IntoBytes + Immutable + Copy + Send + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + Copy + Send + 'static> Plain for T {}

/// Something that can be built in, and viewed at, a place in shared memory; possibly unsized.
///
/// # Safety
/// The promises of [`InPlace`], and: `view` reads and writes only inside `layout(plan)`.
pub unsafe trait Place: Sync {
    /// What has to be known besides the address, for example a capacity. A region keeps it with the
    /// name of the object; who attaches checks what it finds there, and keeps a private copy.
    type Plan: Plan;

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

/// What has to be known to build an object, as a word.
pub trait Plan: Copy {
    /// The word.
    fn to_word(self) -> u64;

    /// The plan, if the word is one.
    fn of_word(word: u64) -> Option<Self>;
}

impl Plan for () {
    fn to_word(self) -> u64 {
        0
    }

    fn of_word(word: u64) -> Option<Self> {
        (word == 0).then_some(())
    }
}

impl Plan for usize {
    fn to_word(self) -> u64 {
        self as u64
    }

    fn of_word(word: u64) -> Option<Self> {
        word.try_into().ok()
    }
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

// SAFETY: so many values that are `InPlace`, one behind the other.
unsafe impl<T: InPlace, const N: usize> InPlace for [T; N] {
    fn initial() -> Self {
        core::array::from_fn(|_| T::initial())
    }
}

// SAFETY: the promises of `InPlace`; `view` covers exactly as many as the layout has.
unsafe impl<T: InPlace> Place for [T] {
    /// How many.
    type Plan = usize;

    fn layout(count: usize) -> Result<Layout, PlanError> {
        if count == 0 {
            return Err(PlanError::ZeroCapacity);
        }
        let item = size_of::<T>();
        let capacity = count;
        Layout::array::<T>(count).map_err(|_| PlanError::SizeOverflow { capacity, item })
    }

    unsafe fn build(at: *mut u8, count: usize) {
        let first = at.cast::<T>();
        // SAFETY: `at` is valid for writes of, and aligned to, as many, by the caller's promise.
        (0..count).for_each(|index| unsafe { first.add(index).write(T::initial()) });
    }

    unsafe fn view<'a>(at: *mut u8, count: usize) -> &'a [T] {
        // SAFETY: valid and aligned by the caller's promise; every bit pattern is a `T`.
        unsafe { core::slice::from_raw_parts(at.cast::<T>(), count) }
    }
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
