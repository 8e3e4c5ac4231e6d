//! The memory of an object that ends in a slice of slots.

use super::ConfigError;
use core::alloc::Layout;
use core::marker::PhantomData;

/// The memory of an object that ends in a slice: a header of type `H`, followed by slots of type
/// `S`.
///
/// A [`ShmObject`](super::ShmObject) like `Buffer<T, [Slot<T>]>` is a `#[repr(C)]` struct whose
/// last field has the type of its parameter. `H` is the same struct with an empty array of slots,
/// `Buffer<T, [Slot<T>; 0]>`, so all fields before the slots have the same offsets. The three
/// methods of `ShmObject` become:
///
/// ```ignore
/// type Memory<T> = HeaderAndSlots<Buffer<T, [Slot<T>; 0]>, Slot<T>>;
///
/// fn layout(capacity: usize) -> Result<Layout, ConfigError> {
///     Memory::<T>::layout(capacity)
/// }
///
/// unsafe fn init(at: *mut u8, _capacity: usize) {
///     // SAFETY: the caller guarantees memory of this layout, which begins with the header.
///     unsafe { Buffer::<T, [Slot<T>; 0]>::init_header(at.cast()) }
/// }
///
/// unsafe fn from_raw<'a>(at: *mut u8, capacity: usize) -> &'a Self {
///     // SAFETY: the caller guarantees an aligned, valid object. The cast keeps the number of slots.
///     unsafe { &*(Memory::<T>::slots(at, capacity) as *const Self) }
/// }
/// ```
pub(crate) struct HeaderAndSlots<H, S>(PhantomData<(H, S)>);

impl<H, S> HeaderAndSlots<H, S> {
    /// Returns the size and alignment of a header that is followed by this number of slots.
    ///
    /// # Errors
    /// Fails if the capacity is 0 or the size overflows.
    pub(crate) fn layout(capacity: usize) -> Result<Layout, ConfigError> {
        if capacity == 0 {
            return Err(ConfigError::ZeroCapacity);
        }
        let item = size_of::<S>();
        let overflow = |_| ConfigError::SizeOverflow { capacity, item };
        let slots = Layout::array::<S>(capacity).map_err(overflow)?;
        let (both, _) = Layout::new::<H>().extend(slots).map_err(overflow)?;
        Ok(both.pad_to_align())
    }

    /// Returns a slice pointer that holds the address of an object and the number of its slots.
    ///
    /// A caller casts the slice pointer to a pointer to the object. The cast keeps the number of
    /// slots, because a pointer to an unsized struct stores the length of the struct's last field.
    pub(crate) fn slots(at: *mut u8, capacity: usize) -> *mut [S] {
        core::ptr::slice_from_raw_parts_mut(at.cast::<S>(), capacity)
    }
}
