//! The type of an object, as recorded in its entry.

use super::text;
use crate::platform::{ShmType, TypeInfo};
use core::alloc::Layout;
use core::fmt;

/// The maximum length in bytes of a type name in a directory entry. Longer type names are cut.
pub(super) const TYPE_NAME: usize = 72;

/// The type of an object, as its entry in the directory records it.
///
/// Two types are equal if their names, fingerprints, sizes and alignments are equal. The
/// [fingerprint](TypeInfo::fingerprint) depends on the fields of the type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ObjectType {
    pub(super) name: [u8; TYPE_NAME],
    pub(super) fingerprint: u64,
    pub(super) declaration: u64,
    pub(super) size: u64,
    pub(super) align: u32,
    pub(super) max_endpoints: u32,
    pub(super) slots: u64,
}

impl ObjectType {
    /// Describes an object of type `T` with this layout.
    pub fn new<T: ShmType + ?Sized>(layout: Layout) -> Self {
        Self {
            size: layout.size() as u64,
            align: u32::try_from(layout.align()).unwrap_or(u32::MAX),
            ..Self::without_layout(T::TYPE)
        }
    }

    /// Describes an object whose layout is not known. The returned type has size 0 and alignment 0.
    pub(crate) fn without_layout(info: &TypeInfo) -> Self {
        let max_endpoints = info.number("MAX_ENDPOINTS").unwrap_or(0);
        Self {
            name: text::encode(&info.to_string()),
            fingerprint: info.fingerprint(),
            declaration: info.declaration(),
            size: info.size().unwrap_or(0) as u64,
            align: info.align().unwrap_or(0) as u32,
            max_endpoints: u32::try_from(max_endpoints).unwrap_or(u32::MAX),
            slots: info.number("SLOTS").unwrap_or(0),
        }
    }

    /// Returns the size of the object in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Returns the alignment of the object in bytes.
    pub fn align(&self) -> u64 {
        self.align.into()
    }

    /// Returns the type's name, including its parameters. A name over 72 bytes is cut.
    ///
    /// A peer may write any characters into the name. `Display` escapes control characters.
    pub fn type_name(&self) -> String {
        text::decode(&self.name).into_owned()
    }

    /// Returns the [fingerprint](TypeInfo::fingerprint) of the type.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Returns the [declaration](TypeInfo::declaration) of the type, which does not depend on the
    /// type's parameters.
    pub fn declaration(&self) -> u64 {
        self.declaration
    }

    /// Returns the number of slots that the buffer's type states, such as 4 for `RingBuffer<u64,
    /// [Slot<u64>; 4]>`.
    ///
    /// If a buffer's type states no number of slots, the object's configuration states the
    /// capacity.
    pub fn slots(&self) -> Option<u64> {
        (self.slots != 0).then_some(self.slots)
    }

    /// Returns the maximum number of endpoints on each side of a channel, a parameter of its type.
    pub fn max_endpoints(&self) -> Option<u64> {
        (self.max_endpoints != 0).then_some(self.max_endpoints.into())
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size) = (text::decode(&self.name), self.size);
        write!(f, "{}", name.escape_debug())?;
        match size {
            // The recorded size is 0 if the type is unsized and its configuration is not valid.
            0 => Ok(()),
            _ => write!(f, " ({size} bytes)"),
        }
    }
}

impl fmt::Debug for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (align, fingerprint) = (self.align, self.fingerprint);
        write!(
            f,
            "ObjectType({self}, align {align}, fingerprint {fingerprint:#018x})"
        )
    }
}
