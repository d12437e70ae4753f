//! `/health`: the whole report, whether the process lives, and whether it can serve.
//!
//! These need no token, so that whatever watches the process needs none. Reports are kept for a
//! moment: whoever asks faster sees the same one, and costs the servers behind nothing.
//!
//! `/health` tells how things are now. `/health/ready` is what a load balancer goes by, and is slower: a
//! process stays ready while what fails was well a moment ago ([`crate::Limits::failing_ready_max`]).
//! Where a leader is elected every process fails for some seconds, and without that each election would
//! take all of them away, with the queries that go on meanwhile. Whoever asks for the first time, or
//! seldom, is told the truth at once: nothing was seen well lately.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::app::{App, Health, HealthCheck, Limits};
use crate::routes::Routes;

/// How long a report is kept.
const REPORT_KEPT: Duration = Duration::from_secs(1);

/// How everything is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Report {
    /// The worst of the checks: `ok`, `degraded` or `failed`.
    #[schema(pattern = "^(ok|degraded|failed)$")]
    pub(crate) status: &'static str,
    /// Each check.
    pub(crate) checks: Vec<Check>,
}

/// How one thing is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// `ok`, `degraded` or `failed`.
    #[schema(pattern = "^(ok|degraded|failed)$")]
    pub(crate) status: &'static str,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) detail: Option<String>,
}

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// `ok`.
    #[schema(pattern = "^ok$")]
    pub(crate) status: &'static str,
}

/// Whether the process can serve.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `ok` or `failed`.
    #[schema(pattern = "^(ok|failed)$")]
    pub(crate) status: &'static str,
    /// The checks that fail now. While `status` is `ok` they have not done so for long.
    pub(crate) failing: Vec<Check>,
}

/// The last report, and what is known from those before.
#[derive(Debug, Default)]
pub(crate) struct LastReport(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    last: Option<Arc<Look>>,
    /// When each check was last seen not to fail.
    well: HashMap<&'static str, Instant>,
}

/// A report, and what it means together with those before.
#[derive(Debug)]
struct Look {
    at: Instant,
    report: Report,
    ready: bool,
}

impl LastReport {
    /// The last report, or a new one. Whoever comes while one is made waits for that one.
    async fn get(&self, checks: &[Arc<dyn HealthCheck>], limits: &Limits) -> Arc<Look> {
        let mut seen = self.0.lock().await;
        match &seen.last {
            Some(look) if look.at.elapsed() < REPORT_KEPT => Arc::clone(look),
            Some(_) | None => {
                let report = report(checks, limits.health_check_max).await;
                let look = Arc::new(seen.take(report, limits.failing_ready_max));
                seen.last = Some(Arc::clone(&look));
                look
            }
        }
    }
}

impl Seen {
    fn take(&mut self, report: Report, failing_ready_max: Duration) -> Look {
        let at = Instant::now();
        let mut ready = true;
        for check in &report.checks {
            if check.is_failing() {
                let well = self.well.get(check.name);
                ready &= well.is_some_and(|well| at - *well < failing_ready_max);
            } else {
                self.well.insert(check.name, at);
            }
        }
        Look { at, report, ready }
    }
}

impl Check {
    fn is_failing(&self) -> bool {
        self.status == "failed"
    }
}

async fn report(checks: &[Arc<dyn HealthCheck>], limit: Duration) -> Report {
    let checked = checks.iter().map(|check| async move {
        let health = tokio::time::timeout(limit, check.check()).await;
        let health = health.unwrap_or_else(|_elapsed| {
            Health::Failed(format!("did not answer within `{}` ms", limit.as_millis()))
        });
        let (status, detail) = match health {
            Health::Ok => ("ok", None),
            Health::Degraded(detail) => ("degraded", Some(detail)),
            Health::Failed(detail) => ("failed", Some(detail)),
        };
        Check {
            name: check.name(),
            status,
            detail,
        }
    });
    let checks = join_all(checked).await;
    let worst = ["failed", "degraded"]
        .into_iter()
        .find(|status| checks.iter().any(|check| check.status == *status));
    Report {
        status: worst.unwrap_or("ok"),
        checks,
    }
}

/// The status of an answer about something that is `status`.
fn status_of(status: &str) -> StatusCode {
    if status == "failed" {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    }
}

/// How everything is that the service needs.
#[utoipa::path(get, path = "/health", tag = "running",
    responses(
        (status = 200, description = "it serves", body = Report),
        (status = 503, description = "something needed has failed", body = Report),
    ))]
