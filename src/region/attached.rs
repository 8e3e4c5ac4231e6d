//! An object together with its region.

use super::{Region, RegionError};
use crate::platform::ShmObject;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

/// An object and the region that contains the object. The region stays mapped while this value
/// exists.
pub(crate) struct Attached<T: ShmObject + ?Sized> {
    /// A pointer to the object in the mapping of the region.
    object: NonNull<T>,
    region: Region,
}

impl<T: ShmObject + ?Sized> Attached<T> {
    /// Attaches to the object with this name.
    ///
    /// # Errors
    /// Returns the same errors as [`Region::attach`].
    pub(crate) fn new(region: Region, name: &str) -> Result<Self, RegionError> {
        let object = NonNull::from_ref(region.attach::<T>(name)?);
        Ok(Self { object, region })
    }

    /// Returns the region that contains the object.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }
}

impl<T: ShmObject + ?Sized> Deref for Attached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the region returned the reference, which is valid while the region exists. `self`
        // owns the region, and moving the region does not move the mapping.
        unsafe { self.object.as_ref() }
    }
}

impl<T: ShmObject + ?Sized> fmt::Debug for Attached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attached").field(&self.region).finish()
    }
}
