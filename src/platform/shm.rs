//! Traits of the types whose values lie in shared memory.
//!
//! [`Pod`] is for items, which a channel or a lock copies in and out. [`ShmSafe`] is for sized
//! objects that processes use through shared references. [`ShmObject`] is for objects of any size,
//! which a region creates, names and attaches to.

use super::{ShmType, Static};
use core::alloc::Layout;
use core::fmt;
use core::mem::MaybeUninit;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A sized type that is safe to use in memory that other processes map and write.
///
/// Every `ShmSafe` type is a [`ShmObject`] without a configuration. Derive `ShmSafe` for a struct
/// of such types to give several objects one name in a region:
///
/// ```
/// use interlatch::{Condvar, Region, RobustMutex, ShmSafe};
///
/// #[repr(C)]
/// #[derive(ShmSafe)]
/// struct Account {
///     balance: RobustMutex<u64>,
///     changed: Condvar,
/// }
///
/// let region = Region::memfd("bank", 4096)?;
/// let account: &Account = region.create("account", ())?;
/// account.changed.notify_all();
/// # Ok::<(), interlatch::RegionError>(())
/// ```
///
/// By default, each field has the initial value of its type. The attribute `#[shm(initial =
/// EXPRESSION)]` on a field sets another initial value for that field. The expression is a value of
/// the field's type, or the [`Static`] that the constructor of a robust type returns:
///
/// ```
/// use interlatch::{Region, RobustMutex, Semaphore, ShmSafe};
///
/// #[repr(C)]
/// #[derive(ShmSafe)]
/// struct Account {
///     #[shm(initial = RobustMutex::new(100))]
///     balance: RobustMutex<u64>,
///     #[shm(initial = Semaphore::binary())]
///     turn: Semaphore,
/// }
///
/// let region = Region::memfd("bank", 4096)?;
/// let account: &Account = region.create("account", ())?;
/// assert_eq!(*account.balance.lock().unwrap(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// An object is initialized in place, so an object of any size needs no space on the stack. The
/// value of an `initial` expression is first created on the stack.
///
/// # Safety
/// The implementor promises that the type
/// - is `#[repr(C)]`, or has another guaranteed layout, and holds no pointer, reference or
///   descriptor: each process maps the memory at a different address;
/// - is valid, though not necessarily meaningful, for every bit pattern, because a peer may write
///   any bit pattern;
/// - is changed through shared references only by atomic operations or under its own lock.
///
/// `init_in_place` writes a valid value and accesses no other memory.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot lie in shared memory by itself",
    note = "a struct of primitives of this crate can: add `#[repr(C)]` and `#[derive(interlatch::ShmSafe)]`",
    note = "plain data lies behind a lock, `RobustMutex<{Self}>`, or in the slots of a buffer"
)]
pub unsafe trait ShmSafe: ShmType + Sized + Sync {
    /// Writes the initial value.
    ///
    /// # Safety
    /// `at` is aligned and valid for writes of a `Self`, and no other access to these bytes happens
    /// during the call.
    #[track_caller]
    unsafe fn init_in_place(at: *mut Self);

    /// Creates an object on the heap, in place, that is never freed.
    ///
    /// The object is private to the process. Use a [region](crate::Region) to share an object with
    /// other processes.
    ///
    /// # Example
    /// ```
    /// use interlatch::{RobustMutex, ShmSafe};
    ///
    /// let counters = <[RobustMutex<u64>; 1000]>::new_leaked();
    /// *counters[999].lock()? += 1;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    fn new_leaked() -> &'static Self
    where
        Self: 'static,
    {
        let object: &mut MaybeUninit<Self> = Box::leak(Box::new_uninit());
        // SAFETY: the new memory has the layout of `Self`, and only this call has its address.
        unsafe {
            Self::init_in_place(object.as_mut_ptr());
            object.assume_init_ref()
        }
    }
}

/// A value of `#[shm(initial = ...)]` that initializes a field of type `T`.
///
/// The trait is implemented for `T`, and for [`Static<T>`](Static), which the constructors of
/// robust types return.
///
/// # Safety
/// `write_to` initializes every byte of the object at its argument and accesses no other memory.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no initial value of a field of type `{T}`",
    note = "the expression of `#[shm(initial = ...)]` is a `{T}` or a `Static<{T}>`"
)]
pub unsafe trait InitialValue<T>: Sized {
    /// Writes the value.
    ///
    /// # Safety
    /// `at` is aligned and valid for writes of a `T`, and no other access to these bytes happens
    /// during the call. The object at `at` keeps the promise of [`Static::into_inner`].
    unsafe fn write_to(self, at: *mut T);
}

// SAFETY: `write_to` writes a `T`.
unsafe impl<T> InitialValue<T> for T {
    unsafe fn write_to(self, at: *mut T) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes of a `T`.
        unsafe { at.write(self) }
    }
}

// SAFETY: `write_to` writes a `T`.
unsafe impl<T> InitialValue<T> for Static<T> {
    unsafe fn write_to(self, at: *mut T) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes of a `T`, and keeps
        // the promise of `into_inner`.
        unsafe { at.write(self.into_inner()) }
    }
}

