//! An entry of the directory, as words in shared memory and as a private copy.

use super::name::{NAME, ObjectName};
use super::object_type::{ObjectType, TYPE_NAME};
use super::text;
use crate::platform::Ordering::Relaxed;
use crate::platform::{AtomicU64, constructor, repeat};
use core::fmt;

/// An object in a region: a private copy of its entry in the directory.
///
/// A peer may have written any value into the entry, so the fields may be wrong.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Object {
    /// The name.
    pub name: ObjectName,
    /// The type.
    pub object_type: ObjectType,
    /// The offset in bytes from the start of the region's memory, including the header.
    pub offset: u64,
    /// The configuration with which the object was created, for example a capacity.
    pub config: u64,
    /// The index of the entry in the directory.
    pub index: usize,
}

/// The description of an object to create.
#[derive(Clone, Copy, Debug)]
pub struct NewObject {
    /// The name.
    pub name: ObjectName,
    /// The type.
    pub object_type: ObjectType,
    /// The configuration, for example a capacity.
    pub config: u64,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.name, self.offset, self.object_type)
    }
}

/// The words of a directory entry. Every access is Relaxed, because the directory's count orders
/// the accesses: the Release store of the count pairs with the Acquire load of the count.
#[repr(C)]
#[derive(Debug)]
pub(super) struct Entry {
    name: [AtomicU64; NAME / 8],
    type_name: [AtomicU64; TYPE_NAME / 8],
    fingerprint: AtomicU64,
    declaration: AtomicU64,
    offset: AtomicU64,
    size: AtomicU64,
    /// The low half of this word is the object's alignment. The high half is the channel's number
    /// of endpoints.
    align_and_endpoints: AtomicU64,
    slots: AtomicU64,
    config: AtomicU64,
}

impl Entry {
    constructor! {
        pub(super) fn new() -> Self {
            Self {
                name: repeat!(AtomicU64::new(0)),
                type_name: repeat!(AtomicU64::new(0)),
                fingerprint: AtomicU64::new(0),
                declaration: AtomicU64::new(0),
                offset: AtomicU64::new(0),
                size: AtomicU64::new(0),
                align_and_endpoints: AtomicU64::new(0),
                slots: AtomicU64::new(0),
                config: AtomicU64::new(0),
            }
        }
    }

    /// Returns whether every word of the entry is zero.
    pub(super) fn is_blank(&self) -> bool {
        let words = [
            &self.fingerprint,
            &self.declaration,
            &self.offset,
            &self.size,
            &self.align_and_endpoints,
            &self.slots,
            &self.config,
        ];
        self.name
            .iter()
            .chain(&self.type_name)
            .chain(words)
            .all(|word| word.load(Relaxed) == 0)
    }

    pub(super) fn write(&self, object: &Object) {
        let ObjectType {
            name,
            fingerprint,
            declaration,
            size,
            align,
            max_endpoints,
            slots,
        } = object.object_type;
        text::store(&self.name, &object.name.0);
        text::store(&self.type_name, &name);
        self.fingerprint.store(fingerprint, Relaxed);
        self.declaration.store(declaration, Relaxed);
        self.offset.store(object.offset, Relaxed);
        self.size.store(size, Relaxed);
        self.align_and_endpoints
            .store(u64::from(align) | u64::from(max_endpoints) << 32, Relaxed);
        self.slots.store(slots, Relaxed);
        self.config.store(object.config, Relaxed);
    }

    pub(super) fn read(&self, index: usize) -> Object {
        let align_and_endpoints = self.align_and_endpoints.load(Relaxed);
        Object {
            name: ObjectName(text::load(&self.name)),
            object_type: ObjectType {
                name: text::load(&self.type_name),
                fingerprint: self.fingerprint.load(Relaxed),
                declaration: self.declaration.load(Relaxed),
                size: self.size.load(Relaxed),
                align: align_and_endpoints as u32,
                max_endpoints: (align_and_endpoints >> 32) as u32,
                slots: self.slots.load(Relaxed),
            },
            offset: self.offset.load(Relaxed),
            config: self.config.load(Relaxed),
            index,
        }
    }
}
