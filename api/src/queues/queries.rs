//! `GET /v1/queues`: what each queue has, and how it does.
//!
//! How many jobs are ready is what the dispatcher knows; the rest is the read side's.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use commands::dispatch::Depth;
use domain::queue::Limits;
use domain::{Timestamp, Token};
use projections::job::{Percentiles, QueueStatistics, queue_statistics};
use projections::queue::{self, QueueRow};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::app::App;
use crate::problem::ApiError;
use crate::reads::{Asked, at};
use crate::routes::Routes;

/// Every queue.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QueueList {
    /// The queues, by name.
    pub(crate) queues: Vec<QueueView>,
}

/// What a queue has, and how it does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Queue")]
pub(crate) struct QueueView {
    /// Its name.
    pub(crate) name: String,
    /// Jobs that could be handed out.
    pub(crate) ready: usize,
    /// Jobs that wait for their time.
    pub(crate) delayed: usize,
    /// Jobs that workers have.
    pub(crate) running: usize,
    /// Whether nothing is handed out.
    pub(crate) paused: bool,
    /// Why it was paused.
    #[schema(required)]
    pub(crate) reason: Option<String>,
    /// How much of it may run.
    #[schema(value_type = LimitsView)]
    pub(crate) limits: Limits,
    /// Jobs that are done.
    pub(crate) completed: u64,
    /// Jobs that are dead.
    pub(crate) dead: u64,
    /// Jobs that were cancelled.
    pub(crate) cancelled: u64,
    /// Since when the one that has waited longest could have been handed out.
    #[schema(required, format = "date-time", value_type = Option<String>)]
    pub(crate) oldest_waiting_at: Option<Timestamp>,
    /// What happened in the last minute.
    pub(crate) last_minute: LastMinuteView,
    /// From when jobs could be handed out to their first start; of the last hour.
    #[schema(required)]
    pub(crate) wait_ms: Option<PercentilesView>,
    /// From the last start to the end of what was completed; of the last hour.
    #[schema(required)]
    pub(crate) run_ms: Option<PercentilesView>,
}

/// How much of a queue may run; what is left out has no limit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Limits")]
pub(crate) struct LimitsView {
    /// How many jobs run at once.
    #[schema(nullable = false)]
    pub(crate) running_max: Option<u32>,
    /// How many jobs of one fairness key run at once.
    #[schema(nullable = false)]
    pub(crate) running_per_key_max: Option<u32>,
    /// How many jobs begin in a period.
    #[schema(nullable = false)]
    pub(crate) rate: Option<super::bodies::RateBody>,
}

/// What happened in a queue in the last minute.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(title = "LastMinute")]
pub(crate) struct LastMinuteView {
    /// How many jobs were enqueued.
    pub(crate) enqueued: u64,
    /// How many were completed.
    pub(crate) completed: u64,
    /// How many ended dead.
    pub(crate) failed: u64,
}

/// So many milliseconds, or fewer, for half of the jobs and for all but one in a hundred.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Percentiles")]
pub(crate) struct PercentilesView {
    /// The median.
    pub(crate) p50: u64,
    /// The 99th percentile.
    pub(crate) p99: u64,
}

/// What is known of one queue, by whom.
#[derive(Default)]
struct Known {
    depth: Option<Depth>,
    statistics: Option<QueueStatistics>,
    row: Option<QueueRow>,
}

/// What each queue has, and how it does.
#[utoipa::path(get, path = "/v1/queues", tag = "queues",
    responses((status = 200, description = "the queues", body = QueueList)))]
async fn list(State(app): State<App>, asked: Asked) -> Result<Response, ApiError> {
    let Asked {
        caller,
        params,
        least,
    } = asked;
    params.finish()?;
    let (reader, tenant) = (&app.reads.reader, caller.tenant());
    let depths = app.dispatch.depths(tenant).await?;
    let statistics = queue_statistics(reader, tenant, app.clock.now()).await?;
    let rows = queue::list(reader, tenant).await?;
    let position = statistics.position.min(rows.position);
    least.met_by(position)?;
    let mut known = BTreeMap::<Token, Known>::new();
    for (name, depth) in depths {
        known.entry(name).or_default().depth = Some(depth);
    }
    for statistics in statistics.items {
        let name = statistics.queue.clone();
        known.entry(name).or_default().statistics = Some(statistics);
    }
    for row in rows.items {
        let name = row.name.clone();
        known.entry(name).or_default().row = Some(row);
    }
    let queues = known.into_iter().map(|(name, known)| known.view(&name));
    let queues = queues.collect();
    Ok(at(position, QueueList { queues }))
}

impl Known {
    fn view(self, name: &Token) -> QueueView {
        let is_paused = self.row.as_ref().is_some_and(|row| row.is_paused);
        // Whoever hands out knows best whether it does.
        let depth = self.depth.unwrap_or(Depth {
            is_paused,
            ..Depth::default()
        });
        let statistics = self.statistics.as_ref();
        let count = |of: fn(&QueueStatistics) -> u64| statistics.map_or(0, of);
        QueueView {
            name: name.to_string(),
            ready: depth.ready,
            delayed: depth.delayed,
            running: depth.running,
            paused: depth.is_paused,
            reason: self
                .row
                .as_ref()
                .and_then(|row| Some(row.reason.as_ref()?.to_string())),
            limits: self.row.map(|row| row.limits).unwrap_or_default(),
            completed: count(|statistics| statistics.completed),
            dead: count(|statistics| statistics.dead),
            cancelled: count(|statistics| statistics.cancelled),
            oldest_waiting_at: statistics.and_then(|statistics| statistics.oldest_waiting_at),
            last_minute: LastMinuteView {
                enqueued: count(|statistics| statistics.last_minute.enqueued),
                completed: count(|statistics| statistics.last_minute.completed),
                failed: count(|statistics| statistics.last_minute.failed),
            },
            wait_ms: statistics.and_then(|statistics| Some(statistics.wait_ms?.into())),
            run_ms: statistics.and_then(|statistics| Some(statistics.run_ms?.into())),
        }
    }
}

impl From<Percentiles> for PercentilesView {
    fn from(percentiles: Percentiles) -> Self {
        Self {
            p50: percentiles.p50,
            p99: percentiles.p99,
        }
    }
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(list))
}