/// A plain-data item that can be copied through shared memory.
///
/// Such a type is valid for every bit pattern and has neither padding nor pointers; `zerocopy`'s
/// derives check this. The derive of [`ShmType`] gives the type an identity. The trait is
/// implemented for every type that meets its bounds.
///
/// ```
/// use interlatch::ShmType;
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[repr(C)]
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
/// struct Measurement {
///     at: u64,
///     value: f64,
/// }
/// fn passes<T: interlatch::Pod>() {}
/// passes::<Measurement>();
/// ```
///
/// These types do not compile as items: references, owners of one process's heap memory (`String`,
/// `Box`), types with invalid bit patterns (`bool`), and possibly uninitialized memory
/// (`MaybeUninit`). `crates/derive/tests/compile_fail` contains a test for each case.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain data that processes can share",
    note = "plain data are numbers, arrays of numbers, and `#[repr(C)]` structs of them without padding and with `#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]`, which are derives of zerocopy and interlatch",
    note = "instead of `bool`, `char` or an enum, use an integer; instead of `String`, `Vec`, `Box` or a reference, use an array"
)]
pub trait Pod: FromBytes + IntoBytes + Immutable + ShmType + Copy + Send {}

#[diagnostic::do_not_recommend]
impl<T: FromBytes + IntoBytes + Immutable + ShmType + Copy + Send> Pod for T {}

/// A possibly unsized object that one process creates in shared memory and other processes attach
/// to.
///
/// # Safety
/// The implementor keeps the promises of [`ShmSafe`]. `init` and `from_raw` access only the bytes
/// that `layout(config)` describes. `layout` returns the same result on every call with the same
/// configuration. `init` may panic, and may use other objects of the region: the object is then not
/// created.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an object of a region",
    note = "the items of a channel are plain data: numbers, arrays of numbers, and `#[repr(C)]` structs of them with `#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]`",
    note = "an object is a primitive of this crate, an array of them, or a `#[repr(C)]` struct of them with `#[derive(ShmSafe)]`"
)]
pub unsafe trait ShmObject: ShmType + Sync {
    /// Parameters that determine the layout, for example a capacity.
    ///
    /// A region stores these parameters with the object's name. A process that attaches checks the
    /// stored parameters and keeps a private copy, which no other process can change.
    type Config: Config;

    /// Returns the size and alignment of the object.
    ///
    /// # Errors
    /// Fails if no memory can hold an object with this configuration.
    fn layout(config: Self::Config) -> Result<Layout, ConfigError>;

    /// Writes the initial value.
    ///
    /// # Safety
    /// `at` is aligned to `layout(config)` and valid for writes of its size, and no other access
    /// to these bytes happens during the call.
    unsafe fn init(at: *mut u8, config: Self::Config);

    /// Returns a reference to the object at this address.
    ///
    /// # Safety
    /// During `'a`, `at` is aligned to `layout(config)` and valid for reads and writes of its
    /// size, and these bytes are accessed only as this type.
    unsafe fn from_raw<'a>(at: *mut u8, config: Self::Config) -> &'a Self;
}

/// Parameters of a [`ShmObject`] that fit into a 64-bit word.
pub trait Config: Copy {
    /// Encodes the configuration as a word for the directory of a region.
    fn to_word(self) -> u64;

    /// Decodes a word, or returns `None` if the word encodes no configuration.
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

/// The error returned when no memory can hold an object of the given configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The capacity is 0, so the object could never hold an item.
    ZeroCapacity,
    /// The capacity exceeds the largest number that the type can count.
    TooLarge {
        /// The requested capacity.
        found: usize,
        /// The largest capacity of the type.
        max: usize,
    },
    /// The size in bytes exceeds the address space, or the allocation failed.
    SizeOverflow {
        /// The requested capacity.
        capacity: usize,
        /// The size of one item in bytes.
        item: usize,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ZeroCapacity => f.write_str("capacity 0: expected at least 1"),
            Self::TooLarge { found, max } => {
                write!(f, "capacity {found}: expected at most {max}")
            }
            Self::SizeOverflow { capacity, item } => write!(
                f,
                "{capacity} items of {item} bytes do not fit in memory; lower the capacity"
            ),
        }
    }
}

impl core::error::Error for ConfigError {}

// SAFETY: an array has the layout of its elements in sequence, and each element keeps the promises
// of `ShmSafe`.
unsafe impl<T: ShmSafe, const N: usize> ShmSafe for [T; N] {
    unsafe fn init_in_place(at: *mut Self) {
        let first = at.cast::<T>();
        // SAFETY: the caller passes an aligned `at` that is valid for writes of `N` elements.
        (0..N).for_each(|index| unsafe { T::init_in_place(first.add(index)) });
    }
}

// SAFETY: each element keeps the promises of `ShmSafe`; `init` and `from_raw` access exactly
// `count` elements, which `layout` counts.
unsafe impl<T: ShmSafe> ShmObject for [T] {
    /// The number of elements.
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
        // SAFETY: the caller passes an aligned `at` that is valid for writes of `count` elements.
        (0..count).for_each(|index| unsafe { T::init_in_place(first.add(index)) });
    }

    unsafe fn from_raw<'a>(at: *mut u8, count: usize) -> &'a [T] {
        // SAFETY: the caller passes an aligned `at` that is valid for `count` elements during
        // `'a`; every bit pattern is a valid `T`.
        unsafe { core::slice::from_raw_parts(at.cast::<T>(), count) }
    }
}

// SAFETY: `T` keeps the promises of `ShmSafe`; `init` and `from_raw` access exactly one `T`.
unsafe impl<T: ShmSafe> ShmObject for T {
    type Config = ();

    fn layout((): ()) -> Result<Layout, ConfigError> {
        Ok(Layout::new::<T>())
    }

    unsafe fn init(at: *mut u8, (): ()) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes of a `T`.
        unsafe { T::init_in_place(at.cast::<T>()) }
    }

    unsafe fn from_raw<'a>(at: *mut u8, (): ()) -> &'a T {
        // SAFETY: the caller passes an aligned `at` that is valid for a `T` during `'a`; every bit
        // pattern is a valid `T`.
        unsafe { &*at.cast::<T>() }
    }
}
