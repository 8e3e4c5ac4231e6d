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
    note = "expected a primitive of this crate, an array of them, or a structure that promises what `ShmSafe` asks for",
    note = "plain data lies behind a lock, `RobustMutex<{Self}>`, or in the slots of a buffer"
)]
pub unsafe trait ShmSafe: Sized + Sync {
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
/// fn passes<T: interlatch::Pod>() {}
/// passes::<Measurement>();
/// ```
///
/// What is refused when it is compiled: references, what points to the heap of one process (`String`,
/// `Box`), what is not valid for every bit pattern (`bool`), and what may be anything (`MaybeUninit`); see
/// `tests/compile_fail`.
pub trait Pod: FromBytes + IntoBytes + Immutable + Copy + Send + 'static {}

impl<T: FromBytes + IntoBytes + Immutable + Copy + Send + 'static> Pod for T {}

/// Something that can be built in, and viewed at, a place in shared memory; possibly unsized.
///
/// # Safety
/// The promises of [`ShmSafe`], and: `view` reads and writes only inside `layout(plan)`.
pub unsafe trait ShmObject: Sync {
    /// What has to be known besides the address, for example a capacity. A region keeps it with the
    /// name of the object; who attaches checks what it finds there, and keeps a private copy.
    type Config: Config;

    /// Size and alignment of the value.
    fn layout(plan: Self::Config) -> Result<Layout, ConfigError>;

    /// Writes the initial value.
    ///
    /// # Safety
    /// `at` is valid for writes of, and aligned to, `layout(plan)`, and no one else accesses it.
    unsafe fn init(at: *mut u8, plan: Self::Config);

    /// The value at `at`.
    ///
    /// # Safety
    /// `at` is valid for reads and writes of, and aligned to, `layout(plan)` during `'a`, and
    /// is only accessed as this type meanwhile.
    unsafe fn from_raw<'a>(at: *mut u8, plan: Self::Config) -> &'a Self;
}

/// What has to be known to build an object, as a word.
pub trait Config: Copy {
    /// The word.
    fn to_word(self) -> u64;

    /// The plan, if the word is one.
    fn from_word(word: u64) -> Option<Self>;
}

impl Config for () {
    fn to_word(self) -> u64 {
        0
    }

    fn from_word(word: u64) -> Option<Self> {
        (word == 0).then_some(())
    }
}

impl Config for usize {
    fn to_word(self) -> u64 {
        self as u64
    }

    fn from_word(word: u64) -> Option<Self> {
        word.try_into().ok()
    }
}

/// A plan that no memory can satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
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

// SAFETY: so many values that are `ShmSafe`, one behind the other.
unsafe impl<T: ShmSafe, const N: usize> ShmSafe for [T; N] {
    fn initial() -> Self {
        core::array::from_fn(|_| T::initial())
    }
}

// SAFETY: the promises of `ShmSafe`; `view` covers exactly as many as the layout has.
unsafe impl<T: ShmSafe> ShmObject for [T] {
    /// How many.
    type Config = usize;

    fn layout(count: usize) -> Result<Layout, ConfigError> {
        if count == 0 {
            return Err(ConfigError::ZeroCapacity);
        }
        let item = size_of::<T>();
        let capacity = count;
        Layout::array::<T>(count).map_err(|_| ConfigError::SizeOverflow { capacity, item })
    }

    unsafe fn init(at: *mut u8, count: usize) {
        let first = at.cast::<T>();
        // SAFETY: `at` is valid for writes of, and aligned to, as many, by the caller's promise.
        (0..count).for_each(|index| unsafe { first.add(index).write(T::initial()) });
    }

    unsafe fn from_raw<'a>(at: *mut u8, count: usize) -> &'a [T] {
        // SAFETY: valid and aligned by the caller's promise; every bit pattern is a `T`.
        unsafe { core::slice::from_raw_parts(at.cast::<T>(), count) }
    }
}

// SAFETY: the promises of `ShmSafe` are those of `ShmObject`; `view` covers exactly one `T`.
unsafe impl<T: ShmSafe> ShmObject for T {
    type Config = ();

    fn layout((): ()) -> Result<Layout, ConfigError> {
        Ok(Layout::new::<T>())
    }

    unsafe fn init(at: *mut u8, (): ()) {
        // SAFETY: `at` is valid for writes of and aligned to `T`, by the caller's promise.
        unsafe { at.cast::<T>().write(T::initial()) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, (): ()) -> &'a T {
        // SAFETY: valid and aligned by the caller's promise; every bit pattern is a `T`.
        unsafe { &*at.cast::<T>() }
    }
}
