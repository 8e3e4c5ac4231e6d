//! Shared-memory regions, on `platform` only.

mod region;

pub use region::{Region, RegionError};
