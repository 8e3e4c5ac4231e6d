//! What is in a region, and where: named objects and their types.
//!
//! **Promise.** Of all that create an object of one name, one builds it; nobody finds it before it is
//! built; and whoever dies in between has done nothing, so that the next one builds it.
//!
//! **Why it is correct.** Entries are written, and objects built, under a robust lock, in the part of
//! the region that nobody uses yet; then one step counts them in. So there is nothing to repair. Those
//! that are counted never change, so looking for one takes no lock.
//!
//! A hostile peer may write anything here: what is read is copied once, and its reader checks the copy.

use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::robust::RobustListError;
use crate::platform::{
    AtomicU32, AtomicU64, ShmSafe, constructor, new_tracked, new_tracked_u64, repeat,
};
use crate::sync::{RobustLockError, RobustMutex, Timeout};
use core::alloc::Layout;
use core::fmt;

/// The most objects of a region.
pub const MAX_OBJECTS: usize = 24;

/// Bytes of a name, and of the part of a type's name that is kept.
const NAME: usize = 32;
const TYPE_NAME: usize = 72;

/// The objects of a region, in the order in which they were made.
///
/// Valid when zeroed: that is empty.
///
/// # Process death
/// Whoever dies while it creates an object has created it or not.
#[repr(C)]
#[derive(Debug)]
pub struct Directory<const MAX: usize = MAX_OBJECTS> {
    lock: RobustMutex<()>,
    count: AtomicU32,
    entries: [Entry; MAX],
}

// SAFETY: `repr(C)`, of words and a robust lock, valid for every bit pattern.
unsafe impl<const MAX: usize> ShmSafe for Directory<MAX> {
    fn initial() -> Self {
        Self::new()
    }
}

#[repr(C)]
#[derive(Debug)]
struct Entry {
    name: [AtomicU64; NAME / 8],
    type_name: [AtomicU64; TYPE_NAME / 8],
    /// Of the whole name of the type.
    type_hash: AtomicU64,
    offset: AtomicU64,
    size: AtomicU64,
    align: AtomicU64,
    plan: AtomicU64,
}

/// A word that is zero until what stands beside it is built.
///
/// Valid when zeroed: that is not built.
#[repr(C)]
#[derive(Debug)]
pub struct Mark(AtomicU64);

impl Mark {
    constructor! {
        /// Of something that is not built.
        pub fn new() -> Self {
            Self(new_tracked_u64(0))
        }
    }

    /// What it is now: who sees the mark sees what was built.
    pub fn get(&self) -> u64 {
        // Acquire pairs with the Release of `set`.
        self.0.load(Acquire)
    }

    /// Says that it is built.
    pub fn set(&self, mark: u64) {
        // Release pairs with the Acquire of `get`.
        self.0.store(mark, Release);
    }
}

impl Default for Mark {
    fn default() -> Self {
        Self::new()
    }
}

/// The name of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ObjectName([u8; NAME]);

/// A name that no object can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a name of {found} bytes, or with a zero among them: expected 1 to {most}", most = NAME - 1)]
pub struct BadName {
    /// Bytes of the name.
    found: usize,
}

impl ObjectName {
    /// The name, if an object can have it.
    ///
    /// # Errors
    /// If it is empty, too long, or contains a zero byte.
    pub fn new(name: &str) -> Result<Self, BadName> {
        let found = name.len();
        if !(1..NAME).contains(&found) || name.contains('\0') {
            return Err(BadName { found });
        }
        let mut bytes = [0; NAME];
        bytes[..found].copy_from_slice(name.as_bytes());
        Ok(Self(bytes))
    }
}

impl ObjectName {
    /// The name as it is: a hostile peer may have put anything into it, which is not for a terminal.
    pub fn text(&self) -> String {
        text(&self.0).into_owned()
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", text(&self.0).escape_debug())
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", text(&self.0))
    }
}

/// The bytes before the first zero.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())])
}

/// What kind of object: its type, size and alignment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    type_name: [u8; TYPE_NAME],
    type_hash: u64,
    size: u64,
    align: u64,
}

