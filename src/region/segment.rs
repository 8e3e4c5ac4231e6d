//! Mapped System V segments.

use super::RegionError;
use super::name::RegionName;
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
        Self::attach(name, id.map_err(name.error_of("shmget"))?, flags)
    }

    /// Maps the System V segment with this id. The segment may have no key.
    pub(crate) fn attach(name: &RegionName, id: i32, flags: i32) -> Result<Self, RegionError> {
        // SAFETY: all fields of the structure are numbers, and zero is a valid number.
        let mut status: libc::shmid_ds = unsafe { core::mem::zeroed() };
        // SAFETY: the kernel writes only into the structure that the pointer refers to.
        let result = unsafe { libc::shmctl(id, libc::IPC_STAT, &raw mut status) };
        Errno::result(result).map_err(error_of_id(name, "shmctl(IPC_STAT)"))?;
        // SAFETY: the kernel chooses unused addresses.
        let start = unsafe { libc::shmat(id, core::ptr::null(), flags) };
        if start.addr() == usize::MAX {
            return Err(error_of_id(name, "shmat")(Errno::last()));
        }
        Ok(Self {
            id,
            start: start.cast(),
            size: status.shm_segsz as usize,
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

/// Converts the error of a system call on the id of a segment. EINVAL means that the segment was
/// removed.
fn error_of_id(name: &RegionName, call: &'static str) -> impl Fn(Errno) -> RegionError {
    let error_of = name.error_of(call);
    move |errno| match errno {
        Errno::EINVAL => error_of(Errno::EIDRM),
        errno => error_of(errno),
    }
}
