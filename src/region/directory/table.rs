//! The table of objects: how objects are created and found.

use super::entry::{Entry, NewObject, Object};
use super::name::ObjectName;
use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::robust::RobustListError;
use crate::platform::{
    AtomicU32, AtomicU64, Parameter, ShmSafe, ShmType, TypeInfo, constructor, new_tracked,
    new_tracked_u64,
};
use crate::sync::{LockError, RobustMutex, Timeout};
use core::fmt;

/// The maximum number of objects in a region.
pub const MAX_OBJECTS: usize = 24;

/// The objects of a region, in the order of their creation.
///
/// [`Region`](crate::Region) uses the directory. The type is public so that models can check it.
/// Zeroed memory is an empty directory.
///
/// # How it works
/// Under a robust lock, a process writes an entry and builds the object in memory that no process
/// uses yet. The process then stores the count of entries, which now includes the new entry.
/// Entries below the count never change, so a process finds an object without the lock.
///
/// - If several processes create an object with the same name, exactly one of them builds the
///   object. The reason is that each process looks for the name again under the lock.
/// - No process finds an object before it is built: the Release store of the count pairs with the
///   Acquire load in [`objects`](Self::objects).
///
/// # Process death
/// A process that dies while it creates an object has either created the object or changed no entry
/// below the count. The next owner of the lock has nothing to repair.
///
/// # Hostile peers
/// A peer may write any value. The directory copies an entry once and returns the copy. The caller
/// must check the copy.
#[repr(C)]
#[derive(Debug)]
pub struct Directory<const MAX: usize = MAX_OBJECTS> {
    lock: RobustMutex<()>,
    count: AtomicU32,
    entries: [Entry; MAX],
}

// SAFETY: the type is `repr(C)` and consists of atomic words and a robust lock, which are valid for
// every bit pattern.
unsafe impl<const MAX: usize> ShmSafe for Directory<MAX> {
    /// Creates an empty directory.
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes, so the fields are
        // too.
        unsafe {
            RobustMutex::init_in_place(&raw mut (*at).lock);
            (&raw mut (*at).count).write(new_tracked(0));
            let first = (&raw mut (*at).entries).cast::<Entry>();
            (0..MAX).for_each(|index| first.add(index).write(Entry::new()));
        }
    }
}

impl<const MAX: usize> ShmType for Directory<MAX> {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Directory")
        .of_this_crate()
        .with_parameters(&[Parameter::new_number("MAX", MAX as u64)]);
}

/// A word that is zero until the object that it marks is built.
///
/// A mark in zeroed memory is not set.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct Mark(#[shm(initial = new_tracked_u64(0))] AtomicU64);

impl Mark {
    constructor! {
        /// Creates a mark that is not set.
        pub fn new() -> Self {
            Self(new_tracked_u64(0))
        }
    }

    /// Returns the mark's value, or 0 if the mark is not set. A reader that gets a value other than
    /// 0 also sees the marked object.
    pub fn get(&self) -> u64 {
        // Acquire pairs with the Release in `set`.
        self.0.load(Acquire)
    }

    /// Sets the mark, which publishes the marked object.
    pub fn set(&self, mark: u64) {
        // Release pairs with the Acquire in `get`.
        self.0.store(mark, Release);
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

/// The error returned when [`Directory::create`] fails. The directory has not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DirectoryError {
    /// An object with this name already exists.
    Exists,
    /// The directory has no free entry.
    Full,
    /// The new object does not fit behind the existing objects.
    TooSmall {
        /// The offset at which the object would start.
        offset: u64,
    },
    /// The lock of the directory stayed locked until the timeout, or is unrecoverable. Either the
    /// lock's owner is stopped, or a faulty peer wrote into the lock.
    Busy,
    /// The directory says that this memory is free, but the memory is in use. A faulty peer wrote
    /// into the directory.
    Occupied {
        /// The offset of the memory that is in use.
        offset: u64,
    },
    /// This thread cannot hold the lock of the directory.
    RobustList(RobustListError),
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_str("an object with this name exists"),
            Self::Full => f.write_str("the directory has no free entry"),
            Self::TooSmall { offset } => {
                write!(f, "the object does not fit at offset {offset}")
            }
            Self::Busy => f.write_str("the lock of the directory is not available"),
            Self::Occupied { offset } => {
                write!(
                    f,
                    "the memory at offset {offset} is in use: the directory is damaged"
                )
            }
            Self::RobustList(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for DirectoryError {}

impl From<LockError> for DirectoryError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::RobustList(error) => Self::RobustList(error),
            _ => Self::Busy,
        }
    }
}

impl<const MAX: usize> Directory<MAX> {
    /// Returns whether the directory is empty, regardless of the lock's state.
    pub fn is_blank(&self) -> bool {
        self.count.load(Relaxed) == 0 && self.entries.iter().all(Entry::is_blank)
    }

