//! The robust lock with data: what the guards add to the lock.

use interlatch_check::Model;
use interlatch_contract::robust_mutex::*;

pub fn models() -> Vec<Model> {
    let model = |build: fn() -> _| Model::new("robust_mutex", build);
    vec![
        model(a_panic_is_told_like_a_death),
        model(|| who_drops_the_news_ends_it_for_all(3)).bounded(3),
        model(|| who_drops_the_news_ends_it_for_all(4)).bounded(2),
        model(answers_odd_timeouts),
        model(a_holder_hears_that_it_holds),
    ]
}
