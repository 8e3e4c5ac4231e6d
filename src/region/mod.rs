//! Shared-memory regions and the objects in them.
//!
//! | file | contents |
//! | --- | --- |
//! | `directory` | the names, types and offsets of a region's objects |
//! | `name` | how a region is found: POSIX, a file, System V |
//! | `source` | how each kind of memory is created, found and removed |
//! | `mapping` | mapped files, in huge pages on request |
//! | `segment` | mapped System V segments |
//! | `header` | the first page: format, creator, pid namespace |
//! | `handle` | the mapping and access to its objects |
//! | `attached` | an object together with its region |
//! | `peek` | memory of each kind, read without mapping it for writing |

#[cfg(not(loom))]
mod attached;
pub mod directory;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
pub(crate) mod header;
#[cfg(not(loom))]
mod mapping;
#[cfg(not(loom))]
pub(crate) mod name;
#[cfg(not(loom))]
pub(crate) mod peek;
#[cfg(not(loom))]
mod segment;
#[cfg(not(loom))]
pub(crate) mod source;

pub use crate::platform::{Config, ConfigError, Pod, ShmObject, ShmSafe};
#[cfg(not(loom))]
pub(crate) use attached::Attached;
#[cfg(not(loom))]
pub use error::RegionError;
#[cfg(not(loom))]
pub use handle::{Region, RegionOptions};
#[cfg(not(loom))]
pub use header::PidNamespace;
#[cfg(not(loom))]
pub use name::{BadRegionName, RegionName, ftok};
