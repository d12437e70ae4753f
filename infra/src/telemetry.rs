//! Logs and metrics of the process.
//!
//! Logs go to standard error, one line an event, as text for people or as JSON for machines; spans
//! carry request, correlation and trace ids, so that one trace can be followed from the HTTP request
//! through the append to the projection. Metrics are kept in memory and rendered for Prometheus.
//!
//! Deliberately absent: an exporter of traces. The W3C trace context is taken in, handed on in every
//! commit and written to every log line, which any log pipeline can join.

use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Why logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not of the form `info,infra=debug`.
    #[error("log filter `{filter}`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// It was set up before.
    #[error("logs are set up already")]
    Twice,
    /// The metrics could not be set up.
    #[error("set up metrics")]
    Metrics(#[source] BuildError),
}

/// Bounds of the histograms of durations, in seconds: from a cached answer to a request's time limit.
const DURATION_BUCKETS_S: [f64; 14] = [
    0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// How often what histograms were told is counted: under the heaviest load that is a megabyte or two.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// Begins to write logs that pass `filter`.
///
/// # Errors
/// When the filter is not understood, or logs are set up already.
pub fn start_logs(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Text => logs.with_target(false).try_init(),
        LogFormat::Json => logs
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .try_init(),
    };
    started.map_err(|_already| TelemetryError::Twice)
}

/// Begins to keep metrics; the handle renders them. [`count_metrics`] has to run beside.
///
/// # Errors
/// When metrics are kept already.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATION_BUCKETS_S)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(TelemetryError::Metrics)
}

/// Counts what was recorded, every few seconds until `stop`. Each value that a histogram is told waits in
/// memory for that, or for somebody who asks for the metrics; where nobody scrapes, nobody asks.
pub async fn count_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    while stop
        .run_until_cancelled(tokio::time::sleep(COUNT_EVERY))
        .await
        .is_some()
    {
        metrics.run_upkeep();
    }
}
