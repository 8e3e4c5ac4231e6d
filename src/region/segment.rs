//! System V shared memory: a segment where it is mapped.

use super::RegionError;
use super::name::RegionName;
use nix::errno::Errno;

/// A segment that is mapped as long as this lives.
#[derive(Debug)]
pub(crate) struct Segment {
    id: i32,
    start: *mut u8,
    size: usize,
}

// SAFETY: an address that stays mapped until the drop; who reads or writes there answers for it.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: `shmat` has returned this address, and nobody uses it after this.
        unsafe { libc::shmdt(self.start.cast()) };
    }
}

impl Segment {
    /// The id of a new segment of that many bytes.
    pub(crate) fn create(key: i32, size: usize, mode: u32) -> Result<i32, Errno> {
        let flags = libc::IPC_CREAT | libc::IPC_EXCL | (mode as i32 & 0o777);
        // SAFETY: it takes numbers only.
        Errno::result(unsafe { libc::shmget(key, size, flags) })
    }

    /// The segment of this key, mapped with these flags of `shmat(2)`.
    pub(crate) fn find(name: &RegionName, key: i32, flags: i32) -> Result<Self, RegionError> {
        // SAFETY: it takes numbers only.
        let id = Errno::result(unsafe { libc::shmget(key, 0, 0) });
        Self::attach(name, id.map_err(name.refusal("shmget"))?, flags)
    }

    /// The segment of this id, which may have no key.
    pub(crate) fn attach(name: &RegionName, id: i32, flags: i32) -> Result<Self, RegionError> {
        // SAFETY: zero is valid for this structure of numbers.
        let mut status: libc::shmid_ds = unsafe { core::mem::zeroed() };
        // SAFETY: the kernel writes the structure.
        let asked = unsafe { libc::shmctl(id, libc::IPC_STAT, &raw mut status) };
        Errno::result(asked).map_err(refusal_of_id(name, "shmctl(IPC_STAT)"))?;
        // SAFETY: the kernel chooses a place where nothing is.
        let start = unsafe { libc::shmat(id, core::ptr::null(), flags) };
        if start.addr() == usize::MAX {
            return Err(refusal_of_id(name, "shmat")(Errno::last()));
        }
        Ok(Self {
            id,
            start: start.cast(),
            size: status.shm_segsz as usize,
        })
    }

    /// Removes the key. Who has the segment mapped keeps it.
    pub(crate) fn remove(name: &RegionName, id: i32) -> Result<(), RegionError> {
        // SAFETY: this command ignores the pointer.
        let removed = unsafe { libc::shmctl(id, libc::IPC_RMID, core::ptr::null_mut()) };
        Errno::result(removed)
            .map(drop)
            .map_err(refusal_of_id(name, "shmctl(IPC_RMID)"))
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

/// What the kernel's refusal means for the id of a segment that was there a moment ago.
fn refusal_of_id(name: &RegionName, call: &'static str) -> impl Fn(Errno) -> RegionError {
    let refusal = name.refusal(call);
    move |errno| match errno {
        Errno::EINVAL => refusal(Errno::EIDRM),
        errno => refusal(errno),
    }
}
