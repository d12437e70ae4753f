//! Events as they happen: `GET /v1/events`, all public events of the caller's tenant, as server-sent
//! events; and what every stream of events is made of.
//!
//! Reads the feed, never the journal itself. A client begins now, at the start, or behind an event it
//! has seen (`Last-Event-ID`), and meets every event from there on once and in order. The answer has
//! no end of its own: it ends with the token, with the server, or with a client that does not read.
//!
//! - [`cloud_event`]: what is sent. [`subscription`]: one client's queue, and why it ends.
//! - [`server_sent`], [`web_socket`]: the two ways in which a queue is emptied.
//! - [`places`]: how many clients there may be.

pub(crate) mod cloud_event;
pub(crate) mod places;
pub(crate) mod server_sent;
pub(crate) mod subscription;
#[cfg(test)]
mod tests;
pub(crate) mod web_socket;

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use commands::FeedEvent;
use commands::feed::{FeedFilter, FeedStart};
use domain::{Position, Token};
use futures_util::future::ready;
use futures_util::{Stream, StreamExt as _};
use utoipa_axum::routes;

use self::cloud_event::Message;
use self::subscription::{End, Subscription};
use crate::app::App;
use crate::auth::Caller;
use crate::params::Params;
use crate::problem::{ApiError, Chain};
use crate::routes::Routes;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Follow events.
///
/// Server-sent events: `id` is the event's position, `event` its CloudEvents type, `data` the
/// CloudEvent in structured JSON. A comment every 15 seconds keeps the connection. After a break,
/// send the last `id` as `Last-Event-ID`: nothing is lost and nothing comes twice. The answer ends
/// when the token does.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(
        ("category" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "only of this kind of aggregate"),
        ("event" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "only of this type"),
        ("id" = Option<String>, Query, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "only of this aggregate"),
        ("after" = Option<String>, Query, pattern = r"^[0-9]{1,15}(\.[0-9]{1,9})?$",
            description = "begin behind this event (`12.0`) or this commit (`12`)"),
        ("from" = Option<String>, Query, pattern = "^(start|now)$",
            description = "begin at the start or now, if nothing else says where"),
        ("Last-Event-ID" = Option<String>, Header, pattern = r"^[0-9]{1,15}(\.[0-9]{1,9})?$",
            description = "begin behind this event"),
    ),
    responses((status = 200, description = "events without end", body = String,
        content_type = "text/event-stream")))]
async fn events(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    OriginalUri(uri): OriginalUri,
) -> Result<Response, ApiError> {
    let mut params = Params::of(&uri);
    let filter = FeedFilter {
        tenant: caller.tenant().clone(),
        category: params.parsed::<Token>("category"),
        event: params.parsed::<Token>("event"),
        id: params.parsed::<Token>("id"),
    };
    let from = params.checked("from", |from| match from {
        "start" => Ok(FeedStart::AfterCommit(Position::START)),
        "now" => Ok(FeedStart::Now),
        _ => Err("must be `start` or `now`"),
    });
    let seen = seen(&mut params, &headers)?;
    params.finish()?;
    let start = match seen.or(from).unwrap_or(FeedStart::Now) {
        // The head is asked for before the answer begins, so that whatever happens from then on comes.
        FeedStart::Now => FeedStart::AfterCommit(app.journal.head().await?),
        start => start,
    };
    let place = app.event_clients().take(&caller)?;
    let events = follow(&app, filter, start);
    let messages = events.map(|event| event.map(|event| Message::of_event(&event)));
    Ok(server_sent::answer(Subscription {
        messages: messages.boxed(),
        caller,
        app,
        place,
    }))
}

/// What the client has seen, and behind which it goes on: the header of one that comes back, else `after`.
pub(crate) fn seen(
    params: &mut Params,
    headers: &HeaderMap,
) -> Result<Option<FeedStart>, ApiError> {
    let after = params.checked("after", place);
    match headers.get(&LAST_EVENT_ID) {
        Some(id) => {
            let last = place(id.to_str().unwrap_or_default());
            last.map(Some)
                .map_err(|rule| ApiError::parameter("Last-Event-ID", rule))
        }
        None => Ok(after),
    }
}

/// The events behind `start` that pass `filter`, until the feed breaks off.
pub(crate) fn follow(
    app: &App,
    filter: FeedFilter,
    start: FeedStart,
) -> impl Stream<Item = Result<FeedEvent, End>> + Send + use<> {
    let events = app.feed.subscribe(filter, start);
    let events = events.map(|event| {
        event.map_err(|error| {
            tracing::warn!(error = %Chain(&error), "read the feed");
            End::FeedAway
        })
    });
    events.filter(move |event| ready(is_behind(start, event)))
}

/// A feed that is behind the journal may know only later that an event lies before the start.
fn is_behind(start: FeedStart, event: &Result<FeedEvent, End>) -> bool {
    match (start, event) {
        (FeedStart::After(after), Ok(event)) => event.position > after,
        (FeedStart::AfterCommit(after), Ok(event)) => event.position.position > after,
        (FeedStart::Now, Ok(_)) | (_, Err(_)) => true,
    }
}

fn place(text: &str) -> Result<FeedStart, &'static str> {
    let rule = "must be `<position>.<index>` of an event or `<position>` of a commit";
    if text.contains('.') {
        return text.parse().map(FeedStart::After).map_err(|_| rule);
    }
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten();
    number
        .map(|position| FeedStart::AfterCommit(Position(position)))
        .ok_or(rule)
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes.add(routes!(events))
}
