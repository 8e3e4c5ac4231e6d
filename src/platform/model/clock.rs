//! The clock of the model, in which a deadline passes by choice.

use super::choice;
use std::time::{Duration, Instant};

/// A deadline that may pass at any step of its waiter, or never.
///
/// This covers every duration and every speed of the machine, so the deadline stores no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(());

impl Deadline {
    /// A deadline after this time.
    pub fn after(_timeout: Duration) -> Self {
        Self(())
    }

    /// A deadline at this instant.
    pub fn at(_instant: Instant) -> Self {
        Self(())
    }

    /// Whether the deadline has passed: both answers are explored.
    pub(crate) fn has_passed(self) -> bool {
        choice::choose_bool()
    }
}
