//! Every route, and which roles it takes: the one table that authorisation is enforced from.
//!
//! A handler whose method and path have no row here cannot be added: `Routes::add` panics, so the
//! program does not start and no test of it passes. Tests walk the same table.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use commands::dispatch::CLAIM_WAIT_MAX;
use utoipa::openapi::path::PathItem;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter, UtoipaMethodRouterExt as _};

use crate::app::App;
use crate::auth::{Caller, Role, Roles, bearer};
use crate::problem::ApiError;
use crate::tickets::ticket_in;

/// One method of one path.
#[derive(Debug)]
pub struct Route {
    /// `GET`, `POST`, `PUT` or `DELETE`; what takes `GET` takes `HEAD`.
    pub method: &'static str,
    /// The template, as `/v1/assignments/{id}`.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody who reaches the port, without a token.
    Public,
    /// Whoever has one of these roles.
    Roles(Roles),
}

/// Who works on assignments and jobs.
pub(crate) const WORKER_ROLES: Roles = Roles::of(&[Role::Admin, Role::Operator, Role::Member]);
/// Who says how work is handed out, and when it is enqueued.
pub(crate) const OPERATOR_ROLES: Roles = Roles::of(&[Role::Admin, Role::Operator]);

const ANYONE: Access = Access::Roles(Roles::of(&Role::ALL));
const WORKERS: Access = Access::Roles(WORKER_ROLES);
const OPERATORS: Access = Access::Roles(OPERATOR_ROLES);
const REPLAYERS: Access = Access::Roles(Roles::of(&[Role::Admin, Role::Operator, Role::Auditor]));
const ADMINS: Access = Access::Roles(Roles::of(&[Role::Admin]));

/// The one route that waits by its caller's own wish.
pub(crate) const CLAIM: &str = "/v1/jobs/claim";
/// The one route that changes whatever fits a query.
pub(crate) const BULK: &str = "/v1/jobs/bulk";
/// The one route that takes a body and changes nothing.
pub(crate) const PREVIEW: &str = "/v1/schedules/next";
/// Adds jobs to a batch, a line each.
pub(crate) const JOBS_OF_BATCH: &str = "/v1/batches/{id}/jobs";
/// The one route `close` whose body says something.
pub(crate) const CLOSE_BATCH: &str = "/v1/batches/{id}/close";
/// Changes whatever of a batch has not ended.
pub(crate) const CANCEL_BATCH: &str = "/v1/batches/{id}/cancel";
/// Changes whatever of a batch is dead.
pub(crate) const RETRY_BATCH: &str = "/v1/batches/{id}/retry";

/// The table.
pub const ROUTES: &[Route] = &[
    post("/v1/assignments", WORKERS),
    post("/v1/assignments/{id}/assign", WORKERS),
    post("/v1/assignments/{id}/requeue", WORKERS),
    post("/v1/assignments/{id}/start", WORKERS),
    post("/v1/assignments/{id}/note", WORKERS),
    post("/v1/assignments/{id}/hold", WORKERS),
    post("/v1/assignments/{id}/resume", WORKERS),
    post("/v1/assignments/{id}/complete", WORKERS),
    post("/v1/assignments/{id}/close", WORKERS),
    post("/v1/assignments/{id}/reopen", WORKERS),
    post("/v1/assignments/{id}/cancel", WORKERS),
    post("/v1/jobs", WORKERS),
    post(CLAIM, WORKERS),
    post(BULK, WORKERS),
    post("/v1/jobs/{id}/heartbeat", WORKERS),
    post("/v1/jobs/{id}/complete", WORKERS),
    post("/v1/jobs/{id}/fail", WORKERS),
    post("/v1/jobs/{id}/release", WORKERS),
    post("/v1/jobs/{id}/cancel", WORKERS),
    post("/v1/jobs/{id}/requeue", WORKERS),
    post("/v1/batches", WORKERS),
    post(JOBS_OF_BATCH, WORKERS),
    post(CLOSE_BATCH, WORKERS),
    post(CANCEL_BATCH, WORKERS),
    post(RETRY_BATCH, WORKERS),
    post("/v1/queues/{name}/configure", OPERATORS),
    post("/v1/queues/{name}/pause", OPERATORS),
    post("/v1/queues/{name}/resume", OPERATORS),
    post("/v1/schedules", OPERATORS),
    put("/v1/schedules/{id}", OPERATORS),
    delete("/v1/schedules/{id}", OPERATORS),
    post("/v1/schedules/{id}/pause", OPERATORS),
    post("/v1/schedules/{id}/resume", OPERATORS),
    post("/v1/schedules/{id}/backfill", OPERATORS),
    post("/v1/schedules/{id}/trigger", WORKERS),
    post(PREVIEW, ANYONE),
    post("/v1/commands", WORKERS),
    get("/v1/assignments", ANYONE),
    get("/v1/assignments/{id}", ANYONE),
    get("/v1/assignments/{id}/history", ANYONE),
    get("/v1/jobs", ANYONE),
    get("/v1/jobs/{id}", ANYONE),
    get("/v1/jobs/{id}/history", ANYONE),
    get("/v1/batches", ANYONE),
    get("/v1/batches/{id}", ANYONE),
    get("/v1/batches/{id}/history", ANYONE),
    get("/v1/queues", ANYONE),
    get("/v1/schedules", ANYONE),
    get("/v1/schedules/{id}", ANYONE),
    get("/v1/schedules/{id}/next", ANYONE),
    get("/v1/schedules/{id}/history", ANYONE),
    get("/v1/workers", ANYONE),
    get("/v1/workload", ANYONE),
    get("/v1/events", ANYONE),
    get("/v1/jobs/{id}/watch", ANYONE),
    get("/v1/batches/{id}/watch", ANYONE),
    get("/v1/queues/{name}/watch", ANYONE),
    post("/v1/tickets", ANYONE),
    get("/v1/positions", ANYONE),
    post("/v1/replays", REPLAYERS),
    get("/v1/replays/{name}", REPLAYERS),
    post("/v1/models/{name}/rebuild", ADMINS),
    get("/health", Access::Public),
    get("/health/live", Access::Public),
    get("/health/ready", Access::Public),
    get("/metrics", Access::Public),
    get("/openapi.json", Access::Public),
];

