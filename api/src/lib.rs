//! The HTTP API: routes, their JSON, tokens, problem details, OpenAPI.
//!
//! A handler extracts, builds a command or a query, calls, and maps; rules stand in `domain`, SQL in
//! `projections`. Nothing here opens a connection or reads a clock: [`Parts`] brings everything.
//!
//! - [`routes`]: every route and which roles it takes, one table.
//! - [`auth`]: tokens, keys, roles.
//! - [`exchange`]: what every request and every answer gets.
//! - [`problem`]: every error, one table of statuses.
//! - [`gateway`]: the worker protocol by messages instead of HTTP, over the same router.
//! - [`app`]: the parts and the limits.

pub mod app;
mod assignments;
pub mod auth;
mod batch;
mod batches;
mod body;
mod command;
mod events;
pub mod exchange;
mod fields;
pub mod gateway;
mod health;
mod history;
mod jobs;
mod labels;
mod metrics;
mod openapi;
mod params;
mod positions;
pub mod problem;
mod queues;
mod reads;
mod replays;
pub mod routes;
mod schedules;
mod serve;
#[cfg(test)]
mod testing;
mod texts;
mod tickets;
pub mod trace;
mod watch;
mod workload;

pub use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;

pub use self::app::{App, Health, HealthCheck, Limits, Parts, RenderMetrics};
pub use self::reads::Reads;
pub use self::replays::Replays;
use self::routes::Routes;
pub use self::serve::serve;
pub use self::tickets::Tickets;

/// The whole API over `app`.
///
/// # Panics
/// When a handler has no row in [`routes::ROUTES`].
pub fn router(app: App) -> Router {
    let routes = all(Some(app.clone()));
    let router = openapi::serve(routes)
        .fallback(routes::no_such_path)
        .layer(from_fn_with_state(app.clone(), exchange::exchange));
    router.with_state(app)
}

/// The description of the whole API, OpenAPI 3.1 as JSON.
#[must_use]
pub fn openapi() -> String {
    openapi::finished(all(None).into_router().into_openapi())
}

fn all(app: Option<App>) -> Routes {
    let routes = Routes::new(app, OpenApiRouter::with_openapi(openapi::preamble()));
    let add = [
        assignments::commands::add,
        assignments::queries::add,
        jobs::commands::add,
        jobs::claim::add,
        jobs::bulk::add,
        jobs::heartbeat::add,
        jobs::queries::add,
        queues::commands::add,
        queues::queries::add,
        schedules::commands::add,
        schedules::queries::add,
        schedules::next::add,
        batch::add,
        batches::open::add,
        batches::jobs::add,
        batches::commands::add,
        batches::all::add,
        batches::queries::add,
        workload::add,
        events::add,
        watch::add,
        tickets::add,
        replays::add,
        positions::add,
        health::add,
        metrics::add,
        openapi::add,
    ];
    add.into_iter().fold(routes, |routes, add| add(routes))
}
