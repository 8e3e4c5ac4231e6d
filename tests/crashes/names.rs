//! Named channels between real processes, opened by process ID or by mailbox number, including
//! after a kill.

use super::actor::{await_command, report};
use super::harness::Test;
use super::process::{Actor, TIMEOUT};
use interlatch::Region;
use interlatch::channel::RecvTimeoutError;
use interlatch::named::{
    DirectLink, DirectLinkError, Inbox, Mailbox, MailboxId, NamedChannel, Outbox, ProcessId,
};
use interlatch::sync::Timeout;
use nix::sys::signal::Signal::SIGKILL;
use std::time::Instant;

pub fn tests() -> Vec<Test> {
    vec![
        Test::new(
            "linked_processes_exchange_items",
            linked_processes_exchange_items,
        ),
        Test::new(
            "link_rejects_item_of_third_process",
            link_rejects_item_of_third_process,
        ),
        Test::new(
            "message_names_sending_process",
            message_names_sending_process,
        ),
        Test::new(
            "processes_share_mailbox_by_number",
            processes_share_mailbox_by_number,
        ),
    ]
}

const SLOTS: usize = 4;
const MAILBOX: MailboxId = MailboxId(7);

type Number = NamedChannel<u64>;

fn region() -> Region {
    Region::memfd("names", 1 << 16).expect("a region")
}

fn timeout() -> Timeout {
    Timeout::after(TIMEOUT)
}

/// Starts an actor that waits for its command.
fn actor(region: &Region, role: &str) -> (Actor, ProcessId) {
    let parent = ProcessId::current().number();
    let mut actor = Actor::start(region, &[format!("names {role} {parent}")]);
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok("ready"), "{role}");
    let id = ProcessId::new(actor.pid().as_raw() as u32);
    (actor, id)
}

fn linked_processes_exchange_items() {
    let region = region();
    let (mut peer, id) = actor(&region, "link");
    let link = DirectLink::<Number>::open(&region, [ProcessId::current(), id], SLOTS)
        .expect("the channel is open");
    peer.tell("go");
    link.send_with(20, timeout()).expect("the peer is attached");
    assert_eq!(link.recv_with(timeout()), Ok(21));
    peer.signal(SIGKILL);
    let ended = DirectLinkError::Recv(RecvTimeoutError::Disconnected);
    assert_eq!(link.recv_with(timeout()), Err(ended), "the peer was killed");
}

fn link_rejects_item_of_third_process() {
    let region = region();
    let (mut peer, id) = actor(&region, "intrude");
    let expected = ProcessId::new(id.number() + 1);
    let this_process = ProcessId::current();
    let link = DirectLink::<Number>::open(&region, [this_process, expected], SLOTS)
        .expect("the channel is open");
    peer.tell("go");
    let refused = DirectLinkError::WrongSender {
        expected,
        found: id,
    };
    assert_eq!(link.recv_with(timeout()), Err(refused));
}

fn message_names_sending_process() {
    let region = region();
    let inbox =
        Inbox::<Number>::open(&region, ProcessId::current(), SLOTS).expect("the channel is open");
    let mut actors = [actor(&region, "out"), actor(&region, "out")];
    let mut expected: Vec<u32> = actors.iter().map(|(_, id)| id.number()).collect();
    actors.iter_mut().for_each(|(actor, _)| actor.tell("go"));
    let receive = |_| {
        let message = inbox.recv_with(timeout()).expect("the peer sends");
        assert_eq!(message.item(), u64::from(message.from().number()));
        message.from().number()
    };
    let mut found: Vec<u32> = (0..2).map(receive).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

fn processes_share_mailbox_by_number() {
    let region = region();
    let mailbox = Mailbox::<Number>::open(&region, MAILBOX, SLOTS).expect("the channel is open");
    let (mut actor, id) = actor(&region, "post");
    let inbox = mailbox.inbox().expect("the channel is open");
    let other = Mailbox::<Number>::open(&region, MailboxId(8), SLOTS).expect("the channel is open");
    let (other_inbox, open_outbox) = (other.inbox(), other.outbox(id));
    let (other_inbox, _other_outbox) = (
        other_inbox.expect("the channel is open"),
        open_outbox.expect("the channel is open"),
    );
    actor.tell("go");
    let message = inbox.recv_with(timeout()).expect("the peer sends");
    assert_eq!((message.from(), message.item()), (id, 7));
    let nothing = other_inbox.recv_with(Timeout::NonBlocking).map(|_| ());
    assert_eq!(
        nothing,
        Err(RecvTimeoutError::Timeout),
        "the other mailbox is empty"
    );
}

/// Runs a role in an actor.
pub fn run(region: &Region, role: &str) {
    let (action, parent) = role.split_once(' ').expect("an action and the parent");
    let parent = ProcessId::new(parent.parse().expect("a number"));
    let this_process = ProcessId::current();
    report("ready");
    assert_eq!(await_command(), "go");
    match action {
        "link" => {
            let link = DirectLink::<Number>::open(region, [this_process, parent], SLOTS)
                .expect("the channel is open");
            let item = link.recv_with(timeout()).expect("the peer sends");
            link.send_with(item + 1, timeout())
                .expect("the link exists");
            await_command();
        }
        "intrude" => {
            // This actor sends into the buffer of a link between two other processes.
            let neighbour = ProcessId::new(this_process.number() + 1);
            let name = format!("from {} to {}", neighbour.number(), parent.number());
            let channel: &Number = region.attach(&name).expect("the link exists");
            let sender = interlatch::Channel::sender(channel).expect("the channel is open");
            let out = Outbox::new(this_process, sender);
            out.send_with(1, timeout()).expect("the channel has room");
        }
        "out" => {
            let out = Outbox::<Number>::open(region, [this_process, parent], SLOTS)
                .expect("the channel is open");
            let item = u64::from(this_process.number());
            out.send_with(item, timeout())
                .expect("the channel has room");
            await_command();
        }
        "post" => {
            let mailbox =
                Mailbox::<Number>::open(region, MAILBOX, SLOTS).expect("the channel is open");
            let out = mailbox.outbox(this_process).expect("the channel is open");
            let number = u64::from(mailbox.id().0);
            out.send_with(number, timeout())
                .expect("the channel has room");
        }
        other => panic!("unknown action {other:?}"),
    }
}
