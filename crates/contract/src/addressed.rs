//! What the ways to name sender and receiver promise: who receives knows who has sent, and a link has two ends.

use super::{RaceCell, Scenario, Stage};
use interlatch::channel::{Buffer, Receiver, RecvTimeoutError, RobustMonitorBuffer, Sender, Slot};
use interlatch::named::{
    DirectLink, DirectLinkError, Envelope, Inbox, Mailbox, MailboxId, Outbox, ProcessId,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A buffer of messages.
pub type NamedChannel = RobustMonitorBuffer<Envelope<u64>, [Slot<Envelope<u64>>; 2], 2>;

/// How messages are received; so that a flawed way can be put there.
pub trait Receives {
    /// The next message of the other end of a link.
    ///
    /// # Errors
    /// It is of somebody else, or there is none.
    fn recv_from_link(
        ends: [ProcessId; 2],
        post: [&NamedChannel; 2],
    ) -> Vec<Result<u64, DirectLinkError>>;

    /// All messages, to the end of the stream, with who has sent them.
    fn recv_from_anyone(post: &NamedChannel) -> Vec<(ProcessId, u64)>;
}

/// The ways of this crate.
#[derive(Debug)]
pub struct ChecksSender;

impl Receives for ChecksSender {
    fn recv_from_link(
        ends: [ProcessId; 2],
        [out, incoming]: [&NamedChannel; 2],
    ) -> Vec<Result<u64, DirectLinkError>> {
        let Some((sender, receiver)) = link_ends(out, incoming) else {
            return Vec::new();
        };
        let link = DirectLink::new(ends, sender, receiver);
        let next = || match link.recv_with(Timeout::Infinite) {
            Err(DirectLinkError::Nothing(ended)) => {
                assert_eq!(ended, RecvTimeoutError::Disconnected);
                None
            }
            received => Some(received),
        };
        std::iter::from_fn(next).collect()
    }

    fn recv_from_anyone(post: &NamedChannel) -> Vec<(ProcessId, u64)> {
        let mailbox = Mailbox::new(MailboxId(1), post);
        let inbox = mailbox.inbox().unwrap_or_else(|error| panic!("{error}"));
        received(&inbox)
    }
}

fn received(inbox: &Inbox<'_, NamedChannel>) -> Vec<(ProcessId, u64)> {
    let next = || inbox.recv_with(Timeout::Infinite).ok();
    let messages = std::iter::from_fn(next);
    messages
        .map(|message| (message.from(), message.item()))
        .collect()
}

/// Handles for one end of a link, unless the other one has come and gone already.
fn link_ends<'a>(
    out: &'a NamedChannel,
    incoming: &'a NamedChannel,
) -> Option<(Sender<'a, NamedChannel>, Receiver<'a, NamedChannel>)> {
    Some((out.sender().ok()?, incoming.receiver().ok()?))
}

/// Buffers for both directions, and what was sent and received.
#[repr(C)]
#[derive(Debug)]
pub struct LinkState {
    there: NamedChannel,
    back: NamedChannel,
    sent: [RaceCell; 2],
    got: RaceCell,
}

// SAFETY: `repr(C)`, and all parts are valid for every bit pattern.
unsafe impl ShmSafe for LinkState {
    fn initial() -> Self {
        Self {
            there: NamedChannel::initial(),
            back: NamedChannel::initial(),
            sent: [RaceCell::new(0), RaceCell::new(0)],
            got: RaceCell::new(0),
        }
    }
}

const ANN: ProcessId = ProcessId::new(1);
const BOB: ProcessId = ProcessId::new(2);
const EVE: ProcessId = ProcessId::new(3);

/// Every scenario.
pub fn all(stage: &mut impl Stage) {
    stage.run(link_passes_items_in_both_directions());
    stage.run(link_rejects_a_stranger::<ChecksSender>());
    stage.run(receiver_learns_the_sender::<ChecksSender>());
}

/// One sends and waits for the answer.
pub fn link_passes_items_in_both_directions() -> Scenario<LinkState> {
    let ann = |shared: &LinkState| {
        let (sender, receiver) = link_ends(&shared.there, &shared.back).expect("nobody has gone");
        let link = DirectLink::new([ANN, BOB], sender, receiver);
        assert_eq!(link.send_with(1, Timeout::Infinite), Ok(()));
        assert_eq!(link.recv_with(Timeout::Infinite), Ok(2));
    };
    let bob = |shared: &LinkState| {
        let (sender, receiver) = link_ends(&shared.back, &shared.there).expect("nobody has gone");
        let link = DirectLink::new([BOB, ANN], sender, receiver);
        assert_eq!(link.peer(), ANN);
        assert_eq!(link.recv_with(Timeout::Infinite), Ok(1));
        assert_eq!(link.send_with(2, Timeout::Infinite), Ok(()));
    };
    Scenario::new("link_passes_items_in_both_directions", vec![ann, bob]).choices(8)
}

/// Sends one item, if that end is open still, and notes it.
fn post<const INDEX: usize>(shared: &LinkState, me: ProcessId) {
    if let Ok(sender) = shared.there.sender() {
        let item = [1, 10][INDEX];
        let sent = Outbox::new(me, sender).send_with(item, Timeout::Infinite);
        shared.sent[INDEX].set(if sent.is_ok() { item } else { 0 });
    }
}

/// Somebody else writes into the buffer of a link: its receiver hears of it, and gets what is for it.
pub fn link_rejects_a_stranger<R: Receives>() -> Scenario<LinkState> {
    let bob = |shared: &LinkState| {
        for message in R::recv_from_link([BOB, ANN], [&shared.back, &shared.there]) {
            let stranger = DirectLinkError::Stranger {
                expected: ANN,
                found: EVE,
            };
            match message {
                Ok(item) => assert_eq!(item, 1, "that was not for it"),
                refused => assert_eq!(refused, Err(stranger)),
            }
            shared.got.set(shared.got.get() + message.unwrap_or(10));
        }
    };
    let participants = vec![
        (|shared| post::<0>(shared, ANN)) as fn(&LinkState),
        |shared| post::<1>(shared, EVE),
        bob,
    ];
    Scenario::new("link_rejects_a_stranger", participants)
        .verify(all_is_received)
        .choices(8)
}

fn all_is_received(shared: &LinkState) {
    let sent = shared.sent[0].get() + shared.sent[1].get();
    assert_eq!(shared.got.get(), sent, "received, and sent");
}

/// Two send into one mailbox: its receiver learns from whom each message is.
pub fn receiver_learns_the_sender<R: Receives>() -> Scenario<LinkState> {
    let receiver = |shared: &LinkState| {
        for (from, item) in R::recv_from_anyone(&shared.there) {
            assert!([(ANN, 1), (EVE, 10)].contains(&(from, item)), "{from}");
            shared.got.set(shared.got.get() + item);
        }
    };
    let participants = vec![
        (|shared| post::<0>(shared, ANN)) as fn(&LinkState),
        |shared| post::<1>(shared, EVE),
        receiver,
    ];
    Scenario::new("receiver_learns_the_sender", participants)
        .verify(all_is_received)
        .choices(8)
}
