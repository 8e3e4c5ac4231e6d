//! Measures the subjects with criterion, one after the other.

use super::workers::WorkerGroup;
use criterion::{Criterion, Throughput};
use std::time::Duration;

/// Measures all worker groups of a comparison with criterion, after the comparison's rounds.
pub fn with_criterion<'a>(title: &str, groups: impl Iterator<Item = &'a mut WorkerGroup>) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(200))
        .configure_from_args()
        // criterion gets an empty filter, because the session has already applied the command
        // line's filter.
        .with_filter("");
    let mut group = criterion.benchmark_group(title);
    group.throughput(Throughput::Elements(1));
    for workers in groups {
        group.bench_function(workers.name.clone(), |bencher| {
            bencher.iter_custom(|count| {
                let report = workers.count(count).expect("the workers have run before");
                Duration::from_secs_f64(report.seconds)
            });
        });
    }
    group.finish();
}
