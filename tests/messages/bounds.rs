//! Minimum, maximum and invalid arguments of the message queue.

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
use interlatch::sync::{Deadline, Static, Timeout};
use interlatch::{MessageQueue, Region, RegionError, RobustMutex, ShmSafe};
use std::time::{Duration, Instant};

type Queue = MessageQueue<[MessageCell]>;

const TYPE: MessageType = MessageType::LOWEST;

const LIMITS: QueueLimits = QueueLimits {
    messages: 2,
    bytes: 8,
};

#[test]
fn message_type_is_positive() {
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
    let process_id = MessageType::of_this_process().get();
    assert_eq!(process_id, i64::from(std::process::id()));
}

#[test]
fn invalid_limits_are_an_error() {
    let zero = QueueLimits {
        messages: 0,
        bytes: 1000,
    };
    assert_eq!(Queue::layout(zero).err(), Some(ConfigError::ZeroCapacity));
    let region = Region::memfd("limits", 4096).expect("a page");
    let error = region.create::<MessageQueue>("queue", zero).err();
    let zero = Some(RegionError::Config(ConfigError::ZeroCapacity));
    assert_eq!(format!("{error:?}"), format!("{zero:?}"));
    let max = QueueLimits {
        messages: u32::MAX,
        bytes: u32::MAX,
    };
    assert!(Queue::layout(max).is_ok(), "a machine with enough memory");
    assert!(region.create::<MessageQueue>("queue", max).is_err());
    assert_eq!(region.objects().count(), 0, "no object is left");
}

#[test]
fn cell_is_two_cache_lines() {
    assert_eq!(size_of::<[MessageCell; 2]>(), 256);
}

/// Messages within the limits fit into the queue, even in the worst order and with the worst
/// lengths.
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
                assert_eq!(queue.try_send(TYPE, &vec![7; length]), Ok(()));
            }
            assert_eq!(queue.try_send(TYPE, &[]), Err(TrySendError::Full(())));
            assert_eq!((queue.len(), queue.bytes()), (5, lengths.iter().sum()));
            for length in lengths {
                assert_eq!(
                    queue.try_receive(Select::First).expect("sent").bytes.len(),
                    length
                );
            }
            assert!(queue.is_empty(), "all messages were received");
        }
    });
}

#[test]
fn limits_from_cells_fit_the_cells() {
    for cells in [1, 2, 3, 4, 5, 100, 101, 1 << 20] {
        let limits = QueueLimits::from_cells(cells);
        assert_eq!(limits.cells(), cells, "{limits:?}");
        assert!(limits.messages > 0 && limits.bytes > 0, "{limits:?}");
    }
    assert!(QueueLimits::from_cells(usize::MAX).cells() < usize::MAX);
}

#[test]
fn queue_without_bytes_takes_empty_messages() {
    with_queue(
        QueueLimits {
            messages: 1,
            bytes: 0,
        },
        |queue| {
            let too_long = ChannelError::MessageTooLong { length: 1, max: 0 };
            let sent = queue.try_send(TYPE, &[0]);
            assert_eq!(sent, Err(TrySendError::Failed((), too_long)));
            queue.try_send(TYPE, &[]).expect("the buffer has room");
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

/// A thread can hold 128 robust locks. During an operation, the queue holds one more robust lock.
#[test]
fn thread_with_too_many_locks_gets_an_error() {
    let locks = <[RobustMutex<()>; 128]>::new_leaked();
    with_queue(LIMITS, |queue| {
        let guards: Vec<_> = locks.iter().map(RobustMutex::lock).collect();
        assert!(
            guards.iter().all(Result::is_ok),
            "a thread can hold 128 robust locks"
        );
        let cause = ChannelError::RobustList(RobustListError::TooManyLocks(128));
        let sent = queue.try_send(TYPE, &[1]);
        assert_eq!(sent, Err(TrySendError::Failed((), cause.clone())));
        let received = queue.try_receive(Select::First);
        assert_eq!(received, Err(TryRecvError::Failed(cause)));
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
        drop(guards);
        queue.try_send(TYPE, &[1]).expect("the buffer has room");
        assert_eq!(queue.len(), 1);
    });
}

#[test]
fn every_timeout_expires_without_a_change() {
    with_queue(
        QueueLimits {
            messages: 1,
            bytes: 8,
        },
        |queue| {
            let brief = Duration::from_millis(1);
            let past = Deadline::at(Instant::now());
            let zero = Err(RecvTimeoutError::Timeout);
            assert_eq!(queue.try_receive(Select::First), Err(TryRecvError::Empty));
            assert_eq!(queue.receive_timeout(Select::First, brief), zero);
            assert_eq!(queue.receive_deadline(Select::First, past), zero);
            let value_received =
                queue.receive_value_with::<u64>(Select::First, Timeout::NonBlocking);
            assert_eq!(value_received, Err(RecvTimeoutError::Timeout));
            let value = 9_u64.to_ne_bytes();
            queue.try_send(TYPE, &value).expect("the buffer has room");
            assert_eq!(queue.len(), 1, "the calls below do not block");
            let full = Err(SendTimeoutError::Timeout(()));
            assert_eq!(queue.try_send(TYPE, &[1]), Err(TrySendError::Full(())));
            assert_eq!(queue.send_timeout(TYPE, &[1], brief), full);
            assert_eq!(queue.send_deadline(TYPE, &[1], past), full);
            let other = Select::Type(MessageType::HIGHEST);
            assert_eq!(queue.receive_timeout(other, brief), zero);
            let wrong = ChannelError::WrongLength {
                expected: 4,
                found: 8,
            };
            let received = queue.receive_value::<u32>(Select::First);
            assert_eq!(received, Err(RecvError::Failed(wrong)));
            assert_eq!(queue.len(), 1, "the message is still in the queue");
            assert_eq!(queue.receive_value::<u64>(Select::First), Ok((TYPE, 9)));
        },
    );
}

#[test]
fn message_longer_than_all_cells_is_too_long() {
    static QUEUE: Static<MessageQueue<[MessageCell; 1]>> = MessageQueue::from_cells(
        [const { MessageCell::new() }; 1],
        QueueLimits {
            messages: 4,
            bytes: 1000,
        },
    );
    let queue = QUEUE.get();
    let error = queue.try_send(TYPE, &[0; CELL_PAYLOAD + 1]);
    let too_long = ChannelError::MessageTooLong {
        length: CELL_PAYLOAD + 1,
        max: CELL_PAYLOAD,
    };
    assert_eq!(error, Err(TrySendError::Failed((), too_long)));
    queue
        .try_send(TYPE, &[0; CELL_PAYLOAD])
        .expect("the message fits");
    assert_eq!(queue.try_send(TYPE, &[]), Err(TrySendError::Full(())));
}
