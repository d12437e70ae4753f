//! The figures of a soak. The first third of it is a warm-up; the second and the last are compared.

use super::super::statistics::{median, percentile, spread};
use super::super::visible::VISIBLE_MAX_MS;
use super::super::{Figure, Measured};
use super::load::jobs_a_second;
use super::sample::Sample;

/// How much more the program may have in the last third than in the second, in percent. What it keeps on
/// purpose is bounded and full by then; a tenth is what its allocator may take and give back meanwhile.
const GROWTH_MAX_PERCENT: f64 = 10.0;

/// The spread is that of so many parts of the time.
const PARTS: usize = 5;

/// How much more memory the program has at the end.
pub(super) fn memory_growth(samples: &[Sample], rate: usize) -> Figure {
    let (second, last) = later_thirds(samples);
    let (before, after) = (Middle::of(second), Middle::of(last));
    let hours = (after.second - before.second) / 3_600.0;
    let most = samples.iter().map(|sample| sample.program_bytes).max();
    let end = samples.last().copied().unwrap_or_default();
    let note = format!(
        "median of the last third {:.1} MB over {:.1} MB in the second: {:+.1} MB an hour; the most \
         {:.1} MB; at the end nats-server {:.0} MB, Postgres {:.0} MB; {rate} commands/s \
         and {} jobs/s",
        after.megabytes,
        before.megabytes,
        (after.megabytes - before.megabytes) / hours,
        megabytes(most.unwrap_or(0)),
        megabytes(end.nats_server_bytes),
        megabytes(end.postgres_bytes),
        jobs_a_second(rate),
    );
    let measured = Measured {
        name: "soak_memory_growth",
        unit: "%",
        floor: 1.0,
        note,
    };
    let percent = (after.megabytes / before.megabytes - 1.0) * 100.0;
    measured.limit(&[percent], GROWTH_MAX_PERCENT)
}

/// How long what was answered took to be visible; `visible_ms` is that of every command, in order.
pub(super) fn lag_p99(samples: &[Sample], visible_ms: &[f64]) -> Figure {
    let counted = &visible_ms[visible_ms.len() / 3..];
    let part = |part: &[f64]| percentile(part, 0.99);
    let parts: Vec<f64> = counted
        .chunks(counted.len().div_ceil(PARTS).max(1))
        .map(part)
        .collect();
    let (second, last) = later_thirds(samples);
    let behind: Vec<f64> = second
        .iter()
        .chain(last)
        .map(|sample| sample.read_side_lag as f64)
        .collect();
    let failed: u64 = samples.iter().map(|sample| sample.failed).sum();
    let note = format!(
        "from the answer of a command to the answer of a query that shows it; p50 {:.2} ms, longest \
         {:.1} ms; commits behind p99 {:.0}, most {:.0}; {failed} commands, jobs and samples \
         failed; the ceiling is the promise",
        percentile(counted, 0.5),
        percentile(counted, 1.0),
        percentile(&behind, 0.99),
        percentile(&behind, 1.0),
    );
    let measured = Measured {
        name: "soak_lag_p99",
        unit: "ms",
        floor: 1.0,
        note,
    };
    let figure = measured.limit(&[part(counted)], VISIBLE_MAX_MS);
    Figure {
        spread: spread(&parts),
        ..figure
    }
}

/// The medians of some samples.
struct Middle {
    second: f64,
    megabytes: f64,
}

impl Middle {
    fn of(samples: &[Sample]) -> Self {
        let median_of = |value: fn(&Sample) -> f64| {
            let values: Vec<f64> = samples.iter().map(value).collect();
            median(&values)
        };
        Self {
            second: median_of(|sample| sample.second),
            megabytes: median_of(|sample| megabytes(sample.program_bytes)),
        }
    }
}

/// The second and the last third.
fn later_thirds(samples: &[Sample]) -> (&[Sample], &[Sample]) {
    let (_, counted) = samples.split_at(samples.len() / 3);
    counted.split_at(counted.len() / 2)
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One a second, with so many bytes by its number.
    fn samples(bytes: impl Fn(u64) -> u64) -> Vec<Sample> {
        let sample = |number| Sample {
            second: number as f64,
            program_bytes: bytes(number),
            ..Sample::default()
        };
        (0..90).map(sample).collect()
    }

    #[test]
    fn a_leak_is_growth_and_a_warm_up_is_none() {
        let leak = memory_growth(&samples(|number| 100_000_000 + number * 1_000_000), 200);
        assert!(!leak.ok && (leak.value - 20.76).abs() < 0.1, "{leak:?}");
        assert!(leak.note.contains("+3600.0 MB an hour"), "{}", leak.note);
        let warm = memory_growth(&samples(|number| number.min(30) * 10_000_000), 200);
        assert!(warm.ok && warm.value == 0.0, "{warm:?}");
    }

    #[test]
    fn the_lag_of_the_warm_up_does_not_count_and_what_failed_is_told() {
        let mut samples = samples(|_| 1);
        samples[3].failed = 2;
        let late = |count, ms: f64| std::iter::repeat_n(ms, count);
        let times: Vec<f64> = late(30, 5_000.0).chain(late(60, 4.0)).collect();
        let lag = lag_p99(&samples, &times);
        assert_eq!((lag.value, lag.ok), (4.0, true));
        assert!(
            lag.note.contains("2 commands, jobs and samples failed"),
            "{}",
            lag.note
        );
        let times: Vec<f64> = late(88, 4.0).chain(late(2, 5_000.0)).collect();
        assert!(!lag_p99(&samples, &times).ok);
    }
}
