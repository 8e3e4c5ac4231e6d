//! The smallest, the largest and the wrong.

use super::with_queue;
use interlatch::channel::message_queue::{
    BadMessageType, MessageQueueExt, MessageType, QueueLimits, ReceiveMessageError, Select,
    SendMessageError,
};
use interlatch::channel::message_queue::{CELL_BYTES, MessageCell};
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
        assert_eq!(MessageType::new(found), Err(BadMessageType { found }));
        assert_eq!(MessageType::try_from(found), Err(BadMessageType { found }));
    }
    assert_eq!(MessageType::of_process(0), Err(BadMessageType { found: 0 }));
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
        bytes: 2 * CELL_BYTES as u32,
    };
    with_queue(limits, |queue| {
        assert_eq!((queue.limits(), queue.longest()), (limits, 2 * CELL_BYTES));
        for lengths in [
            [CELL_BYTES + 1, CELL_BYTES - 4, 1, 1, 1],
            [0, 0, 0, 0, 2 * CELL_BYTES],
        ] {
            for length in lengths {
                assert_eq!(queue.try_send(KIND, &vec![7; length]), Ok(()));
            }
            assert_eq!(queue.try_send(KIND, &[]), Err(SendMessageError::Full));
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
        let limits = QueueLimits::of_cells(cells);
        assert_eq!(limits.cells(), cells, "{limits:?}");
        assert!(limits.messages > 0 && limits.bytes > 0, "{limits:?}");
    }
    assert!(QueueLimits::of_cells(usize::MAX).cells() < usize::MAX);
}

#[test]
fn without_bytes_messages_are_empty() {
    with_queue(
        QueueLimits {
            messages: 1,
            bytes: 0,
        },
        |queue| {
            let too_long = SendMessageError::TooLong {
                length: 1,
                limit: 0,
            };
            assert_eq!(queue.try_send(KIND, &[0]), Err(too_long));
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
        let refusal = RobustListError::TooManyLocks(128);
        let sent = queue.try_send(KIND, &[1]);
        assert_eq!(sent, Err(SendMessageError::Refused(refusal)));
        let received = queue.try_receive(Select::First);
        assert_eq!(received, Err(ReceiveMessageError::Refused(refusal)));
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
            let none = Err(ReceiveMessageError::NoMessage);
            assert_eq!(queue.try_receive(Select::First), none);
            assert_eq!(queue.receive_timeout(Select::First, brief), none);
            assert_eq!(queue.receive_deadline(Select::First, past), none);
            let of_value = queue.receive_value_with::<u64>(Select::First, Timeout::NonBlocking);
            assert_eq!(of_value, Err(ReceiveMessageError::NoMessage));
            let value = 9_u64.to_ne_bytes();
            queue.try_send(KIND, &value).expect("there is room");
            assert_eq!(queue.len(), 1, "so that nothing below waits for ever");
            let full = Err(SendMessageError::Full);
            assert_eq!(queue.try_send(KIND, &[1]), full);
            assert_eq!(queue.send_timeout(KIND, &[1], brief), full);
            assert_eq!(queue.send_deadline(KIND, &[1], past), full);
            let other = Select::Type(MessageType::HIGHEST);
            assert_eq!(queue.receive_timeout(other, brief), none);
            let wrong = ReceiveMessageError::WrongLength { length: 8, room: 4 };
            assert_eq!(queue.receive_value::<u32>(Select::First), Err(wrong));
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
    let refused = QUEUE.try_send(KIND, &[0; CELL_BYTES + 1]);
    let too_long = SendMessageError::TooLong {
        length: CELL_BYTES + 1,
        limit: CELL_BYTES,
    };
    assert_eq!(refused, Err(too_long));
    QUEUE.try_send(KIND, &[0; CELL_BYTES]).expect("it fits");
    assert_eq!(QUEUE.try_send(KIND, &[]), Err(SendMessageError::Full));
}
