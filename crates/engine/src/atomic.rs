//! Atomics whose operations the explorer orders.

use crate::current;
use crate::event::{HEAVY, LIGHT, LocationId, Site};
use crate::operation::{Effect, Operation, Update};
use core::fmt;
use core::marker::PhantomData;
use core::panic::Location;
use core::sync::atomic::Ordering;

/// A type of at most 64 bits that an [`Atomic`] can hold.
pub trait Primitive: Copy + PartialEq + sealed::Sealed {
    /// Returns the bits.
    fn to_bits(self) -> u64;
    /// Returns the value with these bits.
    fn from_bits(bits: u64) -> Self;
}

/// An integer, with wrapping arithmetic.
pub trait Integer:
    Primitive
    + core::ops::BitAnd<Output = Self>
    + core::ops::BitOr<Output = Self>
    + core::ops::BitXor<Output = Self>
    + Ord
{
    /// Adds, wrapping around at the boundary of the type.
    fn wrapping_add(self, other: Self) -> Self;
    /// Subtracts, wrapping around at the boundary of the type.
    fn wrapping_sub(self, other: Self) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl sealed::Sealed for $integer {}
        impl Primitive for $integer {
            fn to_bits(self) -> u64 {
                self as u64
            }
            fn from_bits(bits: u64) -> Self {
                bits as Self
            }
        }
        impl Integer for $integer {
            fn wrapping_add(self, other: Self) -> Self {
                <$integer>::wrapping_add(self, other)
            }
            fn wrapping_sub(self, other: Self) -> Self {
                <$integer>::wrapping_sub(self, other)
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 usize i8 i16 i32 i64 isize);

impl sealed::Sealed for bool {}

impl Primitive for bool {
    fn to_bits(self) -> u64 {
        u64::from(self)
    }

    fn from_bits(bits: u64) -> Self {
        bits != 0
    }
}

/// An atomic variable of a model, with the methods of [`core::sync::atomic`].
///
/// A load may return any value that RC11 allows, not only the latest. Create atomics in the setup
/// of a model, or in a process that shares them by an atomic.
///
/// # Panics
/// Each method panics outside of a model, and if `core`'s method panics at this ordering.
pub struct Atomic<T> {
    pub(crate) location: LocationId,
    value: PhantomData<Box<T>>,
}

/// An atomic with 8 bits.
pub type AtomicU8 = Atomic<u8>;
/// An atomic with 16 bits.
pub type AtomicU16 = Atomic<u16>;
/// An atomic with 32 bits.
pub type AtomicU32 = Atomic<u32>;
/// An atomic with 64 bits.
pub type AtomicU64 = Atomic<u64>;
/// An atomic of the size of a pointer.
pub type AtomicUsize = Atomic<usize>;
/// An atomic truth value.
pub type AtomicBool = Atomic<bool>;

impl<T: Primitive> Atomic<T> {
    /// Creates an atomic.
    pub fn new(value: T) -> Self {
        let actor = current::actor();
        Self::at(current::with(|execution| {
            execution.new_location(actor, value.to_bits())
        }))
    }

    /// Returns another handle of the atomic at this location.
    pub(crate) fn at(location: LocationId) -> Self {
        Self {
            location,
            value: PhantomData,
        }
    }

    /// Returns the value.
    #[track_caller]
    pub fn load(&self, ordering: Ordering) -> T {
        check_load(ordering);
        self.perform(Operation::Load(self.location, ordering, None))
    }

    /// Loads until the value satisfies the condition, and returns it.
    ///
    /// It stands for a loop around a load, of which the explorer would explore every number of
    /// iterations. If no write ever satisfies the condition, the execution is a deadlock.
    #[track_caller]
    pub fn load_until(&self, ordering: Ordering, condition: impl Fn(T) -> bool) -> T {
        check_load(ordering);
        let condition = |bits| condition(T::from_bits(bits));
        self.perform(Operation::Load(self.location, ordering, Some(&condition)))
    }

    /// Stores a value.
    #[track_caller]
    pub fn store(&self, value: T, ordering: Ordering) {
        assert!(
            !matches!(ordering, Ordering::Acquire | Ordering::AcqRel),
            "a store cannot have the ordering {ordering:?}"
        );
        self.perform(Operation::Store(self.location, ordering, value.to_bits()));
    }

    /// Stores a value and returns the previous one.
    #[track_caller]
    pub fn swap(&self, value: T, ordering: Ordering) -> T {
        self.update(ordering, ordering, &|_| Some(value))
    }

    /// Stores a value if the current value is `expected`.
    ///
    /// # Errors
    /// Returns the current value if it differs.
    #[track_caller]
    pub fn compare_exchange(
        &self,
        expected: T,
        new: T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<T, T> {
        check_load(failure);
        let read = self.update(success, failure, &|read| (read == expected).then_some(new));
        if read == expected {
            Ok(read)
        } else {
            Err(read)
        }
    }

    /// Does the same as [`Atomic::compare_exchange`], but may also fail if the value is `expected`.
    ///
    /// # Errors
    /// Returns the current value.
    #[track_caller]
    pub fn compare_exchange_weak(
        &self,
        expected: T,
        new: T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<T, T> {
        if crate::choose(2) == 1 {
            return Err(self.load(failure));
        }
        self.compare_exchange(expected, new, success, failure)
    }

    /// Stores the value that the function returns for the current one, in one step.
    ///
    /// # Errors
    /// Returns the current value if the function returns `None`.
    #[track_caller]
    pub fn fetch_update(
        &self,
        set_order: Ordering,
        fetch_order: Ordering,
        function: impl Fn(T) -> Option<T>,
    ) -> Result<T, T> {
        check_load(fetch_order);
        let read = self.update(set_order, fetch_order, &function);
        match function(read) {
            Some(_) => Ok(read),
            None => Err(read),
        }
    }

    /// Waits until the function returns a value for the current one, and stores that value in one
    /// step. Returns the previous value.
    ///
    /// It stands for a loop around [`Atomic::fetch_update`], of which the explorer would explore
    /// every number of iterations. If the function never returns a value, the execution is a
    /// deadlock.
    #[track_caller]
    pub fn update_when(&self, ordering: Ordering, function: impl Fn(T) -> Option<T>) -> T {
        self.perform_update(ordering, Ordering::Relaxed, &function, true)
    }

    #[track_caller]
    fn update(
        &self,
        ordering: Ordering,
        failure: Ordering,
        function: &dyn Fn(T) -> Option<T>,
    ) -> T {
        self.perform_update(ordering, failure, function, false)
    }

    #[track_caller]
    fn perform_update(
        &self,
        success: Ordering,
        failure: Ordering,
        function: &dyn Fn(T) -> Option<T>,
        waits: bool,
    ) -> T {
        let effect = |read, _| match function(T::from_bits(read)) {
            None if waits => Effect::blocked(),
            written => Effect::only(written.map(T::to_bits)),
        };
        self.perform(Operation::Update(Update {
            location: self.location,
            success,
            failure,
            effect: &effect,
        }))
    }

    #[track_caller]
    fn perform(&self, operation: Operation<'_>) -> T {
        current::begin_step(Location::caller());
        T::from_bits(current::perform(operation, Location::caller()))
    }
}

impl<T: Integer> Atomic<T> {
    /// Adds to the value and returns the previous one.
    #[track_caller]
    pub fn fetch_add(&self, value: T, ordering: Ordering) -> T {
        self.update(ordering, ordering, &|read| Some(read.wrapping_add(value)))
    }

    /// Subtracts from the value and returns the previous one.
    #[track_caller]
    pub fn fetch_sub(&self, value: T, ordering: Ordering) -> T {
        self.update(ordering, ordering, &|read| Some(read.wrapping_sub(value)))
    }

    /// Clears the bits that are not in `value` and returns the previous value.
    #[track_caller]
    pub fn fetch_and(&self, value: T, ordering: Ordering) -> T {
        self.update(ordering, ordering, &|read| Some(read & value))
    }

    /// Sets the bits of `value` and returns the previous value.
    #[track_caller]
    pub fn fetch_or(&self, value: T, ordering: Ordering) -> T {
        self.update(ordering, ordering, &|read| Some(read | value))
    }

    /// Flips the bits of `value` and returns the previous value.
    #[track_caller]
    pub fn fetch_xor(&self, value: T, ordering: Ordering) -> T {
        self.update(ordering, ordering, &|read| Some(read ^ value))
    }

    /// Stores the larger of the value and `value` and returns the previous one.
    #[track_caller]
    pub fn fetch_max(&self, value: T, ordering: Ordering) -> T {
        self.update(ordering, ordering, &|read| Some(read.max(value)))
    }

    /// Stores the smaller of the value and `value` and returns the previous one.
    #[track_caller]
    pub fn fetch_min(&self, value: T, ordering: Ordering) -> T {
        self.update(ordering, ordering, &|read| Some(read.min(value)))
    }
}

impl<T> fmt::Debug for Atomic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Atomic(word {})", self.location)
    }
}

#[track_caller]
fn check_load(ordering: Ordering) {
    assert!(
        !matches!(ordering, Ordering::Release | Ordering::AcqRel),
        "a load cannot have the ordering {ordering:?}"
    );
}

/// An atomic fence.
///
/// # Panics
/// Panics outside of a model, and if the ordering is `Relaxed`.
#[track_caller]
pub fn fence(ordering: Ordering) {
    assert!(
        ordering != Ordering::Relaxed,
        "a fence cannot have the ordering Relaxed"
    );
    current::begin_step(Location::caller());
    current::perform(Operation::Fence(ordering, 0), Location::caller());
}

/// The light side of an asymmetric fence, which pairs with [`heavy_fence`].
///
/// On a machine, it only keeps the compiler from moving accesses. It orders nothing against other
/// light fences.
///
/// # Panics
/// Panics outside of a model.
#[track_caller]
pub fn light_fence() {
    asymmetric_fence(Ordering::Relaxed, LIGHT, Location::caller());
}

/// The heavy side of an asymmetric fence: `membarrier(2)`.
///
/// It is a SeqCst fence. Each other process behaves as if it had executed a SeqCst fence in place
/// of its [`light_fence`]s, in relation to this fence.
///
/// # Panics
/// Panics outside of a model.
#[track_caller]
pub fn heavy_fence() {
    asymmetric_fence(Ordering::SeqCst, HEAVY, Location::caller());
}

fn asymmetric_fence(ordering: Ordering, asymmetry: u32, site: Site) {
    current::begin_step(site);
    current::perform(Operation::Fence(ordering, asymmetry), site);
}
