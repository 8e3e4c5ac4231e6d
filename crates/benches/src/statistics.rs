//! The same by criterion, a subject after the other.

use super::crew::Crew;
use criterion::{Criterion, Throughput};
use std::time::Duration;

/// Called where the rounds of a comparison are over, with all its crews.
pub fn with_criterion<'a>(title: &str, crews: impl Iterator<Item = &'a mut Crew>) {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(60))
        .measurement_time(Duration::from_millis(200))
        .configure_from_args()
        // What was asked for has been chosen already.
        .with_filter("");
    let mut group = criterion.benchmark_group(title);
    group.throughput(Throughput::Elements(1));
    for crew in crews {
        group.bench_function(crew.name.clone(), |bencher| {
            bencher.iter_custom(|count| {
                let report = crew.count(count).expect("it has done so before");
                Duration::from_secs_f64(report.seconds)
            });
        });
    }
    group.finish();
}
