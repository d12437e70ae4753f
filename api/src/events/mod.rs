//! `GET /v1/events`: the public events of the caller's tenant as server-sent events.
//!
//! Reads the feed, never the journal itself. A client begins now, at the start, or behind an event it
//! has seen (`Last-Event-ID`), and meets every event from there on once and in order. The answer has
//! no end of its own: it ends with the token, with the server, or with a client that does not read.

mod cloud_event;
mod stream;
#[cfg(test)]
mod tests;

use axum::body::{Body, Bytes};
use axum::extract::{OriginalUri, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use commands::feed::{FeedFilter, FeedStart};
use commands::{FeedEvent, ReadError};
use domain::{EventPosition, Position, Token};
use futures_util::StreamExt as _;
use futures_util::future::ready;
use futures_util::stream as streams;
use tokio::sync::mpsc;
use tracing::Instrument as _;
use utoipa_axum::routes;

use self::stream::Subscription;
use crate::app::App;
use crate::auth::Caller;
use crate::params::Params;
use crate::problem::ApiError;
use crate::routes::Routes;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Events that wait for one client, about 1 KiB each: a second of a fast feed.
const QUEUE_EVENTS: usize = 1_024;

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
        ("Last-Event-ID" = Option<String>, Header, pattern = r"^[0-9]{1,15}\.[0-9]{1,9}$",
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
    let start = start(&mut params, &headers)?;
    params.finish()?;
    let start = match start {
        // The head is asked for before the answer begins, so that whatever happens from then on comes.
        FeedStart::Now => FeedStart::AfterCommit(app.journal.head().await?),
        start => start,
    };
    let place = app.admit_event_client()?;
    let (client, mut queue) = mpsc::channel::<Bytes>(QUEUE_EVENTS);
    let events = app.feed.subscribe(filter, start);
    let events = events
        .filter(move |event| ready(is_behind(start, event)))
        .boxed();
    let subscription = Subscription {
        events,
        caller,
        app,
    };
    tokio::spawn(
        async move {
            subscription.send_to(client).await;
            drop(place);
        }
        .in_current_span(),
    );
    let body = streams::poll_fn(move |context| {
        queue
            .poll_recv(context)
            .map(|bytes| bytes.map(Ok::<_, std::convert::Infallible>))
    });
    let mut response = Response::new(Body::from_stream(body));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

/// Where to begin: the header of a client that comes back, else `after`, else `from`.
fn start(params: &mut Params, headers: &HeaderMap) -> Result<FeedStart, ApiError> {
    let from = params.checked("from", |from| match from {
        "start" => Ok(FeedStart::AfterCommit(Position::START)),
        "now" => Ok(FeedStart::Now),
        _ => Err("must be `start` or `now`"),
    });
    let after = params.checked("after", after);
    let last = match headers.get(&LAST_EVENT_ID) {
        Some(id) => {
            let parsed = id
                .to_str()
                .ok()
                .and_then(|id| id.parse::<EventPosition>().ok());
            let rule = "must be the `id` of an event, `<position>.<index>`";
            Some(parsed.ok_or_else(|| ApiError::parameter("Last-Event-ID", rule))?)
        }
        None => None,
    };
    Ok(last
        .map(FeedStart::After)
        .or(after)
        .or(from)
        .unwrap_or(FeedStart::Now))
}

/// A feed that is behind the journal may know only later that an event lies before the start.
fn is_behind(start: FeedStart, event: &Result<FeedEvent, ReadError>) -> bool {
    match (start, event) {
        (FeedStart::After(after), Ok(event)) => event.position > after,
        (FeedStart::AfterCommit(after), Ok(event)) => event.position.position > after,
        (FeedStart::Now, Ok(_)) | (_, Err(_)) => true,
    }
}

fn after(text: &str) -> Result<FeedStart, &'static str> {
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
