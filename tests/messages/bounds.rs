//! The smallest, the largest and the wrong.

use super::with_queue;
use interlatch::channel::message_queue::{CELL_PAYLOAD, MessageCell};
use interlatch::channel::message_queue::{
    InvalidMessageType, MessageQueueExt, MessageType, QueueLimits, Select,
};
use interlatch::channel::{
    ChannelError, RecvError, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError,
};
use interlatch::platform::robust::RobustListError;
use interlatch::region::{ConfigError, ShmObject};
use interlatch::sync::Deadline;
use interlatch::sync::Timeout;
use interlatch::{MessageQueue, Region, RegionError, RobustMutex};
use std::time::{Duration, Instant};

type Queue = MessageQueue<[MessageCell]>;

const KIND: MessageType = MessageType::LOWEST;

const LIMITS: QueueLimits = QueueLimits {
    messages: 2,
    bytes: 8,
};

#[test]
fn a_type_is_positive() {
    for found in [0, -1, i64::MIN] {
        assert_eq!(MessageType::new(found), Err(InvalidMessageType { found }));
        assert_eq!(
            MessageType::try_from(found),
            Err(InvalidMessageType { found })
        );
    }
    assert_eq!(
        MessageType::from_process_id(0),
        Err(InvalidMessageType { found: 0 })
    );
    for number in [1, i64::MAX] {
        assert_eq!(MessageType::new(number).map(MessageType::get), Ok(number));
    }
    let me = MessageType::of_this_process().get();
    assert_eq!(me, i64::from(std::process::id()));
}

#[test]
fn limits_that_no_queue_can_have_are_refused() {
    let none = QueueLimits {
        messages: 0,
        bytes: 10,
    };
    assert_eq!(Queue::layout(none).err(), Some(ConfigError::ZeroCapacity));
    let region = Region::memfd("limits", 4096).expect("a page");
    let refused = region.create::<MessageQueue>("queue", none).err();
    let zero = Some(RegionError::Config(ConfigError::ZeroCapacity));
    assert_eq!(format!("{refused:?}"), format!("{zero:?}"));
    let most = QueueLimits {
        messages: u32::MAX,
        bytes: u32::MAX,
    };
    assert!(Queue::layout(most).is_ok(), "if there is such a machine");
    assert!(region.create::<MessageQueue>("queue", most).is_err());
    assert_eq!(region.objects().count(), 0, "nothing is left of them");
}

#[test]
fn a_cell_is_two_cache_lines() {
    assert_eq!(size_of::<[MessageCell; 2]>(), 256);
}

/// What keeps within the limits has room, in the worst order and of the worst lengths.
#[test]
fn both_limits_are_exact() {
    let limits = QueueLimits {
        messages: 5,
        bytes: 2 * CELL_PAYLOAD as u32,
    };
    with_queue(limits, |queue| {
        assert_eq!(
            (queue.limits(), queue.max_length()),
            (limits, 2 * CELL_PAYLOAD)
        );
        for lengths in [
            [CELL_PAYLOAD + 1, CELL_PAYLOAD - 4, 1, 1, 1],
            [0, 0, 0, 0, 2 * CELL_PAYLOAD],
        ] {
            for length in lengths {
                assert_eq!(queue.try_send(KIND, &vec![7; length]), Ok(()));
            }
            assert_eq!(queue.try_send(KIND, &[]), Err(TrySendError::Full(())));
            assert_eq!((queue.len(), queue.bytes()), (5, lengths.iter().sum()));
            for length in lengths {
                assert_eq!(
                    queue.try_receive(Select::First).expect("sent").bytes.len(),
                    length
                );
            }
            assert!(queue.is_empty(), "all were received");
        }
    });
}

#[test]
fn so_many_cells_are_enough_for_their_limits() {
    for cells in [1, 2, 3, 4, 5, 100, 101, 1 << 20] {
        let limits = QueueLimits::from_cells(cells);
        assert_eq!(limits.cells(), cells, "{limits:?}");
        assert!(limits.messages > 0 && limits.bytes > 0, "{limits:?}");
    }
    assert!(QueueLimits::from_cells(usize::MAX).cells() < usize::MAX);
}

