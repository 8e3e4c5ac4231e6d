//! The points where loom is imprecise, as found in the executions so far.

use super::lifecycle::current;
use super::state::{Findings, REMEMBERED_STORES, World, with};
use crate::platform::model::change::Change;
use crate::platform::model::event::Site;
use core::cell::Cell;
use core::sync::atomic::Ordering;

thread_local! {
    static COLLECTS_SITES: Cell<bool> = const { Cell::new(false) };
}

/// Returns the imprecisions of loom that the executions so far have shown.
pub fn findings() -> Findings {
    with(|world| world.findings.clone())
}

/// Starts to record every source line that can be weakened.
pub fn collect_sites() {
    COLLECTS_SITES.set(true);
}

/// Records that this change can weaken this site.
pub fn note_site(site: Site, change: Change) {
    if COLLECTS_SITES.get() {
        with(|world| {
            let file = site.file().to_owned();
            world.findings.sites.insert((file, site.line(), change))
        });
    }
}

/// Records that the model uses a fence.
pub fn note_fence() {
    with(|world| world.findings.fence = true);
}

fn note_order(world: &mut World, order: Ordering) {
    world.findings.sequentially_consistent |= order == Ordering::SeqCst;
}

/// Records a load of a word. `has_companion` says that loom treats the load as conflicting with
/// every write of the word.
pub fn note_load(word: u32, site: Site, order: Ordering, has_companion: bool) {
    let process = current();
    with(|world| {
        note_order(world, order);
        let word = &mut world.words[word as usize];
        if !has_companion {
            word.loads.push((process, site));
        }
        // In an execution with one process, every load returns the newest value, so forgotten
        // stores do not matter.
        if word.stores > REMEMBERED_STORES && world.processes.len() > 1 {
            world.findings.forgotten_stores = Some(site);
        }
    });
}

/// Records a write of a word, and whether loom misses executions because of this write.
///
/// loom compares a write with only the last access to its word. If this last access is a load that
/// is ordered before the write, for example a load by the writer itself, the load hides every
/// earlier load by another process. loom then misses the executions in which those earlier loads
/// come after the write.
///
/// If only one other process loads the word, no load of that process hides another. Either all of
/// them are ordered before the write, or the last one is not. In the second case, loom also tries
/// the write before the last load. In that execution, the second-last load is the last access
/// before the write, and the same argument applies to that load. If several processes load the
/// word, the last load may be ordered before the write, so this function assumes that the last load
/// hides the loads by the other processes.
pub fn note_write(word: u32, site: Site, order: Ordering) {
    let process = current();
    with(|world| {
        note_order(world, order);
        let word = &mut world.words[word as usize];
        word.stores += 1;
        let hidden = match word.loads.split_last() {
            Some(((last, _), earlier)) => earlier
                .iter()
                .find(|(loader, _)| *loader != process && loader != last),
            None => None,
        };
        if let Some((_, load)) = hidden {
            world.findings.blind = Some((load, site));
        }
        word.loads.clear();
    });
}

/// Records that a word's value has changed, so a sleeper's recheck may have a different result.
pub fn note_change() {
    with(|world| world.changes += 1);
}
