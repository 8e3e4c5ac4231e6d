//! Where loom is imprecise, as far as the executions so far show it.

use super::lifecycle::current;
use super::state::{Findings, REMEMBERED_STORES, World, with};
use crate::platform::model::change::Change;
use crate::platform::model::event::Site;
use core::cell::Cell;
use core::sync::atomic::Ordering;

thread_local! {
    static COLLECTS_SITES: Cell<bool> = const { Cell::new(false) };
}

/// Returns what the executions so far have shown of loom's limits.
pub fn findings() -> Findings {
    with(|world| world.findings.clone())
}

/// Collects the sites that can be weakened in the findings, from now on.
pub fn collect_sites() {
    COLLECTS_SITES.set(true);
}

/// Notes a site that can be weakened by this change.
pub fn note_site(site: Site, change: Change) {
    if COLLECTS_SITES.get() {
        with(|world| {
            let file = site.file().to_owned();
            world.findings.sites.insert((file, site.line(), change))
        });
    }
}

/// Notes that the model uses a fence.
pub fn note_fence() {
    with(|world| world.findings.fence = true);
}

fn note_order(world: &mut World, order: Ordering) {
    world.findings.sequentially_consistent |= order == Ordering::SeqCst;
}

/// Notes a load of a word. `has_companion` says that loom sees it as conflicting with every write.
pub fn note_load(word: u32, site: Site, order: Ordering, has_companion: bool) {
    let process = current();
    with(|world| {
        note_order(world, order);
        let word = &mut world.words[word as usize];
        if !has_companion {
            word.loads.push((process, site));
        }
        // A single process reads the newest value anyway.
        if word.stores > REMEMBERED_STORES && world.processes.len() > 1 {
            world.findings.forgotten_stores = Some(site);
        }
    });
}

/// Notes a write of a word, and whether loom misses executions because of it.
///
/// loom compares a write with only the last access to its word. If that is a load which is ordered
/// before the write, for example the writer's own, it hides every earlier load by another process:
/// loom misses the executions in which those loads come after the write.
///
/// Loads by a single other process hide none of each other: either all of them are ordered before
/// the write, or the last one is not, and once loom has tried the write before it, the next load is
/// the last. With several loading processes the last load may be ordered, so they count as hiding.
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

/// Notes that a word has another value, so a sleeper that rechecks may find something new.
pub fn note_change() {
    with(|world| world.changes += 1);
}
