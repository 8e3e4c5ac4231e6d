//! What is sent: a number in one piece, or one in so many words that it goes in several.

use interlatch::Pod;

/// An item that a number can be told from.
pub trait Item: Pod {
    /// What an actor knows it by.
    const NAME: &'static str;

    fn of(number: u64) -> Self;

    /// The number; of a torn item there is none.
    fn number(self) -> u64;
}

impl Item for u64 {
    const NAME: &'static str = "small";

    fn of(number: u64) -> Self {
        number
    }

    fn number(self) -> u64 {
        self
    }
}

/// Two and a half times what a pipe takes in one piece.
pub type Large = [u64; 1280];

impl Item for Large {
    const NAME: &'static str = "large";

    fn of(number: u64) -> Self {
        [number; 1280]
    }

    fn number(self) -> u64 {
        assert!(self.iter().all(|word| *word == self[0]), "torn");
        self[0]
    }
}

/// Whose item it is, and the how manieth.
pub fn numbered(producer: u64, sequence: u64) -> u64 {
    producer << 32 | sequence
}
