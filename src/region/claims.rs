//! The objects that this process uses in a region.

use crate::platform::Ordering::{Acquire, Relaxed, Release};
use crate::platform::{AtomicPtr, AtomicU32};
use core::any::{TypeId, type_name};
use core::ops::Range;
use core::ptr;

/// The objects that this process uses. No two of these objects overlap, whatever a peer writes into
/// the directory.
///
/// The claims are a list that only grows, and one exchange adds a claim. There is no lock, because
/// a child of a threaded process would inherit it locked, without the thread that would unlock it.
#[derive(Debug, Default)]
pub(super) struct Claims {
    newest: AtomicPtr<Node>,
}

// SAFETY: a node is not changed after it was added, apart from its atomic state. Nodes are freed
// only when the list is dropped, which `&mut self` excludes from all other accesses.
unsafe impl Send for Claims {}
// SAFETY: the reason is the same as for `Send`.
unsafe impl Sync for Claims {}

/// A claim in the list.
#[derive(Debug)]
struct Node {
    claim: Claim,
    /// `BUILDING`, `USABLE` or `WITHDRAWN`.
    state: AtomicU32,
    /// The claim that was added before this one, or null.
    older: *mut Node,
}

/// This process is building the object.
const BUILDING: u32 = 0;
/// This process uses the object.
const USABLE: u32 = 1;
/// The object was not built, so its bytes are free again.
const WITHDRAWN: u32 = 2;

/// An object in use: its bytes in the mapping, its configuration, and its Rust type.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    bytes: Range<usize>,
    config: u64,
    /// The identity of the type within this program. The identity that programs share is the
    /// [`ShmType`](crate::platform::ShmType), which is compared before an object is claimed.
    ///
    /// A claim never leaves its `Region`, so another build or another copy of this crate, whose ids
    /// may differ, never compares it. The shared identity is not enough here: its trait is safe to
    /// implement, so two types with the same identity may access the bytes in different ways.
    type_id: TypeId,
    /// The name for error messages, which is not unique.
    type_name: &'static str,
}

/// The error returned when the claim of an object conflicts with another claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimError {
    /// This process already uses the same bytes as the named type, or with another configuration.
    UsedAs(&'static str),
    /// The claimed bytes overlap another object in use.
    Overlap,
}

impl Claim {
    pub(super) fn new<T: ?Sized + 'static>(bytes: Range<usize>, config: u64) -> Self {
        Self {
            bytes,
            config,
            type_id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.config == other.config && self.type_id == other.type_id
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.bytes.start < other.bytes.end && other.bytes.start < self.bytes.end
    }
}

/// A claim of memory in which this process builds an object. Dropping it unfinished withdraws the
/// claim.
#[derive(Debug)]
pub(super) struct Building<'a>(&'a Node);

impl Building<'_> {
    /// Declares the object built. Other threads of this process may claim it from now on.
    pub(super) fn finish(self) {
        // Release pairs with the Acquire in `Node::is_usable_as`: a thread that claims the object
        // sees it built.
        self.0.state.store(USABLE, Release);
    }
}

impl Drop for Building<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `Node::conflicts_with`: this thread no longer writes
        // into the memory. An exchange that fails means that `finish` was called. Relaxed is enough
        // then.
        let _ = self
            .0
            .state
            .compare_exchange(BUILDING, WITHDRAWN, Release, Relaxed);
    }
}

impl Node {
    fn is_usable_as(&self, claim: &Claim) -> bool {
        // Acquire pairs with the Release in `Building::finish`: the object is built.
        self.state.load(Acquire) == USABLE && self.claim.is_same(claim)
    }

    fn conflicts_with(&self, claim: &Claim) -> bool {
        // Acquire pairs with the Release in `Building::drop`: the builder of a withdrawn object no
        // longer writes into its memory.
        self.claim.overlaps(claim) && self.state.load(Acquire) != WITHDRAWN
    }
}

