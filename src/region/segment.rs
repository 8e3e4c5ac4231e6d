//! Mapped System V segments.

use super::RegionError;
use super::name::RegionName;
use super::owner::Ownership;
use nix::errno::Errno;

/// A System V segment that stays mapped while this value exists.
#[derive(Debug)]
pub(crate) struct Segment {
    id: i32,
    start: *mut u8,
    size: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and exists until this value is
// dropped. Code that accesses the mapped memory has its own SAFETY comment.
unsafe impl Send for Segment {}
// SAFETY: the reason is the same as for `Send`.
unsafe impl Sync for Segment {}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: `shmat` returned this address, and the owner of `self` no longer uses the
        // mapping.
        unsafe { libc::shmdt(self.start.cast()) };
    }
}

impl Segment {
    /// Creates a segment and returns its id.
    pub(crate) fn create(key: i32, size: usize, mode: u32) -> Result<i32, Errno> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | (mode as i32 & 0o777);
        // SAFETY: the arguments are numbers.
        Errno::result(unsafe { libc::shmget(key, size, flags) })
    }

    /// Maps the segment with this key, with these flags of `shmat(2)`.
    pub(crate) fn find(name: &RegionName, key: i32, flags: i32) -> Result<Self, RegionError> {
        // SAFETY: the arguments are numbers.
        let id = Errno::result(unsafe { libc::shmget(key, 0, 0) });
        let id = id.map_err(name.error_of("shmget"))?;
        let found = Identity::of(&status(name, id)?);
        // The segment was removed, and another segment has got its id.
        if found.key != key {
            return Err(RegionError::NotFound(name.clone()));
        }
        Self::attach_found(name, id, flags, found)
    }

    /// Maps the System V segment with this id. The segment may have no key.
    pub(crate) fn attach(name: &RegionName, id: i32, flags: i32) -> Result<Self, RegionError> {
        let found = status(name, id)?;
        Self::attach_found(name, id, flags, Identity::of(&found))
    }

    /// Maps the segment that has this id and this identity.
    ///
    /// The kernel reuses the ids of removed segments. So another segment may get the id between the
    /// lookup and the mapping. A mapped segment keeps its id, so the identity is compared after the
    /// segment is mapped.
    fn attach_found(
        name: &RegionName,
        id: i32,
        flags: i32,
        expected: Identity,
    ) -> Result<Self, RegionError> {
        // SAFETY: the kernel chooses unused addresses.
        let start = unsafe { libc::shmat(id, core::ptr::null(), flags) };
        if start.addr() == usize::MAX {
            return Err(error_of_id(name, "shmat")(Errno::last()));
        }
        let mut segment = Self {
            id,
            start: start.cast(),
            size: 0,
        };
        let mapped = status(name, id)?;
        if !Identity::of(&mapped).is_same_segment(expected) {
            return Err(RegionError::NotFound(name.clone()));
        }
        segment.size = expected.size;
        Ok(segment)
    }

    /// Returns the owner, the creator and the permissions of the segment.
    pub(crate) fn ownership(&self) -> Result<Ownership, RegionError> {
        let status = status_of_id(self.id).map_err(RegionError::system("shmctl(IPC_STAT)"))?;
        Ok(Ownership {
            owner: status.shm_perm.uid,
            creator: status.shm_perm.cuid,
            mode: u32::from(status.shm_perm.mode) & 0o777,
        })
    }

    /// Removes the segment's key. Processes that have the segment mapped keep the memory.
    pub(crate) fn remove(name: &RegionName, id: i32) -> Result<(), RegionError> {
        // SAFETY: the command `IPC_RMID` ignores the pointer argument.
        let removed = unsafe { libc::shmctl(id, libc::IPC_RMID, core::ptr::null_mut()) };
        Errno::result(removed)
            .map(drop)
            .map_err(error_of_id(name, "shmctl(IPC_RMID)"))
    }

    pub(crate) fn id(&self) -> i32 {
        self.id
    }

    pub(crate) fn start(&self) -> *mut u8 {
        self.start
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

/// The facts about a segment that do not change while it exists, except that its key becomes 0 when
/// it is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    key: i32,
    size: usize,
    creator: u32,
    creating_process: i32,
}

