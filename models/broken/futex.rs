//! Two wrong uses of a futex. One expects a wake-up to order memory accesses. The other expects a
//! wait to return only after a wake-up, but it may return earlier (`futex(2)`).

use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::{AtomicU32, ShmSafe, ShmType, TypeInfo, UnsafeCell, futex};
use interlatch_check::Scenario;
use interlatch_check::{FailureKind, Model};

pub fn models() -> Vec<Model> {
    use FailureKind::{DataRace, WrongResult};
    vec![
        // Accesses to the word are Relaxed, so only the wake-up could order the accesses to `text`.
        // The wake-up does not order them.
        Model::broken("wakeup_taken_for_an_ordering", DataRace, message),
        // An interrupted wait returns before the message is sent.
        Model::broken("end_of_wait_taken_for_a_wakeup", WrongResult, || {
            Scenario::new("wake_up", vec![send_one, wait_once]).interruptions(1)
        }),
    ]
}

struct Message {
    sent: AtomicU32,
    text: UnsafeCell<u32>,
}

// SAFETY: the checker detects unordered accesses to `text`.
unsafe impl Sync for Message {}

// SAFETY: the type consists of an atomic word and a number, and contains no pointer.
unsafe impl ShmSafe for Message {
    unsafe fn init_in_place(at: *mut Self) {
        // SAFETY: the caller passes an aligned `at` that is valid for writes.
        unsafe {
            at.write(Self {
                sent: AtomicU32::new(0),
                text: UnsafeCell::new(0),
            });
        }
    }
}

impl ShmType for Message {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("Message");
}

fn message() -> Scenario<Message> {
    Scenario::new("wake_up", vec![send, receive])
}

fn send(message: &Message) {
    // SAFETY: the receiver reads after the wake-up. The checker reports that the accesses are not
    // ordered.
    message.text.with_mut(|text| unsafe { *text = 7 });
    message.sent.swap(1, Relaxed);
    futex::wake(&message.sent, 1);
}

fn receive(message: &Message) {
    while message.sent.fetch_add(0, Relaxed) == 0 {
        futex::wait(&message.sent, 0, None);
    }
    // SAFETY: see `send`.
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
        "the wait returned before the message was sent"
    );
}
