//! `GET …/watch`: one job, the jobs of a batch or those of a queue, as they go.
//!
//! Over a WebSocket to whoever asks for one, else as server-sent events: the same messages, from the same
//! feed as `/v1/events`. A client that comes without a position is told first how it is and then what
//! happens from there on; one that comes back behind a position is told what has happened since.
//!
//! Deliberately absent: the end of a batch or of a queue. Both may be given another job at any time.

mod job;
mod parts;

use std::collections::BTreeMap;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::UPGRADE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use commands::feed::FeedStart;
use domain::job::{Parent, ParentKind, Status};
use domain::{Position, Token};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use projections::job::{Group, counts};
use serde::Serialize;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::Caller;
use crate::events::cloud_event::{Message, Snapshot};
use crate::events::places::Place;
use crate::events::subscription::{End, Subscription};
use crate::events::{seen, server_sent, web_socket};
use crate::exchange::POSITION;
use crate::params::Params;
use crate::problem::ApiError;
use crate::reads::{Asked, Least};
use crate::routes::Routes;
use crate::tickets::TICKET;

/// One who watches: who it is, what it has seen, and over what it is to be told.
struct Watcher {
    app: App,
    caller: Caller,
    least: Least,
    seen: Option<FeedStart>,
    upgrade: Option<WebSocketUpgrade>,
    place: Place,
}

/// How many jobs of a batch or a queue are in each state.
#[derive(Debug, Serialize)]
struct CountsView {
    jobs: BTreeMap<Status, u64>,
}

/// Watch a job.
///
/// A WebSocket for whoever asks for one, else server-sent events. First the job as it is (`GET
/// /v1/jobs/{id}`) as a CloudEvent of type `ledgerline.job.snapshot.v1`, whose `id` is its position; then
/// each event as in `/v1/events`. It ends behind the event by which the job ends. After a break, go on
/// behind the last `id`: nothing is lost and nothing comes twice. The socket is closed with 1000 when
/// the job has ended, 1001 when the server stops, 1008 when the token has ended or the client has said
/// something, and 1013 when it is to come back: it did not read, or something needed is away.
#[utoipa::path(get, path = "/v1/jobs/{id}/watch", tag = "jobs",
    responses(
        (status = 101, description = "a socket of JSON texts, each a CloudEvent"),
        (status = 200, description = "server-sent events, each a CloudEvent", body = String,
            content_type = "text/event-stream"),
        (status = 204, description = "it has ended, and all of it was seen: do not come back"),
    ))]
async fn job(watcher: Watcher, Path(id): Path<String>) -> Result<Response, ApiError> {
    job::watch(watcher, &id).await
}

/// Watch the jobs of a batch.
///
/// As a job is watched: first how many jobs it has in each state (`ledgerline.batch.snapshot.v1`), then
/// every event of its jobs. It has no end: a batch may be given another job.
#[utoipa::path(get, path = "/v1/batches/{id}/watch", tag = "jobs",
    params(
        ("id" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "the batch"),
    ),
    responses(
        (status = 101, description = "a socket of JSON texts, each a CloudEvent"),
        (status = 200, description = "server-sent events, each a CloudEvent", body = String,
            content_type = "text/event-stream"),
    ))]
async fn batch(watcher: Watcher, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = Token::new(id).map_err(|rule| ApiError::parameter("id", rule))?;
    let kind = ParentKind::Batch;
    let group = Group::Parent(Parent {
        kind,
        id: id.clone(),
    });
    watcher.watch_all("batch", id, group).await
}

/// Watch the jobs of a queue.
///
/// As a job is watched: first how many jobs wait, run and are dead (`ledgerline.queue.snapshot.v1`), then
/// every event of its jobs and of the queue itself. It has no end.
#[utoipa::path(get, path = "/v1/queues/{name}/watch", tag = "queues",
    params(
        ("name" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$", description = "the queue"),
    ),
    responses(
        (status = 101, description = "a socket of JSON texts, each a CloudEvent"),
        (status = 200, description = "server-sent events, each a CloudEvent", body = String,
            content_type = "text/event-stream"),
    ))]
async fn queue(watcher: Watcher, Path(name): Path<String>) -> Result<Response, ApiError> {
    let name = Token::new(name).map_err(|rule| ApiError::parameter("name", rule))?;
    watcher
        .watch_all("queue", name.clone(), Group::Queue(name))
        .await
}

