//! Breaking one line without recompiling: an ordering made Relaxed, a wake dropped or thinned.
//!
//! `--weaken` runs the models once for every site and every weakening of it; a site that no
//! model misses is either not needed in the source, or lacks a model.

use super::world;
use core::cell::Cell;
use core::panic::Location;
use core::sync::atomic::Ordering;

/// What is done to the operation at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The ordering becomes Relaxed.
    Relax,
    /// The wake is dropped.
    DropWake,
    /// A wake of all wakes one.
    WakeOne,
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
    if written != Ordering::Relaxed {
        world::note_site(site, world::SiteKind::Ordering(written.into()));
    }
    if applies(site, Change::Relax) {
        Ordering::Relaxed
    } else {
        written
    }
}

/// The number of waiters that the wake at this site really wakes; none, if it is lost on the way,
/// although the caller is told that it was not.
pub(super) fn wakes(site: &'static Location<'static>, written: u32) -> Option<u32> {
    world::note_site(site, world::SiteKind::Wake { all: written > 1 });
    if applies(site, Change::DropWake) {
        None
    } else if applies(site, Change::WakeOne) {
        Some(written.min(1))
    } else {
        Some(written)
    }
}