impl Route {
    /// Whether it is watched from pages: there a ticket stands for the token, and the page is looked at.
    pub(crate) fn is_watched(&self) -> bool {
        self.path.ends_with("/watch")
    }
}

const fn get(path: &'static str, access: Access) -> Route {
    Route {
        method: "GET",
        path,
        access,
    }
}

const fn post(path: &'static str, access: Access) -> Route {
    Route {
        method: "POST",
        path,
        access,
    }
}

const fn put(path: &'static str, access: Access) -> Route {
    Route {
        method: "PUT",
        path,
        access,
    }
}

const fn delete(path: &'static str, access: Access) -> Route {
    Route {
        method: "DELETE",
        path,
        access,
    }
}

/// Routes on their way to becoming a router, each behind its row of the table.
pub(crate) struct Routes {
    /// Nothing when the routes are only to be described.
    app: Option<App>,
    router: OpenApiRouter<App>,
}

impl Routes {
    pub(crate) fn new(app: Option<App>, router: OpenApiRouter<App>) -> Self {
        Self { app, router }
    }

    /// Adds one handler.
    ///
    /// # Panics
    /// When the handler has no row in [`ROUTES`]: nobody has said who may use it.
    pub(crate) fn add(self, handler: UtoipaMethodRouter<App>) -> Self {
        let mut rows = handler.1.paths.iter().map(|(path, item)| row(path, item));
        let row = match (rows.next(), rows.next()) {
            (Some(row), None) => row,
            _ => panic!("a handler is added alone, with its one path"),
        };
        let guarded = match self.app.clone() {
            Some(app) => {
                let guard = from_fn_with_state((app, row), authorise);
                handler.map(|methods| methods.route_layer(guard))
            }
            None => handler,
        };
        Self {
            router: self.router.routes(guarded),
            app: self.app,
        }
    }

    pub(crate) fn into_router(self) -> OpenApiRouter<App> {
        self.router
    }
}

fn row(path: &str, item: &PathItem) -> &'static Route {
    let method = match (&item.get, &item.post, &item.put, &item.delete) {
        (Some(_), None, None, None) => "GET",
        (None, Some(_), None, None) => "POST",
        (None, None, Some(_), None) => "PUT",
        (None, None, None, Some(_)) => "DELETE",
        _ => panic!("`{path}` is added with another method than those of the table"),
    };
    ROUTES
        .iter()
        .find(|row| row.method == method && row.path == path)
        .unwrap_or_else(|| panic!("`{method} {path}` has no row in the table of routes"))
}

/// How long the answer to `path` may wait by its caller's own wish.
pub(crate) fn wait_max(path: &str) -> Duration {
    match path {
        CLAIM => CLAIM_WAIT_MAX,
        _ => Duration::ZERO,
    }
}

/// Lets in whom the row lets in, and no more than the limit at a time.
async fn authorise(
    State((app, row)): State<(App, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    let Access::Roles(roles) = row.access else {
        return marked(next.run(request).await, row, None);
    };
    let caller = match caller(&app, row, request.uri(), request.headers()).await {
        Ok(caller) => caller,
        Err(error) => return marked(error.into_response(), row, None),
    };
    if !caller.roles().meets(roles) {
        let error = ApiError::Forbidden("route takes other roles than the token has");
        return marked(error.into_response(), row, Some(caller));
    }
    let place = match row.path {
        CLAIM => app.admit_claim(),
        _ => app.admit(),
    };
    let response = match place {
        Ok(_place) => {
            request.extensions_mut().insert(caller.clone());
            next.run(request).await
        }
        Err(no_place) => no_place.into_response(),
    };
    marked(response, row, Some(caller))
}

/// Who it is: what the token says, or the ticket where one is taken.
async fn caller(
    app: &App,
    row: &Route,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Caller, ApiError> {
    if row.is_watched() {
        app.allowed_origins.check(headers)?;
        if let Some(ticket) = ticket_in(uri) {
            return app.tickets.redeem(&app.verifier, &ticket, uri.path()).await;
        }
    }
    let token = bearer(headers)?;
    Ok(app.verifier.verify(token)?)
}

/// Leaves what the log and the metrics need.
fn marked(mut response: Response, row: &'static Route, caller: Option<Caller>) -> Response {
    response.extensions_mut().insert(row);
    if let Some(caller) = caller {
        response.extensions_mut().insert(caller);
    }
    response
}

/// The answer to a path that is none of ours.
pub(crate) async fn no_such_path() -> ApiError {
    ApiError::NotFound("path")
}
