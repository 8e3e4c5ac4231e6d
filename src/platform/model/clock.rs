//! Time passes only by choice.

use super::choice;
use std::time::{Duration, Instant};

/// A deadline that may pass at any step of its waiter, and need not pass at all.
///
/// That covers every duration and every speed of the machine, so the length is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(());

impl Deadline {
    /// That long from now.
    pub fn after(_timeout: Duration) -> Self {
        Self(())
    }

    /// At this instant.
    pub fn at(_instant: Instant) -> Self {
        Self(())
    }

    /// Whether it is over: that may be so at any time.
    pub(crate) fn has_passed(self) -> bool {
        choice::flip()
    }
}
