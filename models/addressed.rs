//! Models of the channels whose messages carry the id of their sender.

use crate::collector::Collector;
use interlatch_check::Model;
use interlatch_contract::addressed;

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("addressed").bounded(
        2,
        &[
            "link_passes_items_in_both_directions",
            "link_rejects_a_stranger",
            "receiver_learns_the_sender",
        ],
    );
    addressed::all(&mut models);
    models.finish()
}
