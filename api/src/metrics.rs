//! `GET /metrics`: the process's metrics, for Prometheus.
//!
//! It needs no token, as scrapers have none. The program listens on loopback unless told otherwise;
//! whoever opens it wider keeps this path behind their proxy.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::routes;

use crate::app::App;
use crate::routes::Routes;

/// The process's metrics, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "running",
    responses((status = 200, description = "the metrics", body = String,
        content_type = "text/plain; version=0.0.4; charset=utf-8")))]
async fn metrics(State(app): State<App>) -> Response {
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, app.metrics.render()).into_response()
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(metrics))
}