impl Kind {
    /// That of a `T` with this layout. Of the name of the type counts what is behind the modules, so that
    /// two programs that declare the same type agree. Whether two types of one name, size and alignment
    /// have the same fields is not known.
    pub fn of<T: ?Sized>(layout: Layout) -> Self {
        let name = without_modules(core::any::type_name::<T>());
        let mut ends = (0..=name.len().min(TYPE_NAME)).rev();
        let kept = ends.find(|end| name.is_char_boundary(*end)).unwrap_or(0);
        let mut type_name = [0; TYPE_NAME];
        type_name[..kept].copy_from_slice(&name.as_bytes()[..kept]);
        Self {
            type_name,
            type_hash: hash(name.as_bytes()),
            size: layout.size() as u64,
            align: layout.align() as u64,
        }
    }

    /// Bytes of the object.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it is aligned to, in bytes.
    pub fn align(&self) -> u64 {
        self.align
    }

    /// The name of its type.
    pub fn type_name(&self) -> String {
        text(&self.type_name).into_owned()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, size, align) = (text(&self.type_name), self.size, self.align);
        write!(
            f,
            "{} of {size} bytes aligned to {align}",
            name.escape_debug()
        )
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kind({self})")
    }
}

/// `a::b::C<d::E>` as `C<E>`.
fn without_modules(name: &str) -> String {
    let mut short = String::new();
    let mut word = 0;
    for (at, character) in name.char_indices() {
        if character == ':' && name[..at].ends_with(':') {
            short.truncate(word);
            continue;
        }
        short.push(character);
        if !(character.is_alphanumeric() || character == '_' || character == ':') {
            word = short.len();
        }
    }
    short
}

/// FNV-1a (Fowler, Noll, Vo), the same in every program.
fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// An object, as its entry says.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Its name.
    pub name: ObjectName,
    /// What it is.
    pub kind: Kind,
    /// Where it is: bytes from the beginning of the region.
    pub offset: u64,
    /// What had to be known to build it, for example a capacity.
    pub plan: u64,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.name, self.offset, self.kind)
    }
}

/// Why an object was not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is one of that name.
    Exists,
    /// There are as many objects as can be.
    Full,
    /// It does not fit behind those that are there.
    TooSmall {
        /// Where it would begin.
        offset: u64,
    },
    /// The lock of the directory was not to be had in time: somebody is stopped just there, or a faulty peer
    /// has ruined it.
    Busy,
    /// The place that is free, as the directory says, is not: a faulty peer was there.
    Taken {
        /// Where it would begin.
        offset: u64,
    },
    /// This thread can hold no robust lock, or no more of them.
    Thread(RobustListError),
}

impl From<RobustLockError<'_, ()>> for Refused {
    fn from(error: RobustLockError<'_, ()>) -> Self {
        match error {
            RobustLockError::Refused(refusal) => Self::Thread(refusal),
            _ => Self::Busy,
        }
    }
}

impl<const MAX: usize> Default for Directory<MAX> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const MAX: usize> Directory<MAX> {
    constructor! {
        /// An empty one.
        pub fn new() -> Self {
            Self {
                lock: RobustMutex::new(()),
                count: new_tracked(0),
                entries: repeat!(Entry::new()),
            }
        }
    }

    /// Whether nobody has created anything here, whoever holds the lock.
    pub fn is_blank(&self) -> bool {
        self.count.load(Relaxed) == 0 && self.entries.iter().all(Entry::is_blank)
    }