#[test]
fn without_bytes_messages_are_empty() {
    with_queue(
        QueueLimits {
            messages: 1,
            bytes: 0,
        },
        |queue| {
            let too_long = ChannelError::MessageTooLong { length: 1, max: 0 };
            let sent = queue.try_send(KIND, &[0]);
            assert_eq!(sent, Err(TrySendError::Failed((), too_long)));
            queue.try_send(KIND, &[]).expect("there is room");
            assert!(
                queue
                    .try_receive(Select::First)
                    .expect("sent")
                    .bytes
                    .is_empty()
            );
        },
    );
}

/// A thread can hold 128 robust locks; the queue needs one more for a moment.
#[test]
fn a_thread_with_too_many_locks_is_refused() {
    let locks = [const { RobustMutex::new(()) }; 128];
    with_queue(LIMITS, |queue| {
        let guards: Vec<_> = locks.iter().map(RobustMutex::lock).collect();
        assert!(guards.iter().all(Result::is_ok), "so many can be held");
        let refusal = ChannelError::RobustList(RobustListError::TooManyLocks(128));
        let sent = queue.try_send(KIND, &[1]);
        assert_eq!(sent, Err(TrySendError::Failed((), refusal.clone())));
        let received = queue.try_receive(Select::First);
        assert_eq!(received, Err(TryRecvError::Failed(refusal)));
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
        drop(guards);
        queue.try_send(KIND, &[1]).expect("there is room");
        assert_eq!(queue.len(), 1);
    });
}

#[test]
fn every_form_of_waiting_ends_in_time_with_nothing_changed() {
    with_queue(
        QueueLimits {
            messages: 1,
            bytes: 8,
        },
        |queue| {
            let brief = Duration::from_millis(1);
            let past = Deadline::at(Instant::now());
            let none = Err(RecvTimeoutError::Timeout);
            assert_eq!(queue.try_receive(Select::First), Err(TryRecvError::Empty));
            assert_eq!(queue.receive_timeout(Select::First, brief), none);
            assert_eq!(queue.receive_deadline(Select::First, past), none);
            let of_value = queue.receive_value_with::<u64>(Select::First, Timeout::NonBlocking);
            assert_eq!(of_value, Err(RecvTimeoutError::Timeout));
            let value = 9_u64.to_ne_bytes();
            queue.try_send(KIND, &value).expect("there is room");
            assert_eq!(queue.len(), 1, "so that nothing below waits for ever");
            let full = Err(SendTimeoutError::Timeout(()));
            assert_eq!(queue.try_send(KIND, &[1]), Err(TrySendError::Full(())));
            assert_eq!(queue.send_timeout(KIND, &[1], brief), full);
            assert_eq!(queue.send_deadline(KIND, &[1], past), full);
            let other = Select::Type(MessageType::HIGHEST);
            assert_eq!(queue.receive_timeout(other, brief), none);
            let wrong = ChannelError::WrongLength {
                expected: 4,
                found: 8,
            };
            let received = queue.receive_value::<u32>(Select::First);
            assert_eq!(received, Err(RecvError::Failed(wrong)));
            assert_eq!(queue.len(), 1, "it is still there");
            assert_eq!(queue.receive_value::<u64>(Select::First), Ok((KIND, 9)));
        },
    );
}

#[test]
fn a_message_for_which_there_are_never_cells_enough_is_too_long() {
    static QUEUE: MessageQueue<[MessageCell; 1]> = MessageQueue::from_cells(
        [const { MessageCell::new() }; 1],
        QueueLimits {
            messages: 4,
            bytes: 1000,
        },
    );
    let refused = QUEUE.try_send(KIND, &[0; CELL_PAYLOAD + 1]);
    let too_long = ChannelError::MessageTooLong {
        length: CELL_PAYLOAD + 1,
        max: CELL_PAYLOAD,
    };
    assert_eq!(refused, Err(TrySendError::Failed((), too_long)));
    QUEUE.try_send(KIND, &[0; CELL_PAYLOAD]).expect("it fits");
    assert_eq!(QUEUE.try_send(KIND, &[]), Err(TrySendError::Full(())));
}
