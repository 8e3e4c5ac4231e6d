//! An object together with the region that it is in, for who goes on using it.

use super::{Region, RegionError};
use crate::platform::ShmObject;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

/// An object that was looked up once, and the region that it is in, which stays mapped for as long.
pub(crate) struct Attached<T: ShmObject + ?Sized> {
    /// In the mapping of the region. First, so that it goes first.
    object: NonNull<T>,
    region: Region,
}

impl<T: ShmObject + ?Sized> Attached<T> {
    /// The object of this name in the region.
    ///
    /// # Errors
    /// As of [`Region::attach`].
    pub(crate) fn new(region: Region, name: &str) -> Result<Self, RegionError> {
        let object = NonNull::from_ref(region.attach::<T>(name)?);
        Ok(Self { object, region })
    }

    /// The region that it is in.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }
}

impl<T: ShmObject + ?Sized> Deref for Attached<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the region gave it out for as long as that lives, which is as long as this; it is memory that is
        // mapped, and so stays where it is when the region moves.
        unsafe { self.object.as_ref() }
    }
}

impl<T: ShmObject + ?Sized> fmt::Debug for Attached<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attached").field(&self.region).finish()
    }
}
