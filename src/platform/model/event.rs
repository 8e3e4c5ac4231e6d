//! The record of an execution: one event for each operation of a process.

use crate::platform::Wake;
use core::fmt;
use core::panic::Location;
use core::sync::atomic::Ordering;

/// A source line.
pub type Site = &'static Location<'static>;

/// One operation of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number of the process.
    pub process: usize,
    /// The source line of the call.
    pub site: Site,
    /// The action of the process.
    pub action: Action,
}

/// What a process did. Words and cells are numbered in the order of their creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the values read and written")]
pub enum Action {
    Load {
        word: u32,
        order: Ordering,
        read: u64,
    },
    Store {
        word: u32,
        order: Ordering,
        written: u64,
    },
    Update {
        word: u32,
        order: Ordering,
        read: u64,
        written: Option<u64>,
    },
    Fence {
        order: Ordering,
    },
    CellRead {
        cell: u32,
    },
    CellWrite {
        cell: u32,
    },
    Wait {
        word: u32,
        expected: u32,
        timed: bool,
    },
    WaitChanged {
        word: u32,
        expected: u32,
        read: u32,
    },
    /// A call on a pipe, which is a step on the word that represents the pipe.
    Pipe {
        word: u32,
        order: Ordering,
        /// The number of earlier calls on this pipe.
        before: u32,
        call: PipeCall,
    },
    /// A wait until a pipe is ready. The process sleeps in the wait queue of this word.
    Poll {
        word: u32,
        timed: bool,
    },
    Awake {
        word: u32,
        wake: Wake,
    },
    Wake {
        word: u32,
        count: u32,
        woken: u32,
    },
    Choice {
        chosen: u32,
        count: u32,
    },
    Dies,
    /// A step on the robust list, by the running process or, after its death, by the kernel.
    Robust {
        word: u32,
        step: RobustStep,
    },
}

/// The effect of a call on a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeCall {
    /// Reads this number of bytes; 0 is the end of the stream.
    Read(usize),
    /// Writes this number of bytes.
    Wrote(usize),
    /// Fails because the pipe is empty or full.
    WouldBlock,
    /// Fails because every reader is closed.
    Broken,
    /// Duplicates one end.
    Opened,
    /// Closes one end.
    Closed,
}

impl fmt::Display for PipeCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(0) => f.write_str("reads the end of the stream"),
            Self::Read(count) => write!(f, "reads {count} bytes"),
            Self::Wrote(count) => write!(f, "writes {count} bytes"),
            Self::WouldBlock => f.write_str("would block"),
            Self::Broken => f.write_str("is broken"),
            Self::Opened => f.write_str("is duplicated"),
            Self::Closed => f.write_str("is closed"),
        }
    }
}

/// A step on the robust list of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RobustStep {
    /// Sets the word as the one with a pending operation.
    SetPending,
    /// Clears the pending operation.
    ClearPending,
    /// Adds the word to the list.
    Link,
    /// Removes the word from the list.
    Unlink,
    /// The kernel finds the word on the list of a dead process.
    KernelFindsHeld,
    /// The kernel finds the word pending in a dead process.
    KernelFindsPending,
}

impl Action {
    /// Returns the word that the action writes, and the value.
    pub fn writes(&self) -> Option<(u32, u64)> {
        match *self {
            Self::Store { word, written, .. } => Some((word, written)),
            Self::Update { word, written, .. } => Some((word, written?)),
            _ => None,
        }
    }

    /// Returns true if the process falls asleep, false if it wakes up, and `None` otherwise.
    pub fn sleeps(&self) -> Option<bool> {
        match self {
            Self::Wait { .. } | Self::Poll { .. } => Some(true),
            Self::Awake { .. } => Some(false),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Load { word, order, read } => write!(f, "word {word}: load {order:?} -> {read}"),
            Self::Store {
                word,
                order,
                written,
            } => {
                write!(f, "word {word}: store {order:?} <- {written}")
            }
            Self::Update {
                word,
                order,
                read,
                written: Some(new),
            } => {
                write!(f, "word {word}: update {order:?} {read} -> {new}")
            }
            Self::Update {
                word,
                order,
                read,
                written: None,
            } => {
                write!(f, "word {word}: compare-exchange {order:?} fails on {read}")
            }
            Self::Fence { order } => write!(f, "fence {order:?}"),
            Self::CellRead { cell } => write!(f, "cell {cell}: read"),
            Self::CellWrite { cell } => write!(f, "cell {cell}: write"),
            Self::Wait {
                word,
                expected,
                timed: false,
            } => {
                write!(f, "word {word}: sleeps on {expected}")
            }
            Self::Wait {
                word,
                expected,
                timed: true,
            } => {
                write!(f, "word {word}: sleeps on {expected} until a deadline")
            }
            Self::WaitChanged {
                word,
                expected,
                read,
            } => {
                write!(f, "word {word}: does not sleep, {read} is not {expected}")
            }
            Self::Pipe { word, call, .. } => write!(f, "pipe {word}: {call}"),
            Self::Poll { word, timed: false } => write!(f, "word {word}: waits for the pipe"),
            Self::Poll { word, timed: true } => {
                write!(f, "word {word}: waits for the pipe until a deadline")
            }
            Self::Awake { word, wake } => write!(f, "word {word}: awake ({wake:?})"),
            Self::Wake { word, count, woken } => {
                write!(f, "word {word}: wakes {woken} of at most {count}")
            }
            Self::Choice { chosen, count } => write!(f, "chooses {chosen} of {count}"),
            Self::Dies => f.write_str("dies"),
            Self::Robust { word, step } => write!(f, "word {word}: {step}"),
        }
    }
}

impl fmt::Display for RobustStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SetPending => "is set pending",
            Self::ClearPending => "is no longer pending",
            Self::Link => "is added to the robust list",
            Self::Unlink => "is removed from the robust list",
            Self::KernelFindsHeld => "found on the robust list by the kernel",
            Self::KernelFindsPending => "found pending by the kernel",
        })
    }
}
