//! One job as it goes, to its end.
//!
//! That there is such a job is asked of the journal, which knows it as soon as its receipt was given.

use axum::response::Response;
use commands::FeedEvent;
use commands::feed::{FeedFilter, FeedStart};
use domain::job::Job;
use domain::{Aggregate as _, Commit, Position, StreamId};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use projections::job::{JobRow, get};

use super::Watcher;
use crate::events::cloud_event::Message;
use crate::events::follow;
use crate::events::subscription::End;
use crate::jobs::views::JobView;
use crate::problem::ApiError;
use crate::texts::parse_id;

/// The events by which a job ends; a dead one may be put back later.
const ENDS: [&str; 3] = ["completed", "dead_lettered", "cancelled"];

pub(super) async fn watch(mut watcher: Watcher, id: &str) -> Result<Response, ApiError> {
    let id = parse_id(id).map_err(|rule| ApiError::parameter("id", rule))?;
    let tenant = watcher.caller.tenant().clone();
    let stream = StreamId::new(tenant.clone(), Job::CATEGORY, id.into());
    let unknown = || ApiError::NotFound("job");
    let first = watcher.commit_behind(&stream, Position::START).await?;
    watcher.reach(first.ok_or_else(unknown)?.position).await?;
    let found = get(&watcher.app.reads.reader, &tenant, id).await?;
    watcher.least.met_by(found.position)?;
    let row = found.item.ok_or_else(unknown)?;
    let (has_ended, version) = (row.status.is_ended(), row.version);
    let filter = FeedFilter {
        tenant,
        category: Some(stream.category.clone()),
        event: None,
        id: Some(stream.id.clone()),
    };
    let app = watcher.app.clone();
    let events = |start| {
        let events = follow(&app, filter, start);
        events.flat_map(move |event| stream::iter(told(event, version)))
    };
    match watcher.seen {
        Some(_) if has_ended && watcher.has_seen_all(&stream, &row).await? => {
            Ok(watcher.answer_nothing(found.position))
        }
        Some(seen) => Ok(watcher.answer(found.position, events(seen).boxed())),
        None => {
            let view = JobView::from(row);
            let snapshot = watcher.snapshot("job", stream.id.as_str(), found.position, view);
            let snapshot = stream::iter([Ok(snapshot)]);
            let messages = match has_ended {
                true => snapshot.chain(stream::iter([Err(End::Over)])).boxed(),
                false => {
                    let rest = events(FeedStart::AfterCommit(found.position));
                    snapshot.chain(rest).boxed()
                }
            };
            Ok(watcher.answer(found.position, messages))
        }
    }
}

/// The event, and the end behind it where the job ends by it. When the watcher came, the job had
/// `version`: an end before that is one of a job that was put back since.
fn told(event: Result<FeedEvent, End>, version: u64) -> Vec<Result<Message, End>> {
    match event {
        Ok(event) => {
            let is_end = event.version >= version && ENDS.contains(&event.event.as_str());
            let end = is_end.then_some(Err(End::Over));
            let message = Ok(Message::of_event(&event));
            [message].into_iter().chain(end).collect()
        }
        Err(end) => vec![Err(end)],
    }
}

impl Watcher {
    /// Whether the last event of the job is one that the watcher has seen.
    async fn has_seen_all(&self, stream: &StreamId, row: &JobRow) -> Result<bool, ApiError> {
        let seen = match self.seen {
            Some(FeedStart::After(event)) => event,
            Some(FeedStart::AfterCommit(commit)) => return Ok(commit >= row.position),
            Some(FeedStart::Now) | None => return Ok(false),
        };
        if seen.position != row.position {
            return Ok(seen.position > row.position);
        }
        // Within the job's last commit: how many events it has, only the journal knows.
        let before = Position(row.position.0.saturating_sub(1));
        let last = self.commit_behind(stream, before).await?;
        let events = last.map_or(0, |commit| commit.payload.events.len());
        Ok(seen.index as usize + 1 >= events)
    }

    /// The first commit of `stream` behind `position`.
    async fn commit_behind(
        &self,
        stream: &StreamId,
        position: Position,
    ) -> Result<Option<Commit>, ApiError> {
        let mut commits = self.app.journal.read_stream(stream, position);
        Ok(commits.try_next().await?)
    }
}
