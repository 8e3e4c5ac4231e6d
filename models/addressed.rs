//! Who sends to whom.

use interlatch_check::Model;
use interlatch_contract::addressed::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("addressed", build);
    vec![
        model(link_passes_items_in_both_directions).bounded(2),
        model(link_rejects_a_stranger::<ChecksSender>).bounded(2),
        model(receiver_learns_the_sender::<ChecksSender>).bounded(2),
    ]
}
