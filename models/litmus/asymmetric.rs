//! What a light and a heavy barrier exclude: two processes each store to a word, and then load the
//! word of the other process.

use super::Litmus;
use super::outcomes::{Body, INTERLEAVINGS_ONLY, ScenarioConfig, model_outcomes};
use interlatch::platform::Ordering::Relaxed;
use interlatch::platform::asymmetric::{
    load_after_heavy_barrier, load_after_light_barrier, register,
};
use interlatch::platform::{AtomicU32, AtomicU64};
use std::collections::BTreeSet;

const ANY: [[u64; 2]; 4] = [[0, 0], [0, 1], [1, 0], [1, 1]];

pub fn all() -> Vec<Litmus> {
    vec![
        Litmus::new("two_light_barriers_order_nothing", || {
            compare([store_x_and_light_y, store_y_and_light_x], &ANY)
        }),
        Litmus::new("light_and_heavy_barrier_order_both_processes", || {
            compare([store_x_and_light_y, store_y_and_heavy_x], &ANY[1..])
        }),
        Litmus::new("heavy_barrier_hides_older_values_from_light_loads", || {
            compare(
                [heavy_and_publish, look_and_light_y],
                &[[0, 0], [0, 1], [1, 1]],
            )
        }),
        Litmus::new("heavy_barrier_does_not_reach_a_refused_process", || {
            let refused = [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]];
            let reached = [[1, 0, 0], [1, 0, 1], [1, 1, 1]];
            let expected = [&refused[..], &reached].concat();
            compare([heavy_and_publish, register_look_and_light_y], &expected)
        }),
        Litmus::new("light_load_may_be_older_than_a_published_store", || {
            compare([publish, look_and_light_y], &ANY)
        }),
        Litmus::new("light_load_sees_the_stores_of_its_own_process", || {
            let expected = [[1, 0, 0], [1, 0, 1]];
            compare([store_y_and_light_y, look_and_light_y], &expected)
        }),
    ]
}

#[derive(Debug)]
struct Words {
    /// The two halves of `x`, for loads behind the light and behind the heavy barrier.
    x: (AtomicU32, AtomicU64),
    y: AtomicU32,
    published: AtomicU32,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            x: (AtomicU32::new(0), AtomicU64::new(0)),
            y: AtomicU32::new(0),
            published: AtomicU32::new(0),
        }
    }
}

fn store_x_and_light_y(words: &Words) -> Vec<u64> {
    words.x.0.store(1, Relaxed);
    words.x.1.store(1, Relaxed);
    vec![load_after_light_barrier(&words.y).into()]
}

fn store_y_and_light_x(words: &Words) -> Vec<u64> {
    words.y.store(1, Relaxed);
    vec![load_after_light_barrier(&words.x.0).into()]
}

fn store_y_and_heavy_x(words: &Words) -> Vec<u64> {
    words.y.store(1, Relaxed);
    vec![load_after_heavy_barrier(&words.x.1)]
}

fn heavy_and_publish(words: &Words) -> Vec<u64> {
    words.y.store(1, Relaxed);
    load_after_heavy_barrier(&words.x.1);
    words.published.fetch_or(1, Relaxed);
    vec![]
}

fn publish(words: &Words) -> Vec<u64> {
    words.y.store(1, Relaxed);
    words.published.fetch_or(1, Relaxed);
    vec![]
}

fn look_and_light_y(words: &Words) -> Vec<u64> {
    let published = words.published.fetch_or(0, Relaxed);
    vec![published.into(), load_after_light_barrier(&words.y).into()]
}

/// The first result is whether the kernel grants the barrier to this process.
fn register_look_and_light_y(words: &Words) -> Vec<u64> {
    let has_barrier = u64::from(register());
    [vec![has_barrier], look_and_light_y(words)].concat()
}

fn store_y_and_light_y(words: &Words) -> Vec<u64> {
    words.y.store(1, Relaxed);
    vec![load_after_light_barrier(&words.y).into()]
}

/// Compares the outcomes of two processes with the expected ones.
fn compare<const N: usize>(
    bodies: [Body<Words>; 2],
    expected: &[[u64; N]],
) -> Result<String, String> {
    let config = ScenarioConfig {
        choices: 4,
        may_lack_barrier: true,
        ..INTERLEAVINGS_ONLY
    };
    let (outcomes, exploration) = model_outcomes(&bodies, config);
    let reached: BTreeSet<Vec<u64>> = outcomes.iter().map(|outcome| outcome.concat()).collect();
    let expected: BTreeSet<Vec<u64>> = expected.iter().map(|outcome| outcome.to_vec()).collect();
    match reached == expected {
        true => Ok(format!("{} outcomes", reached.len())),
        false => Err(format!(
            "reached {reached:?}, expected {expected:?}; {:?}",
            exploration.verdict
        )),
    }
}