    /// Iterates over the objects in the directory.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        // Acquire pairs with the Release in `create`, so the objects of all entries below the count
        // are built.
        let count = (self.count.load(Acquire) as usize).min(MAX);
        let entries = self.entries[..count].iter().enumerate();
        entries.map(|(index, entry)| entry.read(index))
    }

    /// Returns the number of objects that the directory states. A faulty peer may have written a
    /// number greater than `MAX`.
    pub fn claimed(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// Finds the object with this name.
    pub fn find(&self, name: &ObjectName) -> Option<Object> {
        self.objects().find(|object| object.name == *name)
    }

    /// Creates an object in the free part of `space`, and calls `build` to build it.
    ///
    /// # Errors
    /// Fails if an object with this name exists, if there is no free space or no free entry for the
    /// object, if the lock is not available, or if `build` fails. If this function fails, the
    /// directory has not changed.
    pub fn create(
        &self,
        new: NewObject,
        space: core::ops::Range<u64>,
        timeout: Timeout,
        build: impl FnOnce(&Object) -> Result<(), DirectoryError>,
    ) -> Result<Object, DirectoryError> {
        let NewObject {
            name,
            object_type,
            config,
        } = new;
        self.with_lock(timeout, || {
            if self.find(&name).is_some() {
                return Err(DirectoryError::Exists);
            }
            let offset = self.free_offset(object_type.align(), space.start);
            let end = offset.checked_add(object_type.size());
            if end.is_none_or(|end| end > space.end) {
                return Err(DirectoryError::TooSmall { offset });
            }
            let count = self.count.load(Relaxed);
            let index = count as usize;
            let entry = self.entries.get(index).ok_or(DirectoryError::Full)?;
            let object = Object {
                name,
                object_type,
                offset,
                config,
                index,
            };
            build(&object)?;
            entry.write(&object);
            // Release pairs with the Acquire in `objects`.
            self.count.store(count + 1, Release);
            Ok(object)
        })
    }

    /// Returns the first aligned offset behind all objects.
    fn free_offset(&self, align: u64, start: u64) -> u64 {
        let ends = self
            .objects()
            .map(|object| object.offset.saturating_add(object.object_type.size()));
        let free = ends.fold(start, u64::max);
        free.checked_next_multiple_of(align).unwrap_or(u64::MAX)
    }

    /// Builds an object and sets its mark, unless the mark is already set.
    ///
    /// If several processes call this function, exactly one of them builds the object. If that
    /// process dies, another process builds the object.
    ///
    /// # Errors
    /// Fails if the lock does not become available before the timeout. The inner result is the
    /// result of `build`.
    pub fn build_once<E>(
        &self,
        mark: &Mark,
        value: u64,
        timeout: Timeout,
        build: impl FnOnce() -> Result<(), E>,
    ) -> Result<Result<(), E>, DirectoryError> {
        self.with_lock(timeout, || {
            if mark.get() != 0 {
                return Ok(Ok(()));
            }
            let built = build();
            if built.is_ok() {
                mark.set(value);
            }
            Ok(built)
        })
    }

    /// Runs `act` under the directory's lock. If the lock's owner has died, the directory needs no
    /// repair.
    fn with_lock<R>(
        &self,
        timeout: Timeout,
        act: impl FnOnce() -> Result<R, DirectoryError>,
    ) -> Result<R, DirectoryError> {
        let _guard = self.lock.lock_or_repair_with(timeout, |()| ())?;
        act()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::region::directory::ObjectType;
    use core::alloc::Layout;

    fn empty() -> Box<Directory<2>> {
        let mut directory = Box::<Directory<2>>::new_uninit();
        // SAFETY: the new memory has the layout of a directory.
        unsafe {
            Directory::init_in_place(directory.as_mut_ptr());
            directory.assume_init()
        }
    }

    fn object() -> Object {
        Object {
            name: ObjectName::new("object").expect("a name"),
            object_type: ObjectType::new::<u64>(Layout::new::<u64>()),
            offset: 64,
            config: 0,
            index: 1,
        }
    }

    #[test]
    fn written_entry_or_count_is_not_blank() {
        assert!(empty().is_blank());
        // A creator died before it stored the count.
        let directory = empty();
        directory.entries[1].write(&object());
        assert!(!directory.is_blank());
        // A faulty peer wrote into the count.
        let directory = empty();
        directory.count.store(1, Relaxed);
        assert!(!directory.is_blank());
    }

    #[test]
    fn count_of_a_faulty_peer_gives_at_most_all_entries() {
        let directory = empty();
        directory.entries[1].write(&object());
        directory.count.store(u32::MAX, Relaxed);
        assert_eq!(
            (directory.objects().count(), directory.claimed()),
            (2, u32::MAX)
        );
        assert!(directory.find(&object().name).is_some());
        let new = NewObject {
            name: ObjectName::new("new").expect("a name"),
            object_type: object().object_type,
            config: 0,
        };
        let created = directory.create(new, 64..4096, Timeout::NonBlocking, |_| Ok(()));
        assert_eq!(created.err(), Some(DirectoryError::Full));
    }
}
