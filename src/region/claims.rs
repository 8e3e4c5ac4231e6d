//! The objects that this process uses in a region.

use core::any::{TypeId, type_name};
use core::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The objects that this process uses. No two of these objects overlap, whatever a peer writes into
/// the directory.
#[derive(Debug, Default)]
pub(super) struct Claims(Mutex<Vec<Claim>>);

/// An object in use: its bytes in the mapping, its configuration, and its Rust type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    bytes: Range<usize>,
    config: u64,
    type_id: TypeId,
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
}

impl Claims {
    /// Returns whether no object in use overlaps these bytes.
    pub(super) fn is_free(&self, bytes: &Range<usize>) -> bool {
        let claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !claims.iter().any(|claim| overlap(&claim.bytes, bytes))
    }

    /// Records an object. Recording the same object again has no effect.
    pub(super) fn insert(&self, new: Claim) -> Result<(), ClaimError> {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.contains(&new) {
            return Ok(());
        }
        match claims
            .iter()
            .find(|claim| overlap(&claim.bytes, &new.bytes))
        {
            Some(other) if other.bytes == new.bytes => Err(ClaimError::UsedAs(other.type_name)),
            Some(_) => Err(ClaimError::Overlap),
            None => {
                claims.push(new);
                Ok(())
            }
        }
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}
