//! Models of the mutex. Models of up to three processes explore every execution. Models of four
//! processes explore executions up to a preemption bound.

use crate::collector::Collector;
use interlatch::sync::RawMutex;
use interlatch_check::Model;
use interlatch_contract::mutex::{self, excludes};

pub fn models() -> Vec<Model> {
    let mut models = Collector::new("mutex").bounded(3, &["excludes/4"]);
    mutex::all::<RawMutex>(&mut models);
    mutex::all_of_raw_mutex(&mut models);
    mutex::all_of_mutex(&mut models);
    let model = |build: fn() -> _| Model::new("mutex", build);
    let interrupted = [
        model(|| excludes::<RawMutex>(2).interruptions(2)),
        model(|| excludes::<RawMutex>(3).interruptions(1)).bounded(3),
    ];
    models.finish().into_iter().chain(interrupted).collect()
}
