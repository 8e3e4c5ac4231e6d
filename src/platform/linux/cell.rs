//! Plain shared memory, with the access methods that loom's cell has.

/// Memory that several processes may change; every access is a closure over a raw pointer, so
/// that the model can check that no two of them race.
#[repr(transparent)]
#[derive(Debug, Default)]
#[expect(clippy::disallowed_types, reason = "this is the seam")]
pub struct UnsafeCell<T: ?Sized>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell with this value.
    #[expect(clippy::disallowed_types, reason = "this is the seam")]
    pub const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    /// Reads. The caller keeps writers out during the closure.
    #[inline]
    pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
        read(self.0.get())
    }

    /// Writes. The caller keeps all others out during the closure.
    #[inline]
    pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
        write(self.0.get())
    }
}
