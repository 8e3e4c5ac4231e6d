//! Read-only views of a region and the state of its objects.
//!
//! [`RegionView`] reads a region without attaching to it, and [`ObjectState`] describes one object.

mod state;
#[cfg(not(loom))]
mod view;

pub use state::ObjectState;
#[cfg(not(loom))]
pub use view::{RegionState, RegionView};
