//! Robust objects that live as long as the process.

use core::fmt;
use core::mem::ManuallyDrop;

/// A robust object that lives as long as the process: in a `static`, or leaked on the heap.
///
/// The constructors of robust types return a `Static`. Use it for a robust object that only the
/// threads of one process share. [Regions](crate::Region) create the objects that several processes
/// share.
///
/// # Process death
/// The object belongs to one process. Its locks report the death of a thread, and nothing is left
/// of them after the death of the process.
///
/// # Fork
/// The child gets a copy of the object. A lock that a thread of the parent held stays locked in the
/// copy.
///
/// # How it works
/// While a thread holds a robust lock, the kernel's robust list contains the address of the lock.
/// The thread and the kernel write to this address, also if the guard was leaked. So a robust
/// object must neither move nor be freed. [`get`](Self::get) borrows the `Static` until the process
/// ends, so the borrow checker keeps the object in its place from then on. Safe code cannot get a
/// robust object by value. A `Static` never drops its object, like a `static`.
///
/// # Example
/// ```
/// use interlatch::RobustMutex;
/// use interlatch::sync::Static;
///
/// static TOTAL: Static<RobustMutex<u64>> = RobustMutex::new(0);
///
/// *TOTAL.get().lock()? += 1;
///
/// // The heap, if the number of objects is known only at run time.
/// let counters: Vec<&RobustMutex<u64>> = (0..4).map(|_| RobustMutex::new(0).leak()).collect();
/// *counters[3].lock().unwrap() += *TOTAL.get().lock()?;
/// # Ok::<(), interlatch::sync::RobustLockError<'static, u64>>(())
/// ```
///
/// A `Static` on the stack gives no access to its object:
/// ```compile_fail,E0597
/// let total = interlatch::RobustMutex::new(0);
/// *total.get().lock().unwrap() += 1;
/// ```
#[repr(transparent)]
pub struct Static<T>(ManuallyDrop<T>);

impl<T> Static<T> {
    /// Wraps an object that no thread has used yet.
    pub(crate) const fn new(object: T) -> Self {
        Self(ManuallyDrop::new(object))
    }

    /// Returns the object.
    #[inline]
    pub const fn get(&'static self) -> &'static T {
        // SAFETY: `Self` has the layout of `T`, and the reference keeps its lifetime.
        unsafe { &*core::ptr::from_ref(self).cast::<T>() }
    }

    /// Moves the object to the heap and returns it. The memory is never freed.
    ///
    /// [`ShmSafe::new_leaked`](super::ShmSafe::new_leaked) creates a large object on the heap
    /// without a copy on the stack.
    pub fn leak(self) -> &'static T
    where
        T: 'static,
    {
        Box::leak(Box::new(self)).get()
    }

    /// Returns the object by value.
    ///
    /// # Safety
    /// The object is not moved, freed or overwritten while a lock in it is held or a thread is
    /// inside a method of the object. A lock whose guard was leaked is held until the process ends.
    pub const unsafe fn into_inner(self) -> T {
        ManuallyDrop::into_inner(self.0)
    }
}

impl<T: fmt::Debug> fmt::Debug for Static<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Static").field(&&*self.0).finish()
    }
}
