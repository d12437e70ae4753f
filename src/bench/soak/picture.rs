//! What `soak.svg` shows of the samples.

use super::chart::{Chart, Line, Panel};
use super::load::jobs_a_second;
use super::sample::Sample;

/// The picture: memory, what is behind, and how long things take. `profile` is that of the build.
pub(super) fn of(samples: &[Sample], rate: usize, profile: &str) -> String {
    let jobs = jobs_a_second(rate);
    let line = |name, value: fn(&Sample) -> f64| Line {
        name,
        values: samples.iter().map(value).collect(),
    };
    let title = format!("A soak at {rate} commands/s and {jobs} jobs/s, {profile} build");
    let chart = Chart {
        title: &title,
        seconds: samples.iter().map(|sample| sample.second).collect(),
        panels: vec![
            Panel {
                title: "Memory, MB",
                lines: vec![
                    line("program", |sample| sample.program_bytes as f64 / 1e6),
                    line("nats-server", |sample| {
                        sample.nats_server_bytes as f64 / 1e6
                    }),
                    line("Postgres", |sample| sample.postgres_bytes as f64 / 1e6),
                ],
            },
            Panel {
                title: "Commits behind the journal; jobs not ended",
                lines: vec![
                    line("read side", |sample| sample.read_side_lag as f64),
                    line("feed", |sample| sample.feed_lag as f64),
                    line("open jobs", |sample| sample.open_jobs as f64),
                ],
            },
            Panel {
                title: "99th percentile of each second, ms",
                lines: vec![
                    line("command answered", |sample| sample.answer_p99_ms),
                    line("then visible in a query", |sample| sample.visible_p99_ms),
                ],
            },
        ],
    };
    chart.draw()
}
