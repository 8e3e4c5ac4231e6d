//! Who sends to whom.

use interlatch_check::Model;
use interlatch_contract::address::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("address", build);
    vec![
        model(both_ends_of_a_link_hear_each_other).bounded(2),
        model(a_link_refuses_a_stranger::<EnvelopeState>).bounded(2),
        model(a_receiver_learns_who_has_sent::<EnvelopeState>).bounded(2),
    ]
}
