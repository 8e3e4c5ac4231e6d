//! Generated programs: an object, the processes that use it, and their calls.

use interlatch::channel::message_queue::{MessageType, QueueLimits, Select};
use interlatch_contract::specification::{Message, Operation, SequentialState};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The type of the shared object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Lock,
    Semaphore,
    Pair,
    Bounded,
    Monitor,
    RobustBounded,
    RobustMonitor,
    Queue,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Lock,
        Self::Semaphore,
        Self::Pair,
        Self::Bounded,
        Self::Monitor,
        Self::RobustBounded,
        Self::RobustMonitor,
        Self::Queue,
    ];

    /// Returns whether a failure is exact even while another operation is incomplete.
    pub fn is_one_step(self) -> bool {
        !matches!(self, Self::Pair | Self::Bounded | Self::RobustBounded)
    }
}

/// The object of a program.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Object {
    pub kind: Kind,
    /// The number of initial permits, of slots, or of messages.
    pub capacity: usize,
    /// Whether the size of an item is 1 KiB instead of 8 bytes.
    pub large: bool,
    /// Whether a buffer's items are sent in batches of one item. A larger batch would be several
    /// steps of the specification.
    pub batches: bool,
    /// The number of processes. Each process has a sender and a receiver of a buffer.
    pub processes: usize,
}

impl Object {
    /// Returns the limits of a message queue. Some messages are longer than an equal share of the
    /// bytes.
    pub fn limits(&self) -> QueueLimits {
        QueueLimits {
            messages: self.capacity as u32,
            bytes: self.capacity as u32 * MAX_LENGTH as u32 / 2 + MAX_LENGTH as u32 / 2,
        }
    }

    /// The initial state of the specification.
    pub fn initial(&self) -> SequentialState {
        let count = self.capacity as u32;
        match self.kind {
            Kind::Lock => SequentialState::Semaphore(1),
            Kind::Semaphore => SequentialState::Semaphore(count),
            Kind::Pair => SequentialState::Pair {
                writer: count,
                reader: 0,
            },
            Kind::Queue => SequentialState::Queue {
                messages: Default::default(),
                max_messages: self.capacity,
                max_bytes: self.limits().bytes as usize,
            },
            _ => SequentialState::Buffer {
                items: Default::default(),
                capacity: self.capacity,
                senders: self.processes,
                receivers: self.processes,
            },
        }
    }
}

/// The length in bytes of the longest message, which occupies two cells.
const MAX_LENGTH: usize = 120;

/// The timeout of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Wait {
    Forever,
    Never,
    /// Waits until a deadline that has already expired.
    Zero,
    /// Waits for a few hundred microseconds.
    Briefly,
}

/// One operation in the form sent to an actor, because `Operation` cannot be serialized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    Acquire(Wait),
    Release(u32),
    Write(Wait),
    Read(Wait),
    Send(u64, Wait),
    Recv(Wait),
    /// Sends a message with this type, this item, and this length in bytes.
    Post(i64, u64, usize, Wait),
    /// Receives a message selected as in `msgrcv(2)`: 0 selects any type, a positive number selects
    /// that type, and a negative number selects the lowest type up to its absolute value.
    Fetch(i64, Wait),
    Len,
    CloseSending,
    CloseReceiving,
}

impl Call {
    pub fn operation(self) -> Operation {
        match self {
            Self::Acquire(_) => Operation::Acquire,
            Self::Release(count) => Operation::Release(count),
            Self::Write(_) => Operation::Write,
            Self::Read(_) => Operation::Read,
            Self::Send(item, _) => Operation::Send(item),
            Self::Recv(_) => Operation::Recv,
            Self::Post(kind, item, length, _) => Operation::Post(Message {
                message_type: kind,
                item,
                length,
            }),
            Self::Fetch(select, _) => Operation::Fetch(parse_select(select)),
            Self::Len => Operation::Len,
            Self::CloseSending => Operation::CloseSending,
            Self::CloseReceiving => Operation::CloseReceiving,
        }
    }

    pub fn wait(self) -> Wait {
        match self {
            Self::Acquire(wait) | Self::Write(wait) | Self::Read(wait) => wait,
            Self::Send(_, wait) | Self::Recv(wait) => wait,
            Self::Post(.., wait) | Self::Fetch(_, wait) => wait,
            _ => Wait::Never,
        }
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Acquire(_) => "acquire".into(),
            Self::Release(count) => format!("release {count}"),
            Self::Write(_) => "write".into(),
            Self::Read(_) => "read".into(),
            Self::Send(item, _) => format!("send {item}"),
            Self::Recv(_) => "recv".into(),
            Self::Post(kind, item, length, _) => format!("post {kind}: {item}, {length}"),
            Self::Fetch(select, _) => format!("fetch {select}"),
            Self::Len => "len".into(),
            Self::CloseSending => "close send".into(),
            Self::CloseReceiving => "close recv".into(),
        };
        let suffix = match self.wait() {
            Wait::Zero => " (0 s)",
            Wait::Briefly => " (0.3 ms)",
            Wait::Never
                if matches!(
                    self,
                    Self::Acquire(_)
                        | Self::Write(_)
                        | Self::Read(_)
                        | Self::Send(..)
                        | Self::Recv(_)
                        | Self::Post(..)
                        | Self::Fetch(..)
                ) =>
            {
                "?"
            }
            _ => "",
        };
        write!(f, "{name}{suffix}")
    }
}

