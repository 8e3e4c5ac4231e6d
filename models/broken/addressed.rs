//! Receivers that do not check the sender of a message.

use interlatch::channel::Channel;
use interlatch::named::DirectLinkError;
use interlatch::named::ProcessId;
use interlatch_check::FailureKind::WrongResult;
use interlatch_check::Model;
use interlatch_contract::addressed::*;

pub fn models() -> Vec<Model> {
    vec![
        Model::broken(
            "link_that_accepts_any_sender",
            WrongResult,
            link_rejects_a_stranger::<TrustsSender>,
        ),
        Model::broken(
            "inbox_that_reports_the_first_sender_for_all",
            WrongResult,
            receiver_learns_the_sender::<TrustsSender>,
        ),
    ]
}

/// A receiver that accepts every message, and reports the sender of the first message for all
/// messages.
struct TrustsSender;

impl Receives for TrustsSender {
    fn recv_from_link(
        _ends: [ProcessId; 2],
        [_, incoming]: [&NamedChannel; 2],
    ) -> Vec<Result<u64, DirectLinkError>> {
        let messages = incoming.receiver().into_iter().flatten().flatten();
        messages.map(|message| Ok(message.item())).collect()
    }

    fn recv_from_anyone(post: &NamedChannel) -> Vec<(ProcessId, u64)> {
        let messages: Vec<_> = post.receiver().into_iter().flatten().flatten().collect();
        let first = messages.first().map(|message| message.from());
        let items = messages.iter().map(|message| message.item());
        first
            .map(|first| items.map(|item| (first, item)).collect())
            .unwrap_or_default()
    }
}