impl Watcher {
    /// Every job of `group`, which is the `category` named `id`.
    async fn watch_all(
        mut self,
        category: &'static str,
        id: Token,
        group: Group,
    ) -> Result<Response, ApiError> {
        self.reach(Position::START).await?;
        let (reader, tenant) = (&self.app.reads.reader, self.caller.tenant().clone());
        let (jobs, position) = counts(reader, &tenant, &group).await?;
        self.least.met_by(position)?;
        let is_empty = jobs.values().all(|jobs| *jobs == 0);
        if is_empty && category == "batch" {
            return Err(ApiError::NotFound("batch"));
        }
        let (start, snapshot) = match self.seen {
            Some(seen) => (seen, None),
            None => {
                let snapshot = self.snapshot(category, id.as_str(), position, CountsView { jobs });
                (FeedStart::AfterCommit(position), Some(Ok(snapshot)))
            }
        };
        let parts = parts::Parts::new(self.app.clone(), tenant, group);
        let messages = stream::iter(snapshot).chain(parts.follow(start));
        Ok(self.answer(position, messages.boxed()))
    }

    /// Waits until the read side has what the caller asked for and has seen, and reached `position`.
    async fn reach(&mut self, position: Position) -> Result<(), ApiError> {
        let seen = match self.seen {
            Some(FeedStart::After(event)) => event.position,
            Some(FeedStart::AfterCommit(commit)) => commit,
            Some(FeedStart::Now) | None => Position::START,
        };
        let position = position.max(seen);
        self.least = self.least.or_later(position);
        self.app.wait_for(position).await
    }

    fn snapshot<T: Serialize>(
        &self,
        category: &str,
        subject: &str,
        position: Position,
        data: T,
    ) -> Message {
        Message::of_snapshot(Snapshot {
            tenant: self.caller.tenant(),
            category,
            subject,
            time: self.app.clock.now(),
            position,
            data,
        })
    }

    /// Sends `messages`, which begin at `position`.
    fn answer(
        self,
        position: Position,
        messages: BoxStream<'static, Result<Message, End>>,
    ) -> Response {
        let subscription = Subscription {
            messages,
            caller: self.caller,
            app: self.app,
            place: self.place,
        };
        let mut response = match self.upgrade {
            Some(upgrade) => web_socket::answer(upgrade, subscription),
            None => server_sent::answer(subscription),
        };
        response
            .headers_mut()
            .insert(POSITION, HeaderValue::from(position.0));
        response
    }

    /// Says that there is nothing to come: a client of server-sent events comes back until it hears this.
    fn answer_nothing(self, position: Position) -> Response {
        match self.upgrade {
            Some(_) => self.answer(position, stream::iter([Err(End::Over)]).boxed()),
            None => {
                let position = [(POSITION, HeaderValue::from(position.0))];
                (StatusCode::NO_CONTENT, position).into_response()
            }
        }
    }
}

impl FromRequestParts<App> for Watcher {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let asked = Asked::from_request_parts(parts, app).await?;
        let mut params: Params = asked.params;
        // It has done its work: by it the caller was let in.
        params.text(TICKET);
        let seen = seen(&mut params, &parts.headers)?;
        params.finish()?;
        let upgrade = upgrade(parts, app).await?;
        Ok(Self {
            place: app.event_clients().take(&asked.caller)?,
            app: app.clone(),
            caller: asked.caller,
            least: asked.least,
            seen,
            upgrade,
        })
    }
}

/// The socket that is asked for, if one is.
async fn upgrade(parts: &mut Parts, app: &App) -> Result<Option<WebSocketUpgrade>, ApiError> {
    if !asks_for_socket(&parts.headers) {
        return Ok(None);
    }
    let upgrade = WebSocketUpgrade::from_request_parts(parts, app).await;
    upgrade
        .map(Some)
        .map_err(|rejection| ApiError::parameter("Upgrade", rejection))
}

fn asks_for_socket(headers: &HeaderMap) -> bool {
    let asked = headers.get(UPGRADE).map(HeaderValue::as_bytes);
    asked.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
}

/// Adds the routes of this file.
pub(crate) fn add(routes: Routes) -> Routes {
    routes
        .add(routes!(job))
        .add(routes!(batch))
        .add(routes!(queue))
}
