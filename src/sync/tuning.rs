//! Settings of the process that trade processor time for latency.

pub use crate::platform::futex::{recheck_interval, set_recheck_interval};
pub use crate::platform::spin::set_spinning;
