//! The promises of channels whose messages carry the id of their sender: links, inboxes and
//! mailboxes.

use super::{RaceCell, Scenario, Stage};
use interlatch::channel::{Channel, Receiver, RecvTimeoutError, RobustMonitorBuffer, Sender, Slot};
use interlatch::named::{
    DirectLink, DirectLinkError, Envelope, Inbox, Mailbox, MailboxId, Outbox, ProcessId,
};
use interlatch::platform::ShmSafe;
use interlatch::sync::Timeout;

/// A buffer of messages.
pub type NamedChannel = RobustMonitorBuffer<Envelope<u64>, [Slot<Envelope<u64>>; 2], 2>;

/// A way to receive messages, implemented by the library and by a broken version of it.
pub trait Receives {
    /// Receives all messages of a link, and returns an error for each message of a third process.
    fn recv_from_link(
        ends: [ProcessId; 2],
        post: [&NamedChannel; 2],
    ) -> Vec<Result<u64, DirectLinkError>>;

    /// Receives all messages of a mailbox, and returns the sender of each message.
    fn recv_from_anyone(post: &NamedChannel) -> Vec<(ProcessId, u64)>;
}

/// Receives messages with the correct types of `interlatch`, which check or report the sender.
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
            Err(DirectLinkError::Recv(ended)) => {
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

/// Attaches the handles of one end of a link, unless the other end is already closed.
fn link_ends<'a>(
    out: &'a NamedChannel,
    incoming: &'a NamedChannel,
) -> Option<(Sender<'a, NamedChannel>, Receiver<'a, NamedChannel>)> {
    Some((out.sender().ok()?, incoming.receiver().ok()?))
}

/// Buffers for both directions, the items sent by two senders, and the sum of the received items.
#[repr(C)]
#[derive(Debug, ShmSafe)]
pub struct LinkState {
    forward: NamedChannel,
    backward: NamedChannel,
    sent: [RaceCell; 2],
    got: RaceCell,
}

const ANN: ProcessId = ProcessId::new(1);
const BOB: ProcessId = ProcessId::new(2);
const EVE: ProcessId = ProcessId::new(3);

/// Runs every scenario of addressed channels.
pub fn all(stage: &mut impl Stage) {
    stage.run(link_passes_items_in_both_directions());
    stage.run(link_rejects_a_stranger::<ChecksSender>());
    stage.run(receiver_learns_the_sender::<ChecksSender>());
}

/// A link passes items in both directions.
///
/// One end sends an item and waits for the answer of the other end.
pub fn link_passes_items_in_both_directions() -> Scenario<LinkState> {
    let ann = |shared: &LinkState| {
        let (sender, receiver) =
            link_ends(&shared.forward, &shared.backward).expect("both ends are open");
        let link = DirectLink::new([ANN, BOB], sender, receiver);
        assert_eq!(link.send_with(1, Timeout::Infinite), Ok(()));
        assert_eq!(link.recv_with(Timeout::Infinite), Ok(2));
    };
    let bob = |shared: &LinkState| {
        let (sender, receiver) =
            link_ends(&shared.backward, &shared.forward).expect("both ends are open");
        let link = DirectLink::new([BOB, ANN], sender, receiver);
        assert_eq!(link.peer(), ANN);
        assert_eq!(link.recv_with(Timeout::Infinite), Ok(1));
        assert_eq!(link.send_with(2, Timeout::Infinite), Ok(()));
    };
    Scenario::new("link_passes_items_in_both_directions", vec![ann, bob]).choices(8)
}

/// Sends one item, and records it unless the receivers are disconnected.
fn post<const INDEX: usize>(shared: &LinkState, sender_id: ProcessId) {
    if let Ok(sender) = shared.forward.sender() {
        let item = [1, 10][INDEX];
        let sent = Outbox::new(sender_id, sender).send_with(item, Timeout::Infinite);
        shared.sent[INDEX].set(if sent.is_ok() { item } else { 0 });
    }
}

/// A link between two processes rejects the messages of a third process and delivers the others.
///
/// A third process sends into the buffer of the link. A link that does not check the sender
/// delivers the item of the third process.
pub fn link_rejects_a_stranger<R: Receives>() -> Scenario<LinkState> {
    let bob = |shared: &LinkState| {
        for message in R::recv_from_link([BOB, ANN], [&shared.backward, &shared.forward]) {
            let stranger = DirectLinkError::WrongSender {
                expected: ANN,
                found: EVE,
            };
            let number = match message {
                Ok(item) => {
                    assert_eq!(item, 1, "a foreign item was delivered");
                    item
                }
                failed => {
                    assert_eq!(failed, Err(stranger));
                    10
                }
            };
            shared.got.set(shared.got.get() + number);
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
    assert_eq!(shared.got.get(), sent, "received, sent");
}

/// The receiver of a mailbox learns the sender of each message.
///
/// Two processes send into one mailbox.
pub fn receiver_learns_the_sender<R: Receives>() -> Scenario<LinkState> {
    let receiver = |shared: &LinkState| {
        for (from, item) in R::recv_from_anyone(&shared.forward) {
            let is_known = [(ANN, 1), (EVE, 10)].contains(&(from, item));
            assert!(is_known, "item {item} came from {from}");
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