impl Identity {
    fn of(status: &libc::shmid_ds) -> Self {
        Self {
            key: status.shm_perm.__key,
            size: status.shm_segsz,
            creator: status.shm_perm.cuid,
            creating_process: status.shm_cpid,
        }
    }

    /// Returns whether these are the facts about the same segment, which may have been removed
    /// since `earlier`.
    fn is_same_segment(self, earlier: Self) -> bool {
        let is_key_kept = [libc::IPC_PRIVATE, earlier.key].contains(&self.key);
        let key = earlier.key;
        is_key_kept && Self { key, ..self } == earlier
    }
}

/// Returns the kernel's status of the segment with this id.
fn status(name: &RegionName, id: i32) -> Result<libc::shmid_ds, RegionError> {
    status_of_id(id).map_err(error_of_id(name, "shmctl(IPC_STAT)"))
}

fn status_of_id(id: i32) -> Result<libc::shmid_ds, Errno> {
    // SAFETY: all fields of the structure are numbers, and zero is a valid number.
    let mut status: libc::shmid_ds = unsafe { core::mem::zeroed() };
    // SAFETY: the kernel writes only into the structure that the pointer refers to.
    let result = unsafe { libc::shmctl(id, libc::IPC_STAT, &raw mut status) };
    Errno::result(result).map(|_| status)
}

/// Converts the error of a system call on the id of a segment. EINVAL means that the segment was
/// removed.
fn error_of_id(name: &RegionName, call: &'static str) -> impl Fn(Errno) -> RegionError {
    let error_of = name.error_of(call);
    move |errno| match errno {
        Errno::EINVAL => error_of(Errno::EIDRM),
        errno => error_of(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment that is removed when the test ends.
    struct Created(i32);

    impl Created {
        /// Creates a segment with a key that no other test uses, and returns the key.
        fn new(number: u32, size: usize) -> (i32, Self) {
            let key = 0x4953_0000 ^ (std::process::id() << 4 | number).cast_signed();
            (
                key,
                Self(Segment::create(key, size, 0o600).expect("memory")),
            )
        }
    }

    impl Drop for Created {
        fn drop(&mut self) {
            // SAFETY: the command `IPC_RMID` ignores the pointer argument.
            unsafe { libc::shmctl(self.0, libc::IPC_RMID, core::ptr::null_mut()) };
        }
    }

    fn name_of(key: i32) -> RegionName {
        RegionName::sysv(key).expect("a key")
    }

    #[test]
    fn reused_id_is_noticed() {
        let (key, first) = Created::new(1, 8192);
        let found = Identity::of(&status_of_id(first.0).expect("a status"));
        let sizes_and_numbers = [(8192, 2), (4096, 1)];
        for (size, number) in sizes_and_numbers {
            // The status is that of the removed segment, and the id that of its successor.
            let removed = Created(first.0);
            drop(removed);
            let (_, successor) = Created::new(number, size);
            let attached = Segment::attach_found(&name_of(key), successor.0, 0, found);
            let is_noticed = matches!(attached, Err(RegionError::NotFound(_)));
            assert!(is_noticed, "{size} {number}: {attached:?}");
        }
    }

    #[test]
    fn segment_removed_after_the_lookup_is_the_same_segment() {
        let (key, created) = Created::new(3, 4096);
        let segment = Segment::find(&name_of(key), key, 0).expect("the segment exists");
        let found = Identity::of(&status_of_id(created.0).expect("a status"));
        drop(created);
        let removed = Identity::of(&status_of_id(segment.id()).expect("it is still mapped"));
        assert_eq!(removed.key, libc::IPC_PRIVATE);
        assert!(removed.is_same_segment(found));
        assert!(
            !found.is_same_segment(removed),
            "a key does not appear later"
        );
    }
}
