//! What is looked at each second of a soak: a line of `soak.csv`.

use std::time::Duration;

use anyhow::Context as _;

use super::super::Bench;
use super::super::memory::{Memory, OfServers};
use super::super::program::Positions;
use super::super::statistics::percentile;
use super::load::Counted;

/// The names of the columns, in the order of [`Sample::line`].
pub(super) const HEADER: &str = "second,program_bytes,nats_server_bytes,postgres_bytes,\
    read_side_lag_commits,feed_lag_commits,open_jobs,commands,answer_p99_ms,visible_p99_ms,failed";

/// The gauge of `/metrics` that says how many jobs have not ended.
const OPEN_JOBS: &str = "ledgerline_dispatch_open_jobs";

/// One second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sample {
    /// Since the load began.
    pub(super) second: f64,
    pub(super) program_bytes: u64,
    pub(super) nats_server_bytes: u64,
    pub(super) postgres_bytes: u64,
    /// Commits of the journal that are in no table yet.
    pub(super) read_side_lag: u64,
    /// Commits of the journal that are not in the feed yet.
    pub(super) feed_lag: u64,
    /// Jobs that the dispatcher knows and that have not ended.
    pub(super) open_jobs: u64,
    /// Commands that were answered.
    pub(super) commands: usize,
    /// From due to answered.
    pub(super) answer_p99_ms: f64,
    /// From answered to visible in a query.
    pub(super) visible_p99_ms: f64,
    /// Commands, jobs and samples that came to nothing.
    pub(super) failed: u64,
}

/// How the program and its servers are.
#[derive(Debug)]
pub(super) struct Seen {
    program: Memory,
    servers: OfServers,
    positions: Positions,
    open_jobs: u64,
}

impl Seen {
    /// Looks at them.
    pub(super) async fn of(bench: &Bench<'_>) -> anyhow::Result<Self> {
        let program = bench.program.pid()?;
        let positions = Positions::of(&bench.target).await?;
        let metrics = bench.target.once(bench.target.get("/metrics")).await?;
        let metrics = String::from_utf8(metrics.succeeded()?.body.to_vec());
        Ok(Self {
            program: Memory::of(program)?,
            servers: OfServers::below(program),
            positions,
            open_jobs: gauge(&metrics.context("read the metrics")?, OPEN_JOBS),
        })
    }
}

impl Sample {
    pub(super) fn of(elapsed: Duration, seen: &Seen, counted: &Counted) -> Self {
        let positions = &seen.positions;
        Self {
            second: elapsed.as_secs_f64(),
            program_bytes: seen.program.resident_bytes,
            nats_server_bytes: seen.servers.nats_server_bytes,
            postgres_bytes: seen.servers.postgres_bytes,
            read_side_lag: positions.journal.saturating_sub(positions.read_side),
            feed_lag: positions.journal.saturating_sub(positions.feed()),
            open_jobs: seen.open_jobs,
            commands: counted.answered_ms.len(),
            answer_p99_ms: percentile(&counted.answered_ms, 0.99),
            visible_p99_ms: percentile(&counted.visible_ms, 0.99),
            failed: counted.failed,
        }
    }

    /// As a line of the file.
    pub(super) fn line(&self) -> String {
        format!(
            "{:.1},{},{},{},{},{},{},{},{:.2},{:.2},{}",
            self.second,
            self.program_bytes,
            self.nats_server_bytes,
            self.postgres_bytes,
            self.read_side_lag,
            self.feed_lag,
            self.open_jobs,
            self.commands,
            self.answer_p99_ms,
            self.visible_p99_ms,
            self.failed,
        )
    }

    /// As a remark.
    pub(super) fn told(&self) -> String {
        format!(
            "soak: second {:.0}, {:.1} MB, {} commits behind, p99 {:.1} ms to the answer and {:.1} ms \
             to visible, {} failed",
            self.second,
            self.program_bytes as f64 / 1e6,
            self.read_side_lag,
            self.answer_p99_ms,
            self.visible_p99_ms,
            self.failed,
        )
    }
}

/// The value of a gauge without labels; zero where it is not shown, as before its first value.
fn gauge(metrics: &str, name: &str) -> u64 {
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value: f64 = value
        .and_then(|value| value.trim().parse().ok())
        .unwrap_or(0.0);
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_value_for_each_column() {
        let line = Sample::default().line();
        assert_eq!(line.split(',').count(), HEADER.split(',').count());
        assert!(!HEADER.contains(' '), "{HEADER}");
    }

    #[test]
    fn a_gauge_is_found_by_its_whole_name() {
        let metrics = "# TYPE open gauge\nopen_old 7\nopen 3\n";
        assert_eq!(gauge(metrics, "open"), 3);
        assert_eq!(gauge(metrics, "closed"), 0);
    }
}
