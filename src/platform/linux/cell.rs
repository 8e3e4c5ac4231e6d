//! Ordinary shared memory, with the same access methods as loom's cell.

/// Memory that several processes may change.
///
/// Each access passes a raw pointer to a closure. So the model's version of this type can check
/// that no two accesses race.
#[repr(transparent)]
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "this is the seam")]
pub struct UnsafeCell<T: ?Sized>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// Creates a cell with this value.
    #[expect(clippy::disallowed_types, reason = "this is the seam")]
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    /// Creates a cell in place whose value has only zero bytes.
    ///
    /// # Safety
    /// `at` is aligned and valid for writes of a cell, no other access to these bytes happens
    /// during the call, and zero bytes are a valid `T`.
    pub unsafe fn init_zeroed(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe { at.write_bytes(0, 1) }
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    /// Calls `read` with a pointer to the value. The caller ensures that no thread writes the value
    /// while the closure runs.
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Calls `write` with a pointer to the value. The caller ensures that no other thread accesses
    /// the value while the closure runs.
    #[inline]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
