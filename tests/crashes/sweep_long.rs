//! The sending of items that are too long to be copied under the lock of a buffer, and so by the steps of a loan.

use super::sweep::{NOTHING, Operation, holds_one_of, put_in, take_out};
use interlatch::RobustBoundedBuffer;
use interlatch::ShmType;
use interlatch::channel::TurnSlot;
use std::fmt;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub type LongBounded = RobustBoundedBuffer<Long, [TurnSlot<Long>; 2]>;

/// An item that is longer than those that are copied under the lock, of a number again and again.
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
    /// The number, unless it is torn.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self == Self::from(self.0[0]) {
            true => self.0[0].fmt(f),
            false => self.0.fmt(f),
        }
    }
}

/// To send one is a turn, to receive it is as of a short one.
pub fn operations() -> [Operation; 2] {
    const LONG: Operation = Operation {
        on: "robust bounded buffer, long items: ",
        ..NOTHING
    };
    [
        Operation {
            name: "send",
            perform: |objects| put_in(&objects.long, 1),
            check: |objects| holds_one_of(&objects.long, &[&[], &[1]]),
            ..LONG
        },
        Operation {
            name: "send that waits",
            prepare: |objects| (1..=2).for_each(|item| put_in(&objects.long, item)),
            perform: |objects| put_in(&objects.long, 3),
            forget_range: |objects| take_out(&objects.long),
            check: |objects| holds_one_of(&objects.long, &[&[1, 2], &[2], &[2, 3]]),
            ..LONG
        },
    ]
}
