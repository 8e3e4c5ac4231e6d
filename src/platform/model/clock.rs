//! The clock of the model, in which a nondeterministic choice decides whether a deadline has
//! passed.

use super::choice;
use std::time::{Duration, Instant};

/// A deadline that may pass at any step of its waiter, or never.
///
/// A deadline that may pass at any step stands for every duration on a machine of any speed. So the
/// deadline stores no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(());

impl Deadline {
    /// Creates a deadline. The model ignores the duration.
    pub fn after(_timeout: Duration) -> Self {
        Self(())
    }

    /// Creates a deadline. The model ignores the instant.
    pub fn at(_instant: Instant) -> Self {
        Self(())
    }

    /// Returns whether the deadline has passed. loom explores both answers.
    pub(crate) fn has_passed(self) -> bool {
        choice::choose_bool()
    }
}
