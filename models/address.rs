//! Who sends to whom.

use interlatch::check::Model;
use interlatch::contract::address::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("address", build);
    vec![
        model(both_ends_of_a_link_hear_each_other).bounded(2),
        model(a_link_refuses_a_stranger::<Sound>).bounded(2),
        model(a_receiver_learns_who_has_sent::<Sound>).bounded(2),
    ]
}
