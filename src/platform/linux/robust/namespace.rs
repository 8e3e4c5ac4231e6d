//! The pid namespace of the regions that a process has inherited.
//!
//! A robust word contains a thread id, which means nothing in another pid namespace. A process can
//! attach to a region only in the namespace of its creator. But a process can inherit a mapping:
//! the child of a process that called `unshare(CLONE_NEWPID)` or `setns(2)` is in another namespace
//! than its parent.

use super::process::{self, Process};
use crate::platform::identity::Generation;
use crate::platform::linux::{AtomicU64, AtomicUsize};
use crate::platform::robust::RobustListError;
use core::sync::atomic::Ordering::Relaxed;

// A forked child inherits these two statics. Relaxed: a fork copies all memory, and the threads of
// one process store the same namespace.

/// The number of regions that this process has mapped or inherited.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// The pid namespace in which all of these regions were mapped.
static NAMESPACE: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// Regions from several namespaces, or from an unknown one. No process is in this namespace.
const NONE: [u64; 2] = [u64::MAX; 2];

/// A region that is mapped in this process, or a copy of it in a forked child.
#[derive(Debug)]
pub struct MappedRegion {
    /// The process that counts the region in its records, or `None` if it has no records.
    mapper: Option<Generation>,
}

impl MappedRegion {
    /// Records that this process has mapped a region.
    pub(crate) fn new() -> Self {
        let process = process::get();
        let namespace = process.and_then(Process::namespace).unwrap_or(NONE);
        let others = match inherited() {
            0 => namespace,
            _ => load_namespace(),
        };
        let all = if others == namespace { namespace } else { NONE };
        store_namespace(all);
        MAPPED.fetch_add(1, Relaxed);
        if let Some(process) = process {
            process.own_regions.fetch_add(1, Relaxed);
        }
        Self {
            mapper: process.map(|_| Generation::current()),
        }
    }
}

/// Records that the region is no longer mapped.
impl Drop for MappedRegion {
    fn drop(&mut self) {
        MAPPED.fetch_sub(1, Relaxed);
        let is_counted = self.mapper.is_some_and(|mapper| !mapper.is_inherited());
        if let Some(process) = process::existing().filter(|_| is_counted) {
            process.own_regions.fetch_sub(1, Relaxed);
        }
    }
}

/// Fails if this process has inherited a region from another pid namespace.
pub(super) fn check(process: &Process) -> Result<(), RobustListError> {
    if inherited() == 0 || process.namespace() == Some(load_namespace()) {
        return Ok(());
    }
    Err(RobustListError::OtherPidNamespace)
}

/// Returns the number of regions that this process did not map itself.
fn inherited() -> usize {
    let own = process::existing().map_or(0, |process| process.own_regions.load(Relaxed));
    MAPPED.load(Relaxed).saturating_sub(own)
}

fn load_namespace() -> [u64; 2] {
    [0, 1].map(|word: usize| NAMESPACE[word].load(Relaxed))
}

fn store_namespace(namespace: [u64; 2]) {
    NAMESPACE[0].store(namespace[0], Relaxed);
    NAMESPACE[1].store(namespace[1], Relaxed);
}
