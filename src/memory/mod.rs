//! Shared-memory regions, on `directory`, `inspect`, `sync` and `platform` only.
//!
//! | file | what it is |
//! | --- | --- |
//! | `name` | where a region is found: POSIX, a file, System V |
//! | `source` | how each kind of memory is made, found and removed |
//! | `mapping` | how files are mapped, in huge pages if that is asked |
//! | `segment` | System V memory where it is mapped |
//! | `header` | the first page: what it is, and where its thread ids mean something |
//! | `region` | the mapping, and the objects in it |
//! | `attached` | an object with its region |
//! | `peek` | memory of each kind that is only read |
//! | `view` | a region that is only looked at |

mod attached;
mod error;
mod header;
mod mapping;
mod name;
mod peek;
mod region;
mod segment;
mod source;
mod view;

pub(crate) use attached::Attached;
pub use error::RegionError;
pub use header::PidNamespace;
pub use name::{BadRegionName, RegionName, ftok};
pub use region::{Options, Region};
pub use view::{RegionState, RegionView};