    /// Every object.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        // Acquire pairs with the Release of `create`: what is counted is built.
        let count = (self.count.load(Acquire) as usize).min(MAX);
        self.entries[..count].iter().map(Entry::read)
    }

    /// How many objects it says there are: a faulty peer may have written more than can be.
    pub fn claimed(&self) -> u32 {
        self.count.load(Relaxed)
    }

    /// The object of this name.
    pub fn find(&self, name: &ObjectName) -> Option<Object> {
        self.objects().find(|object| object.name == *name)
    }

    /// Builds an object, in the part of `space` that is free, unless there is one of that name, or `build`
    /// refuses.
    ///
    /// # Errors
    /// Nothing was built.
    pub fn create(
        &self,
        name: ObjectName,
        kind: Kind,
        plan: u64,
        space: core::ops::Range<u64>,
        timeout: Timeout,
        build: impl FnOnce(u64) -> Result<(), Refused>,
    ) -> Result<Object, Refused> {
        self.alone(timeout, || {
            if self.find(&name).is_some() {
                return Err(Refused::Exists);
            }
            let used = self
                .objects()
                .map(|object| object.offset.saturating_add(object.kind.size));
            let free = used.fold(space.start, u64::max);
            let offset = free
                .checked_next_multiple_of(kind.align)
                .unwrap_or(u64::MAX);
            if offset
                .checked_add(kind.size)
                .is_none_or(|end| end > space.end)
            {
                return Err(Refused::TooSmall { offset });
            }
            let count = self.count.load(Relaxed);
            let entry = self.entries.get(count as usize).ok_or(Refused::Full)?;
            let object = Object {
                name,
                kind,
                offset,
                plan,
            };
            build(offset)?;
            entry.write(&object);
            // Release pairs with the Acquire of `objects`.
            self.count.store(count + 1, Release);
            Ok(object)
        })
    }

    /// Builds what stands behind the mark, unless that was done, and sets it. Of all that do this at once one
    /// builds, and if that one dies, another one does.
    ///
    /// # Errors
    /// If the lock was not to be had while timeout lasted; inside, what `build` says.
    pub fn build_once<E>(
        &self,
        mark: &Mark,
        value: u64,
        timeout: Timeout,
        build: impl FnOnce() -> Result<(), E>,
    ) -> Result<Result<(), E>, Refused> {
        self.alone(timeout, || {
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

    /// Does something that nobody else does meanwhile. Whoever died in the middle of it has left nothing
    /// to repair.
    ///
    /// # Errors
    /// If the lock was not to be had while timeout lasted.
    fn alone<R>(
        &self,
        timeout: Timeout,
        act: impl FnOnce() -> Result<R, Refused>,
    ) -> Result<R, Refused> {
        let _guard = self
            .lock
            .lock_with(timeout)
            .or_else(RobustLockError::mark_consistent)?;
        act()
    }
}

impl Entry {
    constructor! {
        fn new() -> Self {
            Self {
                name: repeat!(AtomicU64::new(0)),
                type_name: repeat!(AtomicU64::new(0)),
                type_hash: AtomicU64::new(0),
                offset: AtomicU64::new(0),
                size: AtomicU64::new(0),
                align: AtomicU64::new(0),
                plan: AtomicU64::new(0),
            }
        }
    }

    fn is_blank(&self) -> bool {
        let Object {
            name,
            kind,
            offset,
            plan,
        } = self.read();
        let rest = [kind.type_hash, kind.size, kind.align, offset, plan];
        name.0 == [0; NAME] && kind.type_name == [0; TYPE_NAME] && rest == [0; 5]
    }

    /// All of it is Relaxed: the count orders it.
    fn write(&self, object: &Object) {
        put(&self.name, &object.name.0);
        put(&self.type_name, &object.kind.type_name);
        self.type_hash.store(object.kind.type_hash, Relaxed);
        self.offset.store(object.offset, Relaxed);
        self.size.store(object.kind.size, Relaxed);
        self.align.store(object.kind.align, Relaxed);
        self.plan.store(object.plan, Relaxed);
    }

    fn read(&self) -> Object {
        Object {
            name: ObjectName(get(&self.name)),
            kind: Kind {
                type_name: get(&self.type_name),
                type_hash: self.type_hash.load(Relaxed),
                size: self.size.load(Relaxed),
                align: self.align.load(Relaxed),
            },
            offset: self.offset.load(Relaxed),
            plan: self.plan.load(Relaxed),
        }
    }
}

fn put(words: &[AtomicU64], bytes: &[u8]) {
    for (word, bytes) in words.iter().zip(bytes.as_chunks::<8>().0) {
        word.store(u64::from_ne_bytes(*bytes), Relaxed);
    }
}

fn get<const BYTES: usize>(words: &[AtomicU64]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *bytes = word.load(Relaxed).to_ne_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_without_its_modules() {
        let name = without_modules("a::b::C<d::E, [f::G<u64>; 4], &'static str>");
        assert_eq!(name, "C<E, [G<u64>; 4], &'static str>");
        assert_eq!(without_modules("u64"), "u64");
        assert_eq!(without_modules("a::Größe<ä::Ö>"), "Größe<Ö>");
    }
}
