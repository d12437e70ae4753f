//! `POST /v1/tickets`: what stands for a token in the address of a stream.
//!
//! A page of a browser can send no `Authorization` with a WebSocket, and a token in an address ends up in
//! logs and histories. So the page asks for a ticket first, and a ticket that is found later is worth
//! nothing.

mod desk;

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use domain::{Timestamp, Token};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

pub use self::desk::Tickets;
use crate::app::App;
use crate::auth::Caller;
use crate::body::read_json;
use crate::fields::Fields;
use crate::problem::ApiError;
use crate::routes::Routes;

/// The parameter by which a ticket is sent.
pub(crate) const TICKET: &str = "ticket";

/// What the ticket is to be for.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketBody {
    /// The one path that it is for; any that is watched, if nothing is said.
    #[serde(default)]
    #[schema(
        pattern = "^/v1/(jobs|batches|queues)/[A-Za-z0-9_-]{1,64}/watch$",
        example = "/v1/queues/mail/watch"
    )]
    pub(crate) path: Option<String>,
}

/// A ticket.
#[derive(Debug, Serialize, ToSchema)]
#[schema(title = "Ticket")]
pub(crate) struct TicketView {
    /// To be sent as the parameter `ticket`, once.
    pub(crate) ticket: String,
    /// When it is worth nothing any more, if it was not used.
    #[schema(format = "date-time", value_type = String)]
    pub(crate) expires_at: Timestamp,
}

/// Ask for a ticket.
///
/// It stands for the caller's token, once and within 30 seconds, in the address of what is watched.
/// Whatever became of the request that it was sent with, it is used. Every process of the service takes it.
#[utoipa::path(post, path = "/v1/tickets", tag = "events", request_body = TicketBody,
    responses((status = 201, description = "the ticket", body = TicketView)))]
async fn ask(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body: TicketBody = read_json(&headers, body, app.limits.body_bytes_max).await?;
    let mut fields = Fields::default();
    let path = match body.path {
        Some(path) => fields.check("/path", watched(path)).map(Some),
        None => Some(None),
    };
    let path = fields.finish(path)?;
    let (ticket, expires_at) = app.tickets.issue(caller, path).await?;
    Ok((StatusCode::CREATED, Json(TicketView { ticket, expires_at })).into_response())
}

/// `/v1/<what>/<which>/watch`
fn watched(path: String) -> Result<String, &'static str> {
    let rule = "must be the path of something that is watched, as `/v1/queues/mail/watch`";
    let parts: Vec<_> = path.split('/').collect();
    match parts.as_slice() {
        ["", "v1", "jobs" | "batches" | "queues", which, "watch"] if Token::new(which).is_ok() => {
            Ok(path)
        }
        _ => Err(rule),
    }
}

/// The ticket among the parameters of `uri`, if there is one.
pub(crate) fn ticket_in(uri: &Uri) -> Option<String> {
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    let mut tickets = pairs.into_iter().filter(|(name, _)| name == TICKET);
    tickets.next().map(|(_, ticket)| ticket)
}

/// Adds the route of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(ask))
}
