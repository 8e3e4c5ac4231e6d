//! Breaking one line without recompiling: an ordering made Relaxed, a wake dropped or thinned.
//!
//! `--weaken` runs the models once for every site and every weakening of it; a site that no
//! model misses is either not needed in the source, or lacks a model.

use super::world;
use core::cell::Cell;
use core::panic::Location;
use core::sync::atomic::Ordering;

/// What is done to the operation at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The ordering becomes Relaxed.
    Relax,
    /// Of acquire and release, only the first is left.
    ToAcquire,
    /// Of acquire and release, only the second is left.
    ToRelease,
    /// A sequentially consistent ordering becomes acquire and release.
    ToAcqRel,
    /// The ordering of a compare-exchange that fails becomes Relaxed.
    RelaxFailure,
    /// The wake is dropped.
    DropWake,
    /// A wake of all wakes one.
    WakeOne,
    /// The step of the robust list is left out.
    LeaveOut,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Relax,
        Self::ToAcquire,
        Self::ToRelease,
        Self::ToAcqRel,
        Self::RelaxFailure,
        Self::DropWake,
        Self::WakeOne,
        Self::LeaveOut,
    ];

    /// Its name in tables and on the command line.
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
        }
    }

    /// The ordering that takes the place of the written one.
    fn ordering(self) -> Option<Ordering> {
        match self {
            Self::Relax => Some(Ordering::Relaxed),
            Self::ToAcquire => Some(Ordering::Acquire),
            Self::ToRelease => Some(Ordering::Release),
            Self::ToAcqRel => Some(Ordering::AcqRel),
            Self::RelaxFailure | Self::DropWake | Self::WakeOne | Self::LeaveOut => None,
        }
    }

    /// One step down from this ordering: all the ways.
    fn of(written: Ordering) -> &'static [Self] {
        match written {
            Ordering::SeqCst => &[Self::ToAcqRel],
            Ordering::AcqRel => &[Self::ToAcquire, Self::ToRelease],
            Ordering::Acquire | Ordering::Release => &[Self::Relax],
            _ => &[],
        }
    }
}

/// One weakened site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakening {
    /// The end of the source file's path.
    pub file: String,
    /// The line of the call.
    pub line: u32,
    /// What is done to it.
    pub change: Change,
}

thread_local! {
    static CURRENT: Cell<Option<&'static Weakening>> = const { Cell::new(None) };
}

/// From here on this site is weakened, in every model that this thread runs.
pub fn set(weakening: Weakening) {
    CURRENT.set(Some(Box::leak(Box::new(weakening))));
}

fn applies(site: &'static Location<'static>, change: Change) -> bool {
    let Some(weakening) = CURRENT.get() else {
        return false;
    };
    weakening.change == change
        && weakening.line == site.line()
        && site.file().ends_with(&weakening.file)
}

/// The ordering that the operation at this site really uses.
pub(super) fn ordering(site: &'static Location<'static>, written: Ordering) -> Ordering {
    for change in Change::of(written) {
        world::note_site(site, *change);
    }
    let used = Change::ALL.iter().find_map(|change| {
        let ordering = change.ordering()?;
        applies(site, *change).then_some(ordering)
    });
    used.unwrap_or(written)
}

/// As [`ordering`], of a load: it can acquire, and not release.
pub(super) fn of_load(site: &'static Location<'static>, written: Ordering) -> Ordering {
    match (written, ordering(site, written)) {
        (Ordering::SeqCst, Ordering::AcqRel) => Ordering::Acquire,
        (_, used) => used,
    }
}

/// As [`ordering`], of a store: it can release, and not acquire.
pub(super) fn of_store(site: &'static Location<'static>, written: Ordering) -> Ordering {
    match (written, ordering(site, written)) {
        (Ordering::SeqCst, Ordering::AcqRel) => Ordering::Release,
        (_, used) => used,
    }
}

/// The ordering that the compare-exchange at this site really uses when it fails.
pub(super) fn of_failure(site: &'static Location<'static>, written: Ordering) -> Ordering {
    if written == Ordering::Relaxed {
        return written;
    }
    world::note_site(site, Change::RelaxFailure);
    if applies(site, Change::RelaxFailure) {
        Ordering::Relaxed
    } else {
        written
    }
}

/// The number of waiters that the wake at this site really wakes; none, if it is lost on the way,
/// although the caller is told that it was not.
pub(super) fn wakes(site: &'static Location<'static>, written: u32) -> Option<u32> {
    world::note_site(site, Change::DropWake);
    if written > 1 {
        world::note_site(site, Change::WakeOne);
    }
    if applies(site, Change::DropWake) {
        None
    } else if applies(site, Change::WakeOne) {
        Some(written.min(1))
    } else {
        Some(written)
    }
}

/// Whether the step of the robust list at this site is left out.
pub(super) fn leaves_out(site: &'static Location<'static>) -> bool {
    world::note_site(site, Change::LeaveOut);
    applies(site, Change::LeaveOut)
}
