//! The identity of a simulated process. No process of a model has a copy of another's memory.

/// A generation: identifies a process among all processes that have a copy of its memory.
///
/// A simulated process is never copied, so its guards and handles are never inherited. The test
/// `identity` checks copies with real processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(());

impl Generation {
    /// Returns the generation of the calling process.
    pub fn current() -> Self {
        Self(())
    }

    /// Returns false: no process of a model is a copy.
    pub fn is_inherited(self) -> bool {
        false
    }

    /// Does nothing: no guard of a model is inherited.
    pub(crate) fn assert_current(self) {}
}
