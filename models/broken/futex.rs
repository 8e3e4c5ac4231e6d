//! What a futex does not promise: to order memory, and to end a wait only for a wake.

use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::{AtomicU32, ShmSafe, UnsafeCell, futex};
use interlatch_check::Scenario;
use interlatch_check::{FailureKind, Model};

pub fn models() -> Vec<Model> {
    use FailureKind::{DataRace, WrongResult};
    vec![
        Model::broken("wakeup_taken_for_an_ordering", DataRace, message),
        Model::broken("end_of_wait_taken_for_a_wakeup", WrongResult, || {
            Scenario::new("wake_up", vec![send_one, wait_once]).interruptions(1)
        }),
    ]
}

struct Message {
    sent: AtomicU32,
    text: UnsafeCell<u32>,
}

// SAFETY: that is what the checker is to deny.
unsafe impl Sync for Message {}

// SAFETY: no pointers.
unsafe impl ShmSafe for Message {
    fn initial() -> Self {
        Self {
            sent: AtomicU32::new(0),
            text: UnsafeCell::new(0),
        }
    }
}

fn message() -> Scenario<Message> {
    Scenario::new("wake_up", vec![send, receive])
}

fn send(message: &Message) {
    // SAFETY: the receiver looks only after it was woken; whether that is enough is the question.
    message.text.with_mut(|text| unsafe { *text = 7 });
    message.sent.swap(1, Relaxed);
    futex::wake(&message.sent, 1);
}

fn receive(message: &Message) {
    while message.sent.fetch_add(0, Relaxed) == 0 {
        futex::wait(&message.sent, 0, None);
    }
    // SAFETY: as in `send`.
    assert_eq!(message.text.with(|text| unsafe { *text }), 7);
}

fn send_one(message: &Message) {
    message.sent.swap(1, Relaxed);
    futex::wake(&message.sent, 1);
}

fn wait_once(message: &Message) {
    if message.sent.fetch_add(0, Relaxed) == 0 {
        futex::wait(&message.sent, 0, None);
    }
    assert_eq!(
        message.sent.fetch_add(0, Relaxed),
        1,
        "sent, since the wait is over"
    );
}
