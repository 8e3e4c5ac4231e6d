//! The changes that a weakening can make to an operation.

use core::sync::atomic::Ordering;

/// The change that a weakening makes to the operation at one source line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The ordering becomes Relaxed.
    Relax,
    /// AcqRel becomes Acquire.
    ToAcquire,
    /// AcqRel becomes Release.
    ToRelease,
    /// SeqCst becomes AcqRel.
    ToAcqRel,
    /// The ordering of a failed compare-exchange becomes Relaxed.
    RelaxFailure,
    /// The wake-up is left out, so no waiter is woken.
    DropWake,
    /// A wake-up of several waiters wakes only one waiter.
    WakeOne,
    /// The change of the robust list, or the barrier, at this source line is left out.
    LeaveOut,
    /// The light barrier becomes a heavy one, or the heavy barrier a light one.
    SwapBarrier,
}

impl Change {
    /// All changes.
    pub const ALL: [Self; 9] = [
        Self::Relax,
        Self::ToAcquire,
        Self::ToRelease,
        Self::ToAcqRel,
        Self::RelaxFailure,
        Self::DropWake,
        Self::WakeOne,
        Self::LeaveOut,
        Self::SwapBarrier,
    ];

    /// Returns the name of the change in tables and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relax => "relax",
            Self::ToAcquire => "to-acquire",
            Self::ToRelease => "to-release",
            Self::ToAcqRel => "to-acq-rel",
            Self::RelaxFailure => "relax-failure",
            Self::DropWake => "drop-wake",
            Self::WakeOne => "wake-one",
            Self::LeaveOut => "leave-out",
            Self::SwapBarrier => "swap-barrier",
        }
    }

    /// Returns the ordering that replaces the ordering in the source.
    pub(super) fn ordering(self) -> Option<Ordering> {
        match self {
            Self::Relax => Some(Ordering::Relaxed),
            Self::ToAcquire => Some(Ordering::Acquire),
            Self::ToRelease => Some(Ordering::Release),
            Self::ToAcqRel => Some(Ordering::AcqRel),
            Self::RelaxFailure
            | Self::DropWake
            | Self::WakeOne
            | Self::LeaveOut
            | Self::SwapBarrier => None,
        }
    }

    /// Every change that weakens this ordering by one step.
    pub(super) fn weaker(written: Ordering) -> &'static [Self] {
        match written {
            Ordering::SeqCst => &[Self::ToAcqRel],
            Ordering::AcqRel => &[Self::ToAcquire, Self::ToRelease],
            Ordering::Acquire | Ordering::Release => &[Self::Relax],
            _ => &[],
        }
    }
}
