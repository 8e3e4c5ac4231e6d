//! Shared-memory regions and the objects in them.
//!
//! | file | contents |
//! | --- | --- |
//! | `directory` | the names, types and offsets of a region's objects |
//! | `name` | how a region is found: POSIX, a file, System V |
//! | `new_file` | files that get their name when they are complete |
//! | `limits` | limits that the kernel enforces with a signal |
//! | `cgroup` | the memory limits of the process's cgroups |
//! | `source` | how each kind of memory is created, found and removed |
//! | `mapping` | mapped files, in huge pages on request |
//! | `segment` | mapped System V segments |
//! | `format` | the version of the format |
//! | `header` | the first 8192 bytes: format, creator, pid namespace |
//! | `handle` | [`Region`]: the mapping and access to its objects |
//! | `options` | [`RegionOptions`]: creating and attaching to named regions |
//! | `claims` | the objects that this process uses |
//! | `attached` | an object together with its region |
//! | `owner` | the owner of the memory, and the owners that a process trusts |
//! | `peek` | read-only access to each kind of memory |

#[cfg(not(loom))]
mod attached;
#[cfg(not(loom))]
mod cgroup;
#[cfg(not(loom))]
mod claims;
pub mod directory;
#[cfg(not(loom))]
mod error;
#[cfg(not(loom))]
mod format;
#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
pub(crate) mod header;
#[cfg(not(loom))]
mod limits;
#[cfg(not(loom))]
mod mapping;
#[cfg(not(loom))]
pub(crate) mod name;
#[cfg(not(loom))]
mod new_file;
#[cfg(not(loom))]
mod options;
#[cfg(not(loom))]
pub(crate) mod owner;
#[cfg(not(loom))]
pub(crate) mod peek;
#[cfg(not(loom))]
mod segment;
#[cfg(not(loom))]
pub(crate) mod source;

pub use crate::platform::{
    Config, ConfigError, FieldInfo, InitialValue, Parameter, ParameterValue, Pod, ShmObject,
    ShmSafe, ShmType, TypeInfo,
};
#[cfg(not(loom))]
pub(crate) use attached::Attached;
#[cfg(not(loom))]
pub use error::{RegionError, TypeMismatch};
#[cfg(not(loom))]
pub use format::FORMAT_VERSION;
#[cfg(not(loom))]
pub use handle::Region;
#[cfg(not(loom))]
pub use header::PidNamespace;
#[cfg(not(loom))]
pub use name::{InvalidRegionName, RegionName, ftok};
#[cfg(not(loom))]
pub use options::RegionOptions;
