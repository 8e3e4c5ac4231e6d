//! Items: a number that fits in one atomic write, or a number repeated over several writes.

use interlatch::Pod;

/// An item that encodes a number.
pub trait Item: Pod {
    /// The name of the type in the roles of actors.
    const NAME: &'static str;

    fn from_number(number: u64) -> Self;

    /// Returns the number. Panics if the item is torn.
    fn number(self) -> u64;
}

impl Item for u64 {
    const NAME: &'static str = "small";

    fn from_number(number: u64) -> Self {
        number
    }

    fn number(self) -> u64 {
        self
    }
}

/// An item of two and a half times the size of an atomic write.
pub type Large = [u64; 1280];

impl Item for Large {
    const NAME: &'static str = "large";

    fn from_number(number: u64) -> Self {
        [number; 1280]
    }

    fn number(self) -> u64 {
        assert!(self.iter().all(|word| *word == self[0]), "a torn item");
        self[0]
    }
}

/// Encodes the producer and the sequence number of an item.
pub fn numbered_item(producer: u64, sequence: u64) -> u64 {
    producer << 32 | sequence
}
