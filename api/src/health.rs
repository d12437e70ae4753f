//! `/health`: the whole report, whether the process lives, and whether it can serve.
//!
//! These need no token, so that whatever watches the process needs none. Reports are kept for a
//! moment: whoever asks faster sees the same one, and costs the servers behind nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::app::{App, Health, HealthCheck};
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

/// That something is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alive {
    /// `ok` or `failed`.
    #[schema(pattern = "^(ok|failed)$")]
    pub(crate) status: &'static str,
}

/// The last report, and when it was made.
#[derive(Debug, Default)]
pub(crate) struct LastReport(Mutex<Option<(Instant, Arc<Report>)>>);

impl LastReport {
    /// The last report, or a new one. Whoever comes while one is made waits for that one.
    async fn get(&self, checks: &[Arc<dyn HealthCheck>], limit: Duration) -> Arc<Report> {
        let mut last = self.0.lock().await;
        match &*last {
            Some((made, report)) if made.elapsed() < REPORT_KEPT => Arc::clone(report),
            _ => {
                let report = Arc::new(report(checks, limit).await);
                *last = Some((Instant::now(), Arc::clone(&report)));
                report
            }
        }
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
    let report = app
        .last_report()
        .get(&app.checks, app.limits.health_check_max)
        .await;
    (status_of(report.status), Json(&*report)).into_response()
}

/// Whether the process lives: if not, restart it.
#[utoipa::path(get, path = "/health/live", tag = "running",
    responses((status = 200, description = "it lives", body = Alive)))]
async fn live() -> Json<Alive> {
    Json(Alive { status: "ok" })
}

/// Whether it can serve: if not, send requests elsewhere.
#[utoipa::path(get, path = "/health/ready", tag = "running",
    responses(
        (status = 200, description = "it can serve", body = Alive),
        (status = 503, description = "it cannot serve now", body = Alive),
    ))]
async fn ready(State(app): State<App>) -> Response {
    let report = app
        .last_report()
        .get(&app.checks, app.limits.health_check_max)
        .await;
    let failed = report.status == "failed" || app.shutdown.is_cancelled();
    let status = if failed { "failed" } else { "ok" };
    (status_of(status), Json(Alive { status })).into_response()
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(health))
        .add(routes!(live))
        .add(routes!(ready))
}