/// A test case: the calls of all processes, in order.
#[derive(Clone)]
pub struct Program {
    pub object: Object,
    /// Each process and its call, in the order in which the driver starts the calls.
    pub steps: Vec<(usize, Call)>,
}

impl fmt::Debug for Program {
    /// Prints a timetable with a column for each process and a row for each step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Object {
            kind,
            capacity,
            large,
            batches,
            processes,
        } = self.object;
        let items = if large {
            "items of 1 KiB"
        } else {
            "items of 8 bytes"
        };
        writeln!(
            f,
            "\n{kind:?} of {capacity}, {items}{}; `?` tries without waiting",
            if batches { " in batches" } else { "" }
        )?;
        write!(f, "     ")?;
        (0..processes).try_for_each(|process| write!(f, "{:<16}", format!("process {process}")))?;
        for (row, (process, call)) in self.steps.iter().enumerate() {
            write!(f, "\n{row:>4} {:1$}{call}", "", process * 16)?;
        }
        writeln!(f)
    }
}

fn objects(kind: Kind) -> impl Strategy<Value = Object> {
    let capacity = match kind {
        Kind::Lock => 1..=1,
        Kind::Semaphore => 0..=4,
        _ => 1..=64usize,
    };
    // A small object fills up. A large object wraps around.
    let capacity = prop_oneof![3 => capacity.clone().prop_map(|n| n.min(3)), 1 => capacity];
    let flags = any::<[bool; 2]>();
    (capacity, flags, 2..=6usize).prop_map(move |(capacity, [large, batches], processes)| Object {
        kind,
        capacity,
        large,
        batches,
        processes,
    })
}

fn waits() -> impl Strategy<Value = Wait> {
    prop_oneof![4 => Just(Wait::Forever), 2 => Just(Wait::Never), 1 => Just(Wait::Zero), 1 => Just(Wait::Briefly)]
}

fn calls(kind: Kind) -> BoxedStrategy<Call> {
    match kind {
        Kind::Lock => prop_oneof![waits().prop_map(Call::Acquire), Just(Call::Release(1))].boxed(),
        Kind::Semaphore => prop_oneof![
            3 => waits().prop_map(Call::Acquire),
            2 => (1..=3u32).prop_map(Call::Release),
            1 => Just(Call::Release(interlatch::sync::MAX_PERMITS)),
        ]
        .boxed(),
        Kind::Pair => {
            prop_oneof![waits().prop_map(Call::Write), waits().prop_map(Call::Read)].boxed()
        }
        Kind::Queue => prop_oneof![
            6 => (1..=3_i64, 8..=MAX_LENGTH, waits())
                .prop_map(|(kind, length, wait)| Call::Post(kind, 0, length, wait)),
            6 => (-3..=3_i64, waits()).prop_map(|(select, wait)| Call::Fetch(select, wait)),
            1 => Just(Call::Len),
        ]
        .boxed(),
        _ => prop_oneof![
            6 => waits().prop_map(|wait| Call::Send(0, wait)),
            6 => waits().prop_map(Call::Recv),
            1 => Just(Call::Len),
            1 => Just(Call::CloseSending),
            1 => Just(Call::CloseReceiving),
        ]
        .boxed(),
    }
}

/// Parses a selection in the format of `msgrcv(2)`.
pub fn parse_select(select: i64) -> Select {
    let kind = |number| MessageType::new(number).expect("positive");
    match select {
        0 => Select::First,
        1.. => Select::Type(kind(select)),
        _ => Select::LowestUpTo(kind(-select)),
    }
}

/// Generates programs for an object of this kind.
pub fn programs(kind: Kind) -> impl Strategy<Value = Program> {
    objects(kind).prop_flat_map(move |object| {
        let step = (0..object.processes, calls(kind));
        proptest::collection::vec(step, 1..40).prop_map(move |steps| Program {
            object,
            steps: number_items(steps),
        })
    })
}

/// Gives each sent item in a program a distinct number.
fn number_items(mut steps: Vec<(usize, Call)>) -> Vec<(usize, Call)> {
    let mut next = 0;
    for (_, call) in &mut steps {
        if let Call::Send(item, _) | Call::Post(_, item, ..) = call {
            next += 1;
            *item = next;
        }
    }
    steps
}