async fn health(State(app): State<App>) -> Response {
    let look = app.last_report().get(&app.checks, &app.limits).await;
    (status_of(look.report.status), Json(&look.report)).into_response()
}

/// Whether the process lives: if not, restart it.
#[utoipa::path(get, path = "/health/live", tag = "running",
    responses((status = 200, description = "it lives", body = Alive)))]
async fn live() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether it can serve: if not, send requests elsewhere.
///
/// It cannot when a check of `/health` has failed for 15 seconds, or fails and was not asked for so long, and
/// when the process is about to end. Ask every few seconds.
#[utoipa::path(get, path = "/health/ready", tag = "running",
    responses(
        (status = 200, description = "it can serve", body = Readiness),
        (status = 503, description = "it cannot serve now", body = Readiness),
    ))]
async fn ready(State(app): State<App>) -> Response {
    let look = app.last_report().get(&app.checks, &app.limits).await;
    let can_serve = look.ready && !app.shutdown.is_cancelled();
    let status = if can_serve { "ok" } else { "failed" };
    let failing = look.report.checks.iter().filter(|check| check.is_failing());
    let failing = failing.cloned().collect();
    (status_of(status), Json(Readiness { status, failing })).into_response()
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(health))
        .add(routes!(live))
        .add(routes!(ready))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, pending, ready};

    use super::*;

    /// How often a load balancer asks.
    const ASKED_EVERY: Duration = Duration::from_secs(2);

    /// What is looked at: it is as it is set, and where nothing is set it does not answer.
    struct Thing(Mutex<Option<Health>>);

    impl HealthCheck for Thing {
        fn name(&self) -> &'static str {
            "thing"
        }

        fn check(&self) -> BoxFuture<'_, Health> {
            match &*self.0.lock().expect("nobody fails with it") {
                Some(health) => ready(health.clone()).boxed(),
                None => pending().boxed(),
            }
        }
    }

    /// A thing, and what is known of it.
    struct Watched {
        thing: Arc<Thing>,
        last: LastReport,
    }

    impl Watched {
        fn new() -> Self {
            Self {
                thing: Arc::new(Thing(Mutex::new(Some(Health::Ok)))),
                last: LastReport::default(),
            }
        }

        fn is_now(&self, health: Option<Health>) {
            *self.thing.0.lock().expect("nobody fails with it") = health;
        }

        /// What is answered after `pause`: the status of the report, and whether it is ready.
        async fn after(&self, pause: Duration) -> (&'static str, bool) {
            tokio::time::advance(pause).await;
            let checks = [Arc::clone(&self.thing) as Arc<dyn HealthCheck>];
            let look = self.last.get(&checks, &Limits::default()).await;
            (look.report.status, look.ready)
        }
    }

    fn away() -> Option<Health> {
        Some(Health::Failed("it is away".to_owned()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_for_long_is_not_ready_and_what_is_well_again_is_at_once() {
        let watched = Watched::new();
        assert_eq!(watched.after(ASKED_EVERY).await, ("ok", true));
        watched.is_now(away());
        let limit = Limits::default().failing_ready_max;
        let mut failing = Duration::ZERO;
        loop {
            failing += ASKED_EVERY;
            let (status, is_ready) = watched.after(ASKED_EVERY).await;
            assert_eq!((status, is_ready), ("failed", failing < limit));
            if !is_ready {
                break;
            }
        }
        watched.is_now(Some(Health::Degraded("slow".to_owned())));
        assert_eq!(watched.after(ASKED_EVERY).await, ("degraded", true));
    }

    #[tokio::test(start_paused = true)]
    async fn one_answer_that_does_not_come_leaves_it_ready() {
        let watched = Watched::new();
        assert_eq!(watched.after(ASKED_EVERY).await, ("ok", true));
        watched.is_now(None);
        assert_eq!(watched.after(ASKED_EVERY).await, ("failed", true));
        watched.is_now(Some(Health::Ok));
        assert_eq!(watched.after(ASKED_EVERY).await, ("ok", true));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_seldom_is_told_the_truth_at_once() {
        let watched = Watched::new();
        watched.is_now(away());
        assert_eq!(watched.after(ASKED_EVERY).await, ("failed", false));
        watched.is_now(Some(Health::Ok));
        assert_eq!(watched.after(ASKED_EVERY).await, ("ok", true));
        watched.is_now(away());
        let hour = Duration::from_secs(3_600);
        assert_eq!(watched.after(hour).await, ("failed", false));
    }
}
