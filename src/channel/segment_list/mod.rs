//! A queue that grows: a list of segments, created on demand and removed when they are drained.
//!
//! The list does not know where its segments are stored. An implementation of the trait
//! [`Segments`] creates, finds and removes segments. [`UnboundedBuffer`](crate::UnboundedBuffer)
//! stores each segment in a separate region.
//!
//! | file | contents |
//! | --- | --- |
//! | `list` | the list: its lock, and the numbers of the linked segments |
//! | `segment` | a segment, and the trait of the storage of segments |

mod list;
mod segment;

pub use list::{GrowthLimit, SegmentList, Usage};
pub use segment::{Segment, Segments};
