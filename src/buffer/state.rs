//! What a buffer is, as somebody sees it who only looks at its words.

use crate::sync::LockState;

/// A buffer, a moment ago. Its numbers are read one after the other, so while somebody is at work they may
/// not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferState {
    /// The lock inside.
    pub lock: LockState,
    /// How many items there are, at most the capacity; nothing where that cannot be told.
    pub fill: Option<u64>,
    /// How many places there are; nothing where that cannot be told.
    pub capacity: Option<u64>,
    /// Those who send.
    pub senders: EndState,
    /// Those who receive.
    pub receivers: EndState,
}

/// One end of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndState {
    /// That cannot be told.
    Unknown,
    /// So many handles, whoever has them. Those of dead processes count.
    Counted(u64),
    /// These threads have handles, and live, as far as the kernel has told. None: there was none yet.
    HeldBy(Vec<u32>),
    /// The last handle has gone.
    Closed,
}
