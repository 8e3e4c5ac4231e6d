//! Settings of this process that use more processor time to reduce latency, or the opposite.

pub use crate::platform::futex::{recheck_interval, set_recheck_interval};
pub use crate::platform::spin::set_spinning;
