//! Who owns the memory of a region, and which owners a process trusts.
//!
//! The owner of a file can truncate it, and can write to it at any time. Any user can create a file
//! in `/dev/shm` or a System V segment with any name before another program does. So attaching
//! checks the owner and the permissions of the memory that it opened, not of the name.

use super::RegionError;
use super::name::RegionName;
use nix::unistd::geteuid;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// The permission bits that let other users write: group and others.
const WRITE_BY_OTHERS: u32 = 0o022;

/// The owner and the permissions of the memory of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ownership {
    /// The user id of the owner.
    pub(crate) owner: u32,
    /// The user id of the creator. Only System V memory keeps a creator that can differ from the
    /// owner. The creator keeps the rights of an owner.
    pub(crate) creator: u32,
    /// The permission bits.
    pub(crate) mode: u32,
}

impl Ownership {
    /// Returns the owner and the permissions of a file. If the file has an access control list, the
    /// bits of the group are the most that the list grants to any user or group.
    pub(crate) fn of_file(metadata: &Metadata) -> Self {
        Self {
            owner: metadata.uid(),
            creator: metadata.uid(),
            mode: metadata.mode() & 0o777,
        }
    }
}

/// The owners and the permissions that a process accepts when it attaches to a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trust<'a> {
    /// The permission bits that the region may have. Only the bits for writing matter.
    pub(crate) mode: u32,
    /// The user ids of the accepted owners besides this process's user and root.
    pub(crate) owners: &'a [u32],
}

impl Trust<'_> {
    /// Checks the memory of the region with this name.
    pub(crate) fn check(self, name: &RegionName, found: Ownership) -> Result<(), RegionError> {
        self.check_owner(Some(name), found)?;
        match found.mode & WRITE_BY_OTHERS & !self.mode {
            0 => Ok(()),
            _ => Err(RegionError::WritableByOthers {
                region: name.clone(),
                owner: found.owner,
                mode: found.mode,
                allowed: self.mode,
            }),
        }
    }

    /// Checks a memfd. The permission bits of a memfd have no effect, because a memfd has no name:
    /// only a process that receives the descriptor can open it.
    pub(crate) fn check_memfd(self, metadata: &Metadata) -> Result<(), RegionError> {
        self.check_owner(None, Ownership::of_file(metadata))
    }

    fn check_owner(self, name: Option<&RegionName>, found: Ownership) -> Result<(), RegionError> {
        let this_user = geteuid().as_raw();
        let is_trusted = |user: u32| user == 0 || user == this_user || self.owners.contains(&user);
        let users = [found.owner, found.creator];
        match users.into_iter().find(|user| !is_trusted(*user)) {
            None => Ok(()),
            Some(owner) => Err(RegionError::OtherOwner {
                region: name.cloned(),
                owner,
                mode: found.mode,
                this_user,
            }),
        }
    }
}
