//! Weakens one source line without recompiling, by relaxing its ordering, or dropping or reducing
//! its wake-ups.
//!
//! `--weaken` runs the models once for every site and every weakening of that site. If no model
//! detects a weakening, either the weaker operation is sufficient at that site, or a model is
//! missing.

use super::asymmetric::Barrier;
use super::event::Site;
use super::world;
use core::cell::Cell;
use core::sync::atomic::Ordering;

pub use super::change::Change;

/// One weakened site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weakening {
    /// The source file, as the last part of its path.
    pub file: String,
    /// The line of the call.
    pub line: u32,
    /// The change that the weakening makes at this site.
    pub change: Change,
}

thread_local! {
    static CURRENT: Cell<Option<&'static Weakening>> = const { Cell::new(None) };
}

/// Weakens this site in every model that this thread runs from now on.
pub fn set(weakening: Weakening) {
    CURRENT.set(Some(Box::leak(Box::new(weakening))));
}

fn applies(site: Site, change: Change) -> bool {
    let Some(weakening) = CURRENT.get() else {
        return false;
    };
    weakening.change == change
        && weakening.line == site.line()
        && site.file().ends_with(&weakening.file)
}

/// Returns the ordering that the operation at this site uses.
pub(super) fn ordering(site: Site, written: Ordering) -> Ordering {
    for change in Change::weaker(written) {
        world::note_site(site, *change);
    }
    let used = Change::ALL.iter().find_map(|change| {
        let ordering = change.ordering()?;
        applies(site, *change).then_some(ordering)
    });
    used.unwrap_or(written)
}

/// Does the same as [`ordering`] for a load, which cannot be a Release.
pub(super) fn load_ordering(site: Site, written: Ordering) -> Ordering {
    match (written, ordering(site, written)) {
        (Ordering::SeqCst, Ordering::AcqRel) => Ordering::Acquire,
        (_, used) => used,
    }
}

/// Does the same as [`ordering`] for a store, which cannot be an Acquire.
pub(super) fn store_ordering(site: Site, written: Ordering) -> Ordering {
    match (written, ordering(site, written)) {
        (Ordering::SeqCst, Ordering::AcqRel) => Ordering::Release,
        (_, used) => used,
    }
}

/// Returns the ordering that the compare-exchange at this site uses when it fails.
pub(super) fn failure_ordering(site: Site, written: Ordering) -> Ordering {
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

/// Returns how many waiters the wake at this site wakes, or `None` if the wake is dropped.
///
/// If the wake is dropped, its caller still gets the number of waiters that it should have woken.
pub(super) fn wake_count(site: Site, written: u32) -> Option<u32> {
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

/// Returns the barrier that the load at this site uses.
pub(super) fn barrier(site: Site, written: Barrier) -> Barrier {
    world::note_site(site, Change::LeaveOut);
    world::note_site(site, Change::SwapBarrier);
    match written {
        _ if applies(site, Change::LeaveOut) => Barrier::None,
        Barrier::Light if applies(site, Change::SwapBarrier) => Barrier::Heavy,
        Barrier::Heavy if applies(site, Change::SwapBarrier) => Barrier::Light,
        written => written,
    }
}

/// Whether the step at this site is left out.
pub(super) fn is_left_out(site: Site) -> bool {
    world::note_site(site, Change::LeaveOut);
    applies(site, Change::LeaveOut)
}
