//! The swept operations on items that are too long to be copied under the lock of a buffer. The
//! buffer sends such items in the same way as loans.

use super::buffers::{contains_one_of, recv_one, send_one};
use super::{NO_OPERATION, Operation};
use interlatch::RobustBoundedBuffer;
use interlatch::ShmType;
use interlatch::channel::TurnSlot;
use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub type LongBounded = RobustBoundedBuffer<Long, [TurnSlot<Long>; 2]>;

/// An item that is too long to be copied under the lock: one number, repeated.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, FromBytes, IntoBytes, Immutable, ShmType)]
pub struct Long([u64; LENGTH]);

const LENGTH: usize = 1024 / size_of::<u64>() + 1;

impl From<u64> for Long {
    fn from(number: u64) -> Self {
        Self([number; LENGTH])
    }
}

impl fmt::Debug for Long {
    /// Prints the number, or all words of a torn item.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self == Self::from(self.0[0]) {
            true => self.0[0].fmt(f),
            false => self.0.fmt(f),
        }
    }
}

/// Returns only the send operations, because the same code receives long and short items.
pub fn operations() -> [Operation; 2] {
    const LONG: Operation = Operation {
        object: "robust bounded buffer, long items: ",
        ..NO_OPERATION
    };
    [
        Operation {
            name: "send",
            perform: |objects| send_one(&objects.long, 1),
            check: |objects| contains_one_of(&objects.long, &[&[], &[1]]),
            ..LONG
        },
        Operation {
            name: "send that waits",
            prepare: |objects| (1..=2).for_each(|item| send_one(&objects.long, item)),
            perform: |objects| send_one(&objects.long, 3),
            unblock: |objects| recv_one(&objects.long),
            check: |objects| contains_one_of(&objects.long, &[&[1, 2], &[2], &[2, 3]]),
            ..LONG
        },
    ]
}
