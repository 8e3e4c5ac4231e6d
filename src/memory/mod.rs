//! Shared-memory regions, on `platform` only.

mod header;
mod region;

pub use header::PidNamespace;
pub use region::{Region, RegionError};
