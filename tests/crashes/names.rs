//! Who sends to whom, between real processes: by each other's number, and by that of a mailbox; also when one
//! of them is killed.

use super::actor::{hear, say};
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
        Test::new("two_processes_that_name_each_other_talk", links),
        Test::new("a_link_refuses_a_third_process", strangers),
        Test::new("a_receiver_learns_which_process_has_sent", inboxes),
        Test::new("processes_share_a_mailbox_by_its_number", mailboxes),
    ]
}

const PLACES: usize = 4;
const BOX: MailboxId = MailboxId(7);

type Number = NamedChannel<u64>;

fn region() -> Region {
    Region::memfd("names", 1 << 16).expect("a region")
}

fn in_time() -> Timeout {
    Timeout::after(TIMEOUT)
}

/// An actor that waits for its command.
fn actor(region: &Region, part: &str) -> (Actor, ProcessId) {
    let me = ProcessId::current().number();
    let mut actor = Actor::start(region, &[format!("names {part} {me}")]);
    let reply = actor.reply(Instant::now() + TIMEOUT);
    assert_eq!(reply.as_deref(), Ok("there"), "{part}");
    let id = ProcessId::new(actor.pid().as_raw() as u32);
    (actor, id)
}

fn links() {
    let region = region();
    let (mut peer, id) = actor(&region, "link");
    let link =
        DirectLink::<Number>::open(&region, [ProcessId::current(), id], PLACES).expect("open");
    peer.tell("go");
    link.send_with(20, in_time()).expect("it is there");
    assert_eq!(link.recv_with(in_time()), Ok(21));
    peer.signal(SIGKILL);
    let ended = DirectLinkError::Recv(RecvTimeoutError::Disconnected);
    assert_eq!(link.recv_with(in_time()), Err(ended), "it was killed");
}

fn strangers() {
    let region = region();
    let (mut peer, id) = actor(&region, "intrude");
    let expected = ProcessId::new(id.number() + 1);
    let me = ProcessId::current();
    let link = DirectLink::<Number>::open(&region, [me, expected], PLACES).expect("open");
    peer.tell("go");
    let refused = DirectLinkError::WrongSender {
        expected,
        found: id,
    };
    assert_eq!(link.recv_with(in_time()), Err(refused));
}

fn inboxes() {
    let region = region();
    let inbox = Inbox::<Number>::open(&region, ProcessId::current(), PLACES).expect("open");
    let mut actors = [actor(&region, "out"), actor(&region, "out")];
    let mut expected: Vec<u32> = actors.iter().map(|(_, id)| id.number()).collect();
    actors.iter_mut().for_each(|(actor, _)| actor.tell("go"));
    let receive = |_| {
        let message = inbox.recv_with(in_time()).expect("it sends");
        assert_eq!(message.item(), u64::from(message.from().number()));
        message.from().number()
    };
    let mut found: Vec<u32> = (0..2).map(receive).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

fn mailboxes() {
    let region = region();
    let mailbox = Mailbox::<Number>::open(&region, BOX, PLACES).expect("open");
    let (mut actor, id) = actor(&region, "post");
    let inbox = mailbox.inbox().expect("open");
    let other = Mailbox::<Number>::open(&region, MailboxId(8), PLACES).expect("open");
    let (others, open) = (other.inbox(), other.outbox(id));
    let (others, _open) = (others.expect("open"), open.expect("open"));
    actor.tell("go");
    let message = inbox.recv_with(in_time()).expect("it sends");
    assert_eq!((message.from(), message.item()), (id, 7));
    let nothing = others.recv_with(Timeout::NonBlocking).map(|_| ());
    assert_eq!(nothing, Err(RecvTimeoutError::Timeout), "another one");
}

/// In an actor.
pub fn play(region: &Region, part: &str) {
    let (what, parent) = part.split_once(' ').expect("what, and the parent");
    let parent = ProcessId::new(parent.parse().expect("a number"));
    let me = ProcessId::current();
    say("there");
    assert_eq!(hear(), "go");
    match what {
        "link" => {
            let link = DirectLink::<Number>::open(region, [me, parent], PLACES).expect("open");
            let item = link.recv_with(in_time()).expect("it sends");
            link.send_with(item + 1, in_time()).expect("it is there");
            hear();
        }
        "intrude" => {
            // Into the buffer of a link between others.
            let neighbour = ProcessId::new(me.number() + 1);
            let name = format!("from {} to {}", neighbour.number(), parent.number());
            let post: &Number = region.attach(&name).expect("it is there");
            let sender = interlatch::Channel::sender(post).expect("open");
            let out = Outbox::new(me, sender);
            out.send_with(1, in_time()).expect("room");
        }
        "out" => {
            let out = Outbox::<Number>::open(region, [me, parent], PLACES).expect("open");
            let item = u64::from(me.number());
            out.send_with(item, in_time()).expect("room");
            hear();
        }
        "post" => {
            let mailbox = Mailbox::<Number>::open(region, BOX, PLACES).expect("open");
            let out = mailbox.outbox(me).expect("open");
            let number = u64::from(mailbox.id().0);
            out.send_with(number, in_time()).expect("room");
        }
        other => panic!("nobody does {other:?}"),
    }
}