impl Claims {
    /// Claims memory in which this process is about to build an object.
    ///
    /// # Errors
    /// Fails if the memory overlaps an object in use.
    pub(super) fn build(&self, new: Claim) -> Result<Building<'_>, ClaimError> {
        match self.add(&new, BUILDING) {
            Ok(node) => Ok(Building(node)),
            Err(_) => Err(ClaimError::Overlap),
        }
    }

    /// Records an object that a process has built. Recording the same object again has no effect.
    ///
    /// # Errors
    /// Fails if the memory overlaps another object in use, or is in use as another type.
    pub(super) fn insert(&self, new: &Claim) -> Result<(), ClaimError> {
        match self.add(new, USABLE) {
            Err(node) if node.is_usable_as(new) => Ok(()),
            Err(Node { claim, .. }) if claim.bytes == new.bytes => {
                Err(ClaimError::UsedAs(claim.type_name))
            }
            Err(_) => Err(ClaimError::Overlap),
            Ok(_) => Ok(()),
        }
    }

    /// Adds a claim, or returns the claim with which it conflicts.
    fn add(&self, new: &Claim, state: u32) -> Result<&Node, &Node> {
        let mut checked = ptr::null_mut();
        let mut unused = None;
        loop {
            // Acquire pairs with the Release of the exchange below, so the claims are visible.
            let newest = self.newest.load(Acquire);
            if let Some(node) = Self::find_conflict(newest, checked, new) {
                return Err(node);
            }
            checked = newest;
            let mut node = unused.take().unwrap_or_else(|| {
                Box::new(Node {
                    claim: new.clone(),
                    state: AtomicU32::new(state),
                    older: ptr::null_mut(),
                })
            });
            node.older = newest;
            let node = Box::into_raw(node);
            // Release pairs with the Acquire above, and with the Acquire of other threads there.
            match self.newest.compare_exchange(newest, node, Release, Relaxed) {
                // SAFETY: nodes of the list live as long as the list.
                Ok(_) => return Ok(unsafe { &*node }),
                // SAFETY: `into_raw` returned the pointer above, and the list does not have it.
                Err(_) => unused = Some(unsafe { Box::from_raw(node) }),
            }
        }
    }

    /// Returns a claim that conflicts with the new one, from `newest` down to the one before `end`.
    fn find_conflict<'a>(newest: *const Node, end: *const Node, new: &Claim) -> Option<&'a Node> {
        let mut next = newest;
        while next != end {
            // SAFETY: nodes of the list live as long as the list, which the caller borrows. `next`
            // is not null, because the claim before the first one is `end` or null, and the list
            // ends there.
            let node = unsafe { &*next };
            if node.conflicts_with(new) {
                return Some(node);
            }
            next = node.older;
        }
        None
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        // Relaxed: `&mut self` excludes other threads.
        let mut next = self.newest.load(Relaxed);
        while !next.is_null() {
            // SAFETY: `add` got the pointer from a box, and the list has each node once.
            let node = unsafe { Box::from_raw(next) };
            next = node.older;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_do_not_overlap() {
        let claims = Claims::default();
        let first = Claim::new::<u32>(0..8, 0);
        assert_eq!(claims.insert(&first), Ok(()));
        assert_eq!(claims.insert(&first), Ok(()), "the same claim again");
        assert_eq!(claims.insert(&Claim::new::<u64>(8..16, 0)), Ok(()));
        let other_type = claims.insert(&Claim::new::<u64>(0..8, 0));
        assert_eq!(other_type, Err(ClaimError::UsedAs("u32")));
        let other_config = claims.insert(&Claim::new::<u32>(0..8, 1));
        assert_eq!(other_config, Err(ClaimError::UsedAs("u32")));
        let overlap = claims.insert(&Claim::new::<u32>(4..12, 0));
        assert_eq!(overlap, Err(ClaimError::Overlap));
    }

    #[test]
    fn object_is_used_only_after_it_is_built() {
        let claims = Claims::default();
        let claim = Claim::new::<u32>(0..8, 0);
        let building = claims.build(claim.clone()).expect("the memory is free");
        assert!(claims.build(claim.clone()).is_err(), "a second builder");
        assert!(claims.insert(&claim).is_err(), "not built yet");
        building.finish();
        assert_eq!(claims.insert(&claim), Ok(()));
        assert!(claims.build(claim).is_err(), "the object is in use");
    }

    #[test]
    fn failed_build_leaves_no_claim() {
        let claims = Claims::default();
        let building = claims.build(Claim::new::<u32>(0..8, 0));
        drop(building.expect("the memory is free"));
        assert_eq!(claims.insert(&Claim::new::<u64>(4..12, 0)), Ok(()));
    }

    #[test]
    fn one_of_several_threads_claims_memory() {
        for _ in 0..100 {
            let claims = Claims::default();
            let won = std::thread::scope(|scope| {
                let claim = |start: usize| claims.build(Claim::new::<u32>(start..start + 8, 0));
                let threads: Vec<_> = (0..4)
                    .map(|start| scope.spawn(move || claim(start).map(Building::finish)))
                    .collect();
                let results = threads.into_iter().map(|thread| thread.join().unwrap());
                results.filter(Result::is_ok).count()
            });
            assert_eq!(won, 1);
        }
    }
}
